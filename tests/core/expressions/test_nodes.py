"""The places of nodes, and the walk over them."""

from __future__ import annotations

from plait.core.expressions.nodes import Key, Path, Source, walk
from plait.core.expressions.syntax import parse

from ..tables import table


def test_nodes_have_their_places_and_are_walked_in_the_order_of_the_text() -> None:
    tree = parse("a.b[?c == 'x'].d")
    places = [(type(node).__name__, node.start) for node in walk(tree)]
    assert ("Field", 0) in places
    assert ("Compare", 5) in places
    assert isinstance(parse("a.b.c.d"), Path)
    assert len(list(walk(parse("a.b.c.d")))) == 5


@table(("key", "text"), [(Key(Source.OUTPUT, "a"), "$OUTPUT[a]")])
def test_the_start_of_a_reference_is_shown_as_it_is_written(key: Key, text: str) -> None:
    assert str(key) == text
