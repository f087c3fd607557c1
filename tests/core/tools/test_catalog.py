"""How a tool is found by the names that models use, and what is said when there is none."""

from __future__ import annotations

from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool, shown
from plait.core.tools.search import SearchIndex
from plait.core.values.strict import Json
from tests.fakes import tool

from ..tables import table

READ = tool(
    "files:read_file",
    {"path": {"type": "string"}, "head": {"type": "integer"}},
    ["path"],
    readOnlyHint=True,
)
CATALOG = Catalog(
    [
        READ,
        tool("files:write_file"),
        tool("git:status"),
        tool("hub:status"),
        tool("hub:a:b"),
        tool("git_hub:log"),
        tool("git:hub_log"),
    ],
    [
        *(ServerInfo(name, ServerState.READY) for name in ("files", "git", "hub", "git_hub")),
        ServerInfo("late", ServerState.CONNECTING),
        ServerInfo("broken", ServerState.RETRYING),
        ServerInfo("lost", ServerState.RETRYING, tools=3),
    ],
)


@table(
    "name",
    [
        "files:read_file",
        "files__read_file",
        "files.read_file",
        "files/read_file",
        "files_read_file",
        "mcp__files__read_file",
        "mcp__plait__files__read_file",
        "read_file",
    ],
)
def test_a_tool_is_found_by_the_spellings_that_models_use(name: str) -> None:
    assert CATALOG.find(name) is READ


def test_a_name_is_split_at_its_first_colon() -> None:
    found = CATALOG.find("hub:a:b")
    assert found is not None
    assert (found.server, found.name) == ("hub", "a:b")


@table(
    "name",
    ["status", "git_hub_log", "read", "files:", ":read_file", "", "nowhere:read_file", "mcp__"],
)
def test_a_name_that_means_no_tool_or_several_finds_none(name: str) -> None:
    assert CATALOG.find(name) is None


@table("name", ["late:anything", "late__anything", "late.anything", "broken/anything"])
def test_of_a_server_that_was_not_reached_yet_any_tool_is_found_as_not_listed(name: str) -> None:
    found = CATALOG.find(name)
    assert found is not None
    assert (found.name, found.listed) == ("anything", False)


def test_of_a_server_that_was_reached_and_went_away_only_its_own_tools_are_found() -> None:
    assert CATALOG.find("lost:anything") is None


@table(
    ("name", "code", "message", "hint"),
    [
        ("fils:read_file", "unknown_server", 'Unknown server "fils".', 'Did you mean "files"?'),
        (
            "zzz:x",
            "unknown_server",
            'Unknown server "zzz".',
            "Connected servers: files, git, hub, git_hub, late, broken, lost.",
        ),
        (
            "files:raed_file",
            "unknown_tool",
            'Unknown tool "files:raed_file".',
            "Did you mean files:read_file(path: string, head?: integer) or files:write_file()?",
        ),
        (
            "status",
            "unknown_tool",
            '"status" is a tool of several servers.',
            "Use one of git:status, hub:status.",
        ),
        (
            "frobnicate",
            "unknown_tool",
            'Unknown tool "frobnicate".',
            "Find tools with search_tools.",
        ),
        (
            "git:frobnicate",
            "unknown_tool",
            'Unknown tool "git:frobnicate".',
            "Tools of git: status, hub_log.",
        ),
        ("late:x", "unknown_tool", 'Unknown tool "late:x".', "Find tools with search_tools."),
        ("hub:hub_lg", "unknown_tool", 'Unknown tool "hub:hub_lg".', "Did you mean git:hub_log()?"),
    ],
)
def test_an_unknown_name_is_reported_with_what_may_have_been_meant(
    name: str, code: str, message: str, hint: str
) -> None:
    problem = CATALOG.unknown("tasks[0].tool", name, "a")
    assert (problem.path, problem.id) == ("tasks[0].tool", "a")
    assert (problem.code, problem.message, problem.hint) == (code, message, hint)


def test_without_servers_the_hint_says_that_there_is_none() -> None:
    assert Catalog().unknown("x", "a:b").hint == "Connected servers: none."


@table(
    ("definition", "signature"),
    [
        (READ, "files:read_file(path: string, head?: integer)"),
        (tool("s:t"), "s:t()"),
        (
            tool(
                "s:t",
                output={"properties": {"items": {"type": "array", "items": {"type": "string"}}}},
            ),
            "s:t() -> {items: [string]}",
        ),
    ],
)
def test_a_signature_is_one_line(definition: object, signature: str) -> None:
    assert getattr(definition, "signature", None) == signature


def test_annotations_are_claims_and_only_true_counts() -> None:
    assert tool("s:t", readOnlyHint=True).is_read_only
    assert tool("s:t", readOnlyHint=True).is_idempotent
    assert tool("s:t", idempotentHint=True).is_idempotent
    assert not tool("s:t", idempotentHint=True).is_read_only
    assert not tool("s:t", readOnlyHint="yes").is_read_only  # type: ignore[arg-type]  # as a careless server says it


