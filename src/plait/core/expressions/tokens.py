"""The tokens of an expression: one regular expression cuts the text."""

from __future__ import annotations

import re
from typing import NamedTuple

from .problems import InvalidExpression, invalid


class Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


_ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
TARGET = (
    rf"(?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|(?:ITEM|INDEX)\[(?!-?[0-9]+\]){_ID}\]"
    r"|(?:ITEM|INDEX|ARGUMENTS)(?!\w))"
)
"""The start of a reference behind its `$`. Behind `ITEM` a whole number in brackets is an index
into the item."""
NAME = r"[^\W\d]\w*"
TOKENS = re.compile(
    rf"(?P<space>[ \t\r\n]+)|(?P<reference>\${TARGET})|(?P<name>{NAME})"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<text>'(?:[^'\\]|\\.)*+')|(?P<quoted>\"(?:[^\"\\]|\\.)*+\")|(?P<json>`(?:[^`\\]|\\.)*+`)"
    r"|(?P<filter>\[\?)|(?P<flatten>\[\])|(?P<sign>\|\||&&|[=!<>]=|[.*@|&<>!,:(){}\[\]])",
    re.DOTALL,
)
DIGITS = re.compile(r"-?[0-9]+")


def tokenize(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        after_dot = position > 0 and text[position - 1] == "." and tokens[-1].kind == "."
        digits = DIGITS.match(text, position) if after_dot else None
        found = TOKENS.match(text, position)
        if digits is not None:
            tokens.append(Token("number", digits[0], position, digits.end()))
            position = digits.end()
        elif found is not None:
            kind = str(found.lastgroup)
            if kind != "space":
                tokens.append(
                    Token(found[0] if kind == "sign" else kind, found[0], position, found.end())
                )
            position = found.end()
        else:
            raise _unreadable(text, position)
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


def _unreadable(text: str, at: int) -> InvalidExpression:
    rest = text[at:]
    if rest[0] in "'\"`":
        return invalid(at, at + 1, f"the {rest[0]} is never closed")
    if rest.startswith("$"):
        hint = "Write names only (a.ok, items[0]), or a reference: $OUTPUT[id].x, $ITEM."
        return invalid(at, at + 1, "$ starts no reference here", hint=hint)
    if rest[0] in "+-/%":
        hint = 'Write "a-b" for a name with a sign in it, subtract(a, b) for a difference.'
        if not text[at - 1 : at].strip() or not rest[1:2].strip():
            hint = "Write add(a, b), subtract(a, b), multiply(a, b) or divide(a, b)."
        return invalid(at, at + 1, f"{rest[0]} is not an operator", hint=hint)
    return invalid(at, at + 1, f"{rest[0]!r} does not fit here")
