"""Values within a number of characters.

A value that does not fit is cut so that it stays valid JSON and says what is missing. Lists keep
their first elements, objects their first members, long texts head and tail. Room is shared fairly:
what one part does not need goes to the others.

Nothing is measured further than it could be shown, so the cost depends on the size of what is
shown, not on the size of what is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..core.values.strict import Json, JsonObject, dumps

LEAST_SHOWN = 24
"""Least characters of a value: with less room it is left out, and counted."""
_escaped = re.compile(r'[\x00-\x1f"\\]').search
"""Finds a character that JSON escapes."""


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


def shared(members: JsonObject, room: int) -> dict[str, int]:
    """Return the first *members* that fit in *room*, each with the room of its value."""
    rooms, sizes, room = least_rooms(members, room, lambda name: LEAST_SHOWN)
    more = fair([size - rooms[name] for name, size in sizes.items()], room)
    return rooms | {name: rooms[name] + extra for name, extra in zip(sizes, more, strict=True)}


def least_rooms(
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


def longest_prefix(text: str, fits: Callable[[str], bool]) -> str:
    """Return the longest beginning of *text* that *fits*; every beginning of it must fit too."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle]) else (low, middle - 1)
    return text[:low]


def _more_size(count: int) -> int:
    return len(f'"… {count:,} more",')
