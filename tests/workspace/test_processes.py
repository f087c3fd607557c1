from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.workspace import processes
from plait.workspace.errors import WorkspaceError
from plait.workspace.processes import Command, Outcome, run

from .lifeline import ABANDONED, ESCAPED, Lifeline


def command(folder: Path, *argv: str, timeout_s: float = 20.0, **options: Any) -> Command:
    return Command((processes.program(argv[0]) or argv[0], *argv[1:]), folder, timeout_s, **options)


async def sh(folder: Path, script: str, **options: Any) -> Outcome:
    return await run(command(folder, "sh", "-c", script, **options))


async def test_a_command_gives_its_output_and_exit_code(folder: Path):
    outcome = await sh(folder, "echo out; echo err >&2; exit 3")
    assert (outcome.exit_code, outcome.output, outcome.errors) == (3, b"out\n", b"err\n")
    assert not outcome.timed_out


async def test_stderr_can_be_put_in_its_place_in_the_output(folder: Path):
    assert (await sh(folder, "echo 1; echo 2 >&2; echo 3", merged=True)).output == b"1\n2\n3\n"


@pytest.mark.parametrize(("end", "kept"), [(False, b"1\n2\n3"), (True, b"98\n99\n100\n"[-5:])])
async def test_a_long_output_keeps_its_beginning_or_its_end(folder: Path, end: bool, kept: bytes):
    outcome = await sh(folder, "seq 100", kept_bytes=5, keeps_end=end)
    assert (outcome.output, outcome.truncated) == (kept, True)


async def test_an_endless_output_does_not_fill_the_memory(folder: Path):
    outcome = await sh(folder, "yes | head -c 20000000", keeps_end=True)
    assert (len(outcome.output), outcome.truncated) == (processes.KEPT_BYTES, True)


@pytest.fixture
def waiting_stdin() -> Iterator[None]:
    """A stdin of ours with something to read in it."""
    reading, writing = os.pipe()
    os.write(writing, b"for the server alone\n")
    ours = os.dup(0)
    os.dup2(reading, 0)
    yield
    os.dup2(ours, 0)
    for descriptor in (reading, writing, ours):
        os.close(descriptor)


@pytest.mark.usefixtures("waiting_stdin")
async def test_stdin_is_empty(folder: Path):
    assert (await sh(folder, "cat; echo end")).output == b"end\n"


