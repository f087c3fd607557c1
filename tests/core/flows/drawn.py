"""Drawn plans over made-up tools: as a document, and as a tree that `interpreter.py` runs.

The tree is all that the interpreter knows. It borrows nothing from the code that reads documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

CALLS = ("files:read", "mail:read", "web:get", "web:post", "chat:post", "db:query")
KEYS = ("file:/x", "file:/x/y", "file:/z", "db:t")
RULES = ("all_done", "always", "one_failed", "one_success", "none_failed")


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to the output, or the status, of a task; `default` may be another, or a text."""

    task: str
    path: tuple[str, ...] = ()
    default: Ref | str | None = None
    is_status: bool = False

    def inside(self) -> str:
        """Return it as it stands in braces."""
        own = ("STATUS" if self.is_status else "OUTPUT") + f"[{self.task}]"
        own += "".join(f".{step}" for step in self.path)
        match self.default:
            case Ref() as other:
                return f"{own} ?? {other.inside()}"
            case str() as text:
                return f'{own} ?? "{text}"'
        return own


@dataclass(frozen=True, slots=True)
class Item:
    """`$ITEM`, or that of the group `of`."""

    of: str | None = None

    def inside(self) -> str:
        return "ITEM" + (f"[{self.of}]" if self.of else "")


@dataclass(frozen=True, slots=True)
class Text:
    """A text with references in it."""

    parts: tuple[Ref | Item, ...]


@dataclass(frozen=True, slots=True)
class Test:
    """An expression over the value at hand (if `has_own`) and references."""

    __test__ = False
    refs: tuple[Ref | Item, ...]
    has_own: bool = False
    picks: bool = False
    """Whether it takes a member of the value, `a`, and nothing else."""

    def text(self, *, is_question: bool) -> str:
        if self.picks:
            return "a"
        parts = [f"${ref.inside()}" for ref in self.refs]
        listed = ", ".join(["@", *parts] if self.has_own else parts)
        return f"contains(to_string([{listed}]), 'q')" if is_question else f"[{listed}]"


@dataclass(slots=True)
class Drawn:
    """A task."""

    id: str
    tool: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    """Of a value, or of a group."""
    tasks: list[Drawn] = field(default_factory=list)
    depends_on: tuple[str, ...] = ()
    for_each: Ref | list[Any] | None = None
    when: Test | None = None
    trigger_rule: str | None = None
    select: Test | None = None
    set_by: Test | None = None
    """The expression of the argument that a `repeat` changes."""
    until: Test | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    skips: bool = False
    """Whether it succeeds although items of it failed."""

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {"id": self.id}
        if self.tasks:
            found["tasks"] = [task.document() for task in self.tasks]
        if self.tool:
            found |= {"tool": self.tool, "arguments": written(self.arguments), "allow_repeat": True}
        if self.value is not None:
            found["value"] = written(self.value)
        if self.for_each is not None:
            found["for_each"] = written(self.for_each)
        if self.skips:
            found["on_item_failure"] = "skip"
        for name in ("depends_on", "reads", "writes"):
            if named := getattr(self, name):
                found[name] = list(named)
        if self.when:
            found["when"] = self.when.text(is_question=True)
        if self.select:
            found["select"] = self.select.text(is_question=False)
        if self.trigger_rule:
            found["trigger_rule"] = self.trigger_rule
        if self.set_by:
            found["repeat"] = {"set": {"page": self.set_by.text(is_question=False)}}
        if self.until:
            found["repeat"] = {"until": self.until.text(is_question=True)}
        return found


def written(value: Any) -> Any:
    """Return *value* as it stands in a document."""
    match value:
        case Ref() | Item():
            return f"${{{value.inside()}}}"
        case Text():
            return "".join(f"x ${{{part.inside()}}} " for part in value.parts)
        case dict():
            return {key: written(one) for key, one in value.items()}
        case list():
            return [written(one) for one in value]
    return value


