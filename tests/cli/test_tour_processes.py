"""The processes of the tour: how they end."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from plait.cli.tour_processes import Processes, TourFailed
from plait.tour.place import Place
from plait.tour.service import alive


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    place = Place(tmp_path)
    place.set_out()
    return Processes(place)


async def test_an_unexpected_exit_code_is_an_error_that_says_which(processes: Processes):
    with pytest.raises(TourFailed, match=r"plait run missing\.json ended with 2"):
        await processes.run("run", "missing.json")
    assert await processes.run("run", "missing.json", expected=(2,)) == 2


async def test_the_output_of_a_command_is_given_and_a_failure_is_an_error(processes: Processes):
    assert (await processes.output("--version")).startswith(b"plait ")
    with pytest.raises(TourFailed, match="ended with 2"):
        await processes.output("history", "--limit", "0")


async def test_a_process_has_ended_when_its_block_is_cancelled(processes: Processes):
    with anyio.CancelScope() as scope:
        async with processes.running("serve", "--isolated", shows=False) as process:
            scope.cancel()
            await anyio.sleep_forever()
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_the_wait_for_services_ends_when_the_last_has(processes: Processes):
    ended = False
    with alive(processes.place.folder):
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                nonlocal ended
                await processes.wait_until_services_ended()
                ended = True

            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not ended
            tasks.cancel_scope.cancel()
    await processes.wait_until_services_ended()
