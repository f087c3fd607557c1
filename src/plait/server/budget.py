"""Answers within a number of characters, cut so that they stay valid JSON and say what is missing.

Lists keep their first elements, objects their first members, long texts head and tail. Room is shared fairly: what
one part does not need goes to the others. Nothing is measured further than it could be shown, so that the cost
depends on the size of the answer and not on what was cut from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from ..core.strict import Json, JsonObject, dumps

LEAST_SHOWN = 24
"""An output that cannot have so many characters is left out, and counted."""
EXACT = 2**20
"""Up to so many bytes the length of a cut output is counted; above, its size in bytes is told."""
_SMALL = 60
_WEIGHTS = {"outputs": 4, "errors": 3, "tools": 4}


def fit(
    document: JsonObject,
    limit: int,
    *,
    uri: Callable[[str], str] = str,
    sizes: Mapping[str, int] | None = None,
    hint: str = "",
) -> JsonObject:
    """*document* in at most *limit* characters of compact JSON; itself, if it fits.

    `outputs` are cut one by one and listed in `truncated` with their length and *uri*; *hint* goes to the notes then.
    What is left out of other members is counted in `omitted`. *sizes* are the outputs' sizes in bytes, where known.
    """
    if size_within(document, limit) <= limit:
        return document
    cutter = _Cutter(document, limit, uri, sizes or {}, hint)
    cut = cutter.cut()
    if size_within(cut, limit) <= limit:
        return cut
    brief: JsonObject = {name: document[name] for name in ("status", "run_id") if name in document}
    brief["omitted"] = {name: len(value) for name, value in document.items() if isinstance(value, list | dict)}
    return brief


class _Cutter:
    """One document that does not fit."""

    def __init__(
        self, document: JsonObject, limit: int, uri: Callable[[str], str], sizes: Mapping[str, int], hint: str
    ) -> None:
        self.document = document
        self.uri = uri
        self.sizes = sizes
        self.hint = hint
        self.big = [name for name, value in document.items() if size_within(value, _SMALL) > _SMALL]
        self.omitted: JsonObject = {}
        self.cut_outputs: list[Json] = []
        self.room = limit - self._fixed()

    def cut(self) -> JsonObject:
        needs = measured([self.document[name] for name in self.big], self.room)
        shares = dict(zip(self.big, fair(needs, self.room, [_WEIGHTS.get(name, 1) for name in self.big]), strict=True))
        shown: JsonObject = {name: self._member(name, share) for name, share in shares.items() if name != "outputs"}
        left = self.room - sum(size_within(value, self.room) for value in shown.values())
        if "outputs" in shares:
            shown["outputs"] = self._outputs(left)
        return self._assembled(shown)

    def _fixed(self) -> int:
        """What everything but the big members takes at most, with the account of what was left out."""
        frame = {name: 0 if name in self.big else value for name, value in self.document.items()}
        account: JsonObject = {"omitted": dict.fromkeys(self.big, 10**9), "truncated": [], "notes": [self.hint]}
        return len(dumps(frame)) + len(dumps(account))

    def _member(self, name: str, room: int) -> Json:
        value = self.document[name]
        shown = _first(value, room) if isinstance(value, list) else cut(value, room)
        if isinstance(value, dict) and not isinstance(shown, dict):
            shown = {}
        if isinstance(value, list | dict) and isinstance(shown, list | dict) and len(shown) < len(value):
            self.omitted[name] = len(value) - len(shown)
        return shown

    def _outputs(self, room: int) -> JsonObject:
        outputs = self.document["outputs"]
        assert isinstance(outputs, dict)
        names = _head(outputs, room)
        frames = {id: len(dumps(id)) + 2 for id in names}
        entries = {id: len(dumps(self._entry(id, 10**12))) + 1 for id in names}
        values = measured([outputs[id] for id in names], room)
        whole = {id: frames[id] + size for id, size in zip(names, values, strict=True)}
        least = {id: min(whole[id], frames[id] + entries[id] + LEAST_SHOWN) for id in names}
        ids = list(_while_they_fit(least, room - 2))
        if len(ids) < len(outputs):
            self.omitted["outputs"] = len(outputs) - len(ids)
        more = fair([whole[id] - least[id] for id in ids], room - 2 - sum(least[id] for id in ids))
        shown: JsonObject = {}
        for id, extra in zip(ids, more, strict=True):
            share = least[id] + extra
            shown[id] = outputs[id] if share >= whole[id] else cut(outputs[id], share - frames[id] - entries[id])
            if shown[id] is not outputs[id]:
                self.cut_outputs.append(self._entry(id, self._chars(id)))
        return shown

    def _chars(self, id: str) -> int:
        outputs = self.document["outputs"]
        value = outputs[id] if isinstance(outputs, dict) else None
        if isinstance(value, str):
            return len(value)
        return self.sizes[id] if self.sizes.get(id, 0) > EXACT else len(dumps(value))

    def _entry(self, id: str, chars: int) -> JsonObject:
        return {"id": id, "chars": chars, "uri": self.uri(id)}

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
            if self.hint:
                notes = whole.get("notes")
                whole["notes"] = [self.hint, *(notes if isinstance(notes, list) else [])]
        return whole


def cut(value: Json, room: int) -> Json:
    """*value* in at most *room* characters of compact JSON (three, if *room* is less), as much as fits of it."""
    if size_within(value, room) <= room:
        return value
    if isinstance(value, list):
        return _cut_list(value, room)
    if isinstance(value, dict):
        return _cut_object(value, room)
    return _cut_text(value if isinstance(value, str) else dumps(value), room)


def fair(needs: Sequence[int], room: int, weights: Sequence[int] | None = None) -> list[int]:
    """*room* shared by weight; nobody gets more than they need, and what they do not need goes to the others."""
    weights = weights or [1] * len(needs)
    shares = [0] * len(needs)
    left, weight = max(room, 0), sum(weights)
    for index in sorted(range(len(needs)), key=lambda index: needs[index] / weights[index]):
        shares[index] = min(needs[index], left * weights[index] // weight)
        left -= shares[index]
        weight -= weights[index]
    return shares


def size_within(value: Json, most: int) -> int:
    """The length of *value* as compact JSON, or some number above *most* as soon as it is known to be longer."""
    if isinstance(value, str):
        return len(value) + 2 if len(value) > most else len(dumps(value))
    if not isinstance(value, list | dict):
        return len(dumps(value))
    size = 2 + max(len(value) - 1, 0)
    if isinstance(value, list):
        for item in value:
            if size > most:
                return size
            size += size_within(item, most - size)
        return size
    for name, item in value.items():
        if size > most:
            return size
        size += size_within(name, most - size) + 1
        size += size_within(item, most - size)
    return size


def measured(values: Sequence[Json], room: int) -> list[int]:
    """The size of each of *values*; of those above a fair share of *room*, only that they are above *room*."""
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
    """The longest beginning of *text* that *fits*; if a text fits, so does each beginning of it."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle]) else (low, middle - 1)
    return text[:low]


