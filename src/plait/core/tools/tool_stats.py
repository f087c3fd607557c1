"""Statistics of tools from the calls that succeed: how long they take, and the shapes of their
outputs.

The expected duration of a call is the median of the tool's last calls. In a window of fifteen,
seven may be off by any factor and the median is still the duration of an ordinary call (a breakdown
point of one half: Hampel, "A general qualitative definition of robustness", 1971; the running
median is Tukey's), while an average follows each outlier.

Calls at once may slow each other down, so what a call would take alone is known only from calls
that were (nearly) alone: from two of them, since the first call of a server is often slow, and by
their lower quartile, since it supports claims of how much time was saved, and other programs slow
calls down too.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict, deque
from collections.abc import Mapping
from itertools import islice
from typing import Self

from ..values.schema import Schema
from ..values.strict import Json, JsonObject
from .catalog import Tool
from .fields import words_in
from .shapes import Shape, merged, read_shape, shape_of

VERSION = 1
MAX_TOOLS = 2_000
"""Most tools with statistics. Those whose last call is the longest ago are forgotten first."""
MAX_NAME_CHARS = 200
WINDOW = 15
LEAST_ALONE = 2
"""Fewest calls that were alone from which it is known what a call takes alone."""
LONGEST_S = 1e6
LOOKS = 8
"""First results of a tool that are examined; then each whose number is a power of two."""
MAX_DOCUMENT_CHARS = 2**20


class _OneTool:
    """The statistics of one tool."""

    __slots__ = (
        "alone",
        "digest",
        "is_current_for",
        "results",
        "schema",
        "seconds",
        "shape",
        "typical",
        "unsaved",
        "unsaved_alone",
    )

    def __init__(self) -> None:
        self.seconds: deque[float] = deque(maxlen=WINDOW)
        self.unsaved = 0
        """The number of the last of them that are not saved yet."""
        self.alone: deque[float] = deque(maxlen=WINDOW)
        """The durations of the calls that were nearly alone."""
        self.unsaved_alone = 0
        self.typical: float | None = None
        self.results = 0
        self.digest = ""
        """The digest of the definition that the shape belongs to."""
        self.is_current_for: Tool | None = None
        self.shape: Shape | None = None
        self.schema: Schema | None = None

    def took(self, seconds: float, *, alone: bool) -> None:
        self.seconds.append(seconds)
        self.unsaved += 1
        self.typical = None
        if alone:
            self.alone.append(seconds)
            self.unsaved_alone += 1

    def expected(self) -> float | None:
        if self.typical is None and self.seconds:
            self.typical = _median(sorted(self.seconds))
        return self.typical

    def look(self, tool: Tool, value: Json) -> None:
        """Merge the shape of *value*, if this result is one to examine."""
        self.belongs_to(tool)
        self.results += 1
        if self.results <= LOOKS or not self.results & (self.results - 1):
            shape = shape_of(value, lambda: words_in(tool.definition))
            self.put(shape if self.shape is None else merged(self.shape, shape))

    def belongs_to(self, tool: Tool) -> None:
        """Forget the shape if it belongs to another definition of the tool."""
        if self.is_current_for is tool:
            return
        digest = _digest(tool)
        if digest != self.digest:
            self.digest = digest
            self.results = 0
            self.put(None)
        self.is_current_for = tool

    def put(self, shape: Shape | None) -> None:
        self.shape = shape
        self.schema = None

    def take_in(self, other: _OneTool) -> None:
        """Put the statistics of *other* before those that are new here."""
        own = list(self.seconds)[max(0, len(self.seconds) - self.unsaved) :]
        self.seconds = deque([*other.seconds, *own], WINDOW)
        own = list(self.alone)[max(0, len(self.alone) - self.unsaved_alone) :]
        self.alone = deque([*other.alone, *own], WINDOW)
        self.typical = None
        if other.shape is not None and self.shape is None:
            self.digest, self.is_current_for = other.digest, None
            self.put(other.shape)
        elif other.shape is not None and self.shape is not None and self.digest == other.digest:
            self.put(merged(other.shape, self.shape))

    def document(self) -> JsonObject:
        members: JsonObject = {"seconds": [round(seconds, 6) for seconds in self.seconds]}
        if self.alone:
            members["alone"] = [round(seconds, 6) for seconds in self.alone]
        if self.shape is not None:
            members |= {"definition": self.digest, "shape": self.shape.schema()}
        return members


class ToolStats:
    """Durations of calls, and the shapes of their outputs: keys and types, no values (`shapes.py`
    has the rule).

    If not *enabled*, it records nothing and has nothing.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.is_enabled = enabled
        self._tools: OrderedDict[str, _OneTool] = OrderedDict()
        self.seen = 0
        """The number of calls recorded. While it stays the same, there is nothing new to save."""

    def __repr__(self) -> str:
        return f"<ToolStats: {len(self._tools)} tools, {self.seen} calls>"

    @property
    def tools(self) -> int:
        """The number of tools with statistics."""
        return len(self._tools)

    def saw(self, tool: Tool, seconds: float, value: Json, *, alone: bool = False) -> None:
        """Record that a call of *tool* succeeded in *seconds*, whether it was nearly *alone*, and
        that its output is *value*."""
        self.took(tool, seconds, alone=alone)
        if (
            tool.output is None
            and tool.listed
            and (known := self._tools.get(tool.full_name)) is not None
        ):
            known.look(tool, value)

    def took(self, tool: Tool, seconds: float, *, alone: bool = False) -> None:
        """Record the duration of a call of *tool* whose output was not read."""
        if not self.is_enabled or len(tool.full_name) > MAX_NAME_CHARS:
            return
        self.seen += 1
        self._of(tool.full_name).took(seconds, alone=alone)

    def seconds(self, tool: Tool) -> float | None:
        """Return how long a call of *tool* is expected to take; None if none was seen."""
        known = self._tools.get(tool.full_name)
        return None if known is None else known.expected()

    def seconds_alone(self, tool: Tool) -> float | None:
        """Return how long a call of *tool* takes alone; None if that is unknown."""
        known = self._tools.get(tool.full_name)
        if known is None or len(known.alone) < LEAST_ALONE:
            return None
        return sorted(known.alone)[(len(known.alone) - 1) // 4]

    def has_met_others(self, tool: Tool) -> bool:
        """Return whether one of the last calls of *tool* was not alone."""
        known = self._tools.get(tool.full_name)
        return known is not None and not set(known.seconds) <= set(known.alone)

    def shape(self, tool: Tool) -> Schema | None:
        """Return the shape of the outputs of *tool*, as an open schema; None if it declares a
        schema or none was seen."""
        known = self._tools.get(tool.full_name)
        if known is None or known.shape is None or tool.output is not None or not tool.listed:
            return None
        known.belongs_to(tool)
        if known.schema is None and known.shape is not None:
            known.schema = Schema(known.shape.schema())
        return known.schema

    def take_in(self, other: ToolStats) -> None:
        """Add the statistics of *other*, as if seen before those that are new here."""
        if not self.is_enabled:
            return
        for name, theirs in reversed(other._tools.items()):
            if (ours := self._tools.get(name)) is None:
                ours = self._tools[name] = _OneTool()
                self._tools.move_to_end(name, last=False)
            ours.take_in(theirs)
        self._forget_the_oldest()

    def mark_kept(self) -> None:
        """Mark everything as saved, where `take_in` will find it."""
        for known in self._tools.values():
            known.unsaved = known.unsaved_alone = 0

    def document(self) -> JsonObject:
        """Return a JSON document of limited size, with the tools that were called last first."""
        tools: JsonObject = {}
        room = MAX_DOCUMENT_CHARS
        for name, known in reversed(self._tools.items()):
            members = known.document()
            room -= len(json.dumps([name, members]))
            if room < 0:
                break
            tools[name] = members
        return {"version": VERSION, "tools": tools}

    @classmethod
    def read(cls, document: Json) -> Self:
        """Read what `document()` returned. Broken parts and other versions are left out."""
        stats = cls()
        match document:
            case {"version": int(version), "tools": dict(tools)} if (
                version == VERSION and version is not True
            ):
                for name, members in reversed(list(islice(tools.items(), MAX_TOOLS))):
                    if ":" in name and len(name) <= MAX_NAME_CHARS and isinstance(members, dict):
                        stats._tools[name] = _read(members)
        return stats

    def _of(self, name: str) -> _OneTool:
        known = self._tools.get(name)
        if known is None:
            known = self._tools[name] = _OneTool()
            self._forget_the_oldest()
        else:
            self._tools.move_to_end(name)
        return known

    def _forget_the_oldest(self) -> None:
        while len(self._tools) > MAX_TOOLS:
            self._tools.popitem(last=False)


def _read(members: Mapping[str, Json]) -> _OneTool:
    known = _OneTool()
    for name, window in (("seconds", known.seconds), ("alone", known.alone)):
        match members.get(name):
            case [*durations]:
                found = map(_duration, durations[-WINDOW:])
                window.extend(duration for duration in found if duration is not None)
    match members:
        case {"definition": str(digest), "shape": shape} if len(digest) == _DIGEST_CHARS:
            known.digest, known.shape = digest, read_shape(shape)
    return known


def _median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _duration(value: Json) -> float | None:
    match value:
        case bool():
            return None
        case int() | float():
            return float(value) if 0 <= value <= LONGEST_S else None
    return None


def _digest(tool: Tool) -> str:
    """Return a digest that changes with what the tool takes or returns."""
    schemas = [tool.definition.get(name) for name in ("inputSchema", "outputSchema")]
    return hashlib.blake2b(
        json.dumps(schemas, sort_keys=True).encode(), digest_size=_DIGEST_CHARS // 2
    ).hexdigest()


_DIGEST_CHARS = 24
