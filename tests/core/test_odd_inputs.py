"""Input that means harm, or that nobody thought of: a clear refusal or a correct run, in bounded
time and memory.

Strict JSON has its own tests (`test_strict.py`), and so have texts that are hard to read as
references (`test_references.py`) and schemas that mean harm (`test_schema.py`).
"""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.language.templates import MAX_ARGUMENT_BYTES
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.results.result import RunResult
from plait.core.scheduling.conflicts import Conflicts
from plait.core.scheduling.events import Call, Failed, Locate, Located, Succeeded
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.locks import Locks
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.claims import ResourceClaim
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.core.values.strict import dumps
from plait.errors import InvalidDag, ToolError
from tests.core.scheduling.places import as_named, conflicts_in
from tests.fakes import tool

from .runs import result_at
from .scheduling.documents import PATH
from .stack import little_stack_left
from .strategies import nested
from .tables import table

SLOW_PATTERN = {"x": {"type": "string", "pattern": "^(a+)+$"}}
CATALOG = Catalog(
    [
        tool("s:do", readOnlyHint=True),
        tool("s:read", PATH, closed=False, readOnlyHint=True),
        tool("s:write", PATH, closed=False),
        tool("s:slow_pattern", SLOW_PATTERN),
    ],
    [ServerInfo("s", ServerState.READY)],
)


def plan_of(*tasks: dict[str, Any], **options: Any) -> Plan:
    return check(read_dag({"tasks": list(tasks), **options}), CATALOG, Policy())


def refused(*tasks: Any, **options: Any) -> list[tuple[str, str]]:
    """Where what is wrong, each as path and code."""
    with pytest.raises(InvalidDag) as caught:
        plan_of(*tasks, **options)
    return [(problem.path, problem.code) for problem in caught.value.problems]


