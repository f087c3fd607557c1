"""What is wrong with a document, said so that a model or a person can mend it in one turn."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from .strict import JsonObject, present

MAX_GUESSES = 20
"""Problems of one document for which the nearest known word is looked for: it takes a while where words are many."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse a document.

    `path` is where it stands (`tasks[2].arguments.path`), `id` the task it belongs to, `message` what is wrong and
    `hint` what would be right.
    """

    path: str
    code: str
    message: str
    hint: str | None = None
    id: str | None = None

    def document(self) -> JsonObject:
        """As clients get it: the members that are known, in the contract's order."""
        return present(path=self.path, id=self.id, code=self.code, message=self.message, hint=self.hint)

    def __str__(self) -> str:
        place = f'{self.path} "{self.id}"' if self.id else self.path
        return f"{place}: {self.message}" + (f" {self.hint}" if self.hint else "")


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
