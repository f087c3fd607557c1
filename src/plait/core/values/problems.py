"""Problems of a document, worded so that a model or a person can fix them in one turn."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import nlargest
from itertools import islice
from typing import NamedTuple, Self

from .strict import Json, JsonObject, dumps, present, short

MAX_GUESSES = 20
"""Most problems of one document for which the nearest known word is searched, which is slow among
many words."""


MAX_COMPARED = 100_000
"""Most pairs of characters that are compared to find the nearest word. Long words that are alike
take a millisecond each; those beyond are left out."""
MAX_SHOWN = 200
"""Most characters of a value that is shown in a hint."""
MAX_FIX_CHARS = 2_000
"""Most characters of a fix. For a longer value, its place and the problem are enough."""


_PLAIN = re.compile(r"[^\W\d]\w*")
_LAST = re.compile(r'(?:\.?[^\W\d]\w*|\["(?:[^"\\]|\\.)*"\])\Z')
"""The name at the end of a path."""


class Op(StrEnum):
    """The kinds of a fix. `rename` is JSON Patch's `move` within one object, `add` goes to the end
    of a list."""

    REPLACE = "replace"
    REMOVE = "remove"
    RENAME = "rename"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class Fix:
    """One change that removes a problem, in the manner of JSON Patch (RFC 6902): `to` is the value
    or the name that takes the place of what is at `path` now, or the value that comes last in the
    list there."""

    op: Op
    to: Json = None
    path: str | None = None
    """None if it is the place of the problem."""

    @property
    def advice(self) -> str:
        """The fix as a sentence."""
        match self.op:
            case Op.REPLACE:
                return f"Write {short(self.to, MAX_SHOWN)}."
            case Op.RENAME:
                return f"Name it {short(self.to, MAX_SHOWN)}."
            case Op.ADD:
                return f"Add {short(self.to, MAX_SHOWN)}."
        return "Leave it out."

    def document(self, path: str) -> JsonObject:
        """Return it as clients get it; *path* is the place of its problem."""
        fix: JsonObject = {"op": str(self.op), "path": self.path or path}
        match self.op:
            case Op.REPLACE | Op.ADD:
                fix["value"] = self.to
            case Op.RENAME:
                fix["to"] = self.to
        return fix


REMOVE = Fix(Op.REMOVE)
MAX_PROBLEMS = 300
"""Most problems of one document that are looked for. An answer holds about a hundred."""


def written(place: Iterable[str | int]) -> str:
    """Format *place* as the end of a path: `.items[0].title`. Names that are not plain are quoted,
    as in references: `["a b"]`."""
    return "".join(
        f"[{step}]"
        if isinstance(step, int)
        else f".{step}"
        if _PLAIN.fullmatch(step)
        else f"[{dumps(step)}]"
        for step in place
    )


class Way(NamedTuple):
    """A way of data that may not flow: from what has the label `source` to what has `to`."""

    source: str
    to: str
    steps: tuple[str, ...]


def ways_in_words(ways: Iterable[tuple[str, ...]]) -> str:
    """Return ways as words: `read.text → sum → post.text and page → post.text`."""
    return " and ".join(dict.fromkeys(" → ".join(steps) for steps in ways))


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse a document.

    `path` is its place in the document (`tasks[2].arguments.path`), `id` the task it belongs to,
    `message` what is wrong and `hint` what would be right. `fix` is set only if nothing else can
    have been meant. `ways` are those of data that may not flow, and `mermaid` draws them.
    """

    path: str
    code: str
    message: str
    hint: str | None = None
    id: str | None = None
    fix: Fix | None = None
    mermaid: str | None = None
    ways: tuple[Way, ...] = ()

    @property
    def message_without_ways(self) -> str:
        words = ways_in_words(way.steps for way in self.ways)
        return self.message.removesuffix(f": {words}.")

    def document(self) -> JsonObject:
        """Return the JSON object that clients get: the known members, in the contract's order."""
        return present(
            path=self.path,
            id=self.id,
            code=self.code,
            message=self.message,
            hint=self.hint,
            fix=None if self.fix is None else self.fix.document(self.path),
            mermaid=self.mermaid,
        )

    def __str__(self) -> str:
        place = f'{self.path} "{self.id}"' if self.id else self.path
        return f"{place}: {self.message}" + (f" {self.hint}" if self.hint else "")


