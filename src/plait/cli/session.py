"""One start of the program: the settings are read, a gateway is opened, a command works with it; whatever goes wrong
becomes a message and an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import typer

from ..errors import ConfigError, InvalidDag
from ..redaction import Secrets
from .console import Console
from .exits import Exit
from .report import invalid_document, refusal_report

if TYPE_CHECKING:
    from ..config import Config
    from ..engine.gateway import Gateway

OpenGateway: TypeAlias = "Callable[[Config], AbstractAsyncContextManager[Gateway]]"
Verb: TypeAlias = "Callable[[Gateway], Awaitable[int]]"


@dataclass
class Session:
    """What every command has in common. *open_gateway* is the program's own unless a caller brings another."""

    open_gateway: OpenGateway | None = None
    config_file: Path | None = None
    log_level: str = "warning"
    debug: bool = False
    as_json: bool = False
    secrets: Secrets = field(default_factory=Secrets)
    """The values that no message shows. Reading the settings fills it."""

    @cached_property
    def console(self) -> Console:
        return Console(sys.stdout, sys.stderr, os.environ)

    @cached_property
    def config(self) -> Config:
        """Raises `ConfigError`."""
        from ..config import load_config

        return load_config(self.config_file, secrets=self.secrets)

    def perform(self, verb: Verb) -> int:
        """Do *verb* with a gateway over the configured servers, and give the exit code."""
        return self.settle(lambda: anyio.run(self._with_gateway, self.config, verb))

    def settle(self, work: Callable[[], int]) -> int:
        """Do *work* with the log open; an error is told, and becomes the exit code.

        Raises `typer.BadParameter`, which the command line itself shows.
        """
        try:
            with self._logging():
                return int(work())
        except typer.BadParameter:  # shown with the usage of the command
            raise
        except ConfigError as error:
            self._show_traceback(error)
            self.console.complain(self.secrets.redact(str(error)))
            return Exit.CONFIG
        except InvalidDag as error:
            return self._refused(error)
        except Exception as error:  # the program ends here, without a traceback unless one is asked for
            self._show_traceback(error)
            said = self.secrets.redact(f"{type(error).__name__}: {error}")
            self.console.complain(f"{said}\n--debug shows where it happened.")
            return Exit.TASK_FAILED

    def _show_traceback(self, error: Exception) -> None:
        if self.debug:
            sys.stderr.write(self.secrets.redact("".join(traceback.format_exception(error))))

    def _refused(self, error: InvalidDag) -> int:
        if self.as_json:
            self.console.out.json(invalid_document(error))
        else:
            self.console.err.lines(refusal_report(error))
        return Exit.REFUSED

    @contextmanager
    def _logging(self) -> Iterator[None]:
        from ..observers.logs import configure_logging

        err = self.console.err
        wanted = os.environ.get("PLAIT_LOG_FORMAT", "").lower()
        as_json = wanted == "json" or (wanted != "text" and not err.is_terminal)
        with configure_logging(
            self.log_level, sys.stderr, as_json=as_json, colours=err.has_colours, secrets=self.secrets
        ):
            yield

    async def _with_gateway(self, config: Config, verb: Verb) -> int:
        code: int = Exit.INTERRUPTED
        scope = anyio.CancelScope()
        with self._interrupting(scope):
            async with self._opened(config) as gateway:
                gc.enable()  # it is off while the program starts
                with scope:
                    code = await verb(gateway)
        return Exit.INTERRUPTED if scope.cancel_called else code

    def _opened(self, config: Config) -> AbstractAsyncContextManager[Gateway]:
        if self.open_gateway is not None:
            return self.open_gateway(config)
        from ..app import open_gateway

        return open_gateway(config)

    @contextmanager
    def _interrupting(self, scope: anyio.CancelScope) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM cancels *scope*, the second ends the process at once."""
        from ..upstream.stopping import hearing_signals

        def interrupt(number: signal.Signals) -> None:
            if scope.cancel_called:
                os._exit(Exit.INTERRUPTED)
            self.console.err.line("Interrupted: stopping what runs. Once more ends at once.")
            scope.cancel()

        with hearing_signals(interrupt):
            yield
