"""The commands that run_command may start, as the operator writes them.

`make test` matches itself alone. An open end is written: `npm run *` also matches further words. No
word that it lets in may begin with a dash, because one option can turn a harmless command into any
program (`make --eval=…`, `git log --output=…`). The options that are welcome follow the star:
`npm run * --silent --level=*`. There, a star at the end stands for the rest of a word, so `-*` is
any option.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

SHELL_WORDS = frozenset({"|", "||", "&", "&&", ";", "<", "<<", ">", ">>", "2>", "2>&1", "&>"})


@dataclass(frozen=True, slots=True)
class AllowedCommand:
    """One entry: its words, and what may follow them."""

    words: tuple[str, ...]
    is_open: bool = False
    options: tuple[str, ...] = ()
    """The options that an open end lets in, each whole or with a star at its end."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an entry. Raises ValueError, with the reason, for one that means nothing."""
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from error
        if not words or not words[0]:
            raise ValueError("a command needs at least one word, the name of a program")
        if "\0" in text:
            raise ValueError(f"{text!r}: a command cannot contain the character NUL")
        if found := SHELL_WORDS.intersection(words):
            raise ValueError(
                f"{text!r}: commands run without a shell, so {min(found)} has no meaning; put the "
                "commands into a script, and allow that"
            )
        if "=" in words[0]:
            raise ValueError(
                f"{text!r}: begins with a variable; the first word is the name of a program"
            )
        end = words.index("*") if "*" in words else len(words)
        entry = cls(words[:end], end < len(words), words[end + 1 :])
        if not entry.words or any("*" in word for word in entry.words):
            raise ValueError(
                f"{text!r}: a star is a word of its own after the words of the command, like "
                '"npm run *"'
            )
        for option in entry.options:
            if not option.startswith("-") or "*" in option[:-1]:
                raise ValueError(
                    f"{text!r}: only options may follow the star, such as --silent, --level=* or "
                    f"-*; {option!r} is not one"
                )
        return entry

    def __str__(self) -> str:
        star = ("*",) if self.is_open else ()
        return " ".join(
            [*map(shlex.quote, self.words), *star, *(_quoted(option) for option in self.options)]
        )

    def matches(self, argv: Sequence[str]) -> bool:
        """Return whether *argv* is this command, with no words but those that it lets in."""
        count = len(self.words)
        if tuple(argv[:count]) != self.words:
            return False
        return len(argv) == count or (self.is_open and all(map(self._lets_in, argv[count:])))

    def _lets_in(self, word: str) -> bool:
        return not word.startswith("-") or any(
            word.startswith(option[:-1]) if option.endswith("*") else word == option
            for option in self.options
        )


def _quoted(option: str) -> str:
    return f"{shlex.quote(option[:-1])}*" if option.endswith("*") else shlex.quote(option)
