"""A toy interpreter of drawn plans that follows where all data goes.

Each value has the tools that it came from in this one run, part by part, and each task those that
decided it. Chance decides which conditions hold, which calls fail and which members outputs have.

A *blunt* world runs every task, and takes from each value all that is documented to count
(docs/flows.md): what a default stands for although it is not taken, the whole of a value, all of a
group. What is refused and does not flow there either is refused without a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from .drawn import Drawn, Item, Ref, Test, Text

Tools: TypeAlias = frozenset[str]
NONE: Tools = frozenset()


@dataclass(slots=True)
class Value:
    """A text, an object, a list or null; `own` are the tools of its form, and of a text."""

    data: Any
    own: Tools = NONE

    def tools(self) -> Tools:
        match self.data:
            case dict():
                return self.own.union(*(part.tools() for part in self.data.values()))
            case list():
                return self.own.union(*(part.tools() for part in self.data))
        return self.own


@dataclass(slots=True)
class End:
    """How a task ended."""

    status: str
    output: Value | None
    decided: Tools
    """The tools that decided that it ended so, as far as that counts for those that wait."""
    all: Tools
    """All tools that had a part in it."""


class Absent(Exception):
    """A path leads nowhere, which these tools decided."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self.tools = tools


Scope: TypeAlias = Mapping[str, End]
Items: TypeAlias = Mapping[str | None, Value]


