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


class Ended:
    def status(self, id: str) -> str | None:
        return {"g.b": "failed"}.get(id)

    def error(self, id: str) -> Json:
        return {"code": "timeout"} if id == "g.b" else None


@table(
    ("text", "value"),
    [
        ("$STATUS[b]", "failed"),
        ("$ERROR[b].code", "timeout"),
        ("$ERROR[a].code", None),
        ("$STATUS[gone]", None),
        ("$ITEM[g].x", 5),
        ("$INDEX[g]", 3),
        ("$ITEM.id", 2),
        ("$ARGUMENTS.page", 7),
    ],
)
def test_ends_and_items_of_groups_are_found_by_their_names(text: str, value: Json) -> None:
    outputs = {**OUTPUTS, "$ITEM[o.g]": Output({"x": 5}), "$INDEX[o.g]": Output(3)}
    names = {"b": "g.b", "$ITEM[g]": "$ITEM[o.g]", "$INDEX[g]": "$INDEX[o.g]"}
    scope = Scope(outputs, {"id": 2}, 4, names, None, {"page": 7}, Ended())
    assert evaluated(expression(text), None, scope) == value
    own = Scope(outputs, {"id": 2}, 4, {}, None, {"page": 7}, Ended())
    assert evaluated(expression(text), None, own, names) == value


def test_a_text_with_a_task_that_has_no_output_fails() -> None:
    with pytest.raises(ReferenceFailed, match="gone"):
        evaluated(expression("'$OUTPUT[gone].x'"), None, SCOPE)
