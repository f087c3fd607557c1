"""Tool search by words of names, descriptions and parameters, with SQLite's full-text index."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass

from ..values.problems import nearest
from .catalog import Catalog, ServerInfo, Tool

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SYNONYMS = (
    ("mail", "email"),
    ("ticket", "issue"),
    ("chat", "message"),
    ("folder", "directory"),
    ("delete", "remove"),
    ("search", "find", "grep"),
    ("file", "document"),
    ("pr", "pull"),
    ("make", "create", "add"),
    ("change", "edit", "update"),
    ("show", "get", "read"),
)


MAX_NEEDS = 10
"""Most needs of one query that are searched."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The tools found for each need, best first, and the servers that were searched."""

    needs: tuple[tuple[str, tuple[Tool, ...]], ...]
    servers: tuple[ServerInfo, ...]
    total: int
    """The number of all tools that are offered."""
    unsearched: tuple[str, ...] = ()
    """The needs beyond `MAX_NEEDS`."""


class SearchIndex:
    """A full-text index of one catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._names = [tool.full_name for tool in catalog.offered()]
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        self._index.execute(
            "CREATE VIRTUAL TABLE tools USING fts5(name, description, parameters, "
            "tokenize='porter unicode61')"
        )
        self._index.executemany(
            "INSERT INTO tools(rowid, name, description, parameters) VALUES (?, ?, ?, ?)",
            [(number, *_words(catalog.tools[name])) for number, name in enumerate(self._names)],
        )

    def search(self, query: str, *, server: str | None = None, limit: int = 6) -> SearchResult:
        """Find tools for each need in *query*; `;` separates needs. An empty one finds servers."""
        needs = [need.strip() for need in query.split(";") if need.strip()]
        servers = tuple(
            info for info in self._catalog.servers.values() if server in {None, info.name}
        )
        found = tuple((need, tuple(self._best(need, server, limit))) for need in needs[:MAX_NEEDS])
        return SearchResult(found, servers, len(self._names), tuple(needs[MAX_NEEDS:]))

    def close(self) -> None:
        self._index.close()

    def _best(self, need: str, server: str | None, limit: int) -> list[Tool]:
        tool = self._catalog.find(need)
        if (
            tool is not None
            and tool.listed
            and tool.is_for_models
            and server in {None, tool.server}
        ):
            return [tool]
        words = [word.lower() for word in _WORD.findall(_HUMP.sub(" ", need))][:20]
        tools = [self._catalog.tools[self._names[row]] for row in self._rows(words)]
        if not tools:
            tools = [self._catalog.tools[name] for name in nearest(need, self._names, limit)]
        return [tool for tool in tools if server in {None, tool.server}][:limit]

    def _rows(self, words: list[str]) -> list[int]:
        if not words:
            return []
        terms = " OR ".join(f'"{word}"*' for word in _with_synonyms(words))
        rows = self._index.execute(
            "SELECT rowid FROM tools WHERE tools MATCH ? ORDER BY bm25(tools, 4.0, 2.0, 1.0), "
            "rowid LIMIT 200",
            (terms,),
        )
        return [row for (row,) in rows]


def _words(tool: Tool) -> tuple[str, str, str]:
    name = (
        f"{tool.server} {tool.name} {_HUMP.sub(' ', tool.name).replace('_', ' ').replace('-', ' ')}"
    )
    return name, tool.description, " ".join(tool.input.properties).replace("_", " ")


def _with_synonyms(words: list[str]) -> list[str]:
    more = [other for group in _SYNONYMS for word in words if word in group for other in group]
    return list(dict.fromkeys([*words, *more]))
