"""A command from its start to its exit code, with the interrupts of the person."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from .exits import Exit
from .invocation import Command, Invocation

if TYPE_CHECKING:
    from ..config import Config
    from ..engine.gateway import Gateway

_CODES = {signal.SIGTERM: Exit.TERMINATED, signal.SIGHUP: Exit.HUNG_UP}


class Performance:
    """Carries out *command* for *invocation*. The first interrupt cancels it. At the second one,
    what there is of a result is shown, and *end_at_once* is called with the exit code."""

    def __init__(
        self, command: Command, invocation: Invocation, end_at_once: Callable[[Exit], object]
    ) -> None:
        self._command = command
        self._invocation = invocation
        self._end_at_once = end_at_once
        self._scope = anyio.CancelScope()
        self._signals: list[int] = []

    async def run(self, gateway: Gateway, config: Config) -> int:
        """Carry out the command over *gateway*, whose settings are *config*, and return the exit
        code. Errors of the command are raised."""
        code: int = Exit.TASK_FAILED
        with self._scope:
            code = await self._command(gateway, self._invocation, config)
        if self._scope.cancelled_caught or self._signals:
            self._invocation.leave_a_document()
        return self._exit if self._signals else code

    @property
    def is_interrupted(self) -> bool:
        """Whether it was cancelled."""
        return self._scope.cancel_called

    def interrupt(self, number: int) -> None:
        """Take a signal of the person."""
        self._signals.append(number)
        if not self.is_interrupted:
            self.cancel("Interrupted: stopping. Interrupt again to exit at once.")
            return
        try:
            if not self._invocation.console.out.has_written:
                self._invocation.last_words()
            self._invocation.leave_a_document()
        except Exception as error:  # the command ends here
            self._invocation.report(error)
        finally:
            self._end_at_once(self._exit)

    @property
    def _exit(self) -> Exit:
        for number, code in _CODES.items():
            if number in self._signals:
                return code
        return Exit.INTERRUPTED

    def cancel(self, note: str) -> None:
        """Cancel the command, and show *note* as the reason."""
        self._invocation.console.err.line(note)
        self._scope.cancel()
