"""Tool search by need: SQLite's full-text index finds candidates, and three things rank them.

People and models type needs ("what changed in the repo"), while tools are named by whoever wrote
their server (`git_diff_unstaged`). So a need is reduced to the words that carry meaning, each with
the words that servers use for it (`SYNONYMS`). The index gives the tools that have some of them,
with their BM25, in which rare words count more. This alone prefers tools that repeat one word of
the need, so it is only one part of three:

- how many words of the need the tool has, each counted once, in the field with the greatest
  weight: its name weighs more than its description, the word itself more than a synonym;
- how much of the tool's name the need has, so that `git_diff` comes before `git_diff_staged`
  unless the need is about what is staged;
- its BM25, relative to the best.

What is deprecated comes after everything else; the tool that its description names instead takes
its place. The weights were chosen with the needs of `tests/interop/needs.py`.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import TypeAlias

from ..values.problems import nearest
from .catalog import Catalog, ServerInfo, Tool
from .policy import Policy
from .rules import Answer
from .vocabulary import FUNCTION_WORDS, QUESTIONS, QUESTIONS_ASK_FOR, SYNONYMS

MAX_NEEDS = 10
"""Most needs of one query that are searched."""
MAX_WORDS = 20
"""Most words of one need that are searched for."""
MAX_CANDIDATES = 200
"""Most tools that are ranked for one need."""
MAX_DESCRIPTION = 10_000
"""Most characters of a description that are searched."""

FIELDS = {"name": 1.0, "title": 0.9, "server": 0.8, "parameters": 0.5, "description": 0.6}
"""The weight of a word in each field of a tool."""
BM25_WEIGHTS = (4.0, 2.0, 2.0, 1.0, 1.5)
"""The weights for BM25, in the same order."""
SYNONYM = 0.7
"""The weight of a synonym, compared with the word itself."""
RELEVANT = 0.5
"""The share of the best score below which a tool is left out: it only has some word in common."""
PREFIX = 0.8
"""The weight of a word of which the need has only the beginning."""
QUESTION = 0.3
"""The weight, for a question, of words such as "show" in a tool."""
NAME_SHARE = 0.35
"""The part of the score for a need that has the tool's whole name."""
BM25 = 0.4
"""The part of the score for the best BM25."""
MIN_PREFIX = 4
"""Fewest letters that find longer words."""

