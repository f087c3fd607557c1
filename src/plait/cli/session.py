"""One start of the program: it reads the settings, opens a gateway and runs a command; every error
becomes a message and an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import anyio
import typer

from ..core.values.strict import loads
from ..errors import ConfigError, InvalidDag
from ..redaction import Secrets
from .console import Console
from .exits import INTERRUPTED, Exit
from .report import invalid_document, refusal_report
from .trusting import Declined, ask

if TYPE_CHECKING:
    from ..config import Config
    from ..engine.gateway import Gateway

OpenGateway: TypeAlias = "Callable[[Config], AbstractAsyncContextManager[Gateway]]"
Command: TypeAlias = "Callable[[Gateway], Awaitable[int]]"


@dataclass
class Session:
    """The state that all commands share. *open_gateway* replaces the program's own, if it is
    set."""

    open_gateway: OpenGateway | None = None
    config_file: Path | None = None
    profile: str | None = None
    """The profile of the settings that was asked for."""
    log_level: str = "warning"
    debug: bool = False
    as_json: bool = False
    document: str | None = None
    """The name of the file that a command reads, for messages."""
    may_ask: bool = True
    """Whether a person may be asked on the terminal."""
    secrets: Secrets = field(default_factory=Secrets)
    """The values that are kept out of messages. Reading the settings fills it."""
    last_words: Callable[[], None] = lambda: None
    """Shows what there is of a result before the program ends at once. A command sets it."""

    @cached_property
    def console(self) -> Console:
        return Console(sys.stdout, sys.stderr, os.environ)

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
        """Run *command* on a gateway over the configured servers, and return the exit code. A
        server starts once the command needs it."""
        return self.settle(lambda: anyio.run(self._with_gateway, self.config, command))

    def settle(self, work: Callable[[], int]) -> int:
        """Do *work* with the log open. An error is reported and becomes the exit code.

        Raises `typer.BadParameter`, which the command line itself shows.
        """
        try:
            with self._logging():
                return int(work())
        except typer.BadParameter:  # shown with the usage of the command
            raise
        except Declined:
            return Exit.TASK_FAILED
        except ConfigError as error:
            self._show_traceback(error)
            self.console.complain(self.secrets.redact(str(error)))
            return Exit.CONFIG
        except InvalidDag as error:
            return self._refused(error)
        except (
            Exception
        ) as error:  # the program ends here, without a traceback unless one is asked for
            self._show_fault(error)
            return Exit.TASK_FAILED

    def _show_fault(self, error: Exception) -> None:
        self._show_traceback(error)
        message = self.secrets.redact(f"{type(error).__name__}: {error}")
        self.console.complain(f"{message}\n--debug shows where it happened.")

    def _show_traceback(self, error: Exception) -> None:
        if self.debug:
            sys.stderr.write(self.secrets.redact("".join(traceback.format_exception(error))))

    def _refused(self, error: InvalidDag) -> int:
        if self.as_json:
            self.console.out.json(invalid_document(error))
        else:
            self.console.err.lines(refusal_report(error, self.document))
        return Exit.REFUSED

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
        code: int = Exit.INTERRUPTED
        scope = anyio.CancelScope()
        with self._interrupting(scope) as numbers:
            async with self._opened(config) as gateway:
                gc.enable()  # it is disabled while the program starts
                with scope:
                    code = await command(gateway)
                if numbers:
                    self._leave_a_document()
        return _exit_for(numbers) if numbers else code

    def _leave_a_document(self) -> None:
        """Let `--json` print one document also if the command has none."""
        if self.as_json and not self.console.out.has_written:
            self.console.out.json(loads(INTERRUPTED))

    def _opened(self, config: Config) -> AbstractAsyncContextManager[Gateway]:
        if self.open_gateway is not None:
            return self.open_gateway(config)
        from ..app.gateway import Gateway

        return Gateway.from_config(config, on_demand=True)

    @contextmanager
    def _interrupting(self, scope: anyio.CancelScope) -> Iterator[list[signal.Signals]]:
        """Cancel *scope* on the first Ctrl-C or SIGTERM; on the second, show what there is and end
        the process at once. Yields the signals that came."""
        from ..upstream.stopping import handling_signals

        numbers: list[signal.Signals] = []

        def interrupt(number: signal.Signals) -> None:
            numbers.append(number)
            if scope.cancel_called:
                self._end_at_once(numbers)
            self.console.err.line("Interrupted: stopping. Interrupt again to exit at once.")
            scope.cancel()

        with handling_signals(interrupt):
            yield numbers

    def _end_at_once(self, numbers: Sequence[signal.Signals]) -> NoReturn:
        for number in numbers:  # the next one ends us also where the reader of our output is slow
            signal.signal(number, signal.SIG_DFL)
        try:
            if not self.console.out.has_written:
                self.last_words()
            self._leave_a_document()
        except Exception as error:  # the program ends here, as in `settle`
            self._show_fault(error)
        finally:
            os._exit(_exit_for(numbers))


def _exit_for(numbers: Sequence[signal.Signals]) -> Exit:
    return Exit.TERMINATED if signal.SIGTERM in numbers else Exit.INTERRUPTED
