"""A call whose files have to be located is ready, and claims in its turn once they are."""

from __future__ import annotations

from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.explain import Waited
from plait.core.scheduling.conflicts import find_conflicts, planned_accesses
from plait.core.scheduling.direct_calls import CallRequests
from plait.core.scheduling.events import (
    Abort,
    Aborted,
    Call,
    CallRequested,
    CancelRequested,
    Command,
    Event,
    Failed,
    Key,
    Locate,
    Located,
    Refuse,
    Status,
    Succeeded,
    Woke,
)
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.locating import LOCATE_S, PROMPT_S
from plait.core.scheduling.notices import Changed, Finished, Notice
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler, Step
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.claims import Places, ResourceName
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy, Rule
from plait.errors import ServerUnavailable
from tests.fakes import tool

from ..runs import result_at
from ..tables import table
from .documents import PATH
from .places import as_named

CATALOG = Catalog(
    [tool("s:do", readOnlyHint=True), tool("s:write", PATH, closed=False)],
    [ServerInfo("s", ServerState.READY)],
)


class Play:
    """One run, whose commands are answered by hand."""

    def __init__(self, *tasks: dict[str, Any], known: Places | None = None, **options: Any) -> None:
        plan = check(
            read_dag({"tasks": list(tasks), "detail": "full", **options}), CATALOG, Policy()
        )
        accesses = planned_accesses(plan)
        places = as_named(accesses.files()) if known is None else known
        self.scheduler = Scheduler(Limits())
        self.run = Run("r", plan, conflicts=find_conflicts(plan, accesses, places))
        self.now = 0.0
        self.notices: list[Notice] = []
        self.commands = self._take(self.scheduler.submit(self.run, 0.0))

    def answer(self, id: str, path: str | None = None) -> list[Command]:
        """The call of task *id* succeeds; its output says *path*."""
        return self.feed(Succeeded(Key("r", id), Output({"path": path})))

    def located(self, id: str, *paths: str, **links: str) -> list[Command]:
        """These paths are found, which are where they say, and *links*, which lead elsewhere."""
        places = {**{path: path for path in paths}, **links}
        return self.feed(
            Located(Key("r", id), {name(path): f"file:{place}" for path, place in places.items()})
        )

    def feed(self, event: Event, at: float | None = None) -> list[Command]:
        self.now = self.now if at is None else at
        return self._take(self.scheduler.handle(event, self.now))

    def _take(self, step: Any) -> list[Command]:
        self.notices += step.notices
        return list(step.commands)

    def status(self, id: str) -> Status:
        return self.run.states[id].status


def name(path: str) -> ResourceName:
    return ResourceName("s", f"file:{path}")


def do(id: str, *needs: str) -> dict[str, Any]:
    return {"id": id, "tool": "s:do", "depends_on": list(needs)}


def write(id: str, path: str, *needs: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "tool": "s:write",
        "arguments": {"path": path},
        "depends_on": list(needs),
        **more,
    }


def after(id: str, need: str, rest: str = "", **more: Any) -> dict[str, Any]:
    """A task that writes where the output of *need* says."""
    return write(id, f"${{OUTPUT[{need}].path}}{rest}", **more)


def called(commands: list[Command]) -> list[str]:
    return [command.key.task for command in commands if isinstance(command, Call)]


def test_calls_that_are_ready_in_one_step_are_located_with_one_command() -> None:
    play = Play(do("a"), after("b", "a", "/b"), after("c", "a", "/c"), after("d", "a", "/b"))
    assert play.answer("a", "x") == [Locate(Key("r", "b"), (name("x/b"), name("x/c")), PROMPT_S)]
    assert {play.status(id) for id in "bcd"} == {Status.READY}


def test_they_claim_in_document_order() -> None:
    play = Play(do("a"), after("b", "a", "/b"), after("c", "a", "/c"))
    play.answer("a", "x")
    assert called(play.located("b", **{"x/b": "same", "x/c": "same"})) == ["b"]
    assert called(play.answer("b")) == ["c"]


