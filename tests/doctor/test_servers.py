"""How servers are judged that were started, beyond what `test_examination.py` plants."""

from __future__ import annotations

import pytest

from plait.config import Config, ServerSettings, load_config
from plait.core.tools.catalog import ServerInfo, ServerState
from plait.core.tools.server_notices import ServerChanged
from plait.doctor.findings import Mark
from plait.doctor.servers import Watch, check, judged

from .homes import GOOD, Home, server


def test_the_time_of_a_start_is_that_of_the_first_one():
    watch = Watch()
    states = [
        ("connecting", 1.0),
        ("ready", 3.5),
        ("retrying", 4.0),
        ("connecting", 5.0),
        ("ready", 9.0),
    ]
    before = ServerState.NOT_STARTED
    for state, at in states:
        watch.observe(ServerChanged(ServerInfo("a", ServerState(state)), before, at))
    assert watch.seconds == {"a": 2.5}


@pytest.mark.parametrize(
    ("seconds", "mark", "says"),
    [
        (0.4, Mark.WELL, "ready in 0.4 s, 2 tools"),
        (20.0, Mark.LOOK, "ready in 20.0 s of the 30 s that it may take"),
    ],
)
def test_a_slow_start_is_looked_at(seconds: float, mark: Mark, says: str):
    info = ServerInfo("a", ServerState.READY, tools=2)
    [row] = judged(info, ServerSettings(command="x"), seconds, 30.0)
    assert (row.mark, row.says) == (mark, says)
    assert ("startup_timeout_s = 60" in row.fix) is (mark is Mark.LOOK)


async def test_all_servers_start_at_once_and_each_only_once(home: Home):
    home.set(a=server(), b=server(GOOD, {**GOOD, "name": "other"}, include=["read"]))
    found = await check(home.case, load_config(None, home.environ, home.folder))
    assert [(one.about, one.says.partition(" s, ")[2]) for one in found] == [
        ("files", "1 tool"),
        ("a", "1 tool"),
        ("b", "1 tool, 1 more left out by include and exclude"),
    ]


async def test_without_servers_there_is_nothing_to_start(home: Home):
    assert await check(home.case, Config()) == []
