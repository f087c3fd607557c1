"""The words of an expression: what a token stands for.

A quoted text may hold references; they are parsed here and get their values when the expression
runs.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..values.strict import NotStrict, loads
from .nodes import Embedded, Field, Index, Key, Literal, Node, Source, Text
from .problems import Edit, invalid
from .tokens import DIGITS, NAME, TARGET, Token

MAX_DIGITS = 400

_IN_TEXT = re.compile(
    r"\$(?P<escape>\$)(?=\{?(?:OUTPUT|STATUS|ERROR|ITEM|INDEX|ARGUMENTS))"
    rf"|\$(?P<brace>\{{)?(?P<reference>{TARGET})"
)
_STEP = re.compile(
    rf"\.(?P<name>{NAME})|\.(?P<digits>[0-9]{{1,9}})"
    r"|\[(?P<index>-?[0-9]{1,9})\]|\[(?P<key>\"(?:[^\"\\]|\\.)*+\")\]"
)


def index_of(token: Token) -> int:
    if not DIGITS.fullmatch(token.text) or len(token.text) > 10:
        raise invalid(token.start, token.end, f"{token.text[:20]} is not an index")
    return int(token.text)


def number_of(token: Token) -> int | float:
    if len(token.text) > MAX_DIGITS:
        raise invalid(token.start, token.end, "the number has too many digits")
    value = int(token.text) if DIGITS.fullmatch(token.text) else float(token.text)
    if value in (float("inf"), float("-inf")):
        raise invalid(token.start, token.end, "the number is too large")
    return value


def name_of(token: Token) -> str:
    _check_no_reference(token)
    return _json_string(token.text, token.start)


def _json_string(text: str, start: int) -> str:
    try:
        found = str(json.loads(text, strict=False))
        found.encode()  # refuses half of a surrogate pair, which no answer can hold
    except ValueError:
        raise invalid(start, start + len(text), f"{text[:40]} is not a JSON string") from None
    return found


def json_of(token: Token) -> Any:
    _check_no_reference(token)
    try:
        return loads(token.text[1:-1].replace("\\`", "`"))
    except NotStrict:
        word = token.text[1:-1].strip()
        edit = (
            Edit(token.start, token.end, f"'{word}'") if re.fullmatch(r"[\w ./-]+", word) else None
        )
        message = f"{token.text[:40]} is not a JSON value"
        raise invalid(token.start, token.end, message, edit) from None


def _check_no_reference(token: Token) -> None:
    inner = token.text[1:-1].strip('"')
    if found := _IN_TEXT.search(inner):
        whole = re.fullmatch(rf"\${TARGET}(?:{_STEP.pattern})*", inner)
        edit = Edit(token.start, token.end, inner) if whole else None
        raise invalid(
            token.start,
            token.end,
            f"{found[0]} is not a reference between {token.text[0]}",
            edit,
            "Write a reference without quotes, or in single quotes within a text.",
        )


def text_of(token: Token) -> Node:
    raw = token.text[1:-1]
    parts: list[str | Embedded] = []
    literal: list[str] = []
    position = 0
    while found := _IN_TEXT.search(raw, position):
        literal.append(raw[position : found.start()])
        position = found.end()
        if found["escape"]:
            literal.append("$")
            continue
        at = token.start + 1 + found.start()
        steps: list[Field | Index] = []
        while step := _STEP.match(raw, position):
            group = str(step.lastgroup)
            where = (token.start + 1 + step.start(group), token.start + 1 + step.end(group))
            if group in ("name", "key"):
                name = step["name"] or _json_string(step["key"], where[0])
                steps.append(Field(*where, name, is_quoted=group == "key"))
            else:
                steps.append(Index(*where, int(step["digits"] or step["index"])))
            position = step.end()
        if found["brace"]:
            if not raw.startswith("}", position):
                raise invalid(
                    at,
                    at + 2,
                    "no brace closes the reference after its path",
                    hint="In a text, a reference has a path and no default: write (x || 'y').",
                )
            position += 1
        key = key_of("$" + found["reference"])
        parts += [
            _unescaped("".join(literal)),
            Embedded(at, token.start + 1 + position, key, tuple(steps)),
        ]
        literal = []
    literal.append(raw[position:])
    parts.append(_unescaped("".join(literal)))
    kept = tuple(part for part in parts if part != "")
    if any(isinstance(part, Embedded) for part in kept):
        return Text(token.start, token.end, kept)
    return Literal(token.start, token.end, "".join(part for part in kept if isinstance(part, str)))


def key_of(text: str) -> Key:
    source, _, id = text[1:].partition("[")
    return Key(Source(source), id.removesuffix("]"))


def _unescaped(text: str) -> str:
    return text.replace("\\'", "'")
