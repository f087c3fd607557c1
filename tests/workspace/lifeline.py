"""A FIFO that a process holds open for as long as it lives, so that its end can be waited for and
not guessed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import anyio

# The grandchild ignores SIGTERM, holds the FIFO, and stays; the child waits for it.
STUBBORN = '(trap "" TERM; exec 3>"$0"; echo up >&3; exec sleep 600) & wait'
# The child ends at once and leaves the grandchild behind, with the output still open.
ABANDONED = '(trap "" TERM; exec 3>"$0"; echo up >&3; exec sleep 600) & read line < "$1"'

# The child ends when it is told to; the grandchild is in a session of its own, and stays until it
# is told itself.
ESCAPED = 'setsid sh -c "exec 3>$0; echo up >&3; read line < $2" & read line < "$1"'


@dataclass(frozen=True, slots=True)
class Lifeline:
    path: Path
    descriptor: int

    @property
    def stubborn(self) -> list[str]:
        """A command that starts a grandchild which does not end by SIGTERM."""
        return ["sh", "-c", STUBBORN, str(self.path)]

    async def wait_up(self) -> None:
        """Wait until the grandchild runs."""
        with anyio.fail_after(10):
            await anyio.wait_readable(self.descriptor)
            assert os.read(self.descriptor, 100) == b"up\n"

    async def wait_ended(self) -> None:
        """Wait until nothing holds the FIFO any more; fails if something does."""
        with anyio.fail_after(10):
            await anyio.wait_readable(self.descriptor)
            assert os.read(self.descriptor, 100) == b""
