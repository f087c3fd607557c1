"""JSON values in less room than they need, cut so that they stay valid and say what is missing.

Lists keep their first elements, objects their first members, long texts head and tail. Room is shared fairly: what
one part does not need goes to the others. Nothing is measured further than it could be shown, so that the cost
depends on the size of what is shown and not on what was cut from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from ..core.strict import Json, JsonObject, dumps

LEAST_SHOWN = 24
"""What cannot have so many characters is left out, and counted."""


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
    frames = {name: size_within(name, room) + 2 for name in head_of(members, room)}
    values = measured([members[name] for name in frames], room)
    sizes = dict(zip(frames, values, strict=True))
    least = {name: frames[name] + min(sizes[name], LEAST_SHOWN) for name in frames}
    names = list(while_they_fit(least, left))
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


def head_of(members: JsonObject, room: int) -> list[str]:
    """The first names of *members*, no more than could be shown."""
    return list(islice(members, max(room, 0) // 6 + 1))


def while_they_fit(sizes: Mapping[str, int], room: int) -> Iterable[str]:
    for name, size in sizes.items():
        room -= size
        if room < 0:
            return
        yield name
