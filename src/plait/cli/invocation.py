"""One invocation of a command: the streams of the person and what they asked for, wherever the
command is carried out."""

from __future__ import annotations

import os
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from anyio import to_thread

from ..core.ports import NO_CLIENT, Caller
from ..core.values.strict import loads
from ..errors import ConfigError, InvalidDag
from ..redaction import Secrets
from .binary import SEE, Unsaved, write_files
from .console import Console
from .early import INTERRUPTED
from .exits import Exit
from .report import invalid_document, refusal_report
from .reporting import Made, write
from .style import Verbatim

if TYPE_CHECKING:
    from ..config import Config
    from ..engine.gateway import Gateway

Command: TypeAlias = "Callable[[Gateway, Invocation, Config], Awaitable[int]]"
"""Does what was asked for over a gateway with these settings, and returns the exit code."""
Result = TypeVar("Result")


class Invocation:
    """The state that a command and the program around it share. This one is of a command in the
    person's own process."""

    caller: Caller = NO_CLIENT
    """The origin of what is submitted."""

    def __init__(
        self,
        console: Console,
        *,
        as_json: bool = False,
        debug: bool = False,
        secrets: Secrets | None = None,
    ) -> None:
        self.console = console
        self.as_json = as_json
        self.debug = debug
        self.secrets = Secrets() if secrets is None else secrets
        """The values that are kept out of messages. Reading the settings fills it."""
        self.document: str | None = None
        """The name of the file that a command reads, for messages."""
        self.has_left = False
        """Whether the command ends because the person or the gateway has gone, not because it was
        stopped."""
        self.last_words: Callable[[], object] = lambda: None
        """Shows what there is of a result before the program ends at once. A command sets it."""

    async def begin(self) -> None:
        """Note that from now on the command may have effects."""

    async def work(self, do: Callable[[], Result]) -> Result:
        """Do what keeps a processor busy: read a large document, or show a large result."""
        return do()

    async def read_line(self, ask: Callable[[], None]) -> str | None:
        """Read a line at the person's terminal, after *ask* has shown what for; None without one,
        and once it is closed. What was typed before does not count."""
        from ..door.terminal import Terminal

        try:
            terminal = Terminal()
        except OSError:
            return None
        ask()
        waked, waking = os.pipe()

        def read() -> bytes:
            try:
                return terminal.read(waked) or b""
            finally:
                terminal.close()
                os.close(waked)

        try:
            return line_of(await to_thread.run_sync(read, abandon_on_cancel=True))
        finally:  # the thread ends, also if it still waits
            os.close(waking)

    def save(self, files: Sequence[tuple[Path, bytes]], see: str = SEE) -> None:
        """Write *files* where the person is. Raises `Unsaved`, which *see* ends."""
        write_files(files, see)

    def deliver(self, made: Made) -> None:
        """Write reports where the person is. One that cannot be written is said, and changes
        nothing else."""
        write(made, lambda why: self.console.complain(self.secrets.redact(why)))

    def leave_a_document(self) -> None:
        """Let `--json` print one document also if the command has none."""
        if self.as_json and not self.console.out.has_written:
            self.console.out.json(loads(INTERRUPTED))

    def report(self, error: Exception) -> Exit:
        """Show *error*, with which the command ended, and return the exit code."""
        match error:
            case InvalidDag():
                if self.as_json:
                    self.console.out.json(invalid_document(error))
                else:
                    self.console.err.lines(refusal_report(error, self.document))
                return Exit.REFUSED
            case ConfigError():
                self._show_traceback(error)
                self.console.complain(self.secrets.redact(str(error)))
                return Exit.CONFIG
            case Unsaved():
                self.console.complain(self.secrets.redact(str(error)))
                return Exit.TASK_FAILED
        self._show_traceback(error)
        message = self.secrets.redact(f"{type(error).__name__}: {error}")
        self.console.complain(f"{message}\n--debug shows where it happened.")
        return Exit.TASK_FAILED

    def _show_traceback(self, error: Exception) -> None:
        if self.debug:
            text = self.secrets.redact("".join(traceback.format_exception(error)))
            self.console.err.lines((Verbatim(line),) for line in text.splitlines())


def line_of(data: bytes) -> str | None:
    """Return the line that *data* is, without its end; None if it is empty."""
    return data.decode(errors="replace").strip() if data else None
