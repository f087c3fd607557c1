"""Answers that are used again: a `CallTool` around another one.

Only of tools that read: those that say so of themselves, and those that the operator gave a `cache_ttl_s`. An answer
is used for equal arguments of the same tool, until it is older than the caller takes, until a tool of the same server
that may change something is called, or until the file that it was read from has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import anyio

from ..core.catalog import Tool
from ..core.output import read_output
from ..core.policy import Policy
from ..core.ports import CallTool, ToolCall
from ..core.strict import Json, JsonObject, encode
from ..errors import CallError
from .resources import Resources

MAX_BYTES = 64 * 2**20
MOST_OF_ONE = 8
"""One answer may take so small a part of it all."""
ENTRY_BYTES = 1_024
"""What an answer takes beside its text."""
MAX_TOOLS = 4_096
"""Tools of which something is remembered; above it, all is found out again."""
RESTLESS_NS = 2 * 10**9
"""A file that changed so lately may change again and keep its time: some file systems count in steps of 2 s."""


class _Stamp(NamedTuple):
    """How a file looked. It is another one, or has changed, if any of these has."""

    device: int
    inode: int
    size: int
    changed_ns: int
    touched_ns: int


class _State(NamedTuple):
    """What an answer depends on beside the question."""

    changes: int
    """Calls that may have changed something on the server, begun or ended."""
    file: _Stamp | None


class _Question(NamedTuple):
    tool: bytes
    arguments: bytes
    state: _State


@dataclass(frozen=True, slots=True)
class _Answer:
    text: bytes
    at: float


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a tool. One whose definition changed is another tool."""

    tool: Tool
    digest: bytes
    only_reads: bool


class Cache:
    """Keeps the answers of *call_tool*, at most *max_bytes* of them; those that were not used for longest go first.

    Answers are kept as text, so that nobody can change what another is given. A question that is being asked already
    waits for that answer; if it does not come, it is asked by itself.
    """

    def __init__(
        self,
        call_tool: CallTool,
        policy: Policy,
        resources: Resources,
        *,
        max_bytes: int = MAX_BYTES,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._call_tool = call_tool
        self._policy = policy
        self._resources = resources
        self._max_bytes = max_bytes
        self._now_ns = now_ns
        self._bytes = 0
        self._kept: OrderedDict[_Question, _Answer] = OrderedDict()
        self._asked: dict[_Question, anyio.Event] = {}
        self._changes: Counter[str] = Counter()
        self._tools: dict[str, _Known] = {}

    def __repr__(self) -> str:
        return f"<Cache: {len(self._kept)} answers, {self._bytes:,} bytes>"

    async def __call__(self, call: ToolCall) -> JsonObject:
        known = self._about(call.tool)
        if not known.only_reads:
            return await self._change(call)
        question = self._question(known, call)
        if question is None:
            return await self._call_tool(call)
        if (kept := self._answer(question, call)) is not None:
            return kept
        if (earlier := self._asked.get(question)) is None:
            return await self._ask_for_all(question, call)
        await earlier.wait()
        kept = self._answer(question, call)
        return kept if kept is not None else await self._ask(question, call)

    async def _change(self, call: ToolCall) -> JsonObject:
        """A call that may change something: what was read before it began, or while it ran, may be so no more."""
        self._changes[call.tool.server] += 1
        try:
            return await self._call_tool(call)
        finally:
            self._changes[call.tool.server] += 1

    async def _ask_for_all(self, question: _Question, call: ToolCall) -> JsonObject:
        answered = self._asked[question] = anyio.Event()
        try:
            return await self._ask(question, call)
        finally:
            del self._asked[question]
            answered.set()

    async def _ask(self, question: _Question, call: ToolCall) -> JsonObject:
        result = await self._call_tool(call)
        if self._state(call) == question.state:  # else it is not known which state was read
            self._keep(question, call.tool, result)
        return result

    def _answer(self, question: _Question, call: ToolCall) -> JsonObject | None:
        """What is kept for *question* and young enough for *call*, which is told."""
        kept = self._kept.get(question)
        if kept is None or anyio.current_time() - kept.at > call.cache_s:
            return None
        self._kept.move_to_end(question)
        if call.on_cached is not None:
            call.on_cached()
        answer: JsonObject = json.loads(kept.text)
        return answer

    def _keep(self, question: _Question, tool: Tool, result: JsonObject) -> None:
        text = _text_of(result, tool, self._max_bytes // MOST_OF_ONE)
        if text is None:
            return
        self._forget(question)
        self._kept[question] = _Answer(text, anyio.current_time())
        self._bytes += len(text) + ENTRY_BYTES
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, question: _Question) -> None:
        if (kept := self._kept.pop(question, None)) is not None:
            self._bytes -= len(kept.text) + ENTRY_BYTES

    def _question(self, known: _Known, call: ToolCall) -> _Question | None:
        """What *call* asks; None where its answer cannot be used again."""
        if call.cache_s <= 0 or not call.tool.listed or (state := self._state(call)) is None:
            return None
        return _Question(known.digest, _digest(call.arguments), state)

    def _state(self, call: ToolCall) -> _State | None:
        """What an answer to *call* depends on now; None if that cannot be told."""
        changes = self._changes[call.tool.server]
        if call.cache_stat is None:
            return _State(changes, None)
        stamp = self._stamp(call.tool.server, call.arguments.get(call.cache_stat))
        return None if stamp is None else _State(changes, stamp)

    def _stamp(self, server: str, argument: Json) -> _Stamp | None:
        path = self._resources.path(server, argument) if isinstance(argument, str) else None
        if path is None:
            return None
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode) or self._now_ns() - status.st_mtime_ns < RESTLESS_NS:
            return None
        return _Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _about(self, tool: Tool) -> _Known:
        known = self._tools.get(tool.full_name)
        if known is None or known.tool is not tool:
            if len(self._tools) >= MAX_TOOLS:
                self._tools.clear()
            only_reads = tool.is_read_only or self._policy.of(tool).cache_ttl_s > 0
            known = _Known(tool, _digest([tool.full_name, tool.definition]) if only_reads else b"", only_reads)
            self._tools[tool.full_name] = known
        return known


def _digest(value: Json) -> bytes:
    """Equal for equal values alone: `1`, `1.0` and `true` differ, the order of members does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).digest()


def _text_of(result: JsonObject, tool: Tool, most: int) -> bytes | None:
    """*result* as it is kept; None for one that fails its task, or is longer than *most*."""
    try:
        read_output(result, tool, most)
        text = encode(result)
    except (CallError, ValueError, TypeError, RecursionError):
        return None
    return text if len(text) + ENTRY_BYTES <= most else None
