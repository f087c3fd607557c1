"""The lines on which texts of a TOML file stand.

The parser of the standard library gives values alone. So each text that may be meant is replaced by
a mark of its own, and the file is parsed once more: a mark that comes back at a place says which
text stands there, whatever form the table has. A text that is escaped or goes over several lines
is not found.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from .places import Steps

_TEXT = re.compile(r"\"(?P<basic>[^\"\\\n]*)\"|'(?P<literal>[^'\n]*)'")
_MARK = "plait-text-{}"


def lines_of(toml: str, texts: Mapping[Steps, str]) -> dict[Steps, int]:
    """Return the line of each of *texts*, which stand at these places of *toml*. Those that are not
    found are left out."""
    wanted = set(texts.values())
    lines: dict[str, int] = {}

    def mark(found: re.Match[str]) -> str:
        text = found["basic"] if found["literal"] is None else found["literal"]
        if text not in wanted:
            return found.group()
        name = _MARK.format(len(lines))
        lines[name] = toml.count("\n", 0, found.start()) + 1
        return f'"{name}"'

    marked = _TEXT.sub(mark, toml)
    try:
        values = tomllib.loads(marked)
    except tomllib.TOMLDecodeError:
        return {}
    at = {steps: _value_at(values, steps) for steps in texts}
    return {steps: lines[name] for steps, name in at.items() if name in lines}


def _value_at(values: Any, steps: Steps) -> Any:
    for step in steps:
        try:
            values = values[step]
        except (KeyError, IndexError, TypeError):
            return None
    return values if isinstance(values, str) else None