@dataclass
class World:
    """One run."""

    seed: int
    is_blunt: bool = False
    files: dict[str, Tools] = field(default_factory=dict)
    sent: list[tuple[str, str, Tools]] = field(default_factory=list)
    """The calls: the task (as a whole id, without items), its tool, and the tools whose data it was
    given."""

    def happens(self, name: str, chance: float, *, blunt: bool) -> bool:
        """Whether *name* happens in this run; in a blunt one as said."""
        return blunt if self.is_blunt else Random(f"{self.seed}/{name}").random() < chance

    def run(
        self, tasks: Iterable[Drawn], around: Scope, items: Items, by: Tools, place: str
    ) -> dict[str, End]:
        """Run *tasks* in some order in which each follows what it waits for. *by* has decided that
        they run."""
        left = list(tasks)
        own = {task.id for task in left}
        ends = {id: end for id, end in around.items() if id not in own}
        while left:
            ready = [t for t in left if not any(id in own for id in waited_for(t) - ends.keys())]
            task = ready[Random(f"{self.seed}{place}{len(left)}").randrange(len(ready))]
            left.remove(task)
            ends[task.id] = self.task(task, own, ends, items, by, place)
        return ends

    def task(
        self, task: Drawn, own: set[str], ends: Scope, items: Items, by: Tools, place: str
    ) -> End:
        name = f"{place}{task.id}"
        rule = task.trigger_rule or "all_success"
        needs = [ends[id] for id in waited_for(task) & own]
        hard = [ends[id] for id in needed_by(task) & own]
        match rule:
            case "all_success":
                by = by.union(*(end.decided for end in hard))
            case "one_failed" | "one_success" | "none_failed":
                by = by.union(*(end.decided | end.all for end in needs))
        runs = {
            "all_success": all(end.status == "success" for end in hard),
            "one_failed": any(end.status == "failed" for end in needs),
            "one_success": any(end.status == "success" for end in needs),
            "none_failed": all(end.status != "failed" for end in needs),
        }
        if not runs.get(rule, True) and not self.is_blunt:
            return End("skipped", None, by, by)
        if task.when is not None:
            by |= self.read(task, task.when, None, ends, items)
            if not self.happens(f"{name} when", 0.6, blunt=True):
                return End("skipped", None, by, by)
        if task.for_each is None:
            return self.once(task, ends, items, by, name)
        try:
            listed = self.value(task.for_each, ends, items)
        except Absent as absent:
            return End("failed", None, by, by | absent.tools)
        by |= listed.own
        passed = listed.data if isinstance(listed.data, list) else []
        each = [
            self.once(task, ends, {**items, None: item, task.id: item}, by, f"{name}[{at}]")
            for at, item in enumerate(passed)
        ]
        lost = [end.status == "failed" for end in each]
        failed = any(lost) and not (task.skips and not all(lost))
        output = Value([end.output or Value(None, end.decided | end.all) for end in each], by)
        decided = by.union(*(end.decided for end in each))
        return End(
            "failed" if failed else "success",
            None if failed else output,
            decided,
            decided.union(output.tools(), *(end.all for end in each)),
        )

    def once(self, task: Drawn, ends: Scope, items: Items, by: Tools, name: str) -> End:
        if task.tasks:
            return self.group(task, ends, items, by, name)
        decided, given = by, by
        try:
            if task.tool is None:
                output = self.value(task.value, ends, items)
            else:
                arguments = self.value(task.arguments, ends, items)
                given = by | arguments.tools()
                output = self.call(task, given, name)
                if self.happens(f"{name} fails", 0.15, blunt=False):
                    return End("failed", None, decided, given | output.tools())
                output, decided = self.again(task, ends, items, arguments, output, by, name)
        except Absent as absent:
            return End("failed", None, decided, given | absent.tools)
        if task.select is not None:
            refs = self.read(task, task.select, None, ends, items)
            if self.happens(f"{name} select", 0.1, blunt=False):
                return End("failed", None, decided, given | output.tools() | refs)
            output = self.selected(task.select, output, refs)
        output = Value(output.data, output.own | by)
        return End("success", output, decided, given | decided | output.tools())

    def call(self, task: Drawn, given: Tools, name: str) -> Value:
        assert task.tool is not None
        self.sent.append((name, task.tool, given))
        tools = given | {task.tool}
        for key in (*task.reads, *task.writes):
            for other, held in self.files.items():
                if f"{key}/".startswith(f"{other}/") or f"{other}/".startswith(f"{key}/"):
                    tools |= held
        for key in task.writes:
            self.files[key] = self.files.get(key, NONE) | tools
        members = {"a": Value("a", tools), "c": Value([Value("0", tools)] * 2, tools)}
        if self.happens(f"{name} b", 0.6, blunt=True):
            is_null = self.happens(f"{name} null", 0.3, blunt=False)
            members["b"] = Value(None if is_null else "b", tools)
        return Value(members, tools)

    def again(
        self,
        task: Drawn,
        ends: Scope,
        items: Items,
        arguments: Value,
        output: Value,
        by: Tools,
        name: str,
    ) -> tuple[Value, Tools]:
        """Make the call again as its `repeat` says. Returns the output, and what decided how often
        it was made."""
        if task.set_by is None and task.until is None:
            return output, by
        outputs = [output]
        for number in range(3):
            if task.until is not None:
                by |= self.read(task, task.until, output, ends, items)
            given = by | arguments.tools()
            if task.set_by is not None:
                given |= self.read(task, task.set_by, output, ends, items)
                by = given
            if not self.happens(f"{name} again {number}", 0.5, blunt=True):
                break
            output = self.call(task, given, name)
            outputs.append(output)
        return (Value(outputs, by) if task.set_by else output), by

    def selected(self, select: Test, output: Value, refs: Tools) -> Value:
        if not select.picks or self.is_blunt:
            return Value("s", output.tools() | refs)
        found = output.data.get("a") if isinstance(output.data, dict) else None
        return found or Value(None, output.own)

    def group(self, task: Drawn, ends: Scope, items: Items, by: Tools, name: str) -> End:
        inner = self.run(task.tasks, ends, items, by, f"{name}.")
        own = [inner[one.id] for one in task.tasks]
        decided = by.union(*(end.decided for end in own))
        everything = decided.union(*(end.all for end in own))
        try:
            if task.value is not None:
                output = self.value(task.value, inner, items)
            else:
                named = set().union(*(waited_for(one) for one in task.tasks))
                output = Value(
                    {
                        one.id: inner[one.id].output
                        or Value(None, inner[one.id].decided | inner[one.id].all)
                        for one in task.tasks
                        if one.id not in named
                    }
                )
        except Absent as absent:
            return End("failed", None, decided, everything | absent.tools)
        own_tools = output.own | by
        if task.select is not None:
            refs = self.read(task, task.select, None, ends, items)
            output, own_tools = Value("s"), output.tools() | own_tools | refs
        if self.is_blunt:
            own_tools |= decided
            if task.value is None or task.for_each is not None:
                own_tools |= everything
            for item in items.values():
                own_tools |= item.tools()
        return End("success", Value(output.data, own_tools), decided, everything | output.tools())

    # Values

    def value(self, value: Any, ends: Scope, items: Items) -> Value:
        match value:
            case Ref():
                return self.reference(value, ends)
            case Item():
                return items[value.of]
            case Text():
                parts = [self.value(part, ends, items).tools() for part in value.parts]
                found: Value = Value("t", NONE.union(*parts))
            case dict():
                found = Value({key: self.value(one, ends, items) for key, one in value.items()})
            case list():
                found = Value([self.value(one, ends, items) for one in value])
            case _:
                return Value(value)
        if self.is_blunt:  # the item of every loop around it counts
            found = Value(found.data, found.own.union(*(one.tools() for one in items.values())))
        return found

    def read(self, task: Drawn, test: Test, own: Value | None, ends: Scope, items: Items) -> Tools:
        """Return the tools of all that *test* of *task* is over: a path that leads nowhere is null
        there, and so is a task that failed."""
        tools = own.tools() if own is not None and test.has_own else NONE
        for ref in test.refs:
            if isinstance(ref, Item):
                tools |= items[ref.of].tools()
                if self.is_blunt:  # with those of all loops around it
                    tools = tools.union(*(item.tools() for item in items.values()))
                continue
            if self.is_blunt and task.trigger_rule:
                tools |= ends[ref.task].all
            try:
                tools |= self.reference(ref, ends).tools()
            except Absent as absent:
                tools |= absent.tools
        return tools

    def reference(self, ref: Ref, ends: Scope) -> Value:
        end = ends[ref.task]
        if ref.is_status:
            return Value(end.status, end.decided | end.all)
        try:
            if end.output is None:
                raise Absent(end.decided | end.all)
            found = step(end.output, ref.path)
            if self.is_blunt:
                own = end.all if ref.default is not None else end.output.tools()
                found = Value(found.data, own)
            if found.data is None and ref.default is not None:
                raise Absent(found.own)
        except Absent as absent:
            if ref.default is None:
                raise
            try:
                other = self.default(ref.default, ends)
            except Absent as inner:
                raise Absent(absent.tools | inner.tools) from None
            return Value(other.data, other.own | absent.tools)
        if self.is_blunt and ref.default is not None:
            return Value(found.data, found.own | self.default(ref.default, ends).tools())
        return found

    def default(self, default: Ref | str, ends: Scope) -> Value:
        return self.reference(default, ends) if isinstance(default, Ref) else Value(default)


