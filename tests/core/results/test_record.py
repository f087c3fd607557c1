"""A run written down: all of it is JSON, and nothing is lost on the way."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from pydantic import TypeAdapter

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.record import ItemsRecord, RunRecord, RunStatus, TaskRecord, record_of
from plait.core.scheduling.events import Failed, Failure, Key, Status, Succeeded, Wait, Woke
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.core.values.principal import Principal
from plait.core.values.strict import Json, dumps, loads
from plait.errors import CallTimeout, ProtocolError, ToolError
from tests.fakes import tool

from ...profiles import share_of_examples
from ..scheduling.machine import SchedulerMachine
from ..scheduling.world import World
from ..strategies import WORDS, json_values

CATALOG = Catalog([tool("s:do", readOnlyHint=True)], [ServerInfo("s", ServerState.READY)])


def begun(
    *tasks: dict[str, Any], catalog: Catalog = CATALOG, **options: Any
) -> tuple[Run, Scheduler]:
    document = {"tasks": [{"tool": "s:do", **task} for task in tasks], **options}
    run = Run(
        "r",
        check(read_dag(document), catalog, Policy()),
        principal=Principal("p"),
        client="c",
        began=1_700_000_000.0,
    )
    scheduler = Scheduler(Limits())
    scheduler.submit(run, 100.0)
    return run, scheduler


def written_and_read(record: RunRecord) -> RunRecord:
    return RunRecord.from_document(loads(dumps(record.document())))


class Written(SchedulerMachine):
    """The record of every run that a step says something of is written and read."""

    def check_step(self, world: World) -> None:
        for id in {notice.run for notice in world.step.notices if notice.run}:
            record = record_of(world.runs[id], world.now)
            assert written_and_read(record) == record


def test_a_record_is_read_as_it_was_written() -> None:
    run_state_machine_as_test(Written, settings=share_of_examples(0.1))


@share_of_examples(0.4)
@given(st.dictionaries(WORDS, json_values(), max_size=5))
def test_any_arguments_are_read_as_they_were_written(arguments: dict[str, Any]) -> None:
    record = record_of(begun({"id": "a"})[0], 100.0)
    task = record.dag.tasks[0].model_copy(update={"arguments": arguments, "for_each": [arguments]})
    record = replace(record, dag=record.dag.model_copy(update={"tasks": (task,)}))
    read = written_and_read(record)
    assert read == record
    assert dumps(read.document()) == dumps(record.document())


def test_a_record_says_whose_run_it_was_and_when_and_over_what() -> None:
    run, scheduler = begun(
        {"id": "a"}, {"id": "b", "depends_on": ["a"]}, name="nightly", timeout_s=60
    )
    scheduler.handle(Succeeded(Key("r", "a"), Output("A", size_bytes=3)), 101.5)
    record = record_of(run, 103.0)
    assert (record.id, record.dag.name, record.principal, record.client) == (
        "r",
        "nightly",
        "p",
        "c",
    )
    assert (record.began, record.elapsed_s, record.status) == (
        1_700_000_000.0,
        3.0,
        RunStatus.RUNNING,
    )
    assert record.limits.timeout_s == 60
    first, second = record.tasks.values()
    assert (first.tool, first.layer, first.needs, first.output_bytes) == ("s:do", 0, (), 3)
    assert (first.status, first.due_s, first.start_s, first.end_s) == (
        Status.SUCCESS,
        0.0,
        0.0,
        1.5,
    )
    assert (second.status, second.due_s, second.start_s, second.end_s) == (
        Status.RUNNING,
        1.5,
        1.5,
        None,
    )
    assert (second.layer, second.needs) == (1, ("a",))


def test_outputs_are_not_part_of_a_record() -> None:
    run, scheduler = begun({"id": "a"})
    scheduler.handle(
        Succeeded(Key("r", "a"), Output("a secret of the server", size_bytes=24)), 101.0
    )
    assert "a secret" not in dumps(record_of(run, 101.0).document())


def test_an_error_is_written_down_whole() -> None:
    run, scheduler = begun({"id": "a"}, {"id": "b", "depends_on": ["a"]})
    scheduler.handle(
        Failed(Key("r", "a"), ProtocolError("no", hint="Ask.", rpc_code=-32000)), 101.0
    )
    record = written_and_read(record_of(run, 101.0))
    assert record.tasks["a"].error == Failure(
        "protocol_error", "no", "Ask.", retryable=False, rpc_code=-32000
    )
    assert record.tasks["b"].error == Failure(
        "dependency_failed", "skipped: a failed", caused_by="a"
    )


def test_items_are_written_down_with_their_errors() -> None:
    run, scheduler = begun({"id": "a", "for_each": [1, 2, 3]})
    scheduler.handle(Failed(Key("r", "a", 1), ToolError("no")), 101.0)
    scheduler.handle(Succeeded(Key("r", "a", 0), Output(0)), 102.0)
    items = written_and_read(record_of(run, 102.0)).tasks["a"].items
    assert items is not None
    assert items.statuses == (Status.SUCCESS, Status.FAILED, Status.RUNNING)
    assert [(index, error.code) for index, error in items.errors] == [(1, "tool_error")]
    assert items.settled == 2


def test_the_shares_of_pauses_that_were_drawn_are_written_down() -> None:
    drawn = iter((0.25, 0.75))
    plan = check(
        read_dag({"tasks": [{"id": "a", "tool": "s:do", "retries": 2}]}), CATALOG, Policy()
    )
    run, scheduler = Run("r", plan, jitter=lambda: next(drawn)), Scheduler(Limits())
    scheduler.submit(run, 0.0)
    for at in (1.0, 3.0):
        scheduler.handle(Failed(Key("r", "a"), CallTimeout("late")), at)
        scheduler.handle(Woke(Key("r", "a")), at + 1)
    assert record_of(run, 4.0).jitters == (0.25, 0.75)


def test_a_digest_is_over_the_definitions_of_the_tools_that_are_called() -> None:
    def digest(*tools: Tool) -> str:
        catalog = Catalog(tools, [ServerInfo("s", ServerState.READY)])
        return record_of(begun({"id": "a"}, {"id": "b"}, catalog=catalog)[0], 100.0).digest

    one, other = tool("s:do", readOnlyHint=True), tool("s:do", {"path": {"type": "string"}})
    assert digest(one) == digest(tool("s:do", readOnlyHint=True), tool("s:other"))
    assert digest(one) != digest(other)


def test_what_had_settled_is_taken_from_the_earlier_record() -> None:
    run, scheduler = begun({"id": "a"}, {"id": "b"})
    scheduler.handle(Succeeded(Key("r", "a"), Output("A")), 101.0)
    earlier = record_of(run, 101.0)
    scheduler.handle(Succeeded(Key("r", "b"), Output("B")), 102.0)
    later = record_of(run, 102.0, earlier)
    assert later == record_of(run, 102.0)
    assert later.tasks["a"] is earlier.tasks["a"]


def test_every_member_of_a_task_is_written_down() -> None:
    run, _ = begun({"id": "a"})
    record = record_of(run, 101.0)
    error = Failure("tool_error", "it failed", "Mend it.", True, -1, "b", 2.0)
    full = TaskRecord(
        "a", "s:do", 1, ("b",), ("c",), 0.5, 1.5, 2.5, Status.FAILED, 2, True, 0.1, 0.2, 0.3, 0.4,
        3, (Wait("limit", "s", 0.05), Wait("conflict", "b", 0.1, "file:/x")), error,
        ItemsRecord((Status.SUCCESS, Status.FAILED), ((1, error),)), 7,
    )  # fmt: skip
    blank = TaskRecord("", "", 0)
    for field in fields(TaskRecord):
        assert getattr(full, field.name) != getattr(blank, field.name), "it is written by default"
    written = replace(record, tasks={"a": full, "b": TaskRecord("b", "s:do", 0)})
    assert written_and_read(written) == written
    by_pydantic = TypeAdapter(RunRecord).dump_python(
        written, mode="json", by_alias=True, exclude_defaults=True
    )
    assert written.document() == by_pydantic


def test_what_is_no_record_is_refused() -> None:
    documents: list[Json] = [None, {}, [1], {"id": "r"}]
    for document in documents:
        with pytest.raises(ValueError, match="validation error"):
            RunRecord.from_document(document)


def test_the_counts_of_tasks_in_groups_survive_being_written_down() -> None:
    inner = [{"id": "b", "tool": "s:do"}, {"id": "c", "tool": "s:do", "depends_on": ["b"]}]
    document = {"tasks": [{"id": "g", "for_each": [1, 2], "tasks": inner}]}
    run, scheduler = Run("r", check(read_dag(document), CATALOG, Policy())), Scheduler(Limits())
    scheduler.submit(run, 0.0)
    scheduler.handle(Failed(Key("r", "g.b", None, (1,)), ToolError("no")), 1.0)
    scheduler.handle(Succeeded(Key("r", "g.b", None, (0,)), Output("B")), 2.0)
    record = record_of(run, 3.0)
    assert RunRecord.from_document(loads(dumps(record.document()))) == record
    [b, c] = record.inner
    assert (b.place, b.passages, c.passages) == ("g[{}].b", {"": "sf"}, {"": "rk"})
    assert list(b.passed("fk")) == [((1,), "failed")]
    assert (b.count, c.count) == (2, 2)
    assert (b.statuses, b.attempts, b.busy_s) == ({"failed": 1, "success": 1}, 2, 3.0)
    assert [place for place, _ in b.errors] == ["g[1].b"]
    assert (c.statuses, c.groups) == ({"skipped": 1, "running": 1}, ("g",))
