"""Lists of a server: every page is fetched, and each definition is checked by itself."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.tools.catalog import Tool
from plait.downstream.listings.definitions import (
    MAX_DESCRIPTION,
    MAX_PAGES,
    MAX_TOOLS,
    MAX_WARNINGS,
    as_listed,
    fetch_definitions,
    read_entries,
    read_tools,
    renewed,
)
from plait.errors import InvalidOutput


def definition(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


class Pages:
    """A server whose page *n* is followed by page *n + 1*, for ever."""

    def __init__(self, **page: Any) -> None:
        self.asked: list[Any] = []
        self._page = page

    async def __call__(self, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(params)
        number = len(self.asked)
        return {"tools": [definition(f"tool{number}")], "nextCursor": str(number), **self._page}


async def test_pages_are_followed_to_the_last():
    answers: list[dict[str, Any]] = [
        {"tools": [1, 2], "nextCursor": "more"},
        {"tools": [], "nextCursor": ""},
        {"tools": [3]},
    ]
    asked: list[Any] = []

    async def ask(params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params)
        return answers[len(asked) - 1]

    assert await fetch_definitions(ask) == [1, 2, 3]
    assert asked == [{}, {"cursor": "more"}, {"cursor": ""}]


@pytest.mark.parametrize(
    ("page", "requests"),
    [
        ({}, MAX_PAGES),
        ({"nextCursor": "same"}, 2),
        ({"nextCursor": 7}, 1),
        ({"nextCursor": None}, 1),
        ({"tools": [definition("x")] * (MAX_TOOLS + 1)}, 1),
    ],
)
async def test_a_list_without_end_ends(page: dict[str, Any], requests: int):
    server = Pages(**page)
    await fetch_definitions(server)
    assert len(server.asked) == requests


@pytest.mark.parametrize("page", [{}, {"tools": None}, {"tools": []}])
async def test_a_missing_list_is_an_empty_one(page: dict[str, Any]):
    async def ask(params: dict[str, Any]) -> dict[str, Any]:
        return page

    assert await fetch_definitions(ask) == []


@pytest.mark.parametrize("page", [{"tools": {}}, {"tools": ""}, {"tools": {"a": 1}}])
async def test_an_answer_without_a_list_is_an_error(page: dict[str, Any]):
    async def ask(params: dict[str, Any]) -> dict[str, Any]:
        return page

    with pytest.raises(InvalidOutput, match="no list of tools"):
        await fetch_definitions(ask)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("no object", "number 0 was left out: its definition is not an object"),
        ({"inputSchema": {}}, "its name is missing"),
        (
            definition("two words"),
            "tool two words was left out: its name is missing or holds blanks",
        ),
        (definition("x", inputSchema=None), "its inputSchema is not an object"),
        (definition("x", inputSchema={"type": "strin"}), "tool x was left out"),
        (definition("x", inputSchema={"type": "array"}), "not of type object"),
        (definition("x", outputSchema=7), "its outputSchema is not an object"),
        (definition("x", description="\ud800"), "lone surrogate"),
        (definition("x\x1b[31m", inputSchema=None), r"tool x\x1b[31m was left out"),
    ],
)
def test_an_unusable_definition_is_left_out_and_the_others_stay(bad: Any, why: str):
    tools, warnings = read_tools("files", [bad, definition("good")])
    assert [tool.name for tool in tools] == ["good"]
    assert len(warnings) == 1
    assert why in warnings[0]
    assert warnings[0].isprintable()


def test_a_definition_nested_without_end_is_left_out():
    nested: dict[str, Any] = {}
    for _ in range(300):
        nested = {"properties": {"a": nested}}
    tools, warnings = read_tools(
        "files", [definition("deep", inputSchema=nested), definition("good")]
    )
    assert [tool.name for tool in tools] == ["good"]
    assert "nested" in warnings[0]


def test_a_schema_that_leads_outside_leaves_the_tool_callable_with_a_warning():
    outside = {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema.json"}}}
    tools, warnings = read_tools("files", [definition("x", inputSchema=outside)])
    assert [tool.name for tool in tools] == ["x"]
    assert "values of tool x are not checked" in warnings[0]


@pytest.mark.parametrize(
    ("part", "fits", "does_not_fit"),
    [
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, 1, 0),
        ({"items": [{"type": "string"}]}, ["a"], [1]),
        ({"type": "string", "required": True}, "a", 1),
        ({"type": "int"}, 1, "a"),
        ({"type": "string", "nullable": True}, None, 1),
    ],
)
def test_a_schema_of_an_older_draft_is_served_and_checked(
    part: dict[str, Any], fits: Any, does_not_fit: Any
):
    schema = {"type": "object", "properties": {"a": part}}
    [tool], warnings = read_tools("files", [definition("x", inputSchema=schema)])
    assert warnings == []
    assert tool.definition["inputSchema"] == schema
    assert tool.input.complaints({"a": fits}) == []
    assert tool.input.complaints({"a": does_not_fit})


def test_a_part_of_a_schema_that_is_not_understood_is_left_out_with_a_warning():
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": "x"}}}
    [tool], [warning] = read_tools("files", [definition("x", inputSchema=schema)])
    assert "values of tool x are checked in part: its inputSchema: " in warning
    assert tool.input.complaints({"a": "one"})


def test_an_output_schema_that_is_not_one_is_not_passed_on():
    bad = definition("x", outputSchema={"type": "object", "properties": []})
    [tool], [warning] = read_tools("files", [bad])
    assert tool.output is None
    assert warning.startswith("the outputSchema of tool x is not used: ")
    [listed] = as_listed([bad], [tool])
    assert listed == definition("x")


def test_tools_come_sorted():
    tools, warnings = read_tools("files", [definition(name) for name in ("read_b", "read_a")])
    assert [tool.full_name for tool in tools] == ["files:read_a", "files:read_b"]
    assert warnings == []


def test_the_numbers_of_tools_and_of_warnings_are_limited():
    tools, warnings = read_tools(
        "files", [definition(f"tool{number}") for number in range(MAX_TOOLS + 5)]
    )
    assert len(tools) == MAX_TOOLS
    assert warnings == ["the server lists more than 2,000 tools; the rest was left out"]
    _, warnings = read_tools("files", ["bad"] * 1_000)
    assert len(warnings) == MAX_WARNINGS + 1
    assert warnings[-1] == "950 more warnings like these"


def test_unchanged_tools_stay_the_same_objects():
    before = (Tool("s", "a", {"name": "a", "x": 1}), Tool("s", "b", {"name": "b", "x": 1}))
    assert (
        renewed(
            before, [Tool("s", "a", {"name": "a", "x": 1}), Tool("s", "b", {"name": "b", "x": 1})]
        )
        is before
    )
    after = renewed(
        before, [Tool("s", "a", {"name": "a", "x": 1}), Tool("s", "b", {"name": "b", "x": True})]
    )
    assert after[0] is before[0]
    assert after[1].definition["x"] is True
    assert renewed(before, before[:1]) == before[:1]


def test_tools_are_passed_on_whole_and_in_the_servers_order():
    long = definition("z", description="x" * (MAX_DESCRIPTION + 1))
    definitions = [
        long,
        "no tool",
        definition("a"),
        {"name": ["b"]},
        definition("c", inputSchema=7),
    ]
    tools, _ = read_tools("s", definitions)
    assert [tool.name for tool in tools] == ["a", "z"]
    assert as_listed(definitions, tools) == (long, definition("a"))


def test_the_listed_one_of_two_tools_of_one_name_is_the_one_that_is_called():
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
def test_an_entry_that_cannot_be_passed_on_is_left_out_and_the_others_stay(entry: Any):
    good = {"uri": "note://1", "x-odd": [None]}
    assert read_entries([entry, good], "uri") == (good,)


def test_entries_are_passed_on_once_each_and_their_number_is_limited():
    entries: list[Any] = [{"uri": "a", "n": number} for number in range(3)] + [
        {"uri": "b"},
        {"uri": "c"},
    ]
    assert read_entries(entries, "uri", most=4) == ({"uri": "a", "n": 0}, {"uri": "b"})


async def test_a_list_above_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("plait.downstream.listings.definitions.MAX_LIST_BYTES", 10_000)
    pages = 0

    async def page(params: dict[str, Any]) -> dict[str, Any]:
        nonlocal pages
        pages += 1
        return {"prompts": [{"name": "x" * 900}], "nextCursor": str(pages)}

    with pytest.raises(InvalidOutput, match="longer than 10,000 bytes"):
        await fetch_definitions(page, "prompts")
    assert pages == 11
