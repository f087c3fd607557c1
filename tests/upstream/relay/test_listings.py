"""The lists that clients get: names, pages, eras, and what changes when servers do."""

from __future__ import annotations

import base64
from typing import Any

import mcp_types as types
import pytest

from plait.core.values.strict import JsonObject
from plait.errors import RpcError
from plait.upstream.relay.listings import PAGE, MergedListing, RelayConfig
from plait.upstream.texts import MAX_TEXT

from ..conftest import LEGACY, MODERN
from .downstream import (
    DONE,
    FakeDownstream,
    RawClient,
    a_resource,
    a_template,
    a_tool,
    connected,
    joined,
    relaying_server,
)

pytestmark = pytest.mark.virtual_time

LISTS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}
NOTHING_OF_OURS: dict[str, list[JsonObject]] = {method: [] for method in LISTS}

OURS = ["execute_dag", "search_tools", "describe_tools", "get_run", "cancel_run", "query_dag"]


@pytest.fixture
def downstream() -> FakeDownstream:
    return FakeDownstream()


async def listed(peer: RawClient, method: str = "tools/list") -> list[Any]:
    """All entries of a list that are not ours."""
    entries: list[Any] = []
    cursor: Any = None
    while True:
        page = await peer.request(method, {"cursor": cursor} if cursor else {})
        entries += page[LISTS[method]]
        if (cursor := page.get("nextCursor")) is None:
            return [entry for entry in entries if _is_theirs(entry)]


def _is_theirs(entry: JsonObject) -> bool:
    address = str(entry.get("uri") or entry.get("uriTemplate") or "plait://servers/")
    is_ours = entry["name"] in {*OURS, "plan", "explain_run"}
    return not is_ours and (
        not address.startswith("plait://") or address.startswith("plait://servers/")
    )


async def test_entries_are_listed_with_every_member_that_their_server_gave(
    downstream: FakeDownstream, era: str
):
    tool = a_tool(
        "t",
        title="T",
        outputSchema={"type": "object", "x-new": 1},
        annotations={"readOnlyHint": True, "x-new": 2},
        icons=[{"src": "data:image/png;base64,AA==", "sizes": ["48x48"], "theme": "dark"}],
        _meta={"example.com/k": {"deep": [None]}},
        execution={"taskSupport": "optional"},
        **{"x-of-the-future": [1]},
    )
    resource = a_resource("mem://r", size=3, annotations={"audience": ["user"]}, **{"x-new": {}})
    template = a_template("mem://{t}", mimeType="text/plain", **{"x-new": 0})
    prompt: JsonObject = {
        "name": "p",
        "arguments": [{"name": "x", "required": True, "x-new": 1}],
        "x-new": "y",
    }
    downstream.add(
        "a", tools=(tool,), resources=(resource,), templates=(template,), prompts=(prompt,)
    )
    async with connected(downstream, era) as peer:
        assert await listed(peer) == [{**tool, "name": "a__t"}]
        assert await listed(peer, "resources/list") == [resource]
        assert await listed(peer, "resources/templates/list") == [template]
        assert await listed(peer, "prompts/list") == [prompt]


async def test_a_tool_for_the_page_of_an_app_alone_is_listed_for_clients_that_show_such_pages(
    downstream: FakeDownstream, era: str
):
    page_only: JsonObject = {"ui": {"resourceUri": "ui://clock", "visibility": ["app"]}}
    downstream.add("a", tools=(a_tool("show"), a_tool("poll", _meta=page_only)))
    downstream.on("a", "tools/call", DONE)
    shows: JsonObject = {
        "extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}
    }
    async with (
        relaying_server(downstream) as server,
        joined(server, era, capabilities=shows) as host,
        joined(server, era) as other,
    ):
        assert [tool["name"] for tool in await listed(other)] == ["a__show"]
        assert [tool["name"] for tool in await listed(host)] == ["a__show", "a__poll"]
        assert [tool["name"] for tool in await listed(other)] == ["a__show"]
        assert (await other.call("a__poll"))["content"] == DONE["content"]


