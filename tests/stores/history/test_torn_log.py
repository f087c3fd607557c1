"""The end of the write-ahead log is cut off or damaged, after its process was killed.

A power cut, or a copy that was made while a gateway ran, leaves such files. What is read from them
is what was written up to some instant, never more, less or other than that.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from plait.core.history import (
    INTERRUPTED,
    Admission,
    Beginning,
    CallKey,
    Chain,
    Effect,
    Intent,
    Outcome,
    Settled,
)
from plait.core.scheduling.events import Status
from plait.core.tools.output import Output
from plait.core.values.principal import USER
from plait.core.values.strict import Json
from plait.stores.history.files import Files
from plait.stores.history.store import SqliteHistory

ROOT = Path(__file__).parents[3]
CALLS = 6
HEADER_BYTES, FRAME_BYTES = 32, 24 + 4_096
"""The sizes of the parts of a write-ahead log (https://sqlite.org/fileformat2.html#walformat)."""
DIE = f"import {__name__} as test, sys; test.write_and_die(sys.argv[1])"


def output(number: int) -> dict[str, Json]:
    """Outputs that stand in their row, in a blob, and in one of many pages."""
    return {"n": number, "pad": os.urandom(1).hex() * (8, 300, 9_000)[number % 3]}


def write_and_die(folder: str) -> None:
    """Write a run of many commits to a new history, and be killed."""

    async def write() -> None:
        history = open_history(Path(folder))
        log = history.begin(Beginning("r_1", 0.0, {"tasks": []}))
        for number in range(CALLS):
            key = CallKey(f"t{number}")
            log.put(Admission(key, 1, 0.0, "s:write", Effect.WRITE, {"n": number}))
            log.put(Intent(key, 1, 0.0))
            await log.secure()
            log.put(Outcome(key, 1, 0.0, Output.of(output(number))))
            log.put(Settled(f"t{number}", 0.0, Status.SUCCESS, None, Output.of(number)))
            await log.committed()
        os.kill(os.getpid(), signal.SIGKILL)

    anyio.run(write)


def open_history(folder: Path) -> SqliteHistory:
    return SqliteHistory(Files(folder, folder / "runtime"))


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a killed process left."""
    folder = tmp_path_factory.mktemp("left")
    killed = subprocess.run([sys.executable, "-c", DIE, str(folder)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    return folder


def what_happened(chain: Chain | None) -> list[str]:
    """Return what a chain has, in the order in which it was written. Checks that it has no more."""
    if chain is None:
        return []
    assert chain.head.entry.status == INTERRUPTED
    found = ["begun"]
    for number in range(len(chain.calls)):
        call = chain.calls[CallKey(f"t{number}")]  # not one is left out
        assert call.arguments == {"n": number}
        found.append(f"{number} sent")
        if call.ended is None:
            assert number == len(chain.calls) - 1
            continue
        assert call.output is not None
        value = call.output.value
        assert isinstance(value, dict)
        assert (value["n"], len(str(value["pad"]))) == (number, len(output(number)["pad"]))  # type: ignore[arg-type]
        settled = chain.settled[f"t{number}"]  # of the same commit
        assert settled.output is not None
        assert settled.output.value == number
        found.append(f"{number} ended")
    return found


async def read(folder: Path) -> list[str]:
    """Read the chain, go on with it, and read that too."""
    history = open_history(folder)
    chain = await history.chain("r_1", USER)
    found = what_happened(chain)
    if chain is not None:
        beginning = Beginning("r_2", 0.0, {"tasks": []})
        taken = await history.go_on(chain, beginning)
        assert taken.log is not None
        key = CallKey("more")
        taken.log.put(Admission(key, 1, 0.0, "s:read", Effect.READ, {}))
        taken.log.put(Intent(key, 1, 0.0))
        taken.log.put(Outcome(key, 1, 0.0, Output.of("text")))
        assert await taken.log.committed()
        after = await history.chain("r_1", USER)
        assert after is not None
        assert after.calls.keys() - chain.calls.keys() == {key}
    await history.close()
    assert not any("damaged" in name or "suspect" in name for name in os.listdir(folder))
    return found


def copied(left: Path, folder: Path, change: Callable[[bytearray], None], *, shared: bool) -> None:
    """Copy what was left, with a log that is changed, and the memory that was *shared* or not."""
    names = ["history.db", "history.lock", *(["history.db-shm"] if shared else [])]
    folder.mkdir()
    shutil.copytree(left / "leases", folder / "leases")
    for name in names:
        shutil.copy(left / name, folder / name)
    log = bytearray((left / "history.db-wal").read_bytes())
    change(log)
    (folder / "history.db-wal").write_bytes(log)


def cuts(size: int) -> Iterator[int]:
    """Yield every end of a frame, and ends in the middle of its head and of its page."""
    yield 0
    yield HEADER_BYTES - 1
    for start in range(HEADER_BYTES, size, FRAME_BYTES):
        yield from (start, start + 7, start + FRAME_BYTES // 2)
    yield size


async def test_of_a_log_that_is_cut_off_a_beginning_is_read(left: Path, tmp_path: Path):
    size = (left / "history.db-wal").stat().st_size
    found = []
    for cut in cuts(size):
        folder = tmp_path / str(cut)

        def cut_off(log: bytearray, cut: int = cut) -> None:
            del log[cut:]

        copied(left, folder, cut_off, shared=cut % 2 == 0)
        found.append(await read(folder))
        shutil.rmtree(folder)
    whole = found[-1]
    assert len(whole) == 1 + 2 * CALLS
    assert all(part == whole[: len(part)] for part in found)
    lengths = [len(part) for part in found]
    assert lengths == sorted(lengths)
    assert set(lengths) == {0, *range(2, len(whole) + 1)}  # the first intent began the run, too


async def test_of_a_log_that_is_damaged_what_was_before_is_read(left: Path, tmp_path: Path):
    size = (left / "history.db-wal").stat().st_size
    found = []
    for place in cuts(size - 1):
        folder = tmp_path / str(place)

        def damage(log: bytearray, place: int = place) -> None:
            log[place] ^= 0xFF

        copied(left, folder, damage, shared=place % 2 == 0)
        found.append(await read(folder))
        shutil.rmtree(folder)
    whole = ["begun", *(f"{n} {what}" for n in range(CALLS) for what in ("sent", "ended"))]
    assert all(part == whole[: len(part)] for part in found)
    lengths = [len(part) for part in found]
    assert lengths == sorted(lengths)
    assert lengths[-1] < len(whole)  # the last page is damaged
