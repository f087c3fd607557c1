"""Rows that are redrawn while something runs."""

from __future__ import annotations

import anyio
import pytest

from plait.cli.console import Stream
from plait.cli.live import EVERY_S, FIRST_S, MAX_RUNNING, run_rows, showing, starting_rows
from plait.cli.style import Line
from plait.core.results.record import ItemsRecord, RunStatus
from plait.core.scheduling.events import Status
from plait.core.tools.catalog import ServerInfo, ServerState
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers
from .records import ended, record, shown
from .test_console import Written


def rows(seconds: float) -> list[Line]:
    return [(f"{seconds:.1f} s",)]


@pytest.mark.virtual_time
async def test_rows_are_redrawn_on_a_terminal_until_the_block_ends():
    file = Written()
    async with showing(Stream(file, {}), rows):
        await anyio.sleep(FIRST_S + 1.5 * EVERY_S)
    assert file.text() == "0.3 s\n\x1b[1F\x1b[J0.5 s\n\x1b[1F\x1b[J"


@pytest.mark.parametrize(
    ("environ", "is_terminal"), [({}, False), ({"TERM": "dumb"}, True)], ids=["pipe", "dumb"]
)
@pytest.mark.virtual_time
async def test_nothing_is_drawn_where_it_cannot_be_erased(
    environ: dict[str, str], is_terminal: bool
):
    file = Written(is_terminal=is_terminal)
    async with showing(Stream(file, environ), rows):
        await anyio.sleep(10)
    assert file.text() == ""


@pytest.mark.virtual_time
async def test_what_is_quick_shows_no_rows():
    file = Written()
    async with showing(Stream(file, {}), rows):
        await anyio.sleep(FIRST_S / 2)
    assert file.text() == ""


@pytest.mark.virtual_time
async def test_others_run_beside_the_block_and_an_error_of_it_is_raised_as_it_is():
    began = anyio.Event()

    async def other() -> None:
        began.set()
        await anyio.sleep_forever()

    async def fail() -> None:
        async with showing(Stream(Written(is_terminal=False), {}), rows, other):
            await began.wait()
            raise LookupError("as it is")

    with pytest.raises(LookupError, match="as it is"):
        await fail()


def test_running_tasks_are_shown_with_their_time_and_the_progress_that_is_theirs():
    items = ItemsRecord((Status.SUCCESS, Status.RUNNING))
    tasks = [
        record("a"),
        record("b", Status.RUNNING, start_s=0.5),
        record("c", Status.RUNNING, start_s=1.0, items=items),
        record("d", Status.PENDING),
    ]
    found = ended(RunStatus.RUNNING, *tasks).record
    assert shown(run_rows(found, "b: 3/6")) == [
        "● b  s:b  1.50 s  3/6",
        "● c  s:c  1.00 s  1 of 2",
        "  1 of 4 done · 2.00 s · ^C stops",
    ]


def test_a_call_whose_server_is_starting_does_not_run_yet():
    found = ended(RunStatus.RUNNING, record("a", Status.RUNNING)).record
    assert shown(run_rows(found, None, ["s"])) == ["  0 of 1 done · 2.00 s · ^C stops"]


def test_servers_that_are_starting_are_named():
    servers = FakeServers()
    for name in ("one", "two"):
        servers.add_server(ServerInfo(name, ServerState.CONNECTING, "stdio"))
    servers.add_server(ServerInfo("three", ServerState.READY, "stdio"))
    gateway = Gateway(servers, servers, InMemoryRuns())
    assert shown(starting_rows(gateway, 1.5)) == ["● starting one, two  1.50 s"]
    assert shown(starting_rows(gateway, 1.5, {"two", "three"})) == ["● starting two  1.50 s"]
    assert starting_rows(gateway, 1.5, {"three"}) == []


def test_many_running_tasks_are_counted():
    tasks = [record(f"t{number}", Status.RUNNING) for number in range(MAX_RUNNING + 2)]
    lines = shown(run_rows(ended(RunStatus.RUNNING, *tasks).record, None))
    assert len(lines) == MAX_RUNNING + 2
    assert lines[-2] == "  … 2 more tasks running"
