"""A plain interpreter of documents with groups, values and pages, to judge the scheduler by: it
runs one task after the other, dependencies first, and knows no time.

It borrows nothing from the code that it judges. What it says of a run is what has to come out
whatever the order in which calls are answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_REFERENCE = re.compile(
    r"\$\{?(?:OUTPUT\[(?P<id>\w+)\]|(?P<item>ITEM|INDEX)(?:\[(?P<group>[a-z]\w*)\])?)"
    r'(?P<path>(?:\.\w+)*)(?: \?\? "(?P<default>\w*)")?\}?'
)
Answer = Callable[[str, int], Any]
"""Gives the output of the call at a place (`g[1].c`), the first of there or a later one; None if it
fails."""


class Lost(Exception):
    """A reference leads nowhere, or a call failed."""

    status = "failed"

    def __init__(self, pages: list[Any] | None = None) -> None:
        self.pages = pages
        """The pages before the one that failed."""


class Late(Lost):
    """What a call waited for did not come."""

    status = "timeout"


@dataclass
class Ended:
    """The end of one task."""

    status: str
    output: Any = None
    is_list: bool = False
    """Whether the output is that of items, which others may see although some failed."""
    is_untaken: bool = False
    """Whether a condition skipped it, its own or that of a task that it hangs on."""


@dataclass
class Level:
    """The tasks of a document, or those of one item of a group."""

    ended: dict[str, Ended] = field(default_factory=dict)
    items: dict[str, tuple[Any, int]] = field(default_factory=dict)
    """The items of the groups around it, by group; the innermost last."""
    around: Level | None = None

    def find(self, id: str) -> Ended:
        if id in self.ended:
            return self.ended[id]
        assert self.around is not None
        return self.around.find(id)


@dataclass
class Interpreter:
    """One run of a document."""

    answer: Answer
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The arguments of each call that is made, by place; those of later pages with their number
    (`a#1`)."""
    failed: set[str] = field(default_factory=set)
    """The places of the calls and values that failed."""

    def run(self, tasks: list[dict[str, Any]]) -> dict[str, Ended]:
        level = Level()
        self._level(tasks, level, "")
        return level.ended

    def _level(self, tasks: list[dict[str, Any]], level: Level, before: str) -> None:
        own = {task["id"]: task for task in tasks}
        left = list(tasks)
        while left:
            task = next(
                task
                for task in left
                if all(id in level.ended for id, _ in links(task) if id in own)
            )
            left.remove(task)
            level.ended[task["id"]] = self._task(task, level, f"{before}{task['id']}")

    def _task(self, task: dict[str, Any], level: Level, place: str) -> Ended:
        needs = [(level.find(id), guarded) for id, guarded in links(task)]
        missing = [ended for ended, guarded in needs if ended.status != "success" and not guarded]
        if task.get("trigger_rule", "all_success") == "all_success" and missing:
            return Ended("skipped", is_untaken=missing[0].is_untaken)
        if (when := task.get("when")) is not None:
            found = level.find(when.partition(".")[0]).output
            if not (isinstance(found, dict) and found.get("ok")):
                return Ended("skipped", is_untaken=True)
        try:
            if "for_each" not in task:
                output = self._once(task, level, place)
                return Ended("success", output)
            items = self._filled(task["for_each"], task, level, None)
            if not isinstance(items, list):
                raise Lost
        except Lost as lost_:
            self.failed.add(place)
            return Ended(lost_.status, lost_.pages)
        outputs = []
        lost = 0
        for index, item in enumerate(items):
            try:
                outputs.append(self._once(task, level, f"{place}[{index}]", (item, index)))
            except Lost:
                self.failed.add(f"{place}[{index}]")
                outputs.append(None)
                lost += 1
        may_lose = task.get("on_item_failure") == "skip"
        is_enough = lost == 0 or (may_lose and lost < len(items))
        return Ended("success" if is_enough else "failed", outputs, is_list=True)

    def _once(
        self, task: dict[str, Any], level: Level, place: str, own: tuple[Any, int] | None = None
    ) -> Any:
        if "tasks" in task:
            return self._group(task, level, place, own)
        if "value" in task:
            return self._filled(task["value"], task, level, own)
        arguments = self._filled(task["arguments"], task, level, own)
        return self._called(task, place, arguments)

    def _called(self, task: dict[str, Any], place: str, arguments: dict[str, Any]) -> Any:
        repeat = task.get("repeat", {})
        pages: list[Any] = []
        for number in range(repeat.get("max", 1)):
            self.calls[f"{place}#{number}" if number else place] = arguments
            output = self.answer(place, number)
            if output is None:
                raise Lost(_joined(pages) if pages else None)
            kept = output["items"] if "select" in task else output
            if "set" not in repeat:
                if not repeat or output["ok"]:
                    return kept
                continue
            pages.append(kept)
            if output["page"] in (None, arguments.get("page")):
                return _joined(pages)
            arguments = {**arguments, "page": output["page"]}
        if "set" in repeat:
            return _joined(pages)
        raise Late

    def _group(
        self, task: dict[str, Any], level: Level, place: str, own: tuple[Any, int] | None
    ) -> Any:
        inner = Level(items=dict(level.items), around=level)
        if own is not None:
            inner.items = {id: item for id, item in level.items.items() if id != task["id"]}
            inner.items[task["id"]] = own
        self._level(task["tasks"], inner, f"{place}.")
        ids = {one["id"] for one in task["tasks"]}
        of_value = [*references(task["value"])] if "value" in task else []
        by_value = {match["id"] for match in of_value if match["id"] in ids}
        named = {id for one in task["tasks"] for id, _ in links(one) if id in ids}
        needed = ids - named - by_value
        needed |= {m["id"] for m in of_value if m["id"] in ids and m["default"] is None}
        needed |= {
            id
            for one in task["tasks"]
            if one.get("trigger_rule", "all_success") == "all_success"
            for id, guarded in links(one)
            if id in ids and not guarded
        }
        if any(inner.ended[id].status in {"failed", "timeout"} for id in needed):
            raise Lost
        if "value" in task:
            return self._filled(task["value"], task, inner, own)
        leaves = [one["id"] for one in task["tasks"] if one["id"] not in named]
        outputs = {
            id: inner.ended[id].output if inner.ended[id].status == "success" else None
            for id in leaves
        }
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def _filled(
        self, value: Any, task: Mapping[str, Any], level: Level, own: tuple[Any, int] | None
    ) -> Any:
        if isinstance(value, dict):
            return {name: self._filled(part, task, level, own) for name, part in value.items()}
        if isinstance(value, list):
            return [self._filled(part, task, level, own) for part in value]
        if not isinstance(value, str) or (match := _REFERENCE.fullmatch(value)) is None:
            return value
        if match["item"]:
            item = level.items[match["group"]] if match["group"] else own
            found = (item or [*level.items.values()][-1])[match["item"] == "INDEX"]
        else:
            ended = level.find(match["id"])
            sees_failed = task.get("trigger_rule", "all_success") != "all_success"
            is_kept = ended.status == "failed" and ended.is_list and sees_failed
            if ended.status != "success" and not is_kept:
                return self._default(match)
            found = ended.output
        for name in match["path"].split(".")[1:]:
            if not isinstance(found, dict) or name not in found:
                return self._default(match)
            found = found[name]
        return self._default(match) if found is None and match["default"] is not None else found

    def _default(self, match: re.Match[str]) -> Any:
        if match["default"] is None:
            raise Lost
        return match["default"]