class TooManyProblems(Exception):
    """A document has more than `MAX_PROBLEMS`: work on others would keep every client waiting."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"more than {MAX_PROBLEMS:,} problems")
        self.problems = problems


class Problems(list[Problem]):
    """Problems found so far. Adding one above `MAX_PROBLEMS` raises `TooManyProblems`."""

    def append(self, problem: Problem) -> None:
        super().append(problem)
        if len(self) > MAX_PROBLEMS:
            raise TooManyProblems(self)

    def say(
        self,
        path: str,
        code: str,
        message: str,
        hint: str | None = None,
        id: str | None = None,
        fix: Fix | None = None,
    ) -> None:
        """Add one problem; the arguments are its fields."""
        self.append(Problem(path, code, message, hint, id, fix))

    def extend(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.append(problem)

    def __iadd__(self, problems: Iterable[Problem]) -> Self:  # type: ignore[override, misc]  # it is a list
        self.extend(problems)
        return self


def first_of(problems: Iterable[Problem]) -> list[Problem]:
    """Return the first `MAX_PROBLEMS` of *problems*, behind one that says that there are more."""
    message = f"There are more than {MAX_PROBLEMS:,} problems; the others were not looked for."
    more = Problem("$", "limit_exceeded", message, "Fix these, then send it again.")
    return [more, *islice(problems, MAX_PROBLEMS)]


def with_one_fix_a_place(problems: Sequence[Problem]) -> list[Problem]:
    """Keep at most one fix for each place. Problems that share a place keep the fix that all of
    them have, on the first of them; different fixes would each solve only its own problem. Of
    two names in one object, only the first gets the same new name."""
    count = Counter(problem.path for problem in problems)
    names: set[tuple[str, str]] = set()
    fixes: dict[str, list[Fix | None]] = {}
    for problem in problems:
        if count[problem.path] > 1:
            fixes.setdefault(problem.path, []).append(problem.fix)
    kept: list[Problem] = []
    for problem in problems:
        if (shared := fixes.get(problem.path)) is not None:
            agreed = all(fix == shared[0] for fix in shared)
            problem = replace(problem, fix=shared[0] if agreed else None)
            fixes[problem.path] = [None]
        if problem.fix is not None and problem.fix.op is Op.RENAME:
            name = (_LAST.sub("", problem.fix.path or problem.path), str(problem.fix.to))
            problem = replace(problem, fix=None) if name in names else problem
            names.add(name)
        kept.append(problem)
    return kept


def some_of(names: Collection[str], most: int) -> str:
    """Name the first *most* of *names*, and count the others."""
    shown = ", ".join(islice(names, most))
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def nearest(word: str, words: Iterable[str], most: int = 1, alike: float = 0.6) -> list[str]:
    """Return at most *most* of *words* that *word* was likely meant to be, best first. Their
    similarity is at least *alike*; that of equal words is 1."""
    folded: dict[str, str] = {}
    for candidate in words:
        folded.setdefault(candidate.casefold(), candidate)
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(meant := word.casefold()[:200])
    found: list[tuple[float, str]] = []
    left = MAX_COMPARED
    for match in folded:
        if left < 0 and match != meant:
            continue
        matcher.set_seq1(match)
        if matcher.real_quick_ratio() >= alike and matcher.quick_ratio() >= alike:
            left -= len(meant) * len(match)
            if (likeness := matcher.ratio()) >= alike:
                found.append((likeness, match))
    return [folded[match] for _, match in nlargest(most, found)]


def did_you_mean(word: str, words: Iterable[str]) -> str | None:
    """Return a hint that names the nearest of *words*, or None if none is near."""
    near = nearest(word, words)
    return f'Did you mean "{near[0]}"?' if near else None


def slip_of(word: str, words: Iterable[str]) -> str | None:
    """Return the one of *words* that *word* was certainly meant to be, or None if in doubt.

    It differs only in case and separators, or by one typing error: a letter added, dropped or
    replaced, or two swapped. No other of *words* does.
    """
    known = list(words)
    meant = [match for match in nearest(word, known, 4, 0.7) if _is_slip(_bare(word), _bare(match))]
    if len(meant) != 1 or sum(_bare(other) == _bare(meant[0]) for other in known) != 1:
        return None
    return meant[0]


def _bare(word: str) -> str:
    return "".join(letter for letter in word[:200].casefold() if letter not in "_-. ")


def _is_slip(one: str, other: str) -> bool:
    """Return whether *one* and *other* differ by one typing error at most. Names with different
    digits are different names, and so are short words that differ by a letter."""
    if one == other:
        return True
    if [letter for letter in one if letter.isdigit()] != [
        letter for letter in other if letter.isdigit()
    ]:
        return False
    length = max(len(one), len(other))
    one, other = _apart(*_apart(one, other))
    match len(one), len(other):
        case (0, 1) | (1, 0):
            return length >= 4
        case (1, 1):
            return length >= 6
        case (2, 2):
            return length >= 4 and one == other[::-1]
    return False


def _apart(one: str, other: str) -> tuple[str, str]:
    """Return both words without their common beginning, reversed."""
    same = 0
    while one[same : same + 1] == other[same : same + 1] != "":
        same += 1
    return one[same:][::-1], other[same:][::-1]
