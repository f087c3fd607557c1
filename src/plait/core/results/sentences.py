"""A plan in sentences: what runs when, what it depends on, and what it changes.

They are made of the plan that runs, not of the document, so they say what was understood: defaults,
dependencies that references add, the rules of the operator. They are meant for somebody who is to
say yes to a DAG, and bounded: what is left out is counted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from ..language.references import Reference
from ..planning.plan import Plan, PlannedTask, Repeating
from ..scheduling.conflicts import Conflicts, written_by
from ..values.strict import Json, short

MAX_LINES = 60
MAX_TASKS = 12
"""Most tasks of one step that are described."""
MAX_NAMES = 6
MAX_ARGUMENTS = 4
MAX_VALUE_CHARS = 40
MAX_TEXT_CHARS = 80
"""Most characters of an expression."""
_RULES = {
    "one_success": "if {one} succeeded",
    "none_failed": "unless {one} failed",
    "all_done": "successful or not",
    "always": "successful or not, and also once the rest was stopped",
}
_OUTPUT = re.compile(r"\$?OUTPUT\[([\w.-]+)\]", re.ASCII)


def sentences(plan: Plan, conflicts: Conflicts, done: Collection[str] = ()) -> list[str]:
    """Describe *plan* in sentences, one a line; steps in groups are indented. The tasks that are
    *done* will not run again."""
    writes = {
        str(one["id"]): one.get("resources")
        for one in written_by(plan, conflicts, done)
        if isinstance(one, dict)
    }
    steps = list(_Walk(writes, done).steps(plan))
    if len(steps) > MAX_LINES:
        steps[MAX_LINES:] = [f"… {len(steps) - MAX_LINES:,} more lines"]
    return [*_first(plan, done), *steps, *_last(plan, conflicts, writes, done)]


def _first(plan: Plan, done: Collection[str]) -> Iterator[str]:
    tasks = [task for task in plan.all_tasks() if task.id not in done]
    kinds = (
        (sum(task.makes_calls for task in tasks), "calls a tool", "call tools"),
        (sum(task.is_value for task in tasks), "makes a value", "make values"),
        (sum(task.inner is not None for task in tasks), "is a group", "are groups"),
    )
    counts = [(count, _counted(count, one, several)) for count, one, several in kinds if count]
    number = _counted(len(tasks), "task", "tasks")
    if len(counts) > 1:
        yield f"{number}: {_some([text for _, text in counts])}."
    else:
        yield f"{number}{' that '.join(['', *[text.split(' ', 1)[1] for _, text in counts]])}."
    if done:
        yield f"Reused from the earlier run: {_some([*done])}."
    dag = plan.dag
    if dag.schedule == "layers":
        yield "A step starts when the whole step before it has ended."
    if dag.max_concurrency is not None:
        yield f"At most {_counted(dag.max_concurrency, 'call runs', 'calls run')} at once."
    if dag.timeout_s is not None:
        yield f"The run ends after {dag.timeout_s:g} s."
    if dag.fail_fast:
        yield "The first failure ends the run."


def _last(
    plan: Plan, conflicts: Conflicts, writes: Mapping[str, Json], done: Collection[str]
) -> Iterator[str]:
    for one in conflicts.found[:MAX_NAMES]:
        yield f"{one.id} waits for {one.waits_for}: both use {one.resource}."
    if (more := len(conflicts.found) - MAX_NAMES) > 0:
        yield f"{more:,} more tasks wait for others that use the same."
    if writes:
        verb = "changes" if len(writes) == 1 else "change"
        calls = sum(task.makes_calls for task in plan.all_tasks() if task.id not in done)
        rest = "; all else only reads" if calls > len(writes) else ""
        yield f"{_some([*writes])} {verb} something{rest}."
    else:
        yield "Nothing is changed: everything only reads."
    if plan.returned:
        output = "output" if len(plan.returned) == 1 else "outputs"
        yield f"The answer holds the {output} of {_some(plan.returned)}."


class _Walk:
    """One walk over a plan; *writes* are the resources of the tasks that change something."""

    def __init__(self, writes: Mapping[str, Json], done: Collection[str]) -> None:
        self._writes = writes
        self._done = done

    def steps(self, plan: Plan, indent: str = "") -> Iterator[str]:
        layers = [[id for id in layer if id not in self._done] for layer in plan.layers]
        for number, layer in enumerate(filter(None, layers), 1):
            mark = f"{indent}{number}. "
            if len(layer) == 1:
                yield from self._task(plan.tasks[layer[0]], mark, f"{indent}   ")
                continue
            yield f"{mark}At the same time:"
            for id in layer[:MAX_TASKS]:
                yield from self._task(plan.tasks[id], f"{indent}   - ", f"{indent}     ")
            if (more := len(layer) - MAX_TASKS) > 0:
                yield f"{indent}   - {more:,} more"

    def _task(self, planned: PlannedTask, mark: str, indent: str) -> Iterator[str]:
        parts = [*_conditions(planned), *_items(planned)]
        before = "".join([f"{part}, " for part in parts])
        if planned.inner is not None:
            yield f"{mark}{planned.task.id}: {before}do this:"
            yield from self.steps(planned.inner, indent)
            if planned.task.has_value:
                yield f"{indent}The output is {_value(planned).removeprefix('make ')}."
            return
        does = _value(planned) if planned.is_value else self._call(planned)
        after = "".join([f"; {part}" for part in _details(planned)])
        yield f"{mark}{planned.task.id}: {before}{does}{after}."

    def _call(self, planned: PlannedTask) -> str:
        changes = ""
        if planned.id in self._writes:
            resources = self._writes[planned.id]
            known = [str(key) for key in resources] if isinstance(resources, list) else []
            changes = f" (changes {_some(known) if known else 'something'})"
        return f"call {planned.tool.full_name}{_arguments(planned)}{changes}"


def _conditions(planned: PlannedTask) -> Iterator[str]:
    """Say when a task runs."""
    names = {whole: name for name, whole in (planned.seen or {}).items()}
    needs = [names.get(id, id) for id in planned.needs]
    if needs:
        has = "has" if len(needs) == 1 else "have"
        ended = f"once {_some(needs)} {has} ended"
        match planned.task.trigger_rule:
            case "all_success":
                must = [names.get(id, id) for id in planned.needs if id in planned.requires]
                may = [names.get(id, id) for id in planned.needs if id not in planned.requires]
                if must:
                    yield f"once {_some(must)} {'has' if len(must) == 1 else 'have'} succeeded"
                if may:
                    has = "has" if len(may) == 1 else "have"
                    yield f"once {_some(may)} {has} ended, successful or not"
            case "one_failed":
                yield f"only if {_some(needs, 'or')} failed"
            case rule:
                one = "it" if len(needs) == 1 else "one of them"
                yield f"{ended}, {_RULES.get(rule, 'in any case').format(one=one)}"
    if planned.when is not None:
        yield f"only if {_cut(planned.when.text)}"


def _items(planned: PlannedTask) -> Iterator[str]:
    if planned.items is None:
        return
    given = planned.task.for_each
    if isinstance(given, str):
        heads = [reference for _, reference in planned.items.heads]
        what = f"each element of {_spoken(heads[0]) if len(heads) == 1 else _cut(given)}"
    else:
        what = f"each of {_counted(len(given or ()), 'given element', 'given elements')}"
    most = planned.task.max_concurrency
    yield f"for {what}, {'in parallel' if most is None else f'at most {most:,} at once'}"
    if planned.task.on_item_failure == "skip":
        yield "leaving out those that fail"
    if planned.task.fail_fast:
        yield "each ended by its first failure"


def _value(planned: PlannedTask) -> str:
    sources = dict.fromkeys(
        _spoken(reference) for _, reference in planned.arguments.heads if not reference.is_item
    )
    return f"make a value of {_some([*sources])}" if sources else "make a value"


def _arguments(planned: PlannedTask) -> str:
    given = planned.task.arguments
    if not given:
        return ""
    if isinstance(given, str):  # one reference stands for all of them
        return f" with {', '.join([_spoken(one) for _, one in planned.arguments.heads])}"
    references = {
        place[0]: reference for place, reference in planned.arguments.heads if len(place) == 1
    }
    shown = [
        f"{name}: {_spoken(references[name])}"
        if name in references and isinstance(value, str) and value == references[name].text
        else f"{name}: {short(value, MAX_VALUE_CHARS)}"
        for name, value in list(given.items())[:MAX_ARGUMENTS]
    ]
    more = len(given) - len(shown)
    return f" with {', '.join([*shown, *([f'{more:,} more'] if more else [])])}"


def _details(planned: PlannedTask) -> Iterator[str]:
    """Say how a call is repeated and what is kept of its answer."""
    if planned.repeat is not None:
        yield _repeat(planned.repeat)
    if (retries := planned.task.retrying).max:
        why = f"ends with {_some(retries.on, 'or')}" if retries.on else "fails"
        yield f"tried up to {_counted(retries.max, 'more time', 'more times')} if it {why}"
    if planned.select is not None:
        yield f"keep {_cut(planned.select.text)}"


def _repeat(repeat: Repeating) -> str:
    most = f"at most {repeat.most:,} calls"
    goes_on = f" as long as {_cut(repeat.goes_on.text)}" if repeat.goes_on is not None else ""
    if repeat.is_paging:
        sets = ", ".join([f"{name} = {_cut(one.text)}" for name, one in repeat.set.items()])
        return f"page by page, with {sets}{goes_on} ({most})"
    until = f" until {_cut(repeat.until.text)}" if repeat.until is not None else ""
    return f"again every {repeat.pause_s:g} s{until}{goes_on} ({most})"


def _spoken(reference: Reference) -> str:
    """Write *reference* without its signs: `issues.items`."""
    text = reference.text
    inner = text[2:-1] if text.startswith("${") else text
    return _cut(_OUTPUT.sub(r"\1", inner))


def _some(names: Sequence[str], last: str = "and") -> str:
    """List *names* as in a sentence, the first of many."""
    shown = list(names[:MAX_NAMES])
    if (more := len(names) - len(shown)) > 0:
        shown.append(f"{more:,} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"