async def test_a_command_sees_a_small_environment(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken")
    outcome = await sh(folder, "env", env={"ADDED": "yes"})
    assert b"ADDED=yes" in outcome.output
    assert b"PATH=" in outcome.output
    assert b"t0ken" not in outcome.output


async def test_a_program_that_is_not_there_is_an_error_that_names_it(folder: Path):
    with pytest.raises(WorkspaceError, match="/no/such could not be started: No such file"):
        await run(command(folder, "/no/such"))


async def test_a_timeout_ends_grandchildren_that_ignore_sigterm(folder: Path, lifeline: Lifeline):
    outcome = await run(command(folder, *lifeline.stubborn, timeout_s=0.3))
    assert outcome.timed_out
    assert outcome.exit_code < 0
    await lifeline.wait_up()
    await lifeline.wait_ended()


async def test_a_cancelled_call_ends_the_whole_group(folder: Path, lifeline: Lifeline):
    async with anyio.create_task_group() as group:
        group.start_soon(run, command(folder, *lifeline.stubborn))
        await lifeline.wait_up()
        group.cancel_scope.cancel()
    await lifeline.wait_ended()


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A FIFO that a command reads from until the test writes to it."""
    os.mkfifo(tmp_path / "release")
    return tmp_path / "release"


async def test_what_a_command_leaves_behind_ends_with_it_and_does_not_hold_its_answer(
    folder: Path, lifeline: Lifeline, release: Path
):
    outcomes: list[Outcome] = []

    async def start() -> None:
        outcomes.append(
            await run(command(folder, "sh", "-c", ABANDONED, str(lifeline.path), str(release)))
        )

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(start)
            await lifeline.wait_up()
            await anyio.to_thread.run_sync(release.write_text, "go\n")
    assert (outcomes[0].exit_code, outcomes[0].timed_out) == (0, False)
    await lifeline.wait_ended()


async def test_a_process_that_left_the_group_does_not_hold_the_answer(
    folder: Path, lifeline: Lifeline, release: Path, tmp_path: Path
):
    """It keeps the output open from a session of its own; what else it may print is waited for only
    briefly."""
    escape = tmp_path / "escape"
    os.mkfifo(escape)
    outcomes: list[Outcome] = []

    async def start() -> None:
        script = ("sh", "-c", ESCAPED, str(lifeline.path), str(release), str(escape))
        outcomes.append(await run(command(folder, *script)))

    try:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(start)
                await lifeline.wait_up()
                await anyio.to_thread.run_sync(release.write_text, "go\n")
    finally:
        await anyio.to_thread.run_sync(escape.write_text, "go\n")
    assert (outcomes[0].exit_code, outcomes[0].timed_out) == (0, False)
    await lifeline.wait_ended()


@pytest.fixture
def adopting() -> Iterator[None]:
    """This process is the parent of orphans, as the server is."""
    processes.adopt_orphans()
    yield
    ctypes.CDLL(None).prctl(processes.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


DAEMON = 'setsid setsid sh -c "trap : TERM; exec 3>$0; echo up >&3; exec sleep 600 >&- 2>&-" &'


@pytest.mark.usefixtures("adopting")
@pytest.mark.parametrize(
    ("then", "timeout_s"),
    [('read line < "$1"', 20.0), ("sleep 600", 0.5)],
    ids=["ends", "times out"],
)
async def test_a_process_in_a_session_of_its_own_ends_with_the_command_and_is_reported(
    folder: Path, lifeline: Lifeline, release: Path, then: str, timeout_s: float
):
    outcomes: list[Outcome] = []

    async def start() -> None:
        script = ("sh", "-c", f"{DAEMON} {then}", str(lifeline.path), str(release))
        outcomes.append(await run(command(folder, *script, timeout_s=timeout_s)))

    with anyio.fail_after(15):
        async with anyio.create_task_group() as group:
            group.start_soon(start)
            await lifeline.wait_up()
            if timeout_s > 1:
                await anyio.to_thread.run_sync(release.write_text, "go\n")
    await lifeline.wait_ended()
    (left,) = outcomes[0].left
    assert "sleep 600" in left


@pytest.mark.usefixtures("adopting")
async def test_what_one_command_left_is_ended_while_another_goes_on(
    folder: Path, lifeline: Lifeline, release: Path
):
    outcomes: list[Outcome] = []

    async def start() -> None:
        outcomes.append(await sh(folder, f'read line < "{release}"; setsid true; echo done'))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(start)
            left = (await run(command(folder, "sh", "-c", DAEMON, str(lifeline.path)))).left
            await anyio.to_thread.run_sync(release.write_text, "go\n")
    assert left
    assert (outcomes[0].output, outcomes[0].left) == (b"done\n", ())


async def test_listeners_get_output_as_it_comes_and_a_sign_that_time_passes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes, "TICK_S", 0.01)
    release = folder / "release"
    os.mkfifo(release)
    heard: list[bytes] = []

    async def listen(chunk: bytes) -> None:
        heard.append(chunk)
        if chunk == b"" and b"first\n" in heard and release.exists():
            await anyio.to_thread.run_sync(release.write_text, "go\n")
            release.unlink()

    await run(command(folder, "sh", "-c", f"echo first; read line < {release}; echo last"), listen)
    assert b"".join(heard) == b"first\nlast\n"
    assert b"" in heard[: heard.index(b"last\n")]


async def test_a_memory_limit_holds_for_the_command(folder: Path):
    grow = "import sys; sys.stdin.read(); x = bytearray(2**30)"
    outcome = await run(
        command(folder, sys.executable, "-IS", "-c", grow, memory_bytes=256 * 2**20)
    )
    assert outcome.exit_code == 1
    assert b"MemoryError" in outcome.errors


async def test_nothing_stays_open_after_a_command(folder: Path):
    await sh(folder, "echo 1")
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        await sh(folder, "echo 1")
    assert len(os.listdir("/proc/self/fd")) == len(before)