def _first(items: list[Json], room: int) -> list[Json]:
    """The first of *items* that fit; the very first is cut if that leaves it its shape."""
    left = room - 2
    kept: list[Json] = []
    for item in items:
        left -= size_within(item, left) + 1
        if left < 0:
            break
        kept.append(item)
    if items and not kept:
        shortened = cut(items[0], room - 3)
        if _has_the_shape_of(shortened, items[0]) and size_within(shortened, room) <= room - 3:
            kept.append(shortened)
    return kept


def _has_the_shape_of(shortened: Json, item: Json) -> bool:
    if isinstance(item, dict):
        return isinstance(shortened, dict) and shortened.keys() == item.keys()
    return type(shortened) is type(item)


def _cut_list(items: list[Json], room: int) -> Json:
    left = room - 2 - _more_size(len(items))
    kept: list[Json] = []
    for item in items:
        size = size_within(item, left) + 1
        if size > left:
            if not kept and left > LEAST_SHOWN:
                kept.append(cut(item, left - 1))
            break
        kept.append(item)
        left -= size
    return [*kept, f"… {len(items) - len(kept):,} more"] if kept else _cut_text(f"… {len(items):,} items", room)


def _cut_object(members: JsonObject, room: int) -> Json:
    left = room - 2 - _more_size(len(members)) - 4
    frames = {name: size_within(name, room) + 2 for name in _head(members, room)}
    values = measured([members[name] for name in frames], room)
    sizes = dict(zip(frames, values, strict=True))
    least = {name: frames[name] + min(sizes[name], LEAST_SHOWN) for name in frames}
    names = list(_while_they_fit(least, left))
    if not names:
        return _cut_text(f"… {len(members):,} members", room)
    more = fair([frames[name] + sizes[name] - least[name] for name in names], left - sum(least[name] for name in names))
    shown = {
        name: cut(members[name], least[name] + extra - frames[name]) for name, extra in zip(names, more, strict=True)
    }
    return shown if len(shown) == len(members) else {**shown, "…": f"{len(members) - len(shown):,} more"}


def _cut_text(text: str, room: int) -> str:
    """Head and tail of *text*, and between them how long it was."""
    if size_within(text, room) <= room:
        return text
    mark = f" … {len(text):,} characters in all … "
    keep = room - len(mark) - 2
    if keep < LEAST_SHOWN:
        return longest_prefix(text, lambda head: len(dumps(head)) <= room - 1) + "…"
    head = longest_prefix(text[:keep], lambda part: len(dumps(part)) - 2 <= keep * 2 // 3)
    keep -= len(dumps(head)) - 2
    tail = longest_prefix(text[: -keep - 1 : -1], lambda part: len(dumps(part[::-1])) - 2 <= keep)[::-1]
    return head + mark + tail


def _more_size(count: int) -> int:
    return len(f'"… {count:,} more",')


def _head(members: JsonObject, room: int) -> list[str]:
    """The first names of *members*, no more than could be shown."""
    return list(islice(members, max(room, 0) // 6 + 1))


def _while_they_fit(sizes: Mapping[str, int], room: int) -> Iterable[str]:
    for name, size in sizes.items():
        room -= size
        if room < 0:
            return
        yield name
