"""The values around a name, and the wrapper that names are looked up in."""

from __future__ import annotations

from plait.core.expressions.scopes import Scope, looked_through
from plait.core.expressions.shapes import ANY, Shape, list_of, object_of, of, or_null

from ..tables import table

LIST = list_of(of("text"))


def test_the_next_step_of_a_path_is_in_the_same_values_and_an_element_is_within() -> None:
    outer = Scope(object_of({"a": LIST}))
    inner = outer.within(LIST.elements)
    assert inner.around is outer
    assert inner.beneath(ANY) == Scope(ANY, outer)


@table(
    ("shape", "inner"),
    [
        (object_of({"result": LIST}), LIST),
        (Shape(frozenset({"object"}), {"result": LIST}), LIST),
        (object_of({"result": LIST, "more": ANY}), None),
        (or_null(object_of({"result": LIST})), None),
        (object_of({"other": LIST}), None),
    ],
)
def test_only_a_wrapper_is_looked_through(shape: Shape, inner: Shape | None) -> None:
    assert looked_through(shape) == (shape if inner is None else inner)
