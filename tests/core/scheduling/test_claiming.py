"""The claims of calls by themselves; `test_locks.py` has the order in which they are granted."""

from __future__ import annotations

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.claiming import CallClaims
from plait.core.scheduling.events import Key, Wait
from plait.core.scheduling.frame import TaskCall
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.claims import ResourceClaim
from plait.core.tools.policy import Policy
from tests.fakes import tool

CATALOG = Catalog([tool("s:do")], [ServerInfo("s", ServerState.READY)])
TASKS = [{"id": id, "tool": "s:do"} for id in "abc"]
PLAN = check(read_dag({"tasks": TASKS}), CATALOG, Policy())
ALL = (ResourceClaim("db:data", writes=True, steps=("db", "data")),)
PART = (ResourceClaim("db:data/part", writes=True, steps=("db", "data", "part")),)
OTHER = (ResourceClaim("db:other", writes=True, steps=("db", "other")),)


def call_of(id: str, run: str = "r") -> TaskCall:
    return TaskCall(Key(run, id), PLAN.tasks[id], {})


def test_a_call_has_what_it_asks_for_unless_an_earlier_one_does():
    claims = CallClaims()
    a, b, c = (call_of(id) for id in "abc")
    assert [claims.ask(a, ALL), claims.ask(b, PART), claims.ask(c, OTHER)] == [True, False, True]
    assert [claims.is_waiting(call.key) for call in (a, b, c)] == [False, True, False]
    assert claims.keys("r") == [a.key, b.key, c.key]
    assert (claims.of(b.key), claims.has_asked(b.key)) == (PART, True)
    assert claims.release(c.key, 1.0) == []
    assert claims.release(a.key, 4.0) == [b]
    assert not claims.is_waiting(b.key)
    assert b.waits == (Wait("conflict", "a", 4.0, "db:data/part"),)
    assert claims.release(b.key, 5.0) == []
    assert claims.is_free


def test_a_call_that_has_not_asked_waits_for_nothing_and_frees_nothing():
    claims = CallClaims()
    claims.ask(call_of("a"), ALL)
    stranger = Key("other", "a")
    assert (claims.has_asked(stranger), claims.is_waiting(stranger)) == (False, False)
    assert (claims.of(stranger), claims.keys("other")) == ((), [])
    assert claims.release(stranger, 1.0) == []
    assert not claims.is_free


def test_a_wait_for_another_run_names_nothing_of_it():
    claims = CallClaims()
    theirs, ours = call_of("a", "theirs"), call_of("b", "ours")
    claims.ask(theirs, PART)
    claims.ask(ours, ALL)
    assert claims.release(theirs.key, 2.0) == [ours]
    assert ours.waits == (Wait("conflict", "another run", 2.0, "db:data"),)
