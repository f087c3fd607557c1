"""Answers within a number of characters: what has to be cut is cut fairly, stays valid JSON, and is
accounted for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..core.values.strict import Json, JsonObject, dumps
from .cutting import cut, fair, shared, size_within

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

    `outputs` are cut one by one and listed in `truncated` with their length and *uri*; *hint* goes
    to the notes then. What is left out of other members is counted in `omitted`. *sizes* are the
    outputs' sizes in bytes, where known.
    """
    if size_within(document, limit) <= limit:
        return document
    cutter = _Cutter(document, limit, uri, sizes or {}, hint)
    cut = cutter.cut()
    if size_within(cut, limit) <= limit:
        return cut
    brief: JsonObject = {name: document[name] for name in ("status", "run_id") if name in document}
    brief["omitted"] = {
        name: len(value) for name, value in document.items() if isinstance(value, list | dict)
    }
    return brief


class _Cutter:
    """One document that does not fit."""

    def __init__(
        self,
        document: JsonObject,
        limit: int,
        uri: Callable[[str], str],
        sizes: Mapping[str, int],
        hint: str,
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
        needs = [size_within(self.document[name], self.room) for name in self.big]
        shares = dict(
            zip(
                self.big,
                fair(needs, self.room, [_WEIGHTS.get(name, 1) for name in self.big]),
                strict=True,
            )
        )
        shown: JsonObject = {
            name: self._member(name, share) for name, share in shares.items() if name != "outputs"
        }
        left = self.room - sum(size_within(value, self.room) for value in shown.values())
        if "outputs" in shares:
            shown["outputs"] = self._outputs(left)
        return self._assembled(shown)

    def _fixed(self) -> int:
        """What everything but the big members takes at most, with the account of what was left
        out."""
        frame = {name: 0 if name in self.big else value for name, value in self.document.items()}
        account: JsonObject = {
            "omitted": dict.fromkeys(self.big, 10**9),
            "truncated": [],
            "notes": [self.hint],
        }
        return len(dumps(frame)) + len(dumps(account))

    def _member(self, name: str, room: int) -> Json:
        match self.document[name]:
            case list(items):
                first = _first(items, room)
                self._omit(name, len(items) - len(first))
                return first
            case dict(members):
                shown = cut(members, room)
                kept = shown if isinstance(shown, dict) else {}
                self._omit(name, len(members.keys() - kept.keys()))
                return kept
            case value:
                return cut(value, room)

    def _omit(self, name: str, count: int) -> None:
        if count:
            self.omitted[name] = count

    def _outputs(self, room: int) -> JsonObject:
        outputs = self.document["outputs"]
        assert isinstance(outputs, dict)
        entries: dict[str, int] = {}

        def account(id: str) -> int:
            entries[id] = len(dumps(self._entry(id, 10**12))) + 1
            return entries[id]

        rooms = shared(outputs, room - len("{}") + len(","), account)
        self._omit("outputs", len(outputs) - len(rooms))
        shown: JsonObject = {}
        for id, own in rooms.items():
            value = outputs[id]
            if size_within(value, own) <= own:
                shown[id] = value
            else:
                shown[id] = cut(value, own - entries[id])
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
        if self.hint and (self.cut_outputs or "outputs" in self.omitted):
            notes = whole.get("notes")
            whole["notes"] = [self.hint, *(notes if isinstance(notes, list) else [])]
        return whole


def _first(items: list[Json], room: int) -> list[Json]:
    """The first of *items* that fit; the very first is cut if that leaves it its shape."""
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
        if _has_the_shape_of(shortened, items[0]) and size_within(shortened, own) <= own:
            kept.append(shortened)
    return kept


def _has_the_shape_of(shortened: Json, item: Json) -> bool:
    if isinstance(item, dict):
        return isinstance(shortened, dict) and shortened.keys() == item.keys()
    return type(shortened) is type(item)
