"""References and quoted texts, as closures: what an expression is given from outside."""

from __future__ import annotations

import re
from typing import Any

from ...errors import ReferenceFailed
from .budget import to_text
from .frame import MISSING, Frame, Run
from .nodes import Embedded, Field, Key
from .signatures import kind_of


def of_reference(key: Key, *, reads_result: bool = False) -> Run:
    def run(value: Any, frame: Frame) -> Any:
        bound, is_wrapped = frame.bindings.get(key, MISSING)
        return bound["result"] if is_wrapped and not reads_result else bound  # type: ignore[index,call-overload]  # is_wrapped says that it is there

    return run


def of_text(parts: tuple[str | Embedded, ...], *, is_pattern: bool = False) -> Run:
    """Put the references in a text. In a pattern, what they stand for is meant literally."""
    runs = [part if isinstance(part, str) else _strict(part) for part in parts]

    def run(value: Any, frame: Frame) -> Any:
        pieces = []
        for part in runs:
            piece = part if isinstance(part, str) else to_text(part(value, frame), frame.budget)
            pieces.append(re.escape(piece) if is_pattern and part is not piece else piece)
        frame.budget.make_text(sum(map(len, pieces)))
        return "".join(pieces)

    return run


def _strict(node: Embedded) -> Run:
    """Give the value of a reference in a text, where a missing path is an error: a text with a gap
    would be sent unnoticed."""
    key, steps = node.key, [s.name if isinstance(s, Field) else s.index for s in node.steps]
    start = of_reference(key, reads_result=steps[:1] == ["result"])

    def run(value: Any, frame: Frame) -> Any:
        if key not in frame.bindings:
            raise ReferenceFailed(f"{key} has no value (at character {node.start + 1})")
        found = start(value, frame)
        for step in steps:
            if isinstance(step, str):
                is_there = type(found) is dict and step in found
            else:
                is_there = type(found) is list and -len(found) <= step < len(found)
            if not is_there:
                there = f"a {kind_of(found)}"
                if type(found) is dict:
                    there = f"an object with the keys {', '.join([*found][:20])}"
                raise ReferenceFailed(
                    f"there is no {step} in {there} of {key} (at character {node.start + 1})"
                )
            found = found[step]
        return found

    return run
