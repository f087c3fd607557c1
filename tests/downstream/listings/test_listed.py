"""Entries of lists, as they are passed on."""

from __future__ import annotations

from typing import Any

import pytest

from plait.downstream.listings.listing import (
    MAX_DESCRIPTION,
    as_listed,
    fetch_definitions,
    read_entries,
    read_tools,
)
from plait.errors import InvalidOutput


def definition(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **members}


def test_tools_are_passed_on_whole_and_in_the_servers_order():
    long = definition("z", description="x" * (MAX_DESCRIPTION + 1))
    definitions = [
        long,
        "no tool",
        definition("a"),
        {"name": ["b"]},
        definition("c", inputSchema=7),
        definition("left"),
    ]
    tools, _ = read_tools("s", definitions, exclude=("left",))
    assert [tool.name for tool in tools] == ["a", "z"]
    assert as_listed(definitions, tools) == (long, definition("a"))


def test_of_two_tools_of_one_name_the_one_that_is_called_is_passed_on():
    definitions = [definition("a", title="first"), definition("a", title="second")]
    tools, _ = read_tools("s", definitions)
    assert as_listed(definitions, tools) == (tools[0].definition,)


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        7,
        None,
        [],
        {},
        {"uri": 7},
        {"uri": None},
        {"uri": "x", "y": float("inf")},
        {"uri": "x", "y": "\ud800"},
    ],
)
def test_an_entry_that_cannot_be_passed_on_hides_no_other(entry: Any):
    good = {"uri": "note://1", "x-odd": [None]}
    assert read_entries([entry, good], "uri") == (good,)


def test_an_entry_is_passed_on_once_and_not_without_end():
    entries: list[Any] = [{"uri": "a", "n": number} for number in range(3)] + [
        {"uri": "b"},
        {"uri": "c"},
    ]
    assert read_entries(entries, "uri", most=4) == ({"uri": "a", "n": 0}, {"uri": "b"})


async def test_a_list_without_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("plait.downstream.listings.listing.MAX_LIST_BYTES", 10_000)
    pages = 0

    async def page(params: dict[str, Any]) -> dict[str, Any]:
        nonlocal pages
        pages += 1
        return {"prompts": [{"name": "x" * 900}], "nextCursor": str(pages)}

    with pytest.raises(InvalidOutput, match="longer than 10,000 bytes"):
        await fetch_definitions(page, "prompts")
    assert pages == 11
