"""What references in expressions see."""

from __future__ import annotations

import pytest

from plait.core.expressions.evaluation import expression
from plait.core.language.scope import Scope, evaluated
from plait.core.tools.output import Output
from plait.core.values.strict import Json
from plait.errors import ReferenceFailed

from ..tables import table

OUTPUTS = {
    "a": Output({"id": 2}),
    "g.b": Output([1, 2]),
    "w": Output({"result": 5}, is_wrapped=True),
}
SCOPE = Scope(OUTPUTS, {"id": 2}, 4, {"a": "a", "b": "g.b", "w": "w"})


@table(
    ("text", "value"),
    [
        ("[?id == $OUTPUT[a].id].n", ["two"]),
        ("[?id == $ITEM.id].n", ["two"]),
        ("$INDEX", 4),
        ("$OUTPUT[b]", [1, 2]),
        ("$OUTPUT[w]", 5),
        ("$OUTPUT[gone].x", None),
        ("'$OUTPUT[a].id of $ITEM.id'", "2 of 2"),
    ],
)
def test_references_are_bound_to_what_is_in_scope(text: str, value: Json) -> None:
    rows: Json = [{"id": 1, "n": "one"}, {"id": 2, "n": "two"}]
    assert evaluated(expression(text), rows, SCOPE) == value


def test_a_text_with_a_task_that_has_no_output_fails() -> None:
    with pytest.raises(ReferenceFailed, match="gone"):
        evaluated(expression("'$OUTPUT[gone].x'"), None, SCOPE)