def test_what_is_located_sooner_does_not_overtake_what_was_ready_before() -> None:
    play = Play(do("a1"), do("a2"), after("b", "a1"), after("c", "a2"))
    play.answer("a1", "link")
    play.answer("a2", "x")
    assert play.located("c", "x") == []
    assert called(play.located("b", link="x")) == ["b"]
    assert called(play.answer("b")) == ["c"]


def test_what_is_not_found_promptly_holds_up_no_other_and_loses_its_place() -> None:
    play = Play(do("a"), after("b", "a", "/b"), after("c", "a", "/c"), after("d", "a", "/b"))
    play.answer("a", "x")
    again = [Locate(Key("r", id), (name("x/b"),), LOCATE_S - PROMPT_S) for id in ("b", "d")]
    step = play.feed(Located(Key("r", "b"), {name("x/c"): "file:same"}), at=PROMPT_S)
    assert (step[:2], called(step)) == (again, ["c"])
    play.now = 3.0
    assert play.located("b", **{"x/b": "same"}) == []
    assert called(play.answer("c")) == ["b"]
    task = next(task for task in result_at(play.run, play.now).tasks if task.id == "b")
    assert task.waits == (Waited("location", "file:same", 3000.0),)


def test_a_call_whose_file_is_not_found_in_time_fails_and_is_not_sent() -> None:
    play = Play(do("a"), after("b", "a", retries=3, allow_repeat=True), after("c", "b"))
    play.answer("a", "/mnt/\x1bx")
    play.located("b")
    assert play.status("b") is Status.READY
    assert called(play.feed(Located(Key("r", "b"), {}), at=LOCATE_S)) == []
    [error, skipped] = result_at(play.run, play.now).errors
    assert (error.id, error.code, error.retryable) == ("b", "server_unavailable", True)
    assert r"file:/mnt/\x1bx" in error.message
    assert "10 s" in error.message
    assert "mount" in (error.hint or "")
    assert (skipped.id, skipped.code) == ("c", "dependency_failed")
    assert play.run.states["b"].attempts == 0


def test_an_item_whose_file_is_not_found_fails_alone() -> None:
    play = Play(write("each", "$ITEM", for_each=["x", "y"]))
    assert play.commands == [Locate(Key("r", "each", 0), (name("x"), name("y")), PROMPT_S)]
    play.feed(Located(Key("r", "each", 0), {name("y"): "file:y"}))
    play.feed(Located(Key("r", "each", 0), {}))
    play.feed(Succeeded(Key("r", "each", 1), Output("Y")))
    assert (play.status("each"), play.run.states["each"].output) == (
        Status.FAILED,
        Output([None, "Y"]),
    )


def test_fail_fast_stops_what_is_being_located() -> None:
    play = Play(do("a"), after("b", "a", "/b"), after("c", "a", "/c"), fail_fast=True)
    play.answer("a", "x")
    play.located("b")
    assert play.feed(Located(Key("r", "b"), {})) == [Abort(Key("r", "c"))]
    assert play.run.is_done
    assert play.scheduler.locating.is_free


def test_files_that_were_located_before_the_run_are_not_located_again_for_its_first_calls() -> None:
    play = Play(write("a", "x"), write("b", "y"), write("c", "x", "b"))
    assert sorted(called(play.commands)) == ["a", "b"]
    play.answer("a")
    assert play.answer("b") == [
        Locate(Key("r", "c"), (name("x"),), PROMPT_S)
    ]  # a call may have moved it


def test_what_is_no_file_is_not_located() -> None:
    play = Play(do("a"), {**do("b", "a"), "writes": ["db:t"]})
    assert called(play.commands) == ["a"]
    assert called(play.answer("a")) == ["b"]


def test_a_call_that_accesses_nothing_waits_for_no_file() -> None:
    play = Play(do("a1"), do("a2"), after("b", "a1"), do("c", "a2"))
    play.answer("a1", "x")
    assert called(play.answer("a2")) == ["c"]


