"""Our own pages of a list. A cursor is good as long as the list is what it was when the cursor was given."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import mcp_types as types
from mcp import MCPError

from ...core.values.strict import Json, JsonObject

PAGE = 500
"""Entries on a page: so many that clients which only ever read the first page lose little."""
_CURSOR = re.compile(r"([0-9a-f]{16})\.([0-9]{1,9})\Z")


@dataclass(frozen=True, slots=True)
class Pages:
    """The entries of one list, in pages."""

    entries: Sequence[JsonObject]
    generation: str
    """Another one for each list that differs from the one before; also after a new start."""

    @classmethod
    def of(cls, entries: Sequence[JsonObject], before: Self | None) -> Self:
        is_same = before is not None and before.entries == entries
        return cls(entries, before.generation if before is not None and is_same else secrets.token_hex(8))

    def page(self, member: str, cursor: Json) -> JsonObject:
        """The page at *cursor*, or the first; its entries as *member*. Raises `MCPError` for a cursor that is none of
        this list."""
        start = 0 if cursor is None else self._start(cursor)
        end = start + PAGE
        page: JsonObject = {member: list(self.entries[start:end])}
        if end < len(self.entries):
            page["nextCursor"] = base64.urlsafe_b64encode(f"{self.generation}.{end}".encode()).decode()
        return page

    def _start(self, cursor: Json) -> int:
        if isinstance(cursor, str) and len(cursor) <= 64:
            try:
                found = _CURSOR.match(base64.urlsafe_b64decode(cursor.encode()).decode())
            except (ValueError, binascii.Error):
                found = None
            if found and found[1] == self.generation and 0 < int(found[2]) < len(self.entries):
                return int(found[2])
        raise MCPError(types.INVALID_PARAMS, "Invalid cursor: the list may have changed; start again.")
