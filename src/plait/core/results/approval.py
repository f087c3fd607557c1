"""The question that a person is asked before calls are sent: these, with their values, and those
that come after.

It is made once, as data, and drawn in each place where a person may answer: as an elicitation, in a
terminal. A yes is bound to its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, cast

from ..planning.plan import Plan, PlannedTask
from ..scheduling.events import Ask, HeldCall, Key
from ..scheduling.holding import needs_yes
from ..scheduling.run import Run
from ..tools.catalog import Tool, digest_of
from ..tools.overwriting import Reading
from ..tools.rules import Answer
from ..values.strict import Json, JsonObject, present
from .difference import Difference

if TYPE_CHECKING:
    from .record import RunRecord


APPLY = "plait apply"


class Comparison(NamedTuple):
    """The change that a call would make in what it overwrites, and how that was read."""

    difference: Difference
    reading: Reading | None
    """None in a question of another process, which says only the difference."""


class AskedCall(NamedTuple):
    """A call that is asked for, as it will be sent."""

    key: Key
    place: str
    """The task, with the items that the call is for (`close[3].comment`)."""
    tool: Tool
    arguments: JsonObject
    why: str
    is_single: bool
    """Whether it needs a yes of its own."""
    round: int = 0
    """As in `CallId`."""
    compared: Comparison | None = None
    """The change that it would make; None if that is not known."""

    @property
    def difference(self) -> Difference | None:
        return None if self.compared is None else self.compared.difference

    def document(self) -> JsonObject:
        difference = self.difference
        return {
            "task": self.place,
            "tool": self.tool.full_name,
            "arguments": self.arguments,
            "why": self.why,
            **present(by_itself=self.is_single or None),
            **present(difference=None if difference is None else difference.document()),
            **_traits(self.tool),
        }


class LaterTask(NamedTuple):
    """A task whose calls are not known yet, and are asked for once they are."""

    task: str
    tool: Tool
    arguments: Json
    """As they are written in the document, with references."""
    why: str
    may_be_covered: bool
    """Whether a yes to the calls before it may be one to its calls too: not where each needs a yes
    of its own, or the number of them is not known."""

    def document(self) -> JsonObject:
        return {
            "task": self.task,
            "tool": self.tool.full_name,
            "arguments": self.arguments,
            "why": self.why,
            **_traits(self.tool),
        }


@dataclass(frozen=True, slots=True)
class Approval:
    """One question about the calls of a run."""

    run_id: str
    name: str | None
    """The name of the DAG."""
    question: Key
    calls: tuple[AskedCall, ...]
    """In document order."""
    later: tuple[LaterTask, ...]
    reads: int
    """The number of tasks that only read and come after these calls."""
    done: int
    """The number of tasks that have succeeded so far."""
    changed: int
    """The number of tasks whose calls may have changed something so far."""
    conflicts: tuple[JsonObject, ...]
    """The calls among these that cannot run at the same time, as in a dry run."""
    is_preview: bool
    """Whether it is shown because a preview was asked for: it goes on when it is applied."""
    digest: str
    """The digest of all that a yes is about."""

    def document(self) -> JsonObject:
        """Return it as part of an answer. Nothing in it gives a yes."""
        return {
            "calls": [call.document() for call in self.calls],
            "later": [task.document() for task in self.later],
            "reads": self.reads,
            "conflicts": list(self.conflicts),
            "digest": self.digest,
            "how": self.how,
        }

    @classmethod
    def from_document(cls, record: RunRecord, question: JsonObject, changed: int) -> Approval:
        """Read the *question* of a run of another process, as far as a document says it: whether a
        task that comes later may be covered is unknown. *changed* is as the attribute."""
        calls = [
            AskedCall(
                Key(record.id, str(call["task"])),
                str(call["task"]),
                _named_tool(call),
                cast("JsonObject", call["arguments"]),
                str(call["why"]),
                call.get("by_itself") is True,
                compared=None if difference is None else Comparison(difference, None),
            )
            for call in cast("list[JsonObject]", question["calls"])
            for difference in [Difference.read(call.get("difference"))]
        ]
        later = [
            LaterTask(
                str(task["task"]),
                _named_tool(task),
                task["arguments"],
                str(task["why"]),
                may_be_covered=False,
            )
            for task in cast("list[JsonObject]", question["later"])
        ]
        return cls(
            record.id,
            record.dag.name,
            Key(record.id, ""),
            tuple(calls),
            tuple(later),
            cast("int", question["reads"]),
            sum(task.is_well for task in record.tasks.values()),
            changed,
            tuple(cast("list[JsonObject]", question["conflicts"])),
            APPLY in str(question["how"]),
            str(question["digest"]),
        )

    def compared(self, found: Mapping[Key, Comparison]) -> Approval:
        """Return it with the comparisons *found*, by call."""
        calls = [call._replace(compared=found.get(call.key)) for call in self.calls]
        return replace(self, calls=tuple(calls))

    @property
    def how(self) -> str:
        if self.is_preview:
            return (
                f'It goes on as shown with {{"tasks": [], "apply": "{self.run_id}"}}, or in a '
                f"terminal: {APPLY} {self.run_id}"
            )
        return (
            "A person says yes in your client, if it asks one while get_run waits, or in a "
            f"terminal: plait approve {self.run_id}"
        )


def approval_of(run: Run, ask: Ask, nonce: str) -> Approval:
    """Make the question *ask* of *run*. *nonce* is random, so that a yes is good for it alone."""
    calls = tuple([_asked(run, call) for call in ask.calls])
    asked = {call.key.task for call in calls}
    later = tuple(_later(run, asked, is_preview=ask.is_preview))
    others = {task.task for task in later} | asked
    reads = [
        task
        for task in run.plan.all_tasks()
        if task.makes_calls and task.id not in others and not _has_ended(run, task)
    ]
    return Approval(
        run.id,
        run.plan.dag.name,
        ask.key,
        calls,
        later,
        len(reads),
        sum(state.status.is_final and state.is_well for state in run.states.values()),
        sum(_may_have_changed(run, task) for task in run.plan.all_tasks()),
        tuple(
            conflict.document()
            for conflict in run.conflicts.found
            if conflict.id in asked and conflict.waits_for in others
        ),
        ask.is_preview,
        _digest(run, calls, later, nonce),
    )


def place_of(run: Run, key: Key) -> str:
    """Return the task of a call, with the items that the call is for (`close[3].comment`)."""
    if (tally := run.tallies.get(key.task)) is not None:
        return tally.outline.place(key)
    return key.task if key.item is None else f"{key.task}[{key.item}]"


def _asked(run: Run, call: HeldCall) -> AskedCall:
    place = place_of(run, call.key)
    is_single = call.decision.answer is Answer.ASK_EACH
    why = call.decision.why
    return AskedCall(call.key, place, call.tool, call.arguments, why, is_single, call.round)


def _later(run: Run, asked: set[str], *, is_preview: bool) -> Iterator[LaterTask]:
    for task in run.plan.all_tasks():
        if task.id in asked or _has_ended(run, task):
            continue
        if task.makes_calls and needs_yes(task, is_preview=is_preview):
            decision = task.policy.decision
            around = [task, run.plan.tasks[_outermost(run.plan, task)]]
            is_counted = not any(isinstance(one.task.for_each, str) for one in around)
            may_be_covered = is_counted and decision.answer is Answer.ASK
            yield LaterTask(task.id, task.tool, task.task.arguments, decision.why, may_be_covered)


def _may_have_changed(run: Run, task: PlannedTask) -> bool:
    if not task.makes_calls or task.tool.is_read_only:
        return False
    state, tally = run.states.get(task.id), run.tallies.get(task.id)
    return bool((state is not None and state.attempts) or (tally is not None and tally.attempts))


def how_left(run_id: str) -> str:
    """Say how a person answers the question of a run whose gateway has ended."""
    return (
        f'It goes on with {{"tasks": [], "resume_from": "{run_id}"}}, so that your client can ask '
        f"a person, or in a terminal: plait approve {run_id}"
    )


def _has_ended(run: Run, task: PlannedTask) -> bool:
    root = run.states.get(task.id) or run.states.get(_outermost(run.plan, task))
    return root is not None and root.status.is_final


def _outermost(plan: Plan, task: PlannedTask) -> str:
    return next((id for id in plan.tasks if task.id.startswith(f"{id}.")), task.id)


def _digest(
    run: Run, calls: tuple[AskedCall, ...], later: tuple[LaterTask, ...], nonce: str
) -> str:
    used = [*[call.tool for call in calls], *[task.tool for task in later]]
    tools = {tool.full_name: tool for tool in used}
    whole: Json = {
        "run": run.id,
        "principal": str(run.principal),
        "nonce": nonce,
        "desk": run.desk,
        "tools": {name: [tool.server_key, digest_of([tool])] for name, tool in tools.items()},
        "calls": [[call.place, call.tool.full_name, call.arguments] for call in calls],
        "later": [[task.task, task.tool.full_name, task.arguments] for task in later],
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _traits(tool: Tool) -> JsonObject:
    traits = tool.traits
    return present(
        read_only=traits.read_only or None,
        destructive=traits.destructive or None,
        open_world=traits.open_world or None,
    )


def _named_tool(call: JsonObject) -> Tool:
    """Return the tool of a call in the document of a question, with what that says of it."""
    server, _, name = str(call["tool"]).partition(":")
    hints: JsonObject = present(
        readOnlyHint=call.get("read_only"),
        destructiveHint=call.get("destructive"),
        openWorldHint=call.get("open_world"),
    )
    return Tool(server, name, {"annotations": hints})
