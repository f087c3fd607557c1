"""Answers within a number of characters.

*The idea.* A document that does not fit is cut member by member (`cutting.py`), each with its share
of the room. Each of the `outputs` is whole, small ones first, or a preview: more of what is cut
would take room from the rest and still not be the whole. `truncated` says of each preview what it
is of, and how to read on.

*The invariants.* The result is at most as long as the limit, a preview at most `PREVIEW` long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ..core.values.strict import Json, JsonObject, dumps
from .cutting import LEAST_SHOWN, cut, fair, least_rooms, size_within

EXACT = 2**20
"""Most bytes of a cut output whose length is given in characters; above, it is given in bytes."""
PREVIEW = 2_000
"""Most characters of compact JSON of an output that is cut."""
SHORT = 120
"""Characters of an output for which it is not asked what a preview of it would take."""
_SMALL = 60
_WEIGHTS = {"outputs": 4, "errors": 3, "tools": 4}


Outline: TypeAlias = Callable[[str, Json], JsonObject]
"""Says of the output of a task, which is cut, what it is of and how to read on."""


def _nothing(_: str, __: Json) -> JsonObject:
    return {}


def fit(
    document: JsonObject,
    limit: int,
    *,
    outline: Outline = _nothing,
    sizes: Mapping[str, int] | None = None,
    hint: str = "",
) -> JsonObject:
    """Return *document* in at most *limit* characters of compact JSON; itself, if it fits.

    `outputs` are cut one by one and listed in `truncated` with their length and *outline*. Entries
    left out of any member are counted in `omitted`; *hint* is added to the notes if outputs are.
    *sizes* are the outputs' sizes in bytes, where known.
    """
    if size_within(document, limit) <= limit:
        return document
    cutter = _Cutter(document, limit, outline, sizes or {}, hint)
    shown = cutter.cut()
    if size_within(shown, limit) <= limit:
        return shown
    brief: JsonObject = {name: document[name] for name in ("status", "run_id") if name in document}
    brief["omitted"] = {
        name: len(value) + cutter.missing.get(name, 0)
        for name, value in cutter.document.items()
        if isinstance(value, list | dict)
    }
    return brief


class _Cutter:
    """One document that does not fit."""

    def __init__(
        self,
        document: JsonObject,
        limit: int,
        outline: Outline,
        sizes: Mapping[str, int],
        hint: str,
    ) -> None:
        self.document = {name: part for name, part in document.items() if name != "omitted"}
        given = document.get("omitted")
        self.missing: dict[str, int] = {
            name: count
            for name, count in (given.items() if isinstance(given, dict) else ())
            if isinstance(count, int)
        }
        """The entries that are not even in the document."""
        self.outline = outline
        self.sizes = sizes
        self.hint = hint
        self.big = [
            name for name, value in self.document.items() if size_within(value, _SMALL) > _SMALL
        ]
        self.omitted: JsonObject = dict(self.missing)
        self.cut_outputs: list[Json] = []
        frame = {name: 0 if name in self.big else value for name, value in self.document.items()}
        account: JsonObject = {
            "omitted": dict.fromkeys(self.big, 10**9),
            "truncated": [],
            "notes": [hint],
        }
        self.room = limit - len(dumps(frame)) - len(dumps(account))
        """Characters for the big members, besides everything else and the account of the cuts."""

    def cut(self) -> JsonObject:
        others = [name for name in self.big if name != "outputs"]
        room = self.room
        if len(others) < len(self.big):  # the others get what outputs leave, and outputs the rest
            shown = self._outputs(self._shares(self.big, room)["outputs"])
            room -= size_within(shown, room) + sum(len(dumps(cut)) + 1 for cut in self.cut_outputs)
        shown = {
            name: self._member(name, share) for name, share in self._shares(others, room).items()
        }
        if len(others) < len(self.big):
            left = self.room - sum(size_within(value, self.room) for value in shown.values())
            shown["outputs"] = self._outputs(left)
        return self._assembled(shown)

    def _shares(self, names: list[str], room: int) -> dict[str, int]:
        needs = [size_within(self.document[name], room) for name in names]
        weights = [_WEIGHTS.get(name, 1) for name in names]
        return dict(zip(names, fair(needs, room, weights), strict=True))

    def _member(self, name: str, room: int) -> Json:
        match self.document[name]:
            case list(items):
                first = (_with_failures if name == "tasks" else _first)(items, room)
                self._count_omitted(name, len(items) - len(first))
                return first
            case dict(members):
                shown = cut(members, room)
                kept = shown if isinstance(shown, dict) else {}
                self._count_omitted(name, len(members.keys() - kept.keys()))
                return kept
            case value:
                return cut(value, room)

    def _count_omitted(self, name: str, count: int) -> None:
        if count:
            self.omitted[name] = count + self.missing.get(name, 0)

    def _outputs(self, room: int) -> JsonObject:
        outputs = self.document["outputs"]
        assert isinstance(outputs, dict)
        entries: dict[str, JsonObject] = {}

        def account(id: str) -> int:
            if id not in entries:
                entries[id] = {"id": id, "chars": 10**12, **self.outline(id, outputs[id])}
            return len(dumps(entries[id])) + 1

        rooms = previewed(outputs, room - len("{}") + len(","), account)
        self.omitted.pop("outputs", None)
        self._count_omitted("outputs", len(outputs) - len(rooms))
        self.cut_outputs = []
        shown: JsonObject = {}
        for id, own in rooms.items():
            value = outputs[id]
            if size_within(value, own) <= own:
                shown[id] = value
                continue
            shown[id] = cut(value, own - account(id))
            if isinstance(value, str):
                chars = len(value)
            else:
                size = self.sizes.get(id, 0)
                chars = size if size > EXACT else len(dumps(value))
            self.cut_outputs.append({**entries[id], "chars": chars})
        return shown

    def _assembled(self, shown: JsonObject) -> JsonObject:
        whole: JsonObject = {}
        for name, value in self.document.items():
            if name == "errors" and self.omitted:
                whole["omitted"] = self.omitted
            whole[name] = shown.get(name, value)
        if self.omitted:
            whole.setdefault("omitted", self.omitted)
        if self.cut_outputs:
            whole["truncated"] = self.cut_outputs
        if self.hint and "outputs" in self.omitted:
            notes = whole.get("notes")
            whole["notes"] = [self.hint, *(notes if isinstance(notes, list) else [])]
        return whole


def _first(items: list[Json], room: int) -> list[Json]:
    """Return the first *items* that fit. If none does, the first is cut, unless that would change
    its shape."""
    left = room - len("[]") + len(",")  # one comma less than there are items
    kept: list[Json] = []
    for item in items:
        left -= size_within(item, left) + len(",")
        if left < 0:
            break
        kept.append(item)
    if items and not kept:
        own = room - len("[]")
        shortened = cut(items[0], own)
        is_alike = type(shortened) is type(items[0])
        if isinstance(shortened, dict) and isinstance(items[0], dict):
            is_alike = shortened.keys() == items[0].keys()
        if is_alike and size_within(shortened, own) <= own:
            kept.append(shortened)
    return kept


def _with_failures(tasks: list[Json], room: int) -> list[Json]:
    """Return those of *tasks* that fit: the first that failed, then the first others, in their
    order."""
    failed = [
        index
        for index, task in enumerate(tasks)
        if isinstance(task, dict) and task.get("status") in {"failed", "timeout"}
    ]
    others = set(range(len(tasks))).difference(failed)
    order = [*failed, *sorted(others)]
    kept = dict(zip(order, _first([tasks[index] for index in order], room), strict=False))
    return [kept[index] for index in sorted(kept)]


def previewed(outputs: JsonObject, room: int, account: Callable[[str], int]) -> dict[str, int]:
    """Return the first *outputs* that fit in *room*, each with the room of its value: whole, or a
    preview of at most `PREVIEW` characters and the *account* of it. What is small is whole before
    what is large."""

    def least(name: str) -> int:
        is_short = size_within(outputs[name], SHORT) <= SHORT
        return SHORT if is_short else account(name) + LEAST_SHOWN

    rooms, sizes, room = least_rooms(outputs, room, least)
    shares = fair([size - rooms[name] for name, size in sizes.items()], room)
    cut_short = []
    for (name, size), share in zip(sizes.items(), shares, strict=True):
        if rooms[name] + share < size:
            cut_short.append(name)
        else:
            rooms[name] += share
            room -= share
    previews = fair([PREVIEW - LEAST_SHOWN] * len(cut_short), room)
    for name, share in zip(cut_short, previews, strict=True):
        rooms[name] += share
        room -= share
    if room:  # all previews are as long as they may be: some outputs may be whole instead
        found = {name: size_within(outputs[name], room + rooms[name]) for name in cut_short}
        for name in sorted(cut_short, key=found.__getitem__):
            if (more := found[name] - rooms[name]) <= room:
                rooms[name] += more
                room -= more
    return rooms
