"""One command in a process group of its own, bounded in time and output, that never outlives its
call.

However `run` ends (the command's own end, its timeout, a cancelled call, a stopping server), the
whole group gets SIGTERM, a moment to obey, and SIGKILL, so that what the command started ends with
it. A process may have left the group. On Linux, where `adopt_orphans` was called, it is found all
the same: while the command lives, it is the parent of every orphan below it (a subreaper), and when
it ends, this process inherits them. These children are ended too, and reported.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, ClassVar, NamedTuple

import anyio

from .errors import WorkspaceError

KEPT_BYTES = 2**20
READ_BYTES = 64 * 1024
POLL_S = 0.02
MAX_LEFT = 20
GRACE_S = 2.0
"""Seconds that a group has between SIGTERM and SIGKILL."""
DRAIN_S = 0.5
"""Seconds to wait for output that a process outside of the group may hold open."""
TICK_S = 5.0
"""Seconds between the empty pieces that show a listener that time passes."""
PR_SET_CHILD_SUBREAPER = 36
INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "TZ",
    "SYSTEMROOT",
)

Process = subprocess.Popen[bytes]
OnOutput = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run: `argv[0]` is the path of a program, never a name that a shell or PATH would
    look up later."""

    argv: tuple[str, ...]
    cwd: Path
    timeout_s: float
    env: Mapping[str, str] = field(default_factory=dict)
    folder: int | None = None
    """The descriptor of a folder to start in, in place of `cwd`, wherever it is by then."""
    stdin: int | None = None
    """The descriptor of a file to read. None: there is nothing to read."""
    merged: bool = False
    """Whether stderr goes into the output."""
    keeps_end: bool = False
    """Whether the end of a long output is kept, or its beginning."""
    kept_bytes: int = KEPT_BYTES
    memory_bytes: int | None = None
    """A limit on address space, where the system has one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a command. `exit_code` is negative for a signal; `timed_out` says that the signal
    was ours."""

    exit_code: int
    output: bytes
    errors: bytes
    truncated: bool
    timed_out: bool
    duration_s: float
    left: tuple[str, ...] = ()
    """The processes that had outlived the command, and were ended; at most `MAX_LEFT` of them."""


class Orphans:
    """The processes that commands leave behind, which become children of this process.

    A child that no command stands for, and that is younger than the command, was left by it. (Two
    commands that end at the same moment may report each other's.)
    """

    running: ClassVar[set[int]] = set()
    """Children that are commands. The kernel gives orphans to the process, so this is one set."""

    def __init__(self, process: Process) -> None:
        self._since = _stat(process.pid).began
        self.found: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"<Orphans {len(self.found)} found>"

    def note(self) -> list[int]:
        """Find those that are there now, also those that have ended and wait to be reaped."""
        pids = [
            int(name)
            for name in (os.listdir("/proc") if sys.platform == "linux" else [])
            if name.isdigit() and int(name) not in self.running
        ]
        stats = {pid: _stat(pid) for pid in pids}
        ours = [
            pid
            for pid, stat in stats.items()
            if stat.parent == os.getpid() and stat.began >= self._since
        ]
        for pid in ours:
            if stats[pid].state != "Z":
                self.found.setdefault(pid, _described(pid))
        return ours

    async def end(self) -> None:
        """Kill them, and those that they leave behind in turn, until there are no more."""
        with anyio.move_on_after(GRACE_S):
            while left := self.note():
                for pid in left:
                    _kill_child(pid)
                await anyio.sleep(POLL_S)


def _kill_child(pid: int) -> None:
    """Kill a child, and reap it if it has ended: until then, its number is still its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


class Stat(NamedTuple):
    """The state of a process (Z: it has ended), its parent, and when it began, in ticks."""

    state: str = ""
    parent: int = 0
    began: int = 0


def _stat(pid: int) -> Stat:
    """Read the state of a process; empty if the process is unknown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            words = stream.read().rpartition(b")")[2].split()
        return Stat(words[0].decode(), int(words[1]), int(words[19]))
    except OSError:
        return Stat()