class Draw:
    """Draws plans. One feature at a time is frequent: else few plans have two parts of it that
    meet."""

    def __init__(self, random: Random) -> None:
        self._random = random
        features = ("files", "repeat", "groups", "defaults", "rules", "none")
        self._frequent = random.choice(features)
        few = ("files:read", "db:query", "chat:post")
        self._tools: Sequence[str] = CALLS if random.randrange(2) else few
        self._paths: dict[str, list[tuple[str, ...]]] = {}
        """The paths that a reference to each task may have."""

    def plan(self) -> list[Drawn]:
        tasks: list[Drawn] = []
        for number in range(self._random.randrange(2, 9)):
            tasks.append(self._task(f"t{number}", [task.id for task in tasks], (), 2))
        if self._is_so(0.3):
            self._random.shuffle(tasks)
        return tasks

    def _is_so(self, chance: float, feature: str = "") -> bool:
        if feature and feature == self._frequent:
            chance = 0.5
        return self._random.randrange(1000) < chance * 1000

    def _ref(self, ids: list[str], *, is_plain: bool = False) -> Ref:
        task = self._random.choice(ids)
        if self._is_so(0.08):
            return Ref(task, is_status=True)
        path = self._random.choice(self._paths[task])
        if is_plain or not self._is_so(0.2, "defaults"):
            return Ref(task, path)
        return Ref(task, path, self._ref(ids) if self._is_so(0.4) else "none")

    def _one(self, ids: list[str], loops: tuple[str | None, ...]) -> Any:
        if loops and self._is_so(0.4):
            return Item(self._random.choice(loops))
        return self._ref(ids) if ids else "text"

    def _members(self, ids: list[str], loops: tuple[str | None, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in ("a", "b")[: self._random.randrange(3)]:
            one = self._one(ids, loops)
            is_text = self._is_so(0.25) and not isinstance(one, str)
            found[key] = Text((one, self._one(ids, loops))) if is_text and ids else one
        return found

    def _test(
        self, ids: list[str], loops: tuple[str | None, ...] = (), *, has_own: bool = False
    ) -> Test:
        few = self._random.randrange(0 if has_own else 1, 3) if ids else 0
        refs: list[Ref | Item] = [self._ref(ids, is_plain=True) for _ in range(few)]
        if loops and self._is_so(0.4):
            refs.append(Item(self._random.choice(loops)))
        return Test(tuple(refs), has_own)

    def _task(self, id: str, ids: list[str], loops: tuple[str | None, ...], depth: int) -> Drawn:
        task = Drawn(id)
        own = loops
        if self._is_so(0.15):
            lists = [each for each in ids if ("c",) in self._paths[each]]
            task.for_each = (
                Ref(self._random.choice(lists), ("c",))
                if lists and self._is_so(0.6)
                else ["x", self._one(ids, loops)]
            )
            own = (None, *(each for each in loops if each))
            task.skips = self._is_so(0.5)
        if ids and self._is_so(0.2):
            task.when = self._test(ids, tuple(each for each in loops if each))
        if ids and self._is_so(0.3):
            task.depends_on = (self._random.choice(ids),)
        if ids and self._is_so(0.12, "rules"):
            task.trigger_rule = self._random.choice(RULES)
        if depth and self._is_so(0.12, "groups"):
            self._fill_group(task, ids, own, depth)
        elif self._is_so(0.25):
            task.value = self._members(ids, own)
        else:
            self._fill_call(task, ids, own)
        if ids and self._is_so(0.15):
            task.select = self._test(ids, has_own=True)
        if task.tool and not task.select and self._is_so(0.1):
            task.select = Test((), picks=True)
        self._paths[id] = self._paths_of(task)
        return task

    def _fill_group(
        self, task: Drawn, ids: list[str], loops: tuple[str | None, ...], depth: int
    ) -> None:
        inside = loops if task.for_each is None else (None, task.id, *loops[1:])
        for number in range(self._random.randrange(1, 4)):
            names = [*ids, *(one.id for one in task.tasks)]
            task.tasks.append(self._task(f"{task.id}i{number}", names, inside, depth - 1))
        if self._is_so(0.5):
            task.value = self._members([one.id for one in task.tasks], ())

    def _fill_call(self, task: Drawn, ids: list[str], loops: tuple[str | None, ...]) -> None:
        task.tool = self._random.choice(self._tools)
        task.arguments = self._members(ids, loops)
        if self._is_so(0.06, "repeat"):
            test = self._test(ids, loops, has_own=True)
            task.set_by, task.until = (test, None) if self._is_so(0.5) else (None, test)
        if self._is_so(0.1, "files"):
            task.reads = (self._random.choice(KEYS),)
        if self._is_so(0.1, "files"):
            task.writes = (self._random.choice(KEYS),)

    def _paths_of(self, task: Drawn) -> list[tuple[str, ...]]:
        if task.select or task.for_each is not None or task.tasks or task.set_by:
            return [()]
        if task.tool:
            return [(), ("a",), ("a",), ("b",), ("c",)]
        return [(), *((key,) for key in task.value)]
