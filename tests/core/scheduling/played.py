"""A run that is played by hand."""

from __future__ import annotations

from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.result import TaskError
from plait.core.scheduling.events import Key
from plait.core.scheduling.run import Run
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from tests.core.scheduling.places import conflicts_in
from tests.fakes import tool

from ..runs import result_at

STRING = {"type": "string"}


CATALOG = Catalog(
    [
        tool("s:do", readOnlyHint=True),
        tool("s:typed", {"name": STRING}, ["name"]),
        tool("s:numbers", {f"n{number}": {"type": "integer"} for number in range(8)}),
    ],
    [ServerInfo("s", ServerState.READY)],
)


class Played:
    """A run whose calls are answered by hand, one second apart."""

    def __init__(self, *tasks: dict[str, Any], **options: Any) -> None:
        limits = {
            name: options.pop(name)
            for name in ("max_bytes", "max_calls", "max_items", "timeout_s")
            if name in options
        }
        tasks = tuple(map(_called, tasks))
        document = {"tasks": [*tasks], **options}
        plan = check(read_dag(document), CATALOG, Policy())
        self.run = Run("r", plan, conflicts=conflicts_in(plan), **limits)
        self.now = 0.0
        self.run.begin(self.now)

    @property
    def ready(self) -> list[str]:
        """The calls that could start, as `id` or `id[item]`."""
        return [self._name(unit.key) for unit in self.run.ready]

    def start(self) -> None:
        while self.run.ready:
            self.run.start(self.run.ready.pop(0), self.now)

    def answer(self, name: str, answer: Any = None) -> None:
        """Start what is ready, and answer the call *name*: with an output, or an error."""
        self.start()
        self.now += 1
        key = next(key for key in self.run.open if self._name(key) == name)
        if isinstance(answer, Exception):
            self.run.fail(key, answer, self.now)  # type: ignore[arg-type]  # the tests give CallErrors
        else:
            output = answer if isinstance(answer, Output) else Output(answer)
            self.run.succeed(key, output, self.now)

    @property
    def statuses(self) -> dict[str, str]:
        return {id: str(state.status) for id, state in self.run.states.items()}

    @property
    def codes(self) -> dict[str, str]:
        """Why tasks did not succeed."""
        return {
            id: state.error.code for id, state in self.run.states.items() if state.error is not None
        }

    @property
    def errors(self) -> list[TaskError]:
        return list(result_at(self.run, self.now).errors)

    def _name(self, key: Key) -> str:
        if (tally := self.run.tallies.get(key.task)) is not None:
            return tally.outline.place(key)
        return key.task if key.item is None else f"{key.task}[{key.item}]"


def _called(task: dict[str, Any]) -> dict[str, Any]:
    """*task*, with a tool if it is one that calls any."""
    if "tasks" in task:
        return {**task, "tasks": [*map(_called, task["tasks"])]}
    return task if "value" in task else {"tool": "s:do", **task}
