"""One start of the program: it reads the settings, opens a gateway and runs a command; every error
becomes a message and an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import typer

from ..errors import ConfigError
from .console import Console
from .exits import Exit, Misused
from .invocation import Command, Invocation
from .performing import Performance
from .trusting import Declined, ask

if TYPE_CHECKING:
    from ..config import Config
    from ..engine.gateway import Gateway

OpenGateway: TypeAlias = "Callable[[Config], AbstractAsyncContextManager[Gateway]]"


class Session(Invocation):
    """The program around a command. *open_gateway* replaces the program's own, if it is set."""

    def __init__(
        self,
        open_gateway: OpenGateway | None = None,
        config_file: Path | None = None,
        profile: str | None = None,
        log_level: str = "warning",
        *,
        debug: bool = False,
        as_json: bool = False,
        may_share: bool = False,
    ) -> None:
        """*profile* is the one that was asked for. If *may_share*, a command is carried out by the
        gateway that others share, where that runs."""
        super().__init__(Console(sys.stdout, sys.stderr, os.environ), as_json=as_json, debug=debug)
        self.open_gateway = open_gateway
        self.config_file = config_file
        self.profile = profile
        self.log_level = log_level
        self.may_share = may_share
        self.may_ask = True
        """Whether a person may be asked on the terminal."""

    @cached_property
    def config(self) -> Config:
        """The settings. If a file was found that is not trusted, a person at the terminal is asked.
        Raises `ConfigError`, and `Declined`."""
        from ..config import Untrusted

        try:
            return self.load()
        except Untrusted as found:
            if not (self.may_ask and ask(self.console, found)):
                raise
            return self.load()

    def load(self) -> Config:
        """Load the settings that were asked for. Raises `ConfigError`."""
        from ..config import load_config

        return load_config(self.config_file, profile=self.profile, secrets=self.secrets)

    def perform(self, command: Command) -> int:
        """Carry out *command* on a gateway over the configured servers, and return the exit code: a
        shared one if there is one and it may be used, else our own, in which a server starts once
        the command needs it."""
        return self.settle(lambda: self._performed(command))

    def settle(self, work: Callable[[], int]) -> int:
        """Do *work* with the log open. An error is reported and becomes the exit code.

        Raises `Misused` and `typer.BadParameter`, which are shown with the usage of the command.
        """
        try:
            with self._logging():
                _check_folder()
                return int(work())
        except (Misused, typer.BadParameter):
            raise
        except Declined:
            return Exit.TASK_FAILED
        except Exception as error:  # the program ends here, without a traceback unless asked for
            return self.report(error)

    def _performed(self, command: Command) -> int:
        config = self.config  # a person may be asked about it
        if self.may_share:
            from .shared import perform

            code = perform(
                command,
                as_json=self.as_json,
                debug=self.debug,
                config_file=self.config_file,
                profile=self.profile,
            )
            if code is not None:
                return code
        return anyio.run(self._with_gateway, config, command)

    @contextmanager
    def _logging(self) -> Iterator[None]:
        from ..observers.logs import configure_logging

        err = self.console.err
        wanted = os.environ.get("PLAIT_LOG_FORMAT", "").lower()
        as_json = wanted == "json" or (wanted != "text" and not err.is_terminal)
        with configure_logging(
            self.log_level,
            sys.stderr,
            as_json=as_json,
            colours=err.has_colours,
            secrets=self.secrets,
        ):
            yield

    async def _with_gateway(self, config: Config, command: Command) -> int:
        from ..upstream.stopping import handling_signals

        performance = Performance(command, self, os._exit)

        def interrupt(number: signal.Signals) -> None:
            if performance.is_interrupted:  # the next signal ends us also where a reader is slow
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            performance.interrupt(number)

        # A closed terminal stops the command as Ctrl-C does; under nohup it is to go on.
        hangs_up = signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        with handling_signals(interrupt, *([signal.SIGHUP] if hangs_up else [])):
            async with self._opened(config) as gateway:
                gc.enable()  # it is disabled while the program starts
                return await performance.run(gateway, config)

    def _opened(self, config: Config) -> AbstractAsyncContextManager[Gateway]:
        if self.open_gateway is not None:
            return self.open_gateway(config)
        from ..app.gateway import Gateway

        return Gateway.from_config(config, on_demand=True)


def _check_folder() -> None:
    """Check that there is a current folder, from which settings are looked for. Raises
    `ConfigError`."""
    try:
        os.getcwd()
    except OSError as error:
        reason = f"the current folder cannot be used: {error.strerror}."
        raise ConfigError(f"{reason} Go to another one.") from None
