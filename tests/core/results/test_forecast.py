"""How long a plan is expected to take: as long as the scheduler takes for it with calls as
expected."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan, PlannedTask, lay_out
from plait.core.results.forecast import Forecast, calls_of, forecast
from plait.core.scheduling.conflicts import Conflicts
from plait.core.scheduling.events import (
    Abort,
    Aborted,
    Call,
    Event,
    Key,
    Locate,
    Located,
    Sleep,
    Succeeded,
    Woke,
)
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.rates import Rate
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy, Rule
from tests.core.scheduling.places import as_named, conflicts_in
from tests.fakes import tool

from ...profiles import share_of_examples
from ..scheduling.documents import CATALOG as SHARED
from ..scheduling.documents import PATH, documents
from ..tables import table

CATALOG = Catalog(
    [tool(f"s:{name}", readOnlyHint=True) for name in ("one", "two", "new")]
    + [tool("s:write", PATH, closed=False)],
    [ServerInfo("s", ServerState.READY)],
)
COSTS = {"s:one": 1.0, "s:two": 2.0, "s:write": 1.0}


def learned(task: PlannedTask) -> float | None:
    return COSTS.get(task.tool.full_name)


def plan_of(*tasks: dict[str, Any], policy: Policy | None = None, **options: Any) -> Plan:
    plan = check(read_dag({"tasks": list(tasks), **options}), CATALOG, policy or Policy())
    return lay_out(plan.dag, plan.tasks, cost=learned, alone=learned)


def expected(
    *tasks: dict[str, Any], limits: Limits | None = None, done: Any = (), **options: Any
) -> Forecast:
    plan = plan_of(*tasks, **options)
    return forecast(plan, conflicts_in(plan, done), limits or Limits(), done)


def task(id: str, name: str = "one", *needs: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": f"s:{name}", "depends_on": list(needs), **more}


def write(id: str, path: str, **more: Any) -> dict[str, Any]:
    return task(id, "write", **more) | {"arguments": {"path": path}}


FOUR = [task(f"t{number}") for number in range(4)]


@table(
    ("tasks", "options", "seconds"),
    [
        ([task("a"), task("b", "two", "a"), task("c", "one", "b")], {}, 4),
        ([task("a"), task("b", "two")], {}, 2),
        (FOUR, {}, 1),
        (FOUR, {"max_concurrency": 2}, 2),
        (FOUR, {"limits": Limits(gateway=1)}, 4),
        (FOUR, {"limits": Limits(servers=(("s", 2),))}, 2),
        (FOUR, {"limits": Limits(rates=(("s", Rate(1, 3.0)),))}, 10),
        (FOUR, {"policy": Policy((Rule("s:one", max_concurrency=1),))}, 4),
        (FOUR, {"timeout_s": 0.5}, 0.5),
        ([task("a", weight=2), task("b", weight=2)], {"limits": Limits(gateway=3)}, 2),
        ([write("a", "x"), write("b", "x")], {}, 2),
        ([write("a", "x"), write("b", "y")], {}, 1),
        ([write("a", "x", for_each=[1, 2, 3])], {}, 3),
        ([task("a", for_each=[1, 2, 3])], {"max_concurrency": 2}, 2),
        ([task("a", "two"), task("b"), task("c", "one", "b")], {"schedule": "eager"}, 2),
        ([task("a", "two"), task("b"), task("c", "one", "b")], {"schedule": "layers"}, 3),
        ([task("a"), task("b", "two", "a", trigger_rule="one_failed")], {}, 1),
        ([task("a"), task("b", "two", "a", when="a.never")], {}, 3),
        ([task("a", select="sum(items)"), task("b", "one", "a")], {}, 2),
    ],
)
def test_a_plan_takes_as_long_as_its_calls_and_its_limits_let_it(
    tasks: Any, options: Any, seconds: float
) -> None:
    assert expected(*tasks, **options).metrics.execution_time_ms == seconds * 1000


def test_what_is_done_takes_no_time() -> None:
    after = expected(task("a", "two"), task("b", "one", "a"), done={"a"})
    assert after.metrics.execution_time_ms == 1_000
    assert after.metrics.critical_path == ("b",)


def test_a_tool_that_was_never_called_is_taken_to_be_as_fast_as_the_others() -> None:
    result = expected(task("a"), task("b", "new", "a"))
    assert (result.is_timed, result.untimed, result.metrics.execution_time_ms) == (
        True,
        ("s:new",),
        2_000,
    )
    assert result.document()["untimed_tools"] == ["s:new"]


def test_where_no_tool_was_ever_called_there_is_no_time_to_tell() -> None:
    result = expected(task("a", "new"), task("b", "new"))
    assert not result.is_timed
    assert result.document() == {"max_parallelism": 2, "untimed_tools": ["s:new"]}


def test_the_items_of_a_list_that_is_not_known_yet_count_as_one() -> None:
    result = expected(task("a"), task("b", for_each="$OUTPUT[a].items"), task("c", for_each=[1, 2]))
    assert result.uncounted == ("b",)
    assert result.document()["uncounted"] == ["b"]
    assert result.metrics.sequential_time_ms == 4_000


def test_values_take_no_time_and_hold_nothing_up() -> None:
    made = {"id": "v", "value": {"x": "$OUTPUT[a].gone"}, "select": "x.y"}
    each = {"id": "m", "for_each": "$OUTPUT[v].list", "value": "$ITEM.z"}
    found = expected(task("a"), made, each, task("b", "two", "m"))
    assert (found.metrics.execution_time_ms, found.metrics.sequential_time_ms) == (3000, 3000)
    assert found.metrics.critical_path == ("a", "b")
    assert found.untimed == ()


def test_the_estimate_tells_the_times_and_how_much_runs_at_once() -> None:
    assert expected(*FOUR, limits=Limits(gateway=2)).document() == {
        "execution_time_ms": 2_000, "sequential_time_ms": 4_000, "speedup": 2.0,
        "max_parallelism": 2,
    }  # fmt: skip


def test_a_speedup_is_promised_only_by_times_alone_and_beside_others() -> None:
    plan = plan_of(*FOUR)
    by_alone = forecast(plan, Conflicts(), Limits(), has_met_others=lambda tool: False)
    by_others = forecast(lay_out(plan.dag, plan.tasks, cost=learned), Conflicts(), Limits())
    for found in (by_alone, by_others):
        assert found.document() == {
            "execution_time_ms": 1_000, "sequential_time_ms": 4_000, "max_parallelism": 4
        }  # fmt: skip
    one = forecast(plan, Conflicts(), Limits(gateway=1), has_met_others=lambda tool: False)
    assert one.document()["speedup"] == 1.0  # one after the other needs no proof


def test_a_rate_on_a_clock_that_counts_far_is_waited_for_to_its_end() -> None:
    """On a clock that stands high, the last bit of a wait is too small to be added to it."""
    plan = plan_of(task("a", "two"), task("b", "one", "a", for_each=list(range(400))))
    costs = {"a": 3e6, "b": 0.0}
    slow = lay_out(plan.dag, plan.tasks, cost=lambda task: costs[task.id])
    result = forecast(slow, conflicts_in(slow), Limits(rates=(("s", Rate(300, 1.0)),)))
    assert 3e9 + 999 < result.metrics.execution_time_ms < 3e9 + 1_001


def driven(plan: Plan, limits: Limits) -> float:
    """The time at which a run of *plan* ends whose calls all succeed and take what is expected."""
    conflicts = conflicts_in(plan)
    if (
        not conflicts.known
    ):  # nothing conflicts: a call that waits for its files would only lose its slot to another
        conflicts = Conflicts()
    run = Run("r", plan, conflicts=conflicts)
    scheduler, now, asleep = Scheduler(limits), 0.0, set[Key]()
    step = scheduler.submit(run, now)
    answers: list[tuple[float, Event]] = []
    while not run.is_done:
        for command in step.commands:
            match command:
                case Locate(key, names):
                    answers.append((now, Located(key, as_named(names))))
                case Call(key):
                    answers.append(
                        (now + plan.costs[key.task], Succeeded(key, Output({"ok": True})))
                    )
                case Sleep(key, pause):
                    asleep.add(key)
                    answers.append((now + pause, Woke(key)))
                case Abort(key):
                    asleep.discard(key)
        at = min(range(len(answers)), key=lambda index: answers[index][0])
        now, event = answers.pop(at)
        is_aborted = isinstance(event, Woke) and event.key not in asleep
        step = scheduler.handle(Aborted(event.key) if is_aborted else event, now)  # type: ignore[union-attr]  # no cancel
    return now


def with_nothing_left_open(drawn: dict[str, Any]) -> dict[str, Any]:
    """*drawn* without what is known only when it runs: what is skipped, lists and paths from
    outputs or items, and what a run that is cut off still finds for the tasks that run always."""
    drawn.pop("timeout_s", None)
    for task in drawn["tasks"]:
        task.pop("when", None)
        if task.get("trigger_rule") == "one_failed":
            task["trigger_rule"] = "all_done"
        if isinstance(task.get("for_each"), str):
            task["for_each"] = [1, 2]
        if "$" in task["arguments"].get("path", ""):
            task["arguments"]["path"] = "d"
    return drawn


@share_of_examples(0.4)
@given(
    documents().map(with_nothing_left_open),
    st.builds(
        lambda gateway, at_c, rate: Limits(
            gateway, (("b", "auto"), ("c", at_c)), (("a", Rate(rate, 3.0)),)
        ),
        st.sampled_from((1, 2, 5)),
        st.integers(1, 2),
        st.integers(1, 2),
    ),
)
def test_a_forecast_is_what_a_run_takes_whose_calls_take_what_was_expected(
    document: dict[str, Any], limits: Limits
) -> None:
    plan = check(read_dag(document), SHARED, Policy((Rule("?:write", max_concurrency=2),)))
    plan = lay_out(
        plan.dag,
        plan.tasks,
        cost=lambda task: {"do": 1.0, "read": 0.5, "write": 2.0}[task.tool.name],
    )
    expected = forecast(plan, conflicts_in(plan), limits)
    assert expected.metrics.execution_time_ms == round(driven(plan, limits) * 1000, 1)


def test_the_calls_of_a_plan_are_those_of_all_items_in_all_groups() -> None:
    inner = [{"id": "x", "tool": "s:one"}, {"id": "y", "tool": "s:one", "for_each": [1, 2]}]
    plan = plan_of(
        {"id": "a", "tool": "s:one"},
        {"id": "b", "tool": "s:one", "for_each": [1, 2, 3]},
        {"id": "g", "for_each": [1, 2, 3, 4], "tasks": inner},
    )
    assert calls_of(plan) == 1 + 3 + 4 * (1 + 2)
