"""Names and texts as an expression holds them, in quotes where they need them."""

from __future__ import annotations

import re

from ..values.strict import dumps

PLAIN = re.compile(r"[^\W\d]\w*")
"""Names that need no quotes."""


def quoted(text: str) -> str:
    """Return *text* as it is written in an expression."""
    return "'" + text.replace("'", "\\'") + "'"


def member_of(reference: str, name: str) -> str:
    """Return the reference to the member *name* of what *reference* stands for."""
    return f"{reference}.{name}" if PLAIN.fullmatch(name) else f"{reference}[{dumps(name)}]"


def as_name(name: str) -> str:
    """Return *name* as a field is written in an expression."""
    return name if PLAIN.fullmatch(name) and name not in ("true", "false", "null") else dumps(name)
