"""The guard: a process that ends the servers if we are killed.

Nothing of ours runs after a SIGKILL, and a server may ignore the end of its input. So a small
process watches over them: a shell that reads from us, on a pipe that ends with us, which process
groups there are. When the pipe ends, it does to them what we do at a stop: it waits, sends SIGTERM,
waits, and sends SIGKILL.

A signal at the death of a parent (Linux, `PR_SET_PDEATHSIG`) would reach neither grandchildren nor,
once the thread that started them has ended, children in time; and other systems do not have it.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
from contextlib import suppress

import anyio

from ..timings import GRACE_S

log = logging.getLogger(__name__)

SHELL = "/bin/sh"
STEP_S = 0.1
ENDS_S = 1.0
"""Time for it to end at a stop, when there is nothing left to do."""
SCRIPT = """
trap '' HUP INT TERM
groups=
while read -r change group; do
    rest=
    for known in $groups; do
        [ "$known" = "$group" ] || rest="$rest $known"
    done
    groups=$rest
    [ "$change" = - ] || groups="$groups $group"
done
for signal in 0 TERM KILL; do
    for group in $groups; do
        kill -s "$signal" -- "-$group" 2>/dev/null
    done
    step=0
    while [ "$step" -lt "$1" ]; do
        rest=
        for group in $groups; do
            kill -s 0 -- "-$group" 2>/dev/null && rest="$rest $group"
        done
        groups=$rest
        [ -n "$groups" ] || exit 0
        sleep "$2"
        step=$((step + 1))
    done
done
"""


class Guard:
    """Ends the process groups that it watches if this process dies, with *grace_s* seconds between
    the steps. It starts before the first of them."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.kept_open: tuple[int, ...] = ()
        """Descriptors that it keeps open, once it starts, until it has ended the groups."""
        self._grace_s = grace_s
        self._groups: set[int] = set()
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Guard of {len(self._groups)} process groups>"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def watch(self, group: int) -> None:
        """Watch the process group *group*, until it is released."""
        self._groups.add(group)
        if not await self.start():
            self._write("+", group)

    async def start(self) -> bool:
        """Start the guard, unless it runs; return whether that was necessary. Started before the
        first server, it watches that at once. Without a shell, or a process that may be started,
        nothing watches, which is logged."""
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return False
            try:
                with anyio.CancelScope(shield=True):  # else nothing would wait for its end
                    self._process = await asyncio.create_subprocess_exec(
                        SHELL,
                        "-c",
                        SCRIPT,
                        "plait-guard",
                        str(round(self._grace_s / STEP_S)),
                        str(STEP_S),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env={"PATH": "/usr/bin:/bin"},
                        cwd="/",
                        start_new_session=True,
                        pass_fds=self.kept_open,
                    )
            except OSError as error:
                log.warning("servers.unguarded", extra={"error": error.strerror or str(error)})
                return True
            for each in self._groups:
                self._write("+", each)
            return True

    def release(self, group: int) -> None:
        """Forget *group*: it has ended, and its number may become another's."""
        self._groups.discard(group)
        self._write("-", group)

    async def close(self) -> None:
        """End the guard. Groups that are still there are ended by it."""
        if (process := self._process) is None or process.stdin is None:
            return
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDS_S):
                await process.wait()

    def _write(self, change: str, group: int) -> None:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            return
        process.stdin.write(f"{change} {group}\n".encode())
