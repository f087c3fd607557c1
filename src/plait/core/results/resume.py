"""Going on from an earlier run: what succeeded is taken over, what is new or mended runs."""

from __future__ import annotations

from dataclasses import replace

from ...errors import InvalidDag
from ..language.dag import Dag, Task
from ..planning.plan import PlannedTask
from ..scheduling.events import Status
from ..scheduling.run import Run
from ..tools.output import Output
from ..values.problems import Problem


def resume(dag: Dag, earlier: Run) -> tuple[Dag, dict[str, PlannedTask], dict[str, Output]]:
    """*dag* completed by the tasks of *earlier* that it does not send again: those that succeeded, with how they were
    planned and their outputs, and those that were never sent to a server and still can run.

    A task that was sent and failed runs again only if *dag* holds it. Raises `InvalidDag`.
    """
    if not earlier.is_done:
        hint = "Wait for it with get_run, or stop it with cancel_run."
        raise InvalidDag([Problem("resume_from", "unknown_run", f"{earlier.id} is still running.", hint)])
    sent_again = {task.id: task for task in dag.tasks}
    planned: dict[str, PlannedTask] = {}
    outputs: dict[str, Output] = {}
    gone: set[str] = set()
    tasks: list[Task] = []
    for layer in earlier.plan.layers:  # so that what a task needs is looked at before it
        for id in layer:
            state, plan = earlier.states[id], earlier.plan.tasks[id]
            if id in sent_again:
                continue
            if state.status is Status.SUCCESS and state.output is not None:
                drew_on = plan.needs or plan.drew_on
                planned[id] = replace(plan, needs=(), requires=frozenset(), drew_on=drew_on)
                outputs[id] = state.output
            elif state.attempts or gone.intersection(plan.needs):
                gone.add(id)
    for task in earlier.plan.dag.tasks:
        if task.id in sent_again:
            tasks.append(sent_again[task.id])
        elif task.id not in gone:
            tasks.append(task)
    known = {task.id for task in tasks}
    tasks += [task for task in dag.tasks if task.id not in known]
    if not tasks:
        raise InvalidDag([Problem("tasks", "limit_exceeded", "There is no task left to run.", "Send at least one.")])
    return dag.model_copy(update={"tasks": tuple(tasks)}), planned, outputs
