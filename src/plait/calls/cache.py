"""A cache of the answers of read-only tools, for as long as the operator or the task says.

An answer is dropped when its time is over, when the file that it depends on has changed, and when a
call changes anything at its server, by a run or by name. Failures are never kept. Time is
that of the event loop. Answers are kept as text, so that no caller can change the answer of
another. Servers are known by their unique names: where several configurations share a process, an
answer of one server is never that of another with the same name.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from stat import S_ISDIR
from typing import TypeAlias

import anyio

from ..core.ports import CallTool, ToolCall
from ..core.tools.catalog import Tool
from ..core.tools.output import read_output
from ..core.values.strict import JsonObject, encode
from ..errors import CallError

MAX_BYTES = 64 * 2**20
MAX_SHARE = 1 / 8
"""The largest share of all bytes for one answer; larger ones are not kept."""
ENTRY_BYTES = 1_024
"""Bytes of an answer besides its text."""
RESTLESS_NS = 2 * 10**9
"""A file that changed within this time may change again with the same timestamp: some file systems
count in steps of 2 s."""

Fingerprint: TypeAlias = "tuple[int, ...] | None"
Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Kept:
    tool: Tool
    text: bytes
    at: float
    fingerprint: Fingerprint
    size_bytes: int


def fingerprints(
    path: Callable[[str, str], str | None], now_ns: Callable[[], int] = time.time_ns
) -> Callable[[str, str], Fingerprint]:
    """Make the `fingerprint` function of a cache: times, size and inode of the file at *path*. A
    file that has just changed has none, because its next change might not show, and neither has a
    folder: what changes deep in it does not show at all."""

    def fingerprint(server: str, name: str) -> Fingerprint:
        real = path(server, name)
        try:
            stat = os.stat(real) if real is not None else None
        except (OSError, ValueError):
            return None
        if stat is None or S_ISDIR(stat.st_mode) or now_ns() - stat.st_mtime_ns < RESTLESS_NS:
            return None
        return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino, stat.st_dev)

    return fingerprint


class Cache:
    """A `CallTool` around a `CallTool`. *fingerprint* takes a server and its path of a file, and
    returns a value that changes with the file; None if unknown."""

    def __init__(
        self,
        call_tool: CallTool,
        fingerprint: Callable[[str, str], Fingerprint] = lambda server, path: None,
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._call_tool = call_tool
        self._fingerprint = fingerprint
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        """The least recently used answer first."""
        self._of: defaultdict[str, set[Key]] = defaultdict(set)
        """The keys of the answers of each server."""
        self._bytes = 0
        self._changes: Counter[str] = Counter()
        """The number of possible changes at each server."""

    def __repr__(self) -> str:
        return f"<Cache: {len(self._kept)} answers, {self._bytes:,} bytes>"

    async def __call__(self, call: ToolCall) -> JsonObject:
        if call.max_age_s > 0:
            return await self._kept_or_called(call)
        if call.tool.is_read_only:
            return await self._call_tool(call)
        self._changed(call.tool.server_key)
        try:
            return await self._call_tool(call)
        finally:
            self._changed(call.tool.server_key)

    async def _kept_or_called(self, call: ToolCall) -> JsonObject:
        server = call.tool.server_key
        key = (server, call.tool.name, json.dumps(call.arguments, sort_keys=True))
        before = self._file_of(call)
        kept = self._kept.get(key)
        if kept is not None and self._is_good(kept, call, before):
            self._kept.move_to_end(key)
            call.caller.answered_from_cache()
            return _value(kept.text)
        changes = self._changes[server]
        result = await self._call_tool(call)
        is_as_it_was = self._changes[server] == changes and self._file_of(call) == before
        if is_as_it_was and (call.policy.cache_stat is None or before is not None):
            self._keep(key, call.tool, result, before)
        return result

    def _is_good(self, kept: _Kept, call: ToolCall, fingerprint: Fingerprint) -> bool:
        is_same_tool = kept.tool is call.tool or kept.tool.definition == call.tool.definition
        is_young = anyio.current_time() - kept.at <= call.max_age_s
        is_unchanged = call.policy.cache_stat is None or (
            fingerprint is not None and kept.fingerprint == fingerprint
        )
        return is_same_tool and is_young and is_unchanged

    def _file_of(self, call: ToolCall) -> Fingerprint:
        path = (
            call.arguments.get(call.policy.cache_stat)
            if call.policy.cache_stat is not None
            else None
        )
        return self._fingerprint(call.tool.server_key, path) if isinstance(path, str) else None

    def _keep(self, key: Key, tool: Tool, result: JsonObject, fingerprint: Fingerprint) -> None:
        most = int(self._max_bytes * MAX_SHARE)
        text = _text(result, tool, most)
        self._forget(key)
        if text is None or len(text) + len(key[2]) > most:
            return
        size = len(text) + len(key[2]) + ENTRY_BYTES
        self._kept[key] = _Kept(tool, text, anyio.current_time(), fingerprint, size)
        self._of[key[0]].add(key)
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._kept)))

    def forget(self, servers: Iterable[str]) -> None:
        """Forget the answers of *servers*, whose settings have changed."""
        for server in servers:
            self._changed(server)

    def _changed(self, server: str) -> None:
        """Drop the answers of *server*, where something may have changed; answers on their way are
        not kept."""
        self._changes[server] += 1
        for key in list(self._of.get(server, ())):
            self._forget(key)

    def _forget(self, key: Key) -> None:
        if (kept := self._kept.pop(key, None)) is not None:
            self._of[key[0]].remove(key)
            self._bytes -= kept.size_bytes


def _text(result: JsonObject, tool: Tool, most: int) -> bytes | None:
    """Return *result* as text; None if it asks for input, is an error, is not strict JSON, or is
    much too long."""
    if result.get("resultType") == "input_required":
        return None
    try:
        read_output(result, tool, most)
        return encode(result)
    except (CallError, ValueError, TypeError, RecursionError):
        return None


def _value(text: bytes) -> JsonObject:
    value: JsonObject = json.loads(text)
    return value