@table(
    ("meta", "is_offered"),
    [
        (None, True),
        ({}, True),
        ("ui", True),
        ({"ui": {"resourceUri": "ui://x"}}, True),
        ({"ui": {"visibility": ["model", "app"]}}, True),
        ({"ui": {"visibility": "app"}}, True),
        ({"ui": {"visibility": ["app"]}}, False),
        ({"ui": {"visibility": [["app"], 7]}}, False),
    ],
)
def test_a_tool_for_the_page_of_an_app_alone_is_found_by_its_name_and_offered_to_no_model(
    meta: Json, is_offered: bool
) -> None:
    poll = Tool("app", "poll_clock", {"description": "the clock", "_meta": meta})
    catalog = Catalog([poll, tool("app:other")], [ServerInfo("app", ServerState.READY, tools=2)])
    index = SearchIndex(catalog)
    for need in ("clock", "poll_clock", "app:poll_clock", "pol_clok"):
        [(_, found)] = index.search(need).needs
        assert (poll in found) is is_offered
    index.close()
    for name in ("app:poll_clocks", "poll_clocks", "app_poll_clocks", "app:zz"):
        problem = catalog.unknown("tasks[0].tool", name)
        assert ("poll_clock" in f"{problem.hint} {problem.fix}") is is_offered
    assert catalog.find("app:poll_clock") is poll


@table(
    ("definition", "is_deprecated"),
    [
        ({"description": "Read it. DEPRECATED: Use read_text instead."}, True),
        ({"description": "Deprecated. Reads it."}, True),
        ({"description": "[deprecated] Reads it."}, True),
        ({"description": "Reads it. This tool is deprecated."}, True),
        ({"title": "Read (Deprecated)"}, True),
        ({"annotations": {"title": "Read (deprecated)"}}, True),
        ({"annotations": {"deprecated": True}}, True),
        ({"deprecated": True}, True),
        ({"description": "Lists deprecated packages."}, False),
        ({"description": "Deprecated packages are listed."}, False),
        ({"description": "Says whether a package is deprecated."}, False),
        ({"title": 5, "description": None, "annotations": {"deprecated": "no"}}, False),
        ({}, False),
    ],
)
def test_a_tool_is_deprecated_if_its_server_says_so(
    definition: dict[str, Json], is_deprecated: bool
) -> None:
    assert Tool("s", "read", definition).is_deprecated is is_deprecated


def test_a_name_can_say_that_a_tool_is_deprecated() -> None:
    assert Tool("s", "read_deprecated").is_deprecated
    assert Tool("s", "deprecated_read").is_deprecated
    assert not Tool("s", "list_deprecated_packages").is_deprecated


@table(
    ("state", "tools", "is_known"),
    [
        (ServerState.READY, 0, True),
        (ServerState.CONNECTING, 3, True),
        (ServerState.IDLE, 3, True),
        (ServerState.CONNECTING, 0, False),
        (ServerState.RETRYING, 0, False),
    ],
)
def test_tools_are_known_of_a_server_that_is_ready_or_was_before(
    state: ServerState, tools: int, is_known: bool
) -> None:
    assert ServerInfo("s", state, tools=tools).is_known is is_known


def test_a_tool_that_was_left_out_is_not_called_unknown() -> None:
    warning = "tool bad was left out: its inputSchema is not an object"
    catalog = Catalog([], [ServerInfo("s", ServerState.READY, warnings=(warning,))])
    problem = catalog.unknown("tasks[0].tool", "s:bad")
    assert (problem.code, problem.message) == ("unknown_tool", 'The tool "s:bad" cannot be used.')
    assert problem.hint == f"Of s: {warning}."
    assert catalog.unknown("tasks[0].tool", "s:other").message == 'Unknown tool "s:other".'


def test_a_tool_that_was_not_listed_is_of_the_server_that_the_catalogue_knows():
    catalog = Catalog((), [ServerInfo("s", ServerState.CONNECTING, shared_as="s@1")])
    made, unknown = catalog.unlisted("s", "do"), catalog.unlisted("t", "do")
    assert (made.full_name, made.server_key, made.listed) == ("s:do", "s@1", False)
    assert (unknown.full_name, unknown.server_key, unknown.listed) == ("t:do", "t", False)
    assert (shown("s@1"), shown("t")) == ("s", "t")


@table("name", ["s:log", "log", "s__log", "mcp__s__log"])
def test_no_other_tool_is_suggested_for_one_that_the_settings_exclude(name: str) -> None:
    catalog = Catalog(
        [Tool("s", "slow"), Tool("s", "logs")],
        [ServerInfo("s", ServerState.READY, tools=2)],
        excluded=[Tool("s", "log")],
    )
    assert catalog.find(name) is None
    problem = catalog.unknown("tasks[0].tool", name)
    assert problem.message == "The tool s:log cannot be used: the settings exclude it."
    assert (problem.hint, problem.fix) == ("Do without it, or ask the operator.", None)