_WORD = re.compile(r"[^\W_]+")
_SUCCESSOR = re.compile(r"\b(?i:use|of|by|to|see)\s+\W?([\w-]+)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ENDING = re.compile(r"(?<=..)(?:ies|y|ings?|ed|es|s|e|ions?)$")

Term: TypeAlias = dict[str, float]
"""The stems of a word of a need, first, and of its synonyms, with the weight of each."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The tools found for each need, best first, and the servers that were searched."""

    needs: tuple[tuple[str, tuple[Tool, ...]], ...]
    servers: tuple[ServerInfo, ...]
    total: int
    """The number of all tools that are offered."""
    unsearched: tuple[str, ...] = ()
    """The needs beyond `MAX_NEEDS`."""


@dataclass(frozen=True, slots=True)
class _Stems:
    """The stems of a tool's name, and of all its fields with their weights."""

    name: frozenset[str]
    weights: dict[str, float]

    def match(self, term: Term) -> float:
        """Return the weight of one word of a need in this tool: at most 1."""
        exact = max(self.weights.get(stem, 0.0) * weight for stem, weight in term.items())
        if exact:
            return exact
        prefix = next(iter(term))
        if len(prefix) < MIN_PREFIX:
            return 0.0
        found = (weight for stem, weight in self.weights.items() if stem.startswith(prefix))
        return PREFIX * max(found, default=0.0)


class SearchIndex:
    """A full-text index of the tools of one catalogue that models are offered and *policy*
    allows."""

    def __init__(self, catalog: Catalog, policy: Policy | None = None) -> None:
        decide = (policy or Policy()).decide
        self._catalog = catalog
        self._tools = [tool for tool in catalog.offered() if decide(tool).answer is not Answer.DENY]
        self._rows = {tool.full_name: row for row, tool in enumerate(self._tools)}
        self._stems: dict[int, _Stems] = {}
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        self._index.execute(
            "CREATE VIRTUAL TABLE tools USING fts5(name, title, server, parameters, description, "
            "content='', tokenize='porter unicode61')"
        )
        self._index.executemany(
            "INSERT INTO tools(rowid, name, title, server, parameters, description) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            ((row, *_texts(tool)) for row, tool in enumerate(self._tools)),
        )

    def search(self, query: str, *, server: str | None = None, limit: int = 6) -> SearchResult:
        """Find tools for each need in *query*; `;` separates needs. An empty one finds servers."""
        needs = [need.strip() for need in query.split(";") if need.strip()]
        servers = tuple(
            info for info in self._catalog.servers.values() if server in {None, info.name}
        )
        found = tuple((need, tuple(self._best(need, server, limit))) for need in needs[:MAX_NEEDS])
        return SearchResult(found, servers, len(self._tools), tuple(needs[MAX_NEEDS:]))

    def close(self) -> None:
        self._index.close()

    def _best(self, need: str, server: str | None, limit: int) -> list[Tool]:
        named = self._catalog.find(need)
        if named is not None and named.full_name in self._rows and server in {None, named.server}:
            return [named]
        if ranked := self._ranked(need, server):
            return ranked[:limit]
        names = [name for name, row in self._rows.items() if self._is_of(server, row)]
        return [self._catalog.tools[name] for name in nearest(need, names, limit)]

    def _ranked(self, need: str, server: str | None) -> list[Tool]:
        words = _words(need)
        meaningful = [word for word in words if word not in FUNCTION_WORDS] or words
        meaningful = meaningful[:MAX_WORDS]
        if not meaningful:
            return []
        candidates = self._candidates(meaningful, server)
        terms = [_term(word) for word in meaningful]
        if words[0] in QUESTIONS:
            terms.append(dict.fromkeys(map(_stem, QUESTIONS_ASK_FOR), QUESTION))
        scores = {row: self._score(row, terms) + bm25 for row, bm25 in candidates.items()}
        for row in scores:
            if (successor := self._successor(row)) in scores:
                scores[successor] = max(scores[successor], scores[row])
        enough = RELEVANT * max(scores.values(), default=0.0)
        scores = {row: score for row, score in scores.items() if score >= enough}
        order = sorted(scores, key=lambda row: (self._tools[row].is_deprecated, -scores[row], row))
        return [self._tools[row] for row in order]

    def _candidates(self, words: list[str], server: str | None) -> dict[int, float]:
        """Return the rows that have some of *words*, with their part of the score by BM25."""
        by_stem = _synonyms()
        synonyms = {other for word in words for other in by_stem.get(_stem(word), ())}
        terms = [f'"{word}"*' if len(word) >= MIN_PREFIX else f'"{word}"' for word in words]
        terms += [f'"{word}"' for word in sorted(synonyms)]
        found = self._index.execute(
            "SELECT rowid, bm25(tools, ?, ?, ?, ?, ?) AS bm25 FROM tools WHERE tools MATCH ? "
            "ORDER BY bm25, rowid",
            (*BM25_WEIGHTS, " OR ".join(terms)),
        )
        rows = list(islice((hit for hit in found if self._is_of(server, hit[0])), MAX_CANDIDATES))
        return {row: BM25 * bm25 / rows[0][1] for row, bm25 in rows}

    def _score(self, row: int, terms: list[Term]) -> float:
        if (stems := self._stems.get(row)) is None:
            stems = self._stems[row] = _stems_of(self._tools[row])
        words = sum(map(stems.match, terms)) / len(terms)
        in_name = sum(
            max((one.get(stem, 0.0) for one in terms), default=0.0) for stem in stems.name
        )
        return words + NAME_SHARE * in_name / (len(stems.name) or 1)

    def _successor(self, row: int) -> int | None:
        """Return the row of the tool that the description of a deprecated one names."""
        tool = self._tools[row]
        if not tool.is_deprecated:
            return None
        names = (f"{tool.server}:{word}" for word in _SUCCESSOR.findall(tool.description))
        others = (self._rows[name] for name in names if name in self._rows)
        return next((other for other in others if other != row), None)

    def _is_of(self, server: str | None, row: int) -> bool:
        return server in {None, self._tools[row].server}


def _texts(tool: Tool) -> tuple[str, ...]:
    """Return the text of each of the `FIELDS`."""
    parts = _apart(tool.name)
    return (
        tool.name if parts == tool.name else f"{tool.name} {parts}",
        title if isinstance(title := tool.definition.get("title"), str) else "",
        tool.server,
        _apart(" ".join(tool.input.properties)),
        tool.description[:MAX_DESCRIPTION],
    )


def _apart(text: str) -> str:
    """Separate the words of camelCase."""
    return text if text.islower() else _HUMP.sub(" ", text)


def _stems_of(tool: Tool) -> _Stems:
    weights: dict[str, float] = {}
    for weight, text in zip(FIELDS.values(), _texts(tool), strict=True):
        for word in _words(text):
            stem = _stem(word)
            weights[stem] = max(weights.get(stem, 0.0), weight)
    name = frozenset(map(_stem, _words(tool.name)))
    return _Stems(name, weights)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(_apart(text))]


def _term(word: str) -> Term:
    stem = _stem(word)
    others = {_stem(other) for other in _synonyms().get(stem, ())} - {stem}
    return {stem: 1.0, **dict.fromkeys(others, SYNONYM)}


@cache
def _synonyms() -> dict[str, frozenset[str]]:
    """Return the other words of the groups of each word, which is given by its stem."""
    by_stem: dict[str, frozenset[str]] = {}
    for group in SYNONYMS:
        for word in group:
            others = frozenset(group) - {word}
            by_stem[_stem(word)] = by_stem.get(_stem(word), frozenset()) | others
    return by_stem


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    """Return *word* without its usual English endings, so that "editing" and "edits" are alike."""
    stem = _ENDING.sub("", word) if len(word) > 3 else word
    return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] else stem
