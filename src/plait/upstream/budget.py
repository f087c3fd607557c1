"""Answers within a number of characters.

*The idea.* A document that does not fit is cut so that it stays valid JSON and says what is
missing. Lists keep their first elements, objects their first members, long texts head and tail.
Room is shared fairly: what one part does not need goes to the others. Each of the `outputs` is
whole, small ones first, or a preview: more of what is cut would take room from the rest and still
not be the whole. `truncated` says of each preview what it is of, and how to read on.

*The invariants.* The result is at most as long as the limit, a preview at most `PREVIEW` long.
Nothing is measured further than it
could be shown, so the cost depends on the size of what is shown, not on the size of what is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from ..core.values.strict import Json, JsonObject, dumps

EXACT = 2**20
"""Most bytes of a cut output whose length is given in characters; above, it is given in bytes."""
PREVIEW = 2_000
"""Most characters of compact JSON of an output that is cut."""
LEAST_SHOWN = 24
"""Least characters of a value: with less room it is left out, and counted."""
_escaped = re.compile(r'[\x00-\x1f"\\]').search
"""Finds a character that JSON escapes."""

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
    cut = cutter.cut()
    if size_within(cut, limit) <= limit:
        return cut
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


def cut(value: Json, room: int) -> Json:
    """Return as much of *value* as fits in *room* characters of compact JSON; at least three
    characters."""
    if size_within(value, room) <= room:
        return value
    if isinstance(value, list):
        return _cut_list(value, room)
    if isinstance(value, dict):
        return _cut_object(value, room)
    return _cut_text(value if isinstance(value, str) else dumps(value), room)


def fair(needs: Sequence[int], room: int, weights: Sequence[int] | None = None) -> list[int]:
    """Share *room* by weight. No share is more than its need, and what one does not need goes to
    the others."""
    weights = weights or [1] * len(needs)
    shares = [0] * len(needs)
    left, weight = max(room, 0), sum(weights)
    for index in sorted(range(len(needs)), key=lambda index: needs[index] / weights[index]):
        shares[index] = min(needs[index], left * weights[index] // weight)
        left -= shares[index]
        weight -= weights[index]
    return shares


def size_within(value: Json, most: int) -> int:
    """Return the length of *value* as compact JSON; if it is longer than *most*, only some number
    above *most*."""
    if isinstance(value, str):
        is_known = len(value) > most or _escaped(value) is None
        return len(value) + 2 if is_known else len(dumps(value))
    if isinstance(value, dict):
        return _object_within(value, most)
    if isinstance(value, list):
        return _list_within(value, most)
    return len(dumps(value))


def _list_within(items: list[Json], most: int) -> int:
    size = 2 * len(items) + 1 if items else 2
    for item in items:
        if size > most:
            break
        size += size_within(item, most - size + 1) - 1
    return size


def _object_within(members: JsonObject, most: int) -> int:
    size = 5 * len(members) + 1 if members else 2
    for name, value in members.items():
        if size > most:
            break
        size += size_within(name, most) - 2
        size += size_within(value, most - size + 1) - 1
    return size


def shared(members: JsonObject, room: int) -> dict[str, int]:
    """Return the first *members* that fit in *room*, each with the room of its value."""
    rooms, sizes, room = _least_rooms(members, room, lambda name: LEAST_SHOWN)
    more = fair([size - rooms[name] for name, size in sizes.items()], room)
    return rooms | {name: rooms[name] + extra for name, extra in zip(sizes, more, strict=True)}


def previewed(outputs: JsonObject, room: int, account: Callable[[str], int]) -> dict[str, int]:
    """Return the first *outputs* that fit in *room*, each with the room of its value: whole, or a
    preview of at most `PREVIEW` characters and the *account* of it. What is small is whole before
    what is large."""

    def least(name: str) -> int:
        is_short = size_within(outputs[name], SHORT) <= SHORT
        return SHORT if is_short else account(name) + LEAST_SHOWN

    rooms, sizes, room = _least_rooms(outputs, room, least)
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


def _least_rooms(
    members: JsonObject, room: int, least: Callable[[str], int]
) -> tuple[dict[str, int], dict[str, int], int]:
    """Give each of the first *members* that fit in *room* its size, at most its *least*. Return
    that, the sizes of those that could use more, and the room that is left."""
    rooms: dict[str, int] = {}
    long: list[str] = []
    for name, value in members.items():
        enough = least(name)
        size = size_within(value, enough)
        frame = size_within(name, room) + len(":,")
        if frame + min(size, enough) > room:
            break
        room -= frame + min(size, enough)
        rooms[name] = min(size, enough)
        if size > enough:
            long.append(name)
    sizes = measured([members[name] for name in long], room + sum(rooms[name] for name in long))
    return rooms, dict(zip(long, sizes, strict=True)), room


def measured(values: Sequence[Json], room: int) -> list[int]:
    """Return the size of each of *values*; `room + 1` for those above a fair share of *room*."""
    sizes = [room + 1] * len(values)
    open_, left = list(range(len(values))), room
    while open_:
        share = left // len(open_)
        found = {index: size_within(values[index], share) for index in open_}
        small = [index for index in open_ if found[index] <= share]
        if not small:
            break
        for index in small:
            sizes[index] = found[index]
            left -= found[index]
        open_ = [index for index in open_ if found[index] > share]
    return sizes


def longest_prefix(text: str, fits: Callable[[str], bool]) -> str:
    """Return the longest beginning of *text* that *fits*; every beginning of it must fit too."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle]) else (low, middle - 1)
    return text[:low]


def _cut_list(items: list[Json], room: int) -> Json:
    left = room - 2 - len(f'"… {len(items):,} more of {len(items):,}",')
    kept: list[Json] = []
    for item in items:
        size = size_within(item, left) + 1
        if size > left:
            if not kept and left > LEAST_SHOWN:
                kept.append(cut(item, left - 1))
            break
        kept.append(item)
        left -= size
    return (
        [*kept, f"… {len(items) - len(kept):,} more of {len(items):,}"]
        if kept
        else _cut_text(f"… {len(items):,} items", room)
    )


def _cut_object(members: JsonObject, room: int) -> Json:
    left = room - 2 - _more_size(len(members)) - 4
    rooms = shared(members, left)
    if not rooms:
        return _cut_text(f"… {len(members):,} members", room)
    shown = {name: cut(members[name], own) for name, own in rooms.items()}
    return (
        shown
        if len(shown) == len(members)
        else {**shown, "…": f"{len(members) - len(shown):,} more"}
    )


def _cut_text(text: str, room: int) -> str:
    """Return head and tail of *text*, with its length between them."""
    if size_within(text, room) <= room:
        return text
    mark = f" … {len(text):,} characters in all … "
    keep = room - len(mark) - 2
    if keep < LEAST_SHOWN:
        return longest_prefix(text, lambda head: len(dumps(head)) <= room - 1) + "…"
    head = longest_prefix(text[:keep], lambda part: len(dumps(part)) - 2 <= keep * 2 // 3)
    keep -= len(dumps(head)) - 2
    tail = longest_prefix(text[: -keep - 1 : -1], lambda part: len(dumps(part[::-1])) - 2 <= keep)[
        ::-1
    ]
    return head + mark + tail


def _more_size(count: int) -> int:
    return len(f'"… {count:,} more",')