def _joined(pages: list[Any]) -> list[Any]:
    if all(isinstance(page, list) for page in pages):
        return [element for page in pages for element in page]
    return pages


def links(task: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The tasks of its own level, or around it, that *task* waits for; whether it can do without
    the success of each. Those of a group are those of its tasks, but for each other."""
    found: dict[str, bool] = dict.fromkeys(task.get("depends_on", ()), False)
    inner = {one["id"] for one in task.get("tasks", ())}
    values = [task.get("arguments"), task.get("for_each")]
    if "tasks" not in task:
        values.append(task.get("value"))
    pairs = [(m["id"], m["default"] is not None) for value in values for m in references(value)]
    pairs += [(m["id"], m["default"] is not None) for m in references(task.get("value"))]
    pairs += [pair for one in task.get("tasks", ()) for pair in links(one)]
    for id, guarded in pairs:
        if id not in inner:
            found[id] = found.get(id, True) and guarded
    if (when := task.get("when")) is not None:
        found.setdefault(when.partition(".")[0], False)
    decides_alone = task.get("trigger_rule") == "all_success"
    return [(id, guarded and not decides_alone) for id, guarded in found.items()]


def references(value: Any) -> Iterator[re.Match[str]]:
    """The references to tasks in *value*."""
    if isinstance(value, dict):
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)
    elif isinstance(value, str) and (match := _REFERENCE.fullmatch(value)) and match["id"]:
        yield match