def _described(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            words = stream.read(200).replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        words = ""
    return f"{words or 'a process'} (process {pid})"


def adopt_orphans() -> None:
    """Make this process the parent of the processes that its commands leave behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Kept:
    """The beginning or the end of a stream, up to a number of bytes."""

    def __init__(self, most: int, *, end: bool) -> None:
        self.data = bytearray()
        self.truncated = False
        self._most = most
        self._end = end

    def __repr__(self) -> str:
        return f"<Kept {len(self.data)} of at most {self._most} bytes>"

    def add(self, chunk: bytes) -> None:
        self.data += chunk
        self.truncated = self.truncated or len(self.data) > self._most
        if self._end:
            del self.data[: max(0, len(self.data) - self._most)]
        else:
            del self.data[self._most :]


async def run(command: Command, on_output: OnOutput | None = None) -> Outcome:
    """Run a command to its end or its timeout. `on_output` gets each piece of its output as it
    comes, and empty pieces as time passes.

    Raises:
        WorkspaceError: the command could not be started or ended.
    """
    output = Kept(command.kept_bytes, end=command.keeps_end)
    errors = Kept(command.kept_bytes, end=True)
    began = anyio.current_time()
    process = _started(command)
    Orphans.running.add(process.pid)
    orphans = Orphans(process)
    try:
        with anyio.move_on_after(command.timeout_s) as limit:
            await _followed(process, output, errors, on_output, orphans)
    finally:
        await _ended(process, orphans)
        Orphans.running.discard(process.pid)
    if process.returncode is None:
        raise WorkspaceError(
            f"{command.argv[0]} could not be ended: process {process.pid} may not be killed."
        )
    return Outcome(
        exit_code=process.returncode,
        output=bytes(output.data),
        errors=bytes(errors.data),
        truncated=output.truncated,
        timed_out=limit.cancelled_caught,
        duration_s=round(anyio.current_time() - began, 3),
        left=tuple(orphans.found.values())[:MAX_LEFT],
    )


def _started(command: Command) -> Process:
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        """Between fork and exec: system calls alone."""
        if prctl is not None:
            prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if command.folder is not None:
            os.fchdir(command.folder)

    try:
        process = subprocess.Popen(  # noqa: S603  # argv is made by our own modules, without a shell
            command.argv,
            stdin=subprocess.DEVNULL if command.stdin is None else command.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if command.merged else subprocess.PIPE,
            cwd=command.cwd if command.folder is None else None,
            env={**inherited(), **command.env},
            start_new_session=True,
            bufsize=0,
            preexec_fn=prepare,  # two system calls
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise WorkspaceError(f"{command.argv[0]} could not be started: {reason}.") from error
    if command.memory_bytes is not None and sys.platform == "linux":
        resource.prlimit(
            process.pid, resource.RLIMIT_AS, (command.memory_bytes, command.memory_bytes)
        )
    return process


async def _followed(
    process: Process,
    output: Kept,
    errors: Kept,
    on_output: OnOutput | None,
    orphans: Orphans,
) -> None:
    """Read until the process has ended and all is read, or only processes outside of its group hold
    the output open."""
    async with anyio.create_task_group() as ticking:
        if on_output is not None:
            ticking.start_soon(_tick, on_output)
        async with anyio.create_task_group() as listening:
            listening.start_soon(_listen, process.stdout, output, on_output)
            listening.start_soon(_listen, process.stderr, errors, None)
            await _exited(process)
            orphans.note()
            _signal(process, signal.SIGKILL)
            await orphans.end()
            listening.cancel_scope.deadline = anyio.current_time() + DRAIN_S
        ticking.cancel_scope.cancel()


async def _listen(stream: IO[bytes] | None, kept: Kept, on_output: OnOutput | None) -> None:
    while stream is not None:
        await anyio.wait_readable(stream)
        chunk = os.read(stream.fileno(), READ_BYTES)
        if not chunk:
            return
        kept.add(chunk)
        if on_output is not None:
            await on_output(chunk)


async def _tick(on_output: OnOutput) -> None:
    while True:
        await anyio.sleep(TICK_S)
        await on_output(b"")


async def _exited(process: Process) -> None:
    """Wait for the end of a process, if possible without reaping it: until then its number is not
    reused."""
    if sys.platform != "linux":
        while process.poll() is None:  # the only way there
            await anyio.sleep(POLL_S)
        return
    descriptor = os.pidfd_open(process.pid)
    try:
        await anyio.wait_readable(descriptor)
    finally:
        os.close(descriptor)


async def _ended(process: Process, orphans: Orphans) -> None:
    """End a process, the rest of its group and what left the group, reap it, and close the
    pipes."""
    with anyio.CancelScope(shield=True):
        _signal(process, signal.SIGTERM)
        with anyio.move_on_after(GRACE_S):
            await _exited(process)
        _signal(process, signal.SIGKILL)
        with anyio.move_on_after(GRACE_S):
            await _exited(process)
        await orphans.end()
        process.poll()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _signal(process: Process, number: signal.Signals) -> None:
    # PermissionError: on some systems, for a group of which only ended processes are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def inherited() -> dict[str, str]:
    """Return the small part of our environment that a command may see."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def program(name: str) -> str | None:
    """Find an installed program: next to this Python, or else on PATH. Return its path, or None."""
    own = Path(sys.executable).parent / name
    if own.is_file() and os.access(own, os.X_OK):
        return str(own)
    return shutil.which(name)
