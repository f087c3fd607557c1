"""The addresses in results are those that clients know, wherever they stand, and nothing else is
touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.strict import Json, JsonObject
from plait.upstream.relay.router import LONGEST_ADDRESS, MOST_SEEN, RecentUris, with_addresses


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


def test_the_latest_addresses_are_remembered_and_no_more():
    seen = RecentUris()
    for n in range(MOST_SEEN):
        seen.note("a", f"x:{n}")
    seen.note("b", "x:0")
    seen.note("a", "x:new")
    named = [seen.server_of(uri) for uri in ("x:0", "x:1", "x:2", "x:new")]
    assert named == ["b", None, "a", "a"]
    assert repr(seen) == f"<RecentUris: {MOST_SEEN} addresses>"


def test_a_very_long_uri_is_not_remembered():
    seen = RecentUris()
    seen.note("a", "x" * (LONGEST_ADDRESS + 1))
    seen.note("a", "x" * LONGEST_ADDRESS)
    assert repr(seen) == "<RecentUris: 1 addresses>"
