"""Calls that a person says yes to first are held until all else is done, and the clock stands."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.record import record_of
from plait.core.scheduling.events import (
    Abort,
    Ask,
    Call,
    CancelRequested,
    Decided,
    Event,
    Failed,
    Key,
    Locate,
    Located,
    Sleep,
    Succeeded,
    Woke,
)
from plait.core.scheduling.holding import ASK_S
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.notices import Notice
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler, Step
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.errors import CallTimeout, ToolError
from plait.observers.records import RunRecords
from tests.fakes import tool

from .places import as_named, conflicts_in

PATH = {"path": {"type": "string"}}
CATALOG = Catalog(
    [
        tool("s:read", readOnlyHint=True, closed=False),
        tool("s:write", PATH, closed=False),
        tool("s:send", closed=False, openWorldHint=True),
    ],
    [ServerInfo("s", ServerState.READY)],
)
ASK = Rules(ask=("write",))


class Asked:
    """A run over a scheduler, whose calls and questions are answered by hand."""

    def __init__(self, *tasks: dict[str, Any], rules: Rules = ASK, slots: int = 8, **dag: Any):
        plan = check(read_dag({"tasks": [*tasks], **dag}), CATALOG, Policy(tables=(rules,)))
        self.run = Run("r", plan, conflicts=conflicts_in(plan), timeout_s=100.0)
        self.scheduler = Scheduler(Limits(slots))
        self.now = 0.0
        self.open: dict[Key, Any] = {}
        """The commands that are not answered yet."""
        self.records = RunRecords()
        self.notices: list[Notice] = []
        self._take(self.scheduler.submit(self.run, self.now))

    def _take(self, step: Step) -> None:
        for command in step.commands:
            if isinstance(command, Abort):
                del self.open[command.key]
            elif not isinstance(command, Locate):
                assert command.key not in self.open
                self.open[command.key] = command
        for notice in step.notices:
            self.records(notice)
        locates = [command for command in step.commands if isinstance(command, Locate)]
        for one in locates:
            self._take(self.scheduler.handle(Located(one.key, as_named(one.names)), self.now))
        self.notices += step.notices
        if not self.run.is_done:
            assert self.records.record("r", self.now) == record_of(self.run, self.now)

    def tell(self, event: Event, seconds: float = 1.0) -> None:
        self.now += seconds
        if not isinstance(event, CancelRequested):
            self.open.pop(event.key, None)
        self._take(self.scheduler.handle(event, self.now))

    def answer(self, name: str, answer: Any = None, seconds: float = 1.0) -> None:
        key = next(call.key for call in self.calls if self._name(call.key) == name)
        if isinstance(answer, Exception):
            self.tell(Failed(key, answer), seconds)  # type: ignore[arg-type]
        else:
            self.tell(Succeeded(key, Output(answer)), seconds)

    def say(self, *yes: str, code: str = "approval_denied", seconds: float = 1.0) -> None:
        """Answer the question with a yes to these calls; to all of them with `*`."""
        ask = self.ask
        assert ask is not None
        keys = {self._name(call.key): call.key for call in ask.calls}
        approved = frozenset(keys.values() if yes == ("*",) else [keys[name] for name in yes])
        self.tell(Decided(ask.key, approved, code), seconds)

    @property
    def calls(self) -> list[Call]:
        return [command for command in self.open.values() if isinstance(command, Call)]

    @property
    def in_flight(self) -> list[str]:
        return [self._name(call.key) for call in self.calls]

    @property
    def ask(self) -> Ask | None:
        asks = [command for command in self.open.values() if isinstance(command, Ask)]
        assert len(asks) < 2
        return asks[0] if asks else None

    @property
    def asked(self) -> list[str]:
        return [] if self.ask is None else [self._name(call.key) for call in self.ask.calls]

    @property
    def sleeps(self) -> dict[Key, float]:
        return {
            key: command.seconds for key, command in self.open.items() if isinstance(command, Sleep)
        }

    @property
    def statuses(self) -> dict[str, str]:
        return {id: str(state.status) for id, state in self.run.states.items()}

    @property
    def codes(self) -> dict[str, str]:
        return {id: one.error.code for id, one in self.run.states.items() if one.error is not None}

    def _name(self, key: Key) -> str:
        if (tally := self.run.tallies.get(key.task)) is not None:
            return tally.outline.place(key)
        return key.task if key.item is None else f"{key.task}[{key.item}]"


def read(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": "s:read", **more}


def write(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": "s:write", **more}


def test_reads_run_first_and_then_all_writes_are_asked_for_at_once_with_their_values():
    asked = Asked(
        read("a"),
        write("w", arguments={"path": "$OUTPUT[a].path"}),
        write("v", arguments={"path": "v"}),
        read("b", depends_on=["w"]),
        slots=1,
    )
    assert (asked.in_flight, asked.ask) == (["a"], None)
    assert asked.statuses == {"a": "running", "w": "pending", "v": "waiting", "b": "pending"}
    asked.answer("a", {"path": "from a"})
    assert asked.ask is not None
    assert [(call.key.task, call.arguments) for call in asked.ask.calls] == [
        ("w", {"path": "from a"}),
        ("v", {"path": "v"}),
    ]
    assert (asked.run.status, asked.in_flight) == ("waiting", [])
    asked.say("*")
    assert (asked.run.status, asked.in_flight) == ("running", ["w"])
    assert asked.calls[0].is_approved
    asked.answer("w")
    asked.answer("v")
    asked.answer("b")
    assert asked.run.status == "success"
    assert not asked.open


def test_a_held_call_takes_no_slot_and_claims_nothing():
    asked = Asked(write("w", arguments={"path": "x"}), read("a"), read("b"), slots=1)
    other = Run(
        "other",
        check(read_dag({"tasks": [write("o", arguments={"path": "x"})]}), CATALOG, Policy()),
    )
    assert asked.in_flight == ["a"]
    asked.answer("a")
    asked.answer("b")
    assert asked.asked == ["w"]
    step = asked.scheduler.submit(other, asked.now)
    assert [command.key.task for command in step.commands if isinstance(command, Call)] == ["o"]


@pytest.mark.parametrize("code", ["approval_denied", "approval_required"])
def test_what_is_not_approved_fails_and_what_needs_it_is_skipped(code: str):
    asked = Asked(
        write("w"),
        write("v"),
        read("after", depends_on=["w"]),
        read("undo", depends_on=["w"], trigger_rule="one_failed"),
        read("also", depends_on=["after"], trigger_rule="one_failed"),
        read("done", depends_on=["w"], trigger_rule="all_done"),
    )
    asked.say("v", code=code)
    asked.answer("v")
    asked.answer("done")
    assert asked.statuses == {
        "w": "failed",
        "v": "success",
        "after": "skipped",
        "undo": "skipped",
        "also": "skipped",
        "done": "success",
    }
    assert asked.codes["w"] == code
    assert asked.codes["undo"] == "condition"
    assert asked.run.status == "partial"


def test_after_half_a_minute_is_asked_for_what_is_held_by_then():
    asked = Asked(write("w"), read("slow"), write("v", depends_on=["slow"]))
    assert asked.ask is None
    [timer] = [key for key, seconds in asked.sleeps.items() if seconds == ASK_S]
    asked.tell(Woke(timer), ASK_S)
    assert (asked.asked, asked.run.status) == (["w"], "running")
    asked.answer("slow")
    assert (asked.asked, asked.run.status) == (["w"], "waiting")
    asked.say("*")
    assert (asked.in_flight, asked.asked) == (["w"], [])
    asked.answer("w")
    assert asked.asked == ["v"]


def test_the_time_of_a_run_stands_still_while_it_waits_for_a_person():
    asked = Asked(read("a"), write("w", depends_on=["a"]), read("b", depends_on=["w"]))
    asked.answer("a", seconds=30)
    assert asked.sleeps == {}
    asked.say("*", seconds=500)
    [(key, seconds)] = asked.sleeps.items()
    assert seconds == 70
    asked.tell(Woke(key), 70)
    assert asked.run.status == "timeout"
    assert asked.statuses == {"a": "success", "w": "cancelled", "b": "skipped"}


def test_each_item_is_asked_for_and_can_be_denied_by_itself():
    asked = Asked(
        write("w", for_each=[1, 2, 3], on_item_failure="skip"), read("b", depends_on=["w"])
    )
    assert asked.asked == ["w[0]", "w[1]", "w[2]"]
    assert asked.statuses["w"] == "waiting"
    asked.say("w[0]", "w[2]")
    assert asked.in_flight == ["w[0]", "w[2]"]
    asked.answer("w[0]", "zero")
    asked.answer("w[2]", "two")
    assert asked.run.outputs["w"].value == ["zero", None, "two"]
    asked.answer("b")
    assert asked.run.status == "partial"


def test_calls_in_groups_are_held_by_item():
    asked = Asked(
        {
            "id": "g",
            "for_each": [1, 2],
            "tasks": [read("a"), write("w", depends_on=["a"]), read("z", depends_on=["w"])],
        }
    )
    asked.answer("g[0].a")
    assert asked.ask is None
    asked.answer("g[1].a")
    assert asked.asked == ["g[0].w", "g[1].w"]
    asked.say("g[1].w")
    asked.answer("g[1].w")
    asked.answer("g[1].z")
    assert asked.run.is_done
    items = asked.run.states["g"].items
    assert items is not None
    assert [str(status) for status in items.statuses] == ["failed", "success"]


def test_a_yes_covers_the_retries_of_a_call_and_not_its_next_page():
    repeat = {"set": {"path": "next"}}
    asked = Asked(
        write("w", repeat=repeat, allow_repeat=True, retries={"max": 1, "on": ["timeout"]})
    )
    asked.say("*")
    asked.answer("w", CallTimeout("late"))
    [pause] = [key for key in asked.sleeps if key.task == "w"]
    asked.tell(Woke(pause))
    assert (asked.in_flight, asked.asked) == (["w"], [])
    asked.answer("w", {"next": "2"})
    assert asked.ask is not None
    assert asked.ask.calls[0].arguments == {"path": "2"}
    asked.say("*")
    asked.answer("w", {"next": None})
    assert asked.run.status == "success"


def test_what_comes_after_a_held_call_by_conflict_waits_for_it():
    asked = Asked(write("w", writes=["x"]), read("r", reads=["x"]), read("other"))
    asked.answer("other")
    assert (asked.asked, asked.statuses["r"]) == (["w"], "pending")
    asked.say("*")
    asked.answer("w")
    assert asked.in_flight == ["r"]


def test_a_cancelled_run_is_asked_for_nothing_any_more():
    asked = Asked(write("w"), read("always", trigger_rule="always", depends_on=["w"]))
    question = asked.ask
    assert question is not None
    asked.tell(CancelRequested("r"))
    assert (asked.ask, asked.in_flight) == (None, ["always"])
    asked.tell(Decided(question.key, frozenset({Key("r", "w")}), "approval_denied"))
    asked.answer("always")
    assert asked.run.status == "cancelled"
    assert asked.statuses["w"] == "cancelled"


def test_a_failure_that_ends_the_run_ends_its_question():
    asked = Asked(read("a"), write("w"), fail_fast=True)
    [timer] = [key for key, seconds in asked.sleeps.items() if seconds == ASK_S]
    asked.tell(Woke(timer), ASK_S)
    assert asked.asked == ["w"]
    asked.answer("a", ToolError("no"))
    assert asked.run.is_done
    assert not asked.open


def test_an_answer_to_another_question_changes_nothing():
    asked = Asked(write("w"), write("v", depends_on=["w"]))
    first = asked.ask
    assert first is not None
    asked.say("*")
    asked.answer("w")
    again = Decided(first.key, frozenset({Key("r", "v")}), "approval_denied")
    asked.tell(again)
    assert (asked.asked, asked.run.status) == (["v"], "waiting")


def test_a_preview_holds_what_may_change_something_whatever_the_policy_says():
    asked = Asked(
        read("a"),
        write("w", depends_on=["a"]),
        write("later", depends_on=["w"]),
        rules=Rules(),
        preview=True,
    )
    asked.answer("a")
    assert asked.ask is not None
    assert (asked.ask.is_preview, asked.asked) == (True, ["w"])
    asked.say("*")
    assert asked.calls[0].is_approved  # so it is not sent to a tool that is defined anew
    asked.answer("w")
    assert (asked.in_flight, asked.asked) == (["later"], [])


def test_a_preview_is_shown_only_when_all_else_is_done():
    tasks = [write("w"), read("slow"), write("v", depends_on=["slow"])]
    asked = Asked(*tasks, rules=Rules(), preview=True)
    assert asked.sleeps == {Key("r", ""): 100.0}
    asked.answer("slow", seconds=90)
    assert asked.asked == ["w", "v"]
    asked.say("*")
    assert asked.in_flight == ["w", "v"]


def test_after_a_preview_the_policy_still_asks_and_reads_that_it_asks_for_come_before():
    asked = Asked(
        read("a"),
        write("w", depends_on=["a"]),
        rules=Rules(ask=("write", "read")),
        preview=True,
    )
    assert asked.ask is not None
    assert (asked.ask.is_preview, asked.asked) == (False, ["a"])
    asked.say("*")
    asked.answer("a")
    assert asked.ask is not None
    assert (asked.ask.is_preview, asked.asked) == (True, ["w"])
    asked.say("*")
    assert asked.ask is not None
    assert (asked.ask.is_preview, asked.asked) == (False, ["w"])
    asked.say("*")
    asked.answer("w")
    assert asked.run.status == "success"


def test_a_yes_can_cover_tasks_whose_calls_are_not_known_yet_but_not_those_asked_for_one_by_one():
    rules = Rules(ask=("write",), ask_each=("s:send",))
    asked = Asked(
        write("w"),
        write("v", depends_on=["w"]),
        {"id": "s", "tool": "s:send", "depends_on": ["v"]},
        rules=rules,
    )
    assert asked.ask is not None
    yes = frozenset(call.key for call in asked.ask.calls)
    asked.tell(Decided(asked.ask.key, yes, "approval_denied", frozenset({"v", "s"})))
    asked.answer("w")
    assert (asked.in_flight, asked.asked) == (["v"], [])
    assert asked.calls[0].is_approved  # so it is not sent to a tool that is another one by then
    asked.answer("v")
    assert asked.asked == ["s"]
