"""Entries and blocks as the strictest client reads them; `tests/interop` shows them to clients."""

from __future__ import annotations

from typing import Any

import pytest

from plait.upstream.strictest import fit_entry, fit_media, for_handshake_era

TOOL: dict[str, Any] = {"name": "t", "inputSchema": {"type": "object"}}
RESOURCE: dict[str, Any] = {"name": "r", "uri": "mem://r"}
TEMPLATE: dict[str, Any] = {"name": "t", "uriTemplate": "mem://{x}"}
PROMPT: dict[str, Any] = {"name": "p"}
NEEDED = [
    ("tools/list", TOOL),
    ("resources/list", RESOURCE),
    ("resources/templates/list", TEMPLATE),
    ("prompts/list", PROMPT),
]


@pytest.mark.parametrize(("method", "entry"), NEEDED)
def test_an_entry_that_fits_stays_the_same_object_with_unknown_members(
    method: str, entry: dict[str, Any]
):
    odd = {**entry, "x-null": None, "_meta": {"x": None}}
    assert fit_entry(method, odd) is odd


@pytest.mark.parametrize(("method", "entry"), NEEDED)
@pytest.mark.parametrize("member", ["title", "description", "icons", "_meta"])
@pytest.mark.parametrize("value", [None, 7])
def test_an_optional_member_that_cannot_be_read_is_left_out(
    method: str, entry: dict[str, Any], member: str, value: Any
):
    assert fit_entry(method, {**entry, member: value}) == entry


@pytest.mark.parametrize(
    ("method", "entry"),
    [
        ("tools/list", {"name": "t"}),
        ("tools/list", {**TOOL, "name": None}),
        ("tools/list", {**TOOL, "inputSchema": None}),
        ("resources/list", {"name": "r"}),
        ("resources/list", {"uri": "mem://r"}),
        ("resources/list", {**RESOURCE, "uri": 7}),
        ("resources/templates/list", {**TEMPLATE, "uriTemplate": None}),
        ("prompts/list", {"name": ["p"]}),
    ],
)
def test_an_entry_without_what_is_needed_is_left_out(method: str, entry: dict[str, Any]):
    assert fit_entry(method, entry) is None


@pytest.mark.parametrize(
    ("method", "entry", "fitted"),
    [
        (
            "tools/list",
            {**TOOL, "annotations": {"readOnlyHint": True, "openWorldHint": None, "x": None}},
            {**TOOL, "annotations": {"readOnlyHint": True, "x": None}},
        ),
        (
            "tools/list",
            {**TOOL, "inputSchema": {"properties": {"a": True, "b": False, "c": {}}}},
            {
                **TOOL,
                "inputSchema": {
                    "type": "object",
                    "properties": {"a": {}, "b": {"not": {}}, "c": {}},
                },
            },
        ),
        (
            "tools/list",
            {**TOOL, "outputSchema": {"type": "object", "properties": {"a": True}}},
            {**TOOL, "outputSchema": {"type": "object", "properties": {"a": {}}}},
        ),
        ("tools/list", {**TOOL, "outputSchema": {"type": "object", "id": "x"}}, TOOL),
        ("tools/list", {**TOOL, "execution": {"taskSupport": "no"}}, {**TOOL, "execution": {}}),
        (
            "resources/list",
            {**RESOURCE, "icons": [{"src": 1}, {"src": "data:,", "theme": "red"}]},
            {**RESOURCE, "icons": [{"src": "data:,"}]},
        ),
        ("resources/list", {**RESOURCE, "size": 1.5, "mimeType": None}, RESOURCE),
        (
            "resources/list",
            {**RESOURCE, "annotations": {"audience": ["user", "me"], "priority": 2}},
            {**RESOURCE, "annotations": {"audience": ["user"]}},
        ),
        (
            "prompts/list",
            {**PROMPT, "arguments": [{"name": "x", "required": None}, {"name": None}]},
            {**PROMPT, "arguments": [{"name": "x"}]},
        ),
    ],
)
def test_an_entry_is_repaired(method: str, entry: dict[str, Any], fitted: dict[str, Any]):
    assert fit_entry(method, entry) == fitted


@pytest.mark.parametrize(
    ("output", "is_kept"),
    [({"type": "object"}, True), ({"type": "array"}, False), ({"$ref": "#/$defs/x"}, False)],
)
def test_in_the_handshake_era_an_output_is_an_object(output: dict[str, Any], is_kept: bool):
    tool = {**TOOL, "outputSchema": output}
    assert for_handshake_era(tool) == (tool if is_kept else TOOL)


IMAGE = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}


@pytest.mark.parametrize(
    ("block", "fitted"),
    [
        (IMAGE, IMAGE),
        ({**IMAGE, "data": "data:image/png;base64,iVBORw0KGgo="}, IMAGE),
        (
            {"type": "image", "data": "data:image/png;charset=x;base64,iVBORw0KGgo="},
            {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"},
        ),
        ({**IMAGE, "data": "iVBORw0KGgo"}, IMAGE),
        ({**IMAGE, "data": "iVBO Rw0K\r\nGgo=\n"}, IMAGE),
        ({**IMAGE, "data": "-_-_"}, {**IMAGE, "data": "+/+/"}),
        ({**IMAGE, "annotations": None, "x": 1}, {**IMAGE, "x": 1}),
        (
            {**IMAGE, "annotations": {"lastModified": "yesterday", "priority": 0.5}},
            {**IMAGE, "annotations": {"priority": 0.5}},
        ),
        (
            {**IMAGE, "annotations": {"lastModified": "2026-02-30T00:00:00Z"}},
            {**IMAGE, "annotations": {}},
        ),
        (
            {**IMAGE, "annotations": {"lastModified": "2026-02-03T04:05:06.7+01:00"}},
            {**IMAGE, "annotations": {"lastModified": "2026-02-03T04:05:06.7+01:00"}},
        ),
        ({**IMAGE, "data": "QQ==QQ=="}, None),
        ({**IMAGE, "data": "<svg/>"}, None),
        ({**IMAGE, "data": "AAAAA"}, None),
        ({**IMAGE, "data": None}, None),
        ({**IMAGE, "mimeType": None}, None),
        ({**IMAGE, "type": "video"}, None),
    ],
)
def test_a_block_is_repaired_or_left_out(block: dict[str, Any], fitted: dict[str, Any] | None):
    assert fit_media(block) == fitted
