"""What came of a run, as clients read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.record import InnerRecord, RunStatus
from plait.core.results.result import MAX_PASSAGES, RunResult, inner_results, result_of
from plait.core.scheduling.events import CancelRequested, Failed, Key, Sent, Succeeded
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.errors import (
    CallError,
    CallTimeout,
    ConnectionLost,
    ProtocolError,
    ServerUnavailable,
    ToolError,
)
from tests.fakes import tool

from ..runs import result_at
from ..tables import table

CATALOG = Catalog([tool("s:t")], [ServerInfo("s", ServerState.READY)])
IMAGE: dict[str, Any] = {"type": "image", "data": "aGk=", "mimeType": "image/png"}


class Play:
    """A run played by hand: say when each call is answered, and how."""

    def __init__(self, *tasks: dict[str, Any], **options: Any) -> None:
        alone_s = options.pop("alone_s", None)
        document = {"tasks": [{"tool": "s:t", **task} for task in tasks], **options}
        plan = check(read_dag(document), CATALOG, Policy(), alone=lambda task: alone_s)
        self.run = Run("r_1", plan)
        self.scheduler = Scheduler(Limits())
        self.now = 0.0
        self.scheduler.submit(self.run, 10.0)

    def answer(self, id: str, at: float, what: Any, item: int | None = None) -> Play:
        key, self.now = Key("r_1", id, item), 10.0 + at
        event = (
            Failed(key, what)
            if isinstance(what, CallError)
            else Succeeded(key, Output(what, size_bytes=10))
        )
        self.scheduler.handle(event, self.now)
        return self

    def reached(self, id: str, at: float) -> Play:
        """Send the call of *id*, whose server is there only now."""
        self.now = 10.0 + at
        self.scheduler.handle(Sent(Key("r_1", id)), self.now)
        return self

    def cancel(self, at: float) -> Play:
        self.now = 10.0 + at
        self.scheduler.handle(CancelRequested("r_1"), self.now)
        return self

    @property
    def result(self) -> RunResult:
        return result_at(self.run, self.now)


A, B, C = {"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c"}


def test_a_run_in_which_all_went_well_is_told_in_brief() -> None:
    play = Play(A, B, C).answer("c", 0.1, {"n": 1}).answer("a", 0.2, "A").answer("b", 0.4, "B")
    document = play.result.document()
    assert list(document) == [
        "status",
        "run_id",
        "errors",
        "outputs",
        "truncated",
        "notes",
        "metrics",
    ]
    assert document["status"] == "success"
    assert document["outputs"] == {"b": "B", "c": {"n": 1}}
    assert document["metrics"] == {
        "execution_time_ms": 400.0,
        "sequential_time_ms": 500.0,
        "speedup": 1.25,
        "layers": 2,
    }


def test_in_full_every_task_and_every_number_is_told() -> None:
    document = Play(A, B).answer("a", 0.2, "A").answer("b", 0.5, "B").result.document("full")
    assert list(document)[-3:] == ["tasks", "layers", "metrics"]
    common = {"tool": "s:t", "status": "success", "attempts": 1, "cached": False}
    assert document["tasks"] == [
        {"id": "a", "layer": 0, "start_ms": 0.0, "duration_ms": 200.0, **common},
        {"id": "b", "layer": 1, "start_ms": 200.0, "duration_ms": 300.0, **common},
    ]
    assert document["layers"] == [["a"], ["b"]]
    assert document["metrics"] == {
        "execution_time_ms": 500.0,
        "sequential_time_ms": 500.0,
        "speedup": 1.0,
        "critical_path": ["a", "b"],
        "critical_path_ms": 500.0,
        "overhead_ms": 0.0,
        "max_parallelism": 1,
        "average_parallelism": 1.0,
        "counts": {"success": 2},
        "efficiency": 1.0,
        "waits": [],
        "faster": [
            (
                "The chain a -> b took 500 of 500 ms: only shorter calls or fewer links in it "
                "help; b alone took 300 ms."
            )
        ],
    }


def test_in_full_each_task_tells_what_it_waited_for() -> None:
    play = (
        Play(A, B, C, detail="full", max_concurrency=1).answer("a", 0.2, "A").answer("b", 0.5, "B")
    )
    document: Any = play.answer("c", 0.6, "C").result.document("full")
    assert [(task["queue_ms"], task.get("waited_for")) for task in document["tasks"]] == [
        (0.0, None),
        (0.0, [{"why": "dependency", "on": "a", "ms": 200.0}]),
        (500.0, [{"why": "limit", "on": "run r_1", "ms": 500.0}]),
    ]
    assert document["metrics"]["waits"] == [{"why": "limit", "on": "run r_1", "ms": 500.0}]


def test_a_failure_and_what_hangs_on_it_are_told_with_their_cause() -> None:
    result = (
        Play(A, B, C)
        .answer("a", 0.1, ToolError("EACCES", hint="Ask."))
        .answer("c", 0.2, "C")
        .result
    )
    assert result.status is RunStatus.PARTIAL
    document = result.document()
    assert document["errors"] == [
        {"id": "a", "code": "tool_error", "message": "EACCES", "hint": "Ask.", "retryable": False},
        {"id": "b", "code": "dependency_failed", "message": "skipped: a failed", "caused_by": "a"},
    ]
    assert document["outputs"] == {"c": "C"}
    skipped = {
        "id": "b",
        "tool": "s:t",
        "status": "skipped",
        "layer": 1,
        "attempts": 0,
        "cached": False,
    }
    assert result.tasks[1].document() == skipped


@table(
    ("answers", "status", "is_error"),
    [
        ({"a": "A", "c": "C"}, "success", False),
        ({"a": ToolError("no"), "c": "C"}, "partial", False),
        ({"a": ToolError("no"), "c": ConnectionLost("gone")}, "failed", True),
        ({"a": CallTimeout("late"), "c": CallTimeout("late")}, "failed", True),
    ],
)
def test_the_status_of_a_run_sums_up_its_tasks(
    answers: dict[str, Any], status: str, is_error: bool
) -> None:
    play = Play(A, C)
    for id, what in answers.items():
        play.answer(id, 0.1, what)
    assert (str(play.result.status), play.result.status.is_error) == (status, is_error)


def test_a_run_that_is_going_shows_what_there_is_so_far() -> None:
    play = Play(A, B, C).answer("c", 0.5, "C")
    result = play.result
    assert result.status is RunStatus.RUNNING
    assert not result.status.is_error
    assert result.outputs == {"c": "C"}
    assert [(task.id, task.status, task.duration_ms) for task in result.tasks] == [
        ("a", "running", 500.0),
        ("b", "pending", None),
        ("c", "success", 500.0),
    ]
    brief, full = result.document(), result.document("full")
    assert brief["outputs"] == {"c": "C"}
    assert brief["metrics"] == {"counts": {"running": 1, "pending": 1, "success": 1}}
    assert full.keys() - brief.keys() == {"tasks", "layers"}
    assert full["metrics"] == result.metrics.document("full")


def test_a_cancelled_run_names_every_task() -> None:
    result = Play(A, B, C).answer("c", 0.1, "C").cancel(0.3).result
    assert result.status is RunStatus.CANCELLED
    assert result.status.is_error
    assert [(task.id, task.status) for task in result.tasks] == [
        ("a", "cancelled"),
        ("b", "cancelled"),
        ("c", "success"),
    ]
    assert [error.id for error in result.errors] == ["a", "b"]


def test_a_servers_own_error_code_is_kept() -> None:
    error = ProtocolError("Not found", rpc_code=-32601)
    document = Play(A).answer("a", 0.1, error).result.document()
    assert document["errors"] == [
        {
            "id": "a",
            "code": "protocol_error",
            "message": "Not found",
            "retryable": False,
            "rpc_code": -32601,
        }
    ]


def test_the_seconds_after_which_a_call_may_succeed_are_kept() -> None:
    error = ServerUnavailable("busy", retry_after_s=7.0)
    document = Play(A).answer("a", 0.1, error).result.document()
    assert document["errors"] == [
        {
            "id": "a",
            "code": "server_unavailable",
            "message": "busy",
            "retryable": True,
            "retry_after_s": 7.0,
        }
    ]


def test_each_failed_item_is_one_error_and_null_in_the_output() -> None:
    play = Play({"id": "a", "for_each": [1, 2, 3]})
    play.answer("a", 0.1, "one", 0).answer("a", 0.2, ToolError("no"), 1).answer(
        "a", 0.3, "three", 2
    )
    result = play.result
    assert result.outputs == {"a": ["one", None, "three"]}
    assert [(error.id, error.index, error.code) for error in result.errors] == [
        ("a", 1, "tool_error")
    ]
    assert result.tasks[0].status == "failed"


def test_only_the_tasks_in_return_give_outputs_and_attachments() -> None:
    play = Play(A, C, **{"return": ["c"]}).answer("a", 0.1, "A")
    play.scheduler.handle(Succeeded(Key("r_1", "c"), Output("C", (IMAGE,), 10)), 11.0)
    assert play.result.outputs == {"c": "C"}
    assert play.result.attachments == {"c": [IMAGE]}


def test_the_critical_path_is_the_chain_that_really_took_longest() -> None:
    play = Play(A, {"id": "x"}, {"id": "b", "depends_on": ["a"]}, {"id": "y", "depends_on": ["x"]})
    play.answer("a", 0.1, 1).answer("b", 0.2, 1).answer("x", 0.5, 1).answer("y", 0.6, 1)
    metrics = play.result.metrics
    assert (metrics.critical_path, metrics.critical_path_ms) == (("x", "y"), 600.0)
    assert (metrics.max_parallelism, metrics.average_parallelism, metrics.speedup) == (
        2,
        1.33,
        1.33,
    )
    assert metrics.counts == {"success": 4}


def test_a_name_and_the_notes_are_passed_on() -> None:
    document = Play({"id": "a", "args": {}}, name="nightly").answer("a", 0.1, 1).result.document()
    assert list(document)[:3] == ["status", "run_id", "name"]
    assert document["notes"] == ['tasks[0]: "args" was read as arguments']


def test_the_clock_starts_when_the_first_call_could_be_sent() -> None:
    play = Play(A, B, C, detail="full").reached("a", 0.6).reached("c", 0.6)
    play.answer("a", 0.8, 1).answer("c", 0.7, 1).answer("b", 1.0, 1)
    document: Any = play.result.document("full")
    assert [(task["id"], task["start_ms"]) for task in document["tasks"]] == [
        ("a", 0.0), ("b", 200.0), ("c", 0.0)
    ]  # fmt: skip
    assert document["tasks"][1]["waited_for"] == [{"why": "dependency", "on": "a", "ms": 200.0}]
    metrics = document["metrics"]
    assert (metrics["execution_time_ms"], metrics["startup_ms"]) == (400.0, 600.0)
    assert (metrics["speedup"], play.result.metrics.started) == (1.25, ("s",))
    assert metrics["overhead_ms"] == 0.0
    assert not any("to be there" in sentence for sentence in metrics["faster"])
    brief: Any = play.result.document()["metrics"]
    assert list(brief) == [
        "execution_time_ms", "sequential_time_ms", "speedup", "startup_ms", "layers"
    ]  # fmt: skip


def test_what_a_call_that_was_never_sent_waited_for_is_not_the_start_of_the_clock() -> None:
    gone = ServerUnavailable("s cannot be reached")
    play = Play(A, C).reached("c", 0.5).answer("a", 2.0, gone).answer("c", 0.9, 1)
    assert play.result.metrics.startup_ms == 500.0
    assert [task.start_ms for task in play.result.tasks] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("late", "speedup"), [(0.0, 2.0), (0.04, 1.92), (0.5, None)], ids=["at once", "soon", "late"]
)
def test_a_run_that_had_to_wait_for_another_server_has_no_speedup(
    late: float, speedup: float | None
) -> None:
    play = Play({"id": "a"}, {"id": "c"})
    if late:
        play.reached("c", late)
    play.answer("a", 1.0, 1).answer("c", 1.0 + late, 1)
    assert play.result.metrics.speedup == speedup


def test_a_server_that_is_late_without_making_the_run_longer_leaves_its_speedup() -> None:
    play = Play({"id": "a"}, {"id": "c"}).reached("c", 0.5).answer("c", 0.9, 1).answer("a", 1.0, 1)
    assert play.result.metrics.speedup == 1.4


def test_one_call_or_a_run_that_is_too_short_has_no_speedup() -> None:
    assert Play(A).answer("a", 1.0, 1).result.metrics.speedup is None
    short = Play({"id": "a"}, C).answer("a", 0.004, 1).answer("c", 0.004, 1).result
    assert short.metrics.speedup is None
    document: Any = short.document("full")
    assert "speedup" not in document["metrics"]
    assert (
        Play({"id": "a"}, C).answer("a", 0.01, 1).answer("c", 0.01, 1).result.metrics.speedup == 2
    )


@table(
    ("alone_s", "sequential_ms", "unproven"),
    [
        (None, 2_000.0, ("s:t",)),  # never timed alone: what the calls took
        (0.6, 1_200.0, ()),  # they slowed each other down
        (0.5, 1_000.0, ()),
        (0.4, 1_000.0, ()),  # two calls cannot slow each other down more than this
        (3.0, 2_000.0, ()),
    ],
)
def test_calls_that_slow_each_other_down_do_not_count_as_time_saved(
    alone_s: float | None, sequential_ms: float, unproven: tuple[str, ...]
) -> None:
    play = Play({"id": "a"}, {"id": "c"}, alone_s=alone_s).answer("a", 1.0, 1).answer("c", 1.0, 1)
    metrics = play.result.metrics
    assert metrics.sequential_time_ms == sequential_ms
    assert metrics.speedup == sequential_ms / 1_000
    assert metrics.average_parallelism == 2.0
    assert metrics.unproven == unproven
    assert metrics.document("full").get("unproven", []) == list(unproven)


def test_calls_one_at_a_time_need_no_proof() -> None:
    metrics = Play(A, B).answer("a", 1.0, 1).answer("b", 2.0, 1).result.metrics
    assert (metrics.speedup, metrics.unproven) == (1.0, ())


def test_one_after_the_other_takes_no_less_than_the_critical_path() -> None:
    play = Play(A, B, C, alone_s=0.5)
    play.answer("a", 0.9, 1).answer("c", 0.9, 1).answer("b", 1.8, 1)
    assert play.result.metrics.sequential_time_ms == 1_800.0


def inner(order: int, statuses: dict[str, str], place: str = "g[{}].t") -> InnerRecord:
    name = f"{place}{order}"
    return InnerRecord(f"g.t{order}", "s:t", ("g",), {}, place=name, passages=statuses)


@table(
    ("rows", "most", "ids", "omitted"),
    [
        ([{"": "s-k"}, {"": "sf"}], 9, ["g[0].t0", "g[0].t1", "g[1].t1", "g[2].t0"], 0),
        ([{"": "ssss"}, {"": "ssst"}], 3, ["g[0].t0", "g[0].t1", "g[3].t1"], 5),
        ([{"": "ffff"}, {"": "ssss"}], 3, ["g[0].t0", "g[1].t0", "g[2].t0"], 5),
        ([], 3, [], 0),
    ],
)
def test_tasks_in_groups_are_listed_item_by_item_and_rather_those_that_failed(
    rows: list[dict[str, str]], most: int, ids: list[str], omitted: int
) -> None:
    record = Play({"id": "g"}).result.record
    record = replace(record, inner=tuple(inner(n, row) for n, row in enumerate(rows)))
    listed, left_out = inner_results(record, most)
    assert [one.id for one in listed.get("g", ())] == ids
    assert left_out == omitted


def test_tasks_in_nested_groups_are_named_by_the_items_of_all() -> None:
    record = Play({"id": "g"}).result.record
    nested = inner(0, {"0": "s", "3": "-f"}, "g[{}].h[{}].t")
    flat = inner(1, {"": "k"}, "g.t")
    listed, _ = inner_results(replace(record, inner=(nested, flat)))
    assert [one.document() for one in listed["g"]] == [
        {"id": "g.t1", "tool": "s:t", "status": "skipped"},
        {"id": "g[0].h[0].t0", "tool": "s:t", "status": "success"},
        {"id": "g[3].h[1].t0", "tool": "s:t", "status": "failed"},
    ]


def test_ten_thousand_items_are_listed_within_bounds() -> None:
    play = Play({"id": "g"}, {"id": "h"}).answer("g", 1, ToolError("no")).answer("h", 2, 1)
    record = play.result.record
    rows = tuple(inner(n, {"": "s" * 9_999 + "f"}) for n in range(5))
    document: Any = result_of(replace(record, inner=rows), lambda _: None).document()
    assert len(document["tasks"]) == 2 + MAX_PASSAGES
    assert document["omitted"] == {"tasks": 50_000 - MAX_PASSAGES}
    assert [task["id"] for task in document["tasks"] if task["status"] == "failed"][1:] == [
        f"g[9999].t{n}" for n in range(5)
    ]
