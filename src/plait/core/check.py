"""A DAG held against the tools there are: every problem at once, or a plan. Nothing runs before this is through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ExpressionFailed, InvalidDag
from .catalog import Catalog, Tool
from .dag import Reading, Task
from .expressions import compile_expression
from .plan import Plan, PlannedTask, find_cycles, lay_out
from .policy import Policy, ToolPolicy
from .problems import MAX_GUESSES, Problem, did_you_mean
from .references import Template, compile_value
from .schema import Complaint, Place
from .strict import Json

MAX_ITEMS = 1_000


def check(
    reading: Reading,
    catalog: Catalog,
    policy: Policy,
    *,
    reused: Mapping[str, PlannedTask] | None = None,
    max_items: int = MAX_ITEMS,
) -> Plan:
    """Check the DAG in *reading* whole and lay it out. Raises `InvalidDag` with every problem, those of form first.

    The tasks in *reused* succeeded in an earlier run: they are taken as they were planned then.
    """
    dag = reading.dag
    checker = _Checker(reading, catalog, policy, max_items)
    tasks = {
        task.id: reused[task.id] if reused and task.id in reused else checker.plan_task(index, task, path)
        for index, (task, path) in enumerate(zip(dag.tasks, _paths(reading), strict=True))
    }
    checker.check_returns()
    if not any(problem.code == "duplicate_id" for problem in checker.problems):
        checker.check_cycles(tasks)
    if checker.problems:
        raise InvalidDag(checker.problems, checker.notes)
    return lay_out(dag, tasks, checker.notes)


class _Checker:
    """One pass over one DAG; collects problems and notes on the way."""

    def __init__(self, reading: Reading, catalog: Catalog, policy: Policy, max_items: int) -> None:
        self.dag = reading.dag
        self.catalog = catalog
        self.policy = policy
        self.max_items = max_items
        self.notes = list(reading.notes)
        self.problems = list(reading.problems)
        self.ids = dict.fromkeys(task.id for task in self.dag.tasks)
        self.malformed = reading.malformed
        self.unread = reading.unread
        self._policies: dict[str, ToolPolicy] = {}

    def plan_task(self, index: int, task: Task, path: str) -> PlannedTask:
        tool = self._tool(task, path)
        has_items = task.for_each is not None or self._is_unread(task, "for_each")
        arguments = self._template(task.arguments, f"{path}.arguments", task, items=has_items)
        items = self._items(task, path)
        if tool is not None:
            self._arguments(task, tool, arguments, path)
            self._policy(task, tool, path)
        links = self._links(task, arguments, items, path)
        tool = tool or Tool("", task.tool, listed=False)
        policy = self._policy_of(tool)
        return PlannedTask(
            index=index,
            task=task,
            tool=tool,
            arguments=arguments,
            needs=tuple(links),
            requires=frozenset(id for id, guarded in links.items() if not guarded),
            items=items,
            select=self._expression(task.select, f"{path}.select", task),
            when=self._condition(task, bool(links), path),
            timeout_s=task.timeout_s or policy.timeout_s,
            weight=task.weight or policy.weight,
            policy=policy,
            cache_s=self._cache_s(task, tool, policy, path),
        )

    def check_returns(self) -> None:
        if not self.ids:
            return  # why there is no task is said already
        for index, id in enumerate(self.dag.return_ or ()):
            if id not in self.ids and id not in self.malformed and id != "*":
                self._say(f"return[{index}]", "unknown_task", f'There is no task "{id[:80]}".', self._near(id))

    def check_cycles(self, tasks: Mapping[str, PlannedTask]) -> None:
        for cycle in find_cycles({id: task.needs for id, task in tasks.items()}):
            path = " -> ".join(cycle)
            hint = "Each waits for the one before it: remove one of these references or depends_on."
            self._say("tasks", "cycle", f"There is a cycle: {path}.", hint)

    def _say(self, path: str, code: str, message: str, hint: str | None = None, id: str | None = None) -> None:
        self.problems.append(Problem(path, code, message, hint, id))

    def _is_unread(self, task: Task, field: str) -> bool:
        return field in self.unread.get(task.id, ())

    @property
    def _may_guess(self) -> bool:
        return len(self.problems) < MAX_GUESSES

    def _near(self, id: str) -> str:
        near = did_you_mean(id, self.ids) if self._may_guess else None
        return near or f"Tasks: {', '.join(list(self.ids)[:20])}{', …' if len(self.ids) > 20 else ''}."

    def _tool(self, task: Task, path: str) -> Tool | None:
        tool = self.catalog.find(task.tool)
        if tool is None:
            self.problems.append(self.catalog.unknown(f"{path}.tool", task.tool, task.id, may_guess=self._may_guess))
            return None
        if tool.full_name != task.tool:
            self.notes.append(f'{path}: the tool "{task.tool}" was read as {tool.full_name}')
        return tool

    def _cache_s(self, task: Task, tool: Tool, policy: ToolPolicy, path: str) -> float:
        """How old an answer may be that is used again for *task*, in seconds; 0 for none."""
        if task.cache is None or task.cache is True:
            return policy.cache_ttl_s
        if task.cache and not (tool.is_read_only or policy.cache_ttl_s):
            self.notes.append(f"{path}.cache: {tool.full_name} is not known to read only, so each call is made")
            return 0.0
        return float(task.cache)

    def _policy_of(self, tool: Tool) -> ToolPolicy:
        if (policy := self._policies.get(tool.full_name)) is None:
            policy = self._policies[tool.full_name] = self.policy.of(tool)
        return policy

    def _template(self, value: Json, path: str, task: Task, *, items: bool) -> Template:
        template, bad = compile_value(value, items=items)
        for place, error in bad:
            self._say(path + _written(place), "invalid_reference", str(error), error.hint, task.id)
        return template

    def _items(self, task: Task, path: str) -> Template | None:
        if task.for_each is None:
            return None
        path = f"{path}.for_each"
        value = task.for_each.strip() if isinstance(task.for_each, str) else task.for_each
        before = len(self.problems)
        template = self._template(value, path, task, items=False)
        if isinstance(value, list):
            if len(value) > self.max_items:
                message = f"There are {len(value):,} items; at most {self.max_items:,} are run."
                self._say(path, "limit_exceeded", message, "Split the list.", task.id)
        elif len(self.problems) == before and [reference.text for reference in template.references] != [value]:
            hint = 'Write one reference and nothing else: "$OUTPUT[id].items".'
            self._say(path, "invalid_reference", "for_each takes a list, or one reference to a list.", hint, task.id)
        return template

    def _arguments(self, task: Task, tool: Tool, arguments: Template, path: str) -> None:
        if self._is_unread(task, "arguments"):
            return
        complaints = tool.input.complaints(task.arguments, unknown=arguments.unknown)
        for number, complaint in enumerate(complaints):
            hint = f"Signature: {tool.signature}" if number == 0 else None
            where, message = _argument(complaint)
            self._say(f"{path}.arguments{where}", "invalid_arguments", message, hint, task.id)

    def _policy(self, task: Task, tool: Tool, path: str) -> None:
        policy = self._policy_of(tool)
        if policy.denied_by is not None:
            message = f'{tool.full_name} is denied by the policy ("{policy.denied_by}").'
            self._say(f"{path}.tool", "policy_denied", message, "Do without it.", task.id)
        if task.retries and not task.allow_repeat and not policy.may_repeat:
            message = f"{tool.full_name} is not known to be safe to call twice, so it is not retried."
            hint = "Leave retries out, or set allow_repeat: true if a second call does no harm."
            self._say(f"{path}.retries", "not_repeatable", message, hint, task.id)

    def _links(self, task: Task, arguments: Template, items: Template | None, path: str) -> dict[str, bool]:
        """The tasks that this one waits for, and of each whether every link to it is guarded by a default."""
        links: dict[str, bool] = {}
        for place, id, guarded in _mentions(task, arguments, items, path):
            if id == task.id:
                self._say(
                    place,
                    "self_reference",
                    f'"{id}" refers to itself.',
                    "A task can only use the output of another.",
                    task.id,
                )
            elif id in self.malformed:
                continue  # what is wrong with it is said already
            elif id not in self.ids:
                self._say(place, "unknown_task", f'There is no task "{id[:80]}".', self._near(id), task.id)
            else:
                links[id] = links.get(id, True) and guarded
        return links

    def _expression(self, text: str | None, path: str, task: Task) -> Any:
        if text is None:
            return None
        try:
            return compile_expression(text)
        except ExpressionFailed as error:
            self._say(path, "invalid_expression", f"{error.message}.", error.hint, task.id)
            return None

    def _condition(self, task: Task, has_links: bool, path: str) -> Any:
        if task.when is not None and not has_links and not self._is_unread(task, "depends_on"):
            hint = "Name the tasks it reads in depends_on."
            message = "when reads the outputs of the tasks this one depends on, and there are none."
            self._say(f"{path}.when", "invalid_expression", message, hint, task.id)
        return self._expression(task.when, f"{path}.when", task)


def _paths(reading: Reading) -> Iterator[str]:
    """Where each task stands in the document that was sent."""
    left = {id: iter(places) for id, places in reading.places.items()}
    for index, task in enumerate(reading.dag.tasks):
        if reading.dag.resume_from is not None and task.id not in left:
            yield f"resume_from.{task.id}"  # a task of the earlier run, which was not sent again
            continue
        yield f"tasks[{next(left.get(task.id, iter(())), index)}]"


def _mentions(task: Task, arguments: Template, items: Template | None, path: str) -> Iterator[tuple[str, str, bool]]:
    """Where *task* names which other task, and whether a default guards it."""
    for index, id in enumerate(task.depends_on):
        yield f"{path}.depends_on[{index}]", id, False
    for field, template in (("arguments", arguments), ("for_each", items)):
        for place, reference in template.found if template else ():
            if not reference.is_item:
                yield f"{path}.{field}{_written(place)}", reference.task, reference.is_guarded


def _written(place: Place) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)


def _argument(complaint: Complaint) -> tuple[str, str]:
    where = _written(complaint.place)
    end = "" if complaint.message.endswith("?") else "."
    return where, f"{where.lstrip('.') or 'arguments'} {complaint.message}{end}"
