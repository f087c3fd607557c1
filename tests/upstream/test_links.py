"""The addresses in results are those that clients know, wherever they stand, and nothing else is
touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.strict import Json, JsonObject
from plait.upstream.links import MOST_BLOCKS, output_with_addresses, with_addresses


def up(uri: str) -> str:
    return f"up:{uri}" if uri.startswith("x:") else uri


LINK: JsonObject = {
    "type": "resource_link",
    "uri": "x:1",
    "name": "n",
    "uri-like": "x:2",
    "_meta": {"uri": "x:3"},
}
LINKED: JsonObject = {**LINK, "uri": "up:x:1"}
EMBEDDED: JsonObject = {
    "type": "resource",
    "resource": {"uri": "x:1", "text": "x:2", "uri2": "x:3"},
    "uri": "x:4",
}
SHOWN: JsonObject = {**EMBEDDED, "resource": {"uri": "up:x:1", "text": "x:2", "uri2": "x:3"}}
TEXT: JsonObject = {"type": "text", "text": "x:1", "uri": "x:1"}


@pytest.mark.parametrize(
    ("method", "result", "served"),
    [
        ("tools/call", {"content": [LINK, TEXT, EMBEDDED]}, {"content": [LINKED, TEXT, SHOWN]}),
        (
            "tools/call",
            {"content": [], "structuredContent": LINK},
            {"content": [], "structuredContent": LINK},
        ),
        (
            "prompts/get",
            {
                "messages": [
                    {"role": "user", "content": EMBEDDED},
                    {"role": "user", "content": TEXT},
                ]
            },
            {"messages": [{"role": "user", "content": SHOWN}, {"role": "user", "content": TEXT}]},
        ),
        (
            "resources/read",
            {"contents": [{"uri": "x:1", "text": "x:1"}, {"uri": "y:1"}], "uri": "x:1"},
            {"contents": [{"uri": "up:x:1", "text": "x:1"}, {"uri": "y:1"}], "uri": "x:1"},
        ),
        ("completion/complete", {"content": [LINK]}, {"content": [LINK]}),
    ],
)
def test_an_address_is_changed_where_the_protocol_has_one(
    method: str, result: JsonObject, served: JsonObject
):
    before = repr(result)
    assert with_addresses(method, result, up) == served
    assert repr(result) == before  # the server's own answer stays as it is


METHODS = ["tools/call", "prompts/get", "resources/read"]
odd = st.recursive(
    st.none() | st.integers() | st.sampled_from(["x:1", "resource", "resource_link", "y"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "uri", "resource", "content", "messages", "contents"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    st.sampled_from(METHODS),
    st.dictionaries(st.sampled_from(["content", "messages", "contents"]), odd),
)
def test_results_of_any_shape_pass(method: str, result: dict[str, Json]):
    assert with_addresses(method, result, up).keys() == result.keys()
    assert with_addresses(method, result, lambda uri: uri) is result


def known(server: str, uri: str) -> str:
    return f"{server}:{uri}"


FOUND: JsonObject = {**LINK, "uri": "s:x:1"}


@pytest.mark.parametrize(
    ("value", "served"),
    [
        ([LINK, TEXT], [FOUND, TEXT]),
        (LINK, FOUND),
        ([[LINK], [TEXT]], [[FOUND], [TEXT]]),
        ({"content": [LINK], "x": 1}, {"content": [FOUND], "x": 1}),
        ({"x": LINK}, {"x": LINK}),
        ("x:1", "x:1"),
        (None, None),
    ],
)
def test_links_of_an_output_are_those_that_clients_know(value: Json, served: Json):
    before = repr(value)
    assert output_with_addresses(value, "s:t", known) == served
    assert repr(value) == before


def test_an_output_without_links_stays_the_same_object_and_a_long_one_whole():
    plain: Json = [TEXT, {"content": [TEXT]}]
    assert output_with_addresses(plain, "s:t", known) is plain
    long: list[Json] = [LINK] * (MOST_BLOCKS + 10)
    assert output_with_addresses(long, "s:t", known) == [FOUND] * MOST_BLOCKS + [LINK] * 10