@pytest.mark.parametrize(
    ("expose", "names"),
    [
        ("dag", OURS),
        ("all", [*OURS, "a__x"]),
        ("tools", ["a__x"]),
    ],
)
async def test_the_setting_says_whose_tools_are_listed(
    downstream: FakeDownstream, era: str, expose: str, names: list[str]
):
    downstream.add("a", tools=(a_tool("x"),), prompts=({"name": "p"},))
    async with connected(downstream, era, expose=expose) as peer:
        assert [tool["name"] for tool in (await peer.request("tools/list"))["tools"]] == names
        assert await listed(peer, "prompts/list") == [{"name": "p"}]


async def test_tools_of_a_server_without_a_prefix_keep_their_names(
    downstream: FakeDownstream, era: str
):
    downstream.add("a", tools=(a_tool("x"), a_tool("get_run")))
    async with connected(downstream, era, bare=frozenset({"a"})) as peer:
        assert [tool["name"] for tool in await listed(peer)] == ["x", "a__get_run"]
        for name in ("x", "a__x", "a__get_run"):
            await peer.request("tools/call", {"name": name})
    assert [params["name"] for _, params in downstream.sent("tools/call")] == ["x", "x", "get_run"]


async def test_names_and_uris_that_two_servers_share_are_made_unique(
    downstream: FakeDownstream, era: str
):
    for server in "ab":
        downstream.add(
            server,
            resources=(a_resource("mem://r"),),
            templates=(a_template("mem://{t}"),),
            prompts=({"name": "p"},),
        )
    async with connected(downstream, era) as peer:
        resources = [entry["uri"] for entry in await listed(peer, "resources/list")]
        templates = [
            entry["uriTemplate"] for entry in await listed(peer, "resources/templates/list")
        ]
        prompts = [entry["name"] for entry in await listed(peer, "prompts/list")]
    assert resources == ["plait://servers/a/mem://r", "plait://servers/b/mem://r"]
    assert templates == ["plait://servers/a/mem://{t}", "plait://servers/b/mem://{t}"]
    assert prompts == ["a__p", "b__p"]


async def test_the_page_of_a_tool_has_the_uri_that_it_is_served_under(
    downstream: FakeDownstream, era: str
):
    tool = a_tool(
        "t", _meta={"ui": {"resourceUri": "ui://v", "x-new": 1}, "ui/resourceUri": "ui://v", "k": 0}
    )
    for server in "ab":
        downstream.add(server, tools=(tool,), resources=(a_resource("ui://v"),))
    async with connected(downstream, era) as peer:
        metas = [entry["_meta"] for entry in await listed(peer)]
    served = ["ui://plait/a/v", "ui://plait/b/v"]
    assert metas == [
        {"ui": {"resourceUri": uri, "x-new": 1}, "ui/resourceUri": uri, "k": 0} for uri in served
    ]


async def test_entries_are_repaired_or_left_out_and_duplicates_are_left_out(
    downstream: FakeDownstream, era: str
):
    first = a_tool("x", title="first")
    odd: JsonObject = {"name": 5, "inputSchema": {"type": "object"}}
    downstream.add(
        "a",
        tools=(first, a_tool("x", title="second"), odd, {"name": "y"}, a_tool("z", description=7)),
        resources=({"uri": None, "name": "n"}, {"name": "n"}, {"uri": "mem://r"}),
    )
    async with connected(downstream, era) as peer:
        assert await listed(peer) == [{**first, "name": "a__x"}, a_tool("a__z")]
        assert await listed(peer, "resources/list") == []


async def test_a_schema_that_an_era_does_not_allow_is_left_out_only_for_that_era(
    downstream: FakeDownstream,
):
    downstream.add("a", tools=(a_tool("x", outputSchema={"type": "array"}),))
    async with connected(downstream, LEGACY) as peer:
        assert await listed(peer) == [a_tool("a__x")]
    async with connected(downstream, MODERN) as peer:
        assert await listed(peer) == [a_tool("a__x", outputSchema={"type": "array"})]


