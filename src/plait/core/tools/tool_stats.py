"""What the gateway learns of tools from the calls that succeed: how long they take, and the shapes of their outputs.

A tool is expected to take the median of its last calls. Of a window of fifteen, seven may be off by any factor without
moving it further than to a duration that was really seen (a breakdown point of one half: Hampel, "A general
qualitative definition of robustness", 1971; the running median is Tukey's), while an average follows each of them.
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
"""The tools whose calls are the longest ago are forgotten first."""
MAX_NAME_CHARS = 200
WINDOW = 15
LONGEST_S = 1e6
LOOKS = 8
"""So many results of a tool are looked at, then every one whose number is a power of two."""
MAX_DOCUMENT_CHARS = 2**20


class _OfTool:
    """What is known of one tool."""

    __slots__ = ("digest", "is_current_for", "results", "schema", "seconds", "shape", "typical", "unsaved")

    def __init__(self) -> None:
        self.seconds: deque[float] = deque(maxlen=WINDOW)
        self.unsaved = 0
        """So many of the last of them are kept nowhere else."""
        self.typical: float | None = None
        self.results = 0
        self.digest = ""
        """Of the definition that the shape belongs to."""
        self.is_current_for: Tool | None = None
        self.shape: Shape | None = None
        self.schema: Schema | None = None

    def took(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.unsaved += 1
        self.typical = None

    def expected(self) -> float | None:
        if self.typical is None and self.seconds:
            self.typical = _median(sorted(self.seconds))
        return self.typical

    def look(self, tool: Tool, value: Json) -> None:
        """Take in the shape of *value*, if it is the turn of this result."""
        self.belongs_to(tool)
        self.results += 1
        if self.results <= LOOKS or not self.results & (self.results - 1):
            shape = shape_of(value, lambda: words_in(tool.definition))
            self.put(shape if self.shape is None else merged(self.shape, shape))

    def belongs_to(self, tool: Tool) -> None:
        """Forget the shape if it was seen of another definition of the tool."""
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

    def take_in(self, other: _OfTool) -> None:
        """Put what another one knows before what is new here."""
        own = list(self.seconds)[max(0, len(self.seconds) - self.unsaved) :]
        self.seconds = deque([*other.seconds, *own], WINDOW)
        self.typical = None
        if other.shape is not None and self.shape is None:
            self.digest, self.is_current_for = other.digest, None
            self.put(other.shape)
        elif other.shape is not None and self.shape is not None and self.digest == other.digest:
            self.put(merged(other.shape, self.shape))

    def document(self) -> JsonObject:
        members: JsonObject = {"seconds": [round(seconds, 6) for seconds in self.seconds]}
        if self.shape is not None:
            members |= {"definition": self.digest, "shape": self.shape.schema()}
        return members


class ToolStats:
    """How long calls take, and the shapes of their outputs: keys and types, no values (`shapes.py` has the rule).

    What is not *enabled* learns nothing and knows nothing.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self._is_enabled = enabled
        self._tools: OrderedDict[str, _OfTool] = OrderedDict()
        self.seen = 0
        """Calls in all. As long as it stays, there is nothing new to keep."""

    def __repr__(self) -> str:
        return f"<Learned: {len(self._tools)} tools, {self.seen} calls>"

    @property
    def tools(self) -> int:
        """Of so many something is known."""
        return len(self._tools)

    def saw(self, tool: Tool, seconds: float, value: Json) -> None:
        """A call of *tool* succeeded in so many *seconds*, and its output is *value*."""
        self.took(tool, seconds)
        if tool.output is None and tool.listed and (known := self._tools.get(tool.full_name)) is not None:
            known.look(tool, value)

    def took(self, tool: Tool, seconds: float) -> None:
        """As `saw`, for a call whose output nobody has read."""
        if not self._is_enabled or len(tool.full_name) > MAX_NAME_CHARS:
            return
        self.seen += 1
        self._of(tool.full_name).took(seconds)

    def seconds(self, tool: Tool) -> float | None:
        """How long a call of *tool* is expected to take; None if none was seen."""
        known = self._tools.get(tool.full_name)
        return None if known is None else known.expected()

    def shape(self, tool: Tool) -> Schema | None:
        """What outputs of *tool* looked like, as an open schema: where it declares none, and one was seen."""
        known = self._tools.get(tool.full_name)
        if known is None or known.shape is None or tool.output is not None or not tool.listed:
            return None
        known.belongs_to(tool)
        if known.schema is None and known.shape is not None:
            known.schema = Schema(known.shape.schema())
        return known.schema

    def take_in(self, other: ToolStats) -> None:
        """Add what *other* has kept, as if it had been seen before what is new here."""
        if not self._is_enabled:
            return
        for name, theirs in reversed(other._tools.items()):
            if (ours := self._tools.get(name)) is None:
                ours = self._tools[name] = _OfTool()
                self._tools.move_to_end(name, last=False)
            ours.take_in(theirs)
        self._forget_the_oldest()

    def mark_kept(self) -> None:
        """All of it was written where `take_in` will find it: it is not new any more."""
        for known in self._tools.values():
            known.unsaved = 0

    def document(self) -> JsonObject:
        """All of it as a JSON document, the tools called last first; within its size."""
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
        """What `document()` told. A part that is broken, or of another making, is left out."""
        learned = cls()
        match document:
            case {"version": int(version), "tools": dict(tools)} if version == VERSION and version is not True:
                for name, members in reversed(list(islice(tools.items(), MAX_TOOLS))):
                    if ":" in name and len(name) <= MAX_NAME_CHARS and isinstance(members, dict):
                        learned._tools[name] = _read(members)
        return learned

    def _of(self, name: str) -> _OfTool:
        known = self._tools.get(name)
        if known is None:
            known = self._tools[name] = _OfTool()
            self._forget_the_oldest()
        else:
            self._tools.move_to_end(name)
        return known

    def _forget_the_oldest(self) -> None:
        while len(self._tools) > MAX_TOOLS:
            self._tools.popitem(last=False)


def _read(members: Mapping[str, Json]) -> _OfTool:
    known = _OfTool()
    match members.get("seconds"):
        case [*durations]:
            known.seconds.extend(duration for duration in map(_duration, durations[-WINDOW:]) if duration is not None)
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
    """Another one if what the tool takes or gives was changed."""
    schemas = [tool.definition.get(name) for name in ("inputSchema", "outputSchema")]
    return hashlib.blake2b(json.dumps(schemas, sort_keys=True).encode(), digest_size=_DIGEST_CHARS // 2).hexdigest()


_DIGEST_CHARS = 24
