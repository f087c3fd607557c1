"""The progress of a run: its numbers, and the one line that clients show."""

from __future__ import annotations

from dataclasses import replace

from plait.core.results.progress import Progress, progress_of
from plait.core.results.record import ItemsRecord, RunRecord, RunStatus, TaskRecord, record_of
from plait.core.scheduling.events import Status

from ..tables import table
from .test_record import begun


def record(*tasks: TaskRecord, elapsed_s: float = 0.0, most_in_flight: int = 1) -> RunRecord:
    run, _ = begun({"id": "a"})
    return replace(
        record_of(run, 100.0),
        tasks={task.id: task for task in tasks},
        elapsed_s=elapsed_s,
        most_in_flight=most_in_flight,
    )


def task(id: str, status: Status = Status.PENDING, **known: object) -> TaskRecord:
    return replace(TaskRecord(id, "s:do", 0), status=status, **known)  # type: ignore[arg-type]  # fields


def test_settled_tasks_are_counted_and_running_and_failed_ones_named():
    found = progress_of(
        record(
            task("a", Status.SUCCESS),
            task("b", Status.FAILED),
            task("c", Status.TIMEOUT),
            task("d", Status.SKIPPED),
            task("e", Status.RUNNING),
            task("f", Status.BACKING_OFF),
            task("g"),
        ),
        "e: half",
    )
    assert (found.settled, found.total) == (4, 7)
    assert (found.running, found.failed) == (("e",), ("b", "c"))
    assert str(found) == "4/7 done; running e; failed b, c; e: half"


def test_a_task_with_items_shows_how_many_have_settled():
    items = ItemsRecord((Status.SUCCESS, Status.FAILED, Status.RUNNING, Status.PENDING))
    found = progress_of(record(task("a", Status.RUNNING, items=items)))
    assert found.running == ("a 2/4",)


@table(
    ("tasks", "elapsed_s", "most_in_flight", "left_s"),
    [
        ([task("a", expected_s=3, remaining_s=5), task("b", expected_s=2, remaining_s=2)], 0, 2, 5),
        ([task(f"t{n}", expected_s=3, remaining_s=3) for n in range(8)], 0, 2, 12),
        ([task("a", Status.RUNNING, expected_s=3, remaining_s=5, start_s=1)], 3, 1, 3),
        ([task("a", Status.RUNNING, expected_s=3, remaining_s=5, start_s=1)], 60, 1, 3),
        (
            [task("a", Status.SUCCESS, expected_s=3), task("b", expected_s=1, remaining_s=1)],
            9,
            1,
            1,
        ),
        ([task("a", expected_s=3, remaining_s=3), task("b")], 0, 1, None),
    ],
)
def test_the_time_left_is_the_longest_chain_or_the_work_at_the_pace_so_far(
    tasks: list[TaskRecord], elapsed_s: float, most_in_flight: int, left_s: float | None
):
    found = progress_of(record(*tasks, elapsed_s=elapsed_s, most_in_flight=most_in_flight))
    assert found.left_s == left_s


def test_a_run_that_has_ended_is_finished_and_has_no_time_left():
    ended = replace(record(task("a", Status.SUCCESS, expected_s=1)), status=RunStatus.SUCCESS)
    found = progress_of(ended)
    assert (found.finished, found.left_s) == (True, None)


@table(
    ("left_s", "line"), [(0.9, "1/2 done"), (1.4, "1/2 done; about 1 s left"), (None, "1/2 done")]
)
def test_the_line_names_only_times_worth_it(left_s: float | None, line: str):
    assert str(Progress("r", 1, 2, (), (), left_s=left_s)) == line


def test_the_line_names_at_most_five_tasks():
    many = tuple(f"t{n}" for n in range(9))
    assert str(Progress("r", 0, 9, many, ())) == "0/9 done; running t0, t1, t2, t3, t4 and 4 more"