async def test_what_is_left_out_is_logged_once_with_its_server_and_the_reason(
    downstream: FakeDownstream, caplog: pytest.LogCaptureFixture
):
    downstream.add(
        "a",
        tools=(a_tool("x", outputSchema={"type": "object", "id": "x"}),),
        resources=({"uri": "mem://unnamed"}, a_resource("not a uri")),
    )
    async with connected(downstream, LEGACY) as peer:
        assert await listed(peer) == [a_tool("a__x")]
        downstream.add("b", resources=(a_resource("mem://b"),))
        assert [one["uri"] for one in await listed(peer, "resources/list")] == ["mem://b"]
    logged = [vars(record) for record in caplog.records if record.levelname == "WARNING"]
    assert [(one["message"], one["server"], one["list"]) for one in logged] == [
        ("tool.without_output_schema", "a", "tools/list"),
        ("entry.left_out", "a", "resources/list"),
    ]
    assert logged[0]["reason"] == "it has the keyword id, which is $id now"


async def test_long_lists_come_in_pages(downstream: FakeDownstream, era: str):
    names = [f"t{n}" for n in range(2 * PAGE + 7)]
    downstream.add(
        "a",
        tools=tuple(map(a_tool, names)),
        resources=tuple(a_resource(f"mem://{n}") for n in names),
    )
    async with connected(downstream, era) as peer:
        first = await peer.request("tools/list")
        assert len(first["tools"]) == PAGE
        assert [tool["name"] for tool in await listed(peer)] == [f"a__{name}" for name in names]
        assert [entry["uri"] for entry in await listed(peer, "resources/list")] == [
            f"mem://{n}" for n in names
        ]


async def test_a_list_of_one_page_has_no_cursor(downstream: FakeDownstream, era: str):
    downstream.add("a", tools=tuple(a_tool(f"t{n}") for n in range(PAGE)))
    async with connected(downstream, era, expose="tools") as peer:
        page = await peer.request("tools/list")
    assert len(page["tools"]) == PAGE
    assert "nextCursor" not in page


def cursor_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "=",
        cursor_of("0123456789abcdef.500"),
        cursor_of("500"),
        cursor_of("."),
        "A" * 100_000,
        base64.urlsafe_b64encode(b"\xff\xff").decode(),
    ],
)
async def test_a_cursor_that_was_never_given_is_refused(
    downstream: FakeDownstream, era: str, cursor: str
):
    downstream.add("a", tools=tuple(a_tool(f"t{n}") for n in range(PAGE + 1)))
    async with connected(downstream, era) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("tools/list", {"cursor": cursor})
    assert caught.value.code == types.INVALID_PARAMS


@pytest.mark.parametrize("place", ["0", "-1", "501", "99999999", "9" * 10, "1.5", "x"])
async def test_a_cursor_that_was_changed_is_refused(
    downstream: FakeDownstream, era: str, place: str
):
    downstream.add("a", tools=tuple(a_tool(f"t{n}") for n in range(PAGE + 1 - len(OURS))))
    async with connected(downstream, era) as peer:
        given = (await peer.request("tools/list"))["nextCursor"]
        generation = base64.urlsafe_b64decode(given).decode().partition(".")[0]
        with pytest.raises(RpcError) as caught:
            await peer.request("tools/list", {"cursor": cursor_of(f"{generation}.{place}")})
    assert caught.value.code == types.INVALID_PARAMS


async def test_a_cursor_is_valid_until_its_list_changes(downstream: FakeDownstream, era: str):
    tools = tuple(a_tool(f"t{n}") for n in range(PAGE + 1))
    downstream.add("a", tools=tools)
    async with connected(downstream, era) as peer:
        cursor = {"cursor": (await peer.request("tools/list"))["nextCursor"]}
        downstream.add("a", tools=tools, prompts=({"name": "p"},))
        assert (await peer.request("tools/list", cursor))["tools"]
        downstream.add("a", tools=tools[1:])
        with pytest.raises(RpcError) as caught:
            await peer.request("tools/list", cursor)
    assert caught.value.code == types.INVALID_PARAMS