def test_a_repeated_call_is_not_located_again() -> None:
    play = Play(do("a"), after("b", "a", retries=1, allow_repeat=True))
    play.answer("a", "x")
    assert called(play.located("b", "x")) == ["b"]
    play.feed(Failed(Key("r", "b"), ServerUnavailable("gone")))
    assert called(play.feed(Woke(Key("r", "b")))) == ["b"]


@table("late", [False, True])
def test_a_run_that_is_cancelled_while_files_are_located_ends_once(late: bool) -> None:
    play = Play(do("a"), after("b", "a"))
    play.answer("a", "x")
    if late:
        play.located("b")
    assert play.feed(CancelRequested("r")) == [Abort(Key("r", "b"))]
    assert (
        play.feed(Located(Key("r", "b"), {name("x"): "file:x"}) if late else Aborted(Key("r", "b")))
        == []
    )
    assert [notice.status for notice in play.notices if isinstance(notice, Finished)] == [
        "cancelled"
    ]
    assert play.status("b") is Status.CANCELLED
    assert play.scheduler.locating.is_free
    assert play.scheduler.claims.is_free


# Direct calls.


def requested(number: int, tool: str = "s:write") -> CallRequested:
    """The request of one that accesses the path `x` if it is the first, `y` if it is the second,
    and so on."""
    requests = CallRequests(Policy((Rule("s:do", writes=("db:t",)),)))
    return requests.make(number, CATALOG, tool, {"arguments": {"path": "xyz"[number]}})


def calls(step: Step) -> list[Key]:
    assert all(isinstance(command, Call) for command in step.commands)
    return [command.key for command in step.commands]


def test_a_direct_call_is_sent_once_its_file_is_known() -> None:
    scheduler, request = Scheduler(Limits()), requested(0)
    key = request.key
    assert scheduler.handle(request, 0.0).commands == [Locate(key, (name("x"),), LOCATE_S)]
    assert calls(scheduler.handle(Located(key, {name("x"): "file:x"}), 1.0)) == [key]
    scheduler.handle(Succeeded(key, None), 2.0)
    assert scheduler.claims.is_free


def test_a_direct_call_that_accesses_no_file_is_sent_at_once() -> None:
    request = requested(0, "s:do")
    assert calls(Scheduler(Limits()).handle(request, 0.0)) == [request.key]


def test_direct_calls_wait_for_each_other_only_for_what_they_access() -> None:
    scheduler, requests = Scheduler(Limits()), [requested(number) for number in range(3)]
    first, second, third = (request.key for request in requests)
    for request in requests:
        scheduler.handle(request, 0.0)
    assert calls(scheduler.handle(Located(third, {name("z"): "file:same"}), 0.0)) == [third]
    assert calls(scheduler.handle(Located(first, {name("x"): "file:same"}), 0.0)) == []
    assert calls(scheduler.handle(Located(second, {name("y"): "file:y"}), 0.0)) == [second]
    assert calls(scheduler.handle(Succeeded(third, None), 1.0)) == [first]


def test_a_direct_call_whose_file_is_not_found_in_time_is_refused_and_over() -> None:
    scheduler, request = Scheduler(Limits()), requested(0)
    scheduler.handle(request, 0.0)
    step = scheduler.handle(Located(request.key, {}), LOCATE_S)
    [refuse], [notice] = step.commands, step.notices
    assert isinstance(refuse, Refuse)
    assert isinstance(refuse.error, ServerUnavailable)
    assert isinstance(notice, Changed)
    assert (notice.after, notice.attempt, notice.code) == (Status.FAILED, 0, "server_unavailable")
    assert (refuse.key, scheduler.direct, scheduler.locating.is_free) == (request.key, {}, True)


def test_a_direct_call_that_is_given_up_while_it_is_located_leaves_nothing() -> None:
    scheduler, request = Scheduler(Limits()), requested(0)
    key = request.key
    scheduler.handle(request, 0.0)
    assert scheduler.handle(Aborted(key), 1.0).commands == [Abort(key)]
    assert scheduler.handle(Aborted(key), 1.0).commands == []
    assert (scheduler.direct, scheduler.locating.is_free, scheduler.claims.is_free) == (
        {},
        True,
        True,
    )
