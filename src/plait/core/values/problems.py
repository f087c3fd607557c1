"""What is wrong with a document, said so that a model or a person can mend it in one turn."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from .strict import Json, JsonObject, present

MAX_GUESSES = 20
"""Problems of one document for which the nearest known word is looked for: it takes a while where words are many."""


MAX_SHOWN = 200
"""Of a value that is shown in a hint, in characters."""
MAX_FIX_CHARS = 2_000
"""A longer value is not sent back mended: where it stands and what is wrong is enough."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse a document.

    `path` is where it stands (`tasks[2].arguments.path`), `id` the task it belongs to, `message` what is wrong and
    `hint` what would be right. `fix` is there only where nothing else can have been meant: the value to put at `path`,
    or the name, where the name at the end of `path` is wrong.
    """

    path: str
    code: str
    message: str
    hint: str | None = None
    id: str | None = None
    fix: Json = None

    def document(self) -> JsonObject:
        """As clients get it: the members that are known, in the contract's order."""
        return present(path=self.path, id=self.id, code=self.code, message=self.message, hint=self.hint, fix=self.fix)

    def __str__(self) -> str:
        place = f'{self.path} "{self.id}"' if self.id else self.path
        return f"{place}: {self.message}" + (f" {self.hint}" if self.hint else "")


def with_one_fix_a_place(problems: Sequence[Problem]) -> list[Problem]:
    """*problems*, without the fixes where there are several problems at one place: each mends but its own."""
    count = Counter(problem.path for problem in problems)
    return [replace(problem, fix=None) if count[problem.path] > 1 else problem for problem in problems]


def some_of(names: Collection[str], most: int) -> str:
    """Name the first *most* of *names*, and count the others."""
    shown = ", ".join(islice(names, most))
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def nearest(word: str, words: Iterable[str], most: int = 1, alike: float = 0.6) -> list[str]:
    """The words that *word* was most likely meant to be, best first; *alike* is 1 for equal ones."""
    folded: dict[str, str] = {}
    for candidate in words:
        folded.setdefault(candidate.casefold(), candidate)
    return [folded[match] for match in difflib.get_close_matches(word.casefold()[:200], folded, most, alike)]


def did_you_mean(word: str, words: Iterable[str]) -> str | None:
    """A hint that names the nearest of *words*, or None where none is near."""
    near = nearest(word, words)
    return f'Did you mean "{near[0]}"?' if near else None


def slip_of(word: str, words: Iterable[str]) -> str | None:
    """The one of *words* that *word* must have been meant to be, or None where there is a doubt.

    It differs in case and separators alone, or by one slip of the finger: a letter too many, too few or another, or
    two that changed places. No other of them does.
    """
    known = list(words)
    meant = [match for match in nearest(word, known, 4, 0.7) if _is_slip(_bare(word), _bare(match))]
    if len(meant) != 1 or sum(_bare(other) == _bare(meant[0]) for other in known) != 1:
        return None
    return meant[0]


def _bare(word: str) -> str:
    return "".join(letter for letter in word[:200].casefold() if letter not in "_-. ")


def _is_slip(one: str, other: str) -> bool:
    """Whether *one* is *other* but for one letter. Digits tell names apart, and so do letters of short words."""
    if one == other:
        return True
    if [letter for letter in one if letter.isdigit()] != [letter for letter in other if letter.isdigit()]:
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
    """Both without what they start with alike, and turned around."""
    same = 0
    while one[same : same + 1] == other[same : same + 1] != "":
        same += 1
    return one[same:][::-1], other[same:][::-1]