def task(id: str, verb: str = "do", path: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": f"s:{verb}", "arguments": {"path": path} if path else {}, **more}


class Play:
    """A run from its beginning to its end; every call is answered at once, by what *answers* says
    of its task."""

    def __init__(self, plan: Plan, conflicts: Conflicts | None = None, answers: Any = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self.order: list[str] = []
        self.run = Run("r", plan, conflicts=conflicts)
        scheduler, calls = Scheduler(Limits(gateway=8)), list[Call | Locate]()
        step = scheduler.submit(self.run, 0.0)
        while True:
            calls += [command for command in step.commands if isinstance(command, Call | Locate)]
            if not calls:
                break
            call = calls.pop()
            if isinstance(call, Locate):
                step = scheduler.handle(Located(call.key, as_named(call.names)), 0.0)
                continue
            self.sent.append(call.arguments)
            self.order.append(call.key.task)
            answer = (answers or {}).get(call.key.task, "well")
            is_error = isinstance(answer, ToolError)
            event = Failed(call.key, answer) if is_error else Succeeded(call.key, Output(answer))
            step = scheduler.handle(event, 0.0)
        assert scheduler.claims.is_free

    @property
    def result(self) -> RunResult:
        return result_at(self.run, 0.0)


# Size.


def test_a_cycle_longer_than_the_stack_is_deep_is_refused_as_one_cycle() -> None:
    ring = [task(f"t{number}", depends_on=[f"t{(number + 1) % 210}"]) for number in range(210)]
    with little_stack_left():
        assert refused(*ring) == [("tasks", "cycle")]


def test_of_many_cycles_some_are_reported() -> None:
    pairs = [task(f"t{number}", depends_on=[f"t{number ^ 1}"]) for number in range(60)]
    assert refused(*pairs) == [("tasks", "cycle")] * 10


def test_thousands_of_tasks_are_refused_without_being_read() -> None:
    tasks = [{"id": f"t{number}", "tool": "s:do"} for number in range(2_000)]
    reading = read_dag({"tasks": tasks}, max_tasks=1_999)
    assert [(problem.path, problem.code) for problem in reading.problems] == [
        ("tasks", "limit_exceeded")
    ]
    assert reading.dag.tasks == ()


@table("as_text", [False, True])
def test_a_thousand_levels_are_refused(as_text: bool) -> None:
    document = {"tasks": [task("a") | {"arguments": {"x": nested(1_000)}}]}
    text = (
        '{"tasks": [{"id": "a", "tool": "s:do", "arguments": {"x": '
        + "[" * 1_000
        + "]" * 1_000
        + "}}]}"
    )
    with pytest.raises(InvalidDag) as caught:
        read_dag(text if as_text else document)
    assert [problem.code for problem in caught.value.problems] == ["invalid_json"]


def test_a_list_of_ten_thousand_items_is_refused() -> None:
    assert refused(task("a", for_each=[1] * 10_000)) == [("tasks[0].for_each", "limit_exceeded")]


def test_an_output_of_ten_thousand_items_fails_the_task_that_would_run_for_each() -> None:
    plan = plan_of(task("a"), task("b", for_each="$OUTPUT[a]"), task("c", for_each="$OUTPUT[a][0]"))
    play = Play(plan, answers={"a": [1] * 10_000})
    assert {error.id: error.code for error in play.result.errors} == {
        "b": "output_too_large",
        "c": "reference_error",
    }
    assert len(play.sent) == 1


def test_arguments_that_grow_when_they_are_filled_in_are_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("language.templates", "scheduling.calls"):
        monkeypatch.setattr(f"plait.core.{module}.MAX_ARGUMENT_BYTES", MAX_ARGUMENT_BYTES // 100)
    plan = plan_of(task("a"), task("b") | {"arguments": {"x": ["$OUTPUT[a]"] * 100}})
    play = Play(plan, answers={"a": "x" * 2_000})
    assert [(error.id, error.code) for error in play.result.errors] == [("b", "output_too_large")]


# Text.


@table(
    "id",
    ["é", "\u0430", "a\u200bb", "a\u202eb", "\N{GRINNING FACE}", "a\u0301", "\uff21", "a\n", "\0"],
)
def test_an_id_of_odd_unicode_is_refused(id: str) -> None:
    assert refused(task(id), task("b")) == [("tasks[0].id", "invalid_id")]


@table("name", ["é:do", "s:d\u043e", "s:do\u200b", "s:\N{GRINNING FACE}", "\u202es:do", "s:do\n"])
def test_a_tool_of_odd_unicode_is_unknown(name: str) -> None:
    [(path, code)] = refused(task("a") | {"tool": name})
    assert path == "tasks[0].tool"
    assert code in {"unknown_tool", "unknown_server"}


def test_a_failure_worded_with_a_lone_surrogate_can_be_passed_on() -> None:
    result = Play(plan_of(task("a")), answers={"a": ToolError("not \ud800 found")}).result
    assert dumps(result.document())
    assert [error.message for error in result.errors] == ["not ? found"]


def test_an_output_that_holds_the_text_of_a_reference_is_never_read_again() -> None:
    trap: dict[str, Any] = {
        "x": "$OUTPUT[a].secret",
        "y": ["${OUTPUT[a] ?? 1}", "$ITEM", "$$OUTPUT[a]"],
        "$OUTPUT[a]": 1,
    }
    plan = plan_of(
        task("a"),
        task("b") | {"arguments": {"whole": "$OUTPUT[a]", "text": "see $OUTPUT[a].x"}},
        task("c", for_each="$OUTPUT[b].y") | {"arguments": {"item": "$ITEM"}},
    )
    play = Play(plan, answers={"a": trap, "b": trap})
    assert play.sent[1] == {"whole": trap, "text": "see $OUTPUT[a].secret"}
    assert sorted(arguments["item"] for arguments in play.sent[2:]) == sorted(trap["y"])


def test_a_pattern_of_a_servers_schema_cannot_take_the_time_of_a_run() -> None:
    plan = plan_of(task("a"), task("b", "slow_pattern") | {"arguments": {"x": "$OUTPUT[a]"}})
    Play(plan, answers={"a": "a" * 50_000 + "!"})


# Numbers.


@table("number", ["NaN", "-Infinity", "1e400", "1" * 5_000])
def test_a_number_that_json_programs_cannot_hold_is_refused(number: str) -> None:
    with pytest.raises(InvalidDag) as caught:
        read_dag(f'{{"tasks": [{{"id": "a", "tool": "s:do", "arguments": {{"x": {number}}}}}]}}')
    assert [problem.code for problem in caught.value.problems] == ["invalid_json"]


@table("number", [2**63, -(2**200), 10**4_000])
def test_a_huge_integer_goes_through_references_as_it_is(number: int) -> None:
    plan = plan_of(
        task("a") | {"arguments": {"n": number}}, task("b") | {"arguments": {"n": "$OUTPUT[a].n"}}
    )
    assert [arguments["n"] for arguments in Play(plan, answers={"a": {"n": number}}).sent] == [
        number,
        number,
    ]


@table("field", ["priority", "timeout_s", "weight", "retries", "cache"])
@table("number", [float("nan"), float("inf"), -(10**400)])
def test_an_option_that_is_no_finite_number_is_refused(field: str, number: float) -> None:
    [(_, code)] = refused(task("a") | {field: number})
    assert code in {"invalid_json", "wrong_type", "limit_exceeded"}


# Expressions.


@table(
    "text",
    [
        "(" * 110,
        "[" * 110,
        "!" * 110 + "a",
        "{a:" * 110,
        "a[?" * 110,
        "[].{a:" * 110 + "a" + "}" * 110,
    ],
)
@table("field", ["select", "when"])
def test_an_expression_that_is_nested_too_deeply_is_refused(text: str, field: str) -> None:
    assert refused(task("a"), task("b", depends_on=["a"]) | {field: text}) == [
        (f"tasks[1].{field}", "invalid_expression")
    ]


@table(
    "text",
    ["a||" * 250 + "a", "a|" * 250 + "a", "a" + ".a" * 499, "a" + "[0]" * 499, "a" + "[]" * 90],
)
def test_an_expression_of_more_steps_than_the_stack_is_deep_gives_something(text: str) -> None:
    with little_stack_left():
        result = Play(plan_of(task("a", select=text)), answers={"a": {"a": 1}}).result
    assert result.status == "success"


@table("text", ["a" + ".a" * 510, "a" + "[0]" * 510, "[]" * 110])
def test_an_expression_of_more_steps_than_it_may_have_is_refused(text: str) -> None:
    assert refused(task("a", select=text)) == [("tasks[0].select", "invalid_expression")]


# Conflicts.


@table(("schedule", "count"), [("eager", 30), ("layers", 30)])
def test_many_tasks_that_all_change_one_file_go_one_after_the_other(
    schedule: str, count: int
) -> None:
    plan = plan_of(
        *[task(f"t{number}", "write", "x") for number in range(count)], schedule=schedule
    )
    play = Play(plan, conflicts_in(plan))
    assert play.order == list(plan.tasks)
    assert play.run.most_in_flight == 1


@table(("schedule", "count"), [("eager", 20), ("layers", 15)])
def test_many_readers_of_a_folder_go_before_many_writers_beneath_it(
    schedule: str, count: int
) -> None:
    readers = [task(f"r{number}", "read", "d", priority=number) for number in range(count)]
    writers = [task(f"w{number}", "write", f"d/{number}") for number in range(count)]
    plan = plan_of(*readers, *writers, schedule=schedule)
    play = Play(plan, conflicts_in(plan))
    assert {id[0] for id in play.order[:count]} == {"r"}
    assert play.run.most_in_flight == 8


def test_many_items_that_touch_one_folder_take_their_turns() -> None:
    each = task("each", "write", "d/$ITEM", for_each=[str(number % 10) for number in range(100)])
    plan = plan_of(each, task("look", "read", "d", depends_on=["each"]))
    play = Play(plan, conflicts_in(plan))
    assert (len(play.order), play.run.status) == (101, "success")


@table("is_reversed", [False, True])
def test_who_waits_for_many_is_not_looked_at_whenever_one_of_them_ends(
    is_reversed: bool,
) -> None:
    """In whatever order they end: a request asks anew as often as the logarithm of those that it
    waits for."""
    locks: Counting = Counting()
    readers = [
        locks.ask(f"r{number}", [ResourceClaim("d", False, ("d",))]) for number in range(100)
    ]
    for number in range(100):
        locks.ask(f"w{number}", [ResourceClaim("d", True, ("d", str(number)))])
    granted = [
        one
        for reader in (reversed(readers) if is_reversed else readers)
        for one in locks.release(reader)
    ]
    assert [one.holder for one in granted] == [f"w{number}" for number in range(100)]
    assert locks.looks < 10 * 100


class Counting(Locks[str]):
    """Locks that count how often someone's wait was looked into again."""

    looks = 0

    def _any_before(self, request: Any) -> Any:
        self.looks += 1
        return super()._any_before(request)
