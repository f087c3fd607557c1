"""What a definition says, and when two say the same."""

from __future__ import annotations

from typing import Any

from plait.core.tools.definitions import by_name, described, hash_of

from ..tables import table

LOOK: dict[str, Any] = {
    "name": "look",
    "description": "Look.",
    "inputSchema": {"type": "object", "properties": {"a": {}, "b": {}}},
    "annotations": {"readOnlyHint": True},
}


@table(
    ("other", "is_same"),
    [
        ({"_meta": {"x": 1}, "icons": []}, True),
        ({"title": None}, True),
        ({"inputSchema": {"properties": {"b": {}, "a": {}}, "type": "object"}}, True),
        ({"description": "Look!"}, False),
        ({"title": "Look"}, False),
        ({"inputSchema": {"type": "object"}}, False),
        ({"outputSchema": {"type": "object"}}, False),
        ({"annotations": {}}, False),
    ],
)
def test_definitions_that_say_the_same_have_one_hash(other: dict[str, Any], is_same: bool) -> None:
    changed = {**LOOK, **other}
    assert (hash_of(changed) == hash_of(LOOK)) is is_same
    assert hash_of(described(changed)) == hash_of(changed)


def test_a_definition_without_end_has_a_hash_too() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(100_000):
        inner["x"] = inner = {}
    assert hash_of({"inputSchema": deep}) == hash_of({"outputSchema": deep})
    while deep:  # so that it is freed without recursion
        deep = deep.pop("x", {})


def test_what_is_no_definition_is_skipped() -> None:
    assert by_name([LOOK, 1, None, {"name": 2}, {}]) == {"look": LOOK}