def step(value: Value, path: tuple[str, ...]) -> Value:
    tools = value.own
    for name in path:
        inner = value.data.get(name) if isinstance(value.data, dict) else None
        if inner is None:
            raise Absent(tools)
        value = inner
        tools |= value.own
    return Value(value.data, tools)


def references(value: Any) -> list[Ref]:
    """Return all references in *value*, those that are defaults too."""
    match value:
        case Ref():
            return [value, *references(value.default)]
        case Text():
            return [ref for part in value.parts for ref in references(part)]
        case Test():
            return [ref for ref in value.refs if isinstance(ref, Ref)]
        case dict():
            return [ref for one in value.values() for ref in references(one)]
        case list():
            return [ref for one in value for ref in references(one)]
    return []


def guarded(value: Any) -> list[Ref]:
    """Return the references in *value* that a default guards."""
    match value:
        case Ref():
            inner = guarded(value.default) if isinstance(value.default, Ref) else []
            return [value, *inner] if value.default is not None else []
        case Text():
            return [ref for part in value.parts for ref in guarded(part)]
        case dict():
            return [ref for one in value.values() for ref in guarded(one)]
        case list():
            return [ref for one in value for ref in guarded(one)]
    return []


def parts_of(task: Drawn) -> list[Any]:
    tests = [task.when, task.select, task.set_by, task.until]
    return [task.arguments, task.value, task.for_each, *tests]


def waited_for(task: Drawn) -> set[str]:
    """Return the tasks that one waits for, those that the tasks in it name too."""
    found = {ref.task for part in parts_of(task) for ref in references(part)}
    found.update(task.depends_on)
    for one in task.tasks:
        found |= waited_for(one)
    return found - {one.id for one in task.tasks}


def needed_by(task: Drawn) -> set[str]:
    """Return the tasks that must succeed before it runs: all but those that are only guarded."""
    found = set(task.depends_on)
    for part in parts_of(task):
        safe = guarded(part)
        found |= {ref.task for ref in references(part) if ref not in safe}
    for one in task.tasks:
        found |= needed_by(one)
    return found - {one.id for one in task.tasks}
