"""Resuming an earlier run: tasks that succeeded are taken over, new and fixed ones run."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import InvalidDag
from ..language.dag import Dag, Task
from ..planning.plan import TakenOver, in_order
from ..scheduling.events import Status
from ..tools.output import Output
from ..values.problems import Problem
from .record import RunRecord


def resume(
    dag: Dag, earlier: RunRecord, output: Callable[[str], Output | None]
) -> tuple[Dag, dict[str, TakenOver], dict[str, Output]]:
    """Complete *dag* with the tasks of *earlier* that it does not send again: the tasks that
    succeeded, with their outputs and what `check` needs, and the tasks that were never sent to a
    server and can still run. *output* gives the output of a task of *earlier*.

    A task that was sent and failed runs again only if *dag* holds it. Raises `InvalidDag`.
    """
    if not earlier.is_done:
        hint = "Wait for it with get_run, or stop it with cancel_run."
        raise InvalidDag(
            [Problem("resume_from", "unknown_run", f"{earlier.id} is still running.", hint)]
        )
    sent_again = {task.id: task for task in dag.tasks}
    taken_over: dict[str, TakenOver] = {}
    outputs: dict[str, Output] = {}
    gone: set[str] = set()
    for id in in_order({id: task.needs for id, task in earlier.tasks.items()}):
        task = earlier.tasks[id]
        if id in sent_again:
            continue
        if task.status is Status.SUCCESS and (found := output(id)) is not None:
            taken_over[id] = TakenOver(task.tool, task.needs or task.reused_inputs)
            outputs[id] = found
        elif task.attempts or gone.intersection(task.needs):
            gone.add(id)
    tasks: list[Task] = []
    for one in earlier.dag.tasks:
        if one.id in sent_again:
            tasks.append(sent_again[one.id])
        elif one.id not in gone:
            tasks.append(one)
    known = {task.id for task in tasks}
    tasks += [task for task in dag.tasks if task.id not in known]
    if not tasks:
        raise InvalidDag(
            [Problem("tasks", "limit_exceeded", "No task is left to run.", "Send at least one.")]
        )
    return dag.model_copy(update={"tasks": tuple(tasks)}), taken_over, outputs
