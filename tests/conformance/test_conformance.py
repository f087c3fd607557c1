"""The official conformance suite, all of its scenarios, in both protocol eras."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from .suite import HERE, run_suite

ROOT = HERE.parent.parent
EVERYTHING = [sys.executable, "-m", "tests.conformance.everything"]


@dataclass(frozen=True, slots=True)
class Target:
    """What the suite talks to: a server that runs as long as it is entered, and gives its URL."""

    serving: Callable[[Path], AbstractAsyncContextManager[str]]
    expected: Path


@asynccontextmanager
async def direct(folder: Path) -> AsyncIterator[str]:
    """The fixture server itself; its log goes to the folder."""
    with (folder / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *EVERYTHING, "http", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            url = (await process.stdout.readline()).decode().strip()
        assert url, (folder / "server.log").read_text()
        yield url
    finally:
        await ended(process)


async def ended(process: asyncio.subprocess.Process) -> None:
    """Terminates a process, and kills it when it is not gone within 10 s."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


TARGETS = {"direct": Target(direct, HERE / "expected-direct.yml")}


# How many checks pass: the suite skips what a server does not announce, and then ends well with fewer.
PASSES = [("direct", "2025-11-25", 84), ("direct", "2026-07-28", 152)]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("target", "revision", "passes"), PASSES)
async def test_every_scenario_of_the_official_suite_passes(target: str, revision: str, passes: int, tmp_path: Path):
    async with TARGETS[target].serving(tmp_path) as url:
        report = await run_suite(url, revision, TARGETS[target].expected, tmp_path / "checks")
    assert report.status == 0, "\n".join([*report.rest, report.said[-600:]])
    assert report.passed == passes, "\n".join(report.rest)