async def test_a_cursor_of_one_list_is_invalid_for_another(downstream: FakeDownstream, era: str):
    names = [f"t{n}" for n in range(PAGE + 1)]
    downstream.add(
        "a", tools=tuple(map(a_tool, names)), prompts=tuple({"name": name} for name in names)
    )
    async with connected(downstream, era) as peer:
        cursor = {"cursor": (await peer.request("tools/list"))["nextCursor"]}
        with pytest.raises(RpcError) as caught:
            await peer.request("prompts/list", cursor)
    assert caught.value.code == types.INVALID_PARAMS


async def test_lists_are_what_servers_offer_at_the_time(downstream: FakeDownstream, era: str):
    downstream.add("a", tools=(a_tool("x"),))
    async with connected(downstream, era) as peer:
        assert [tool["name"] for tool in await listed(peer)] == ["a__x"]
        downstream.add("b", tools=(a_tool("x"),))
        assert [tool["name"] for tool in await listed(peer)] == ["a__x", "b__x"]
        downstream.remove("a")
        assert [tool["name"] for tool in await listed(peer)] == ["b__x"]
        with pytest.raises(RpcError, match="Unknown tool"):
            await peer.request("tools/call", {"name": "a__x"})


async def test_lists_wait_for_what_is_not_yet_known_of_servers(
    downstream: FakeDownstream, era: str
):
    async def known() -> None:
        downstream.add("a", tools=(a_tool("x"),), prompts=({"name": "p"},))

    async with connected(downstream, era, known=known) as peer:
        assert [tool["name"] for tool in await listed(peer)] == ["a__x"]
        downstream.remove("a")
        await peer.request("tools/call", {"name": "a__x"})
        downstream.remove("a")
        await peer.request("prompts/get", {"name": "p"})


async def test_clients_of_2026_are_told_how_long_a_list_lasts(downstream: FakeDownstream):
    async with connected(downstream, MODERN) as peer:
        for method in LISTS:
            page = await peer.request(method)
            assert 0 < page["ttlMs"] <= 5_000
            assert page["cacheScope"] == "private"
    async with connected(downstream, LEGACY) as peer:
        assert (await peer.request("tools/list")).keys() == {"tools"}


async def test_an_entry_that_needs_no_change_is_the_same_object(downstream: FakeDownstream):
    downstream.add("a", tools=(a_tool("x"),), resources=(a_resource("mem://r"),))
    before = MergedListing(downstream.offers(), RelayConfig(downstream, "all"), NOTHING_OF_OURS)
    page: Any = before.page("resources/list", modern=True)
    assert page["resources"][0] is downstream.offers()[0].resources[0]


async def test_headers_named_by_a_tools_schema_are_checked_by_the_schema_of_its_server(
    downstream: FakeDownstream,
):
    schema: JsonObject = {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    }
    downstream.add("a", tools=({"name": "x", "inputSchema": schema},))
    directory = MergedListing(downstream.offers(), RelayConfig(downstream, "all"), NOTHING_OF_OURS)
    assert directory.schemas == {"a__x": schema}


async def test_shapes_that_were_seen_are_added_to_descriptions_on_demand(
    downstream: FakeDownstream,
):
    long: JsonObject = {**a_tool("long"), "description": "x" * MAX_TEXT}
    tools: tuple[JsonObject, ...] = (
        {**a_tool("said"), "description": "Lists."}, a_tool("silent"), a_tool("other"), long
    )  # fmt: skip
    downstream.add("a", tools=tools)
    seen = {("a", "said"): "{items: [{id}]}", ("a", "silent"): "text", ("a", "long"): "{id}"}
    config = RelayConfig(downstream, "all", seen=lambda *entry: seen.get(entry))
    listing = MergedListing(downstream.offers(), config, NOTHING_OF_OURS)
    page: Any = listing.page("tools/list", modern=True)
    described = {tool["name"]: tool.get("description") for tool in page["tools"]}
    assert described == {
        "a__said": "Lists.\n\nOutput so far: {items: [{id}]}",
        "a__silent": "Output so far: text",
        "a__other": None,
        "a__long": "x" * MAX_TEXT,
    }
