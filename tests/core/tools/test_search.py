"""Tools by words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.tools.search import MAX_NEEDS, SearchIndex
from tests.fakes import tool

from ...profiles import CHARACTERS
from ..tables import table

STRING: dict[str, Any] = {"type": "string"}
CATALOG = Catalog(
    [
        tool("files:read_file", {"path": STRING}, description="Reads a text file from the disk."),
        tool(
            "files:write_file",
            {"path": STRING, "content": STRING},
            description="Writes a text file.",
        ),
        tool(
            "github:listIssues",
            {"repository": STRING},
            description="Lists the tickets of a repository.",
        ),
        tool("github:create_issue", {"title": STRING}, description="Opens a ticket."),
        tool("mail:send", {"recipient": STRING}, description="Sends an email message."),
        tool("maths:add", description="Sums two numbers."),
    ],
    [ServerInfo(name, ServerState.READY) for name in ("files", "github", "mail", "maths")],
)


@pytest.fixture(scope="module")
def index() -> Iterator[SearchIndex]:
    index = SearchIndex(CATALOG)
    yield index
    index.close()


def names(index: SearchIndex, query: str, **options: Any) -> list[list[str]]:
    return [[tool.full_name for tool in tools] for _, tools in index.search(query, **options).needs]


def test_needs_above_the_most_that_are_searched_are_named(index: SearchIndex) -> None:
    needs = [f"email {number}" for number in range(MAX_NEEDS + 2)]
    found = index.search(" ; ".join(needs))
    assert [need for need, _ in found.needs] == needs[:MAX_NEEDS]
    assert found.unsearched == tuple(needs[MAX_NEEDS:])
    assert index.search("; ".join(needs[:MAX_NEEDS])).unsearched == ()


@table(
    ("query", "first"),
    [
        ("read a file", "files:read_file"),
        ("reading files", "files:read_file"),
        ("list issues", "github:listIssues"),
        ("listIssues", "github:listIssues"),
        ("recipient", "mail:send"),
        ("email", "mail:send"),
        ("make an issue", "github:create_issue"),
        ("files:write_file", "files:write_file"),
        ("files__write_file", "files:write_file"),
        ("repositories", "github:listIssues"),
        ("Sums", "maths:add"),
    ],
)
def test_the_best_tool_for_some_words_stands_first(
    index: SearchIndex, query: str, first: str
) -> None:
    assert names(index, query)[0][0] == first


def ranked(*tools: Tool, need: str, **options: Any) -> list[str]:
    """The names of the tools that are found, without their servers."""
    index = SearchIndex(
        Catalog(tools, [ServerInfo(one.server, ServerState.READY) for one in tools])
    )
    try:
        [(_, found)] = index.search(need, **options).needs
    finally:
        index.close()
    return [tool.name for tool in found]


def test_the_name_says_more_than_the_title_the_parameters_and_the_description() -> None:
    tools = [
        tool("s:d", {"path": STRING}, description="Handles an invoice."),
        tool("s:c", {"invoice": STRING}, description="Handles a path."),
        tool("s:invoice", {"path": STRING}, description="Handles a path."),
    ]
    assert ranked(*tools, need="invoice")[0] == "invoice"


def test_the_server_is_part_of_what_is_needed() -> None:
    tools = [tool("shop:list_all"), tool("bank:list_every")]
    assert ranked(*tools, need="list of my bank") == ["list_every", "list_all"]
    assert ranked(*tools, need="list of my shop") == ["list_all", "list_every"]


def test_function_words_find_nothing_of_themselves() -> None:
    tools = [
        tool("s:talk", description="What is it that you and I can do with it in a while?"),
        tool("s:weather", description="Forecast."),
    ]
    assert ranked(*tools, need="what is the weather in it") == ["weather"]
    assert ranked(tool("s:do_it"), tool("s:weather"), need="do it") == ["do_it"]


def test_a_tool_with_all_words_comes_before_one_that_repeats_a_rare_one() -> None:
    tools = [
        tool("s:a", description="Invoice: invoice of an invoice."),
        tool("s:b", description="Pay an invoice, once it is due."),
        *(tool(f"s:pay_{number}") for number in range(5)),
    ]
    assert ranked(*tools, need="pay the invoice")[0] == "b"


def test_the_shorter_name_comes_first_where_the_need_says_no_more() -> None:
    tools = [
        tool("s:diff_staged", description="Show differences"),
        tool("s:diff", description="Show differences"),
    ]
    assert ranked(*tools, need="show diff") == ["diff", "diff_staged"]
    assert ranked(*tools, need="show staged diff") == ["diff_staged", "diff"]


def test_the_word_itself_comes_before_its_synonym() -> None:
    tools = [tool("s:remove_user"), tool("s:delete_user")]
    assert ranked(*tools, need="delete user") == ["delete_user", "remove_user"]
    assert ranked(*tools, need="remove user") == ["remove_user", "delete_user"]


@table("word", ["sending", "sends", "send", "SEND"])
def test_endings_of_words_do_not_matter(word: str) -> None:
    assert ranked(tool("s:sendFax"), tool("s:other"), need=word) == ["sendFax"]


def test_the_beginning_of_a_long_word_finds_it() -> None:
    tools = [tool("s:authorization_check"), tool("s:check")]
    assert ranked(*tools, need="auth")[0] == "authorization_check"


def test_a_question_is_answered_by_what_shows_something() -> None:
    tools = [tool("s:set_volume"), tool("s:get_volume")]
    assert ranked(*tools, need="what is the volume") == ["get_volume", "set_volume"]


def test_what_is_deprecated_comes_last_and_the_tool_that_it_names_in_its_place() -> None:
    tools = [
        tool("s:read_file", description="Read a file. DEPRECATED: Use read_text_file instead."),
        tool("s:read_media_file", description="Read a file"),
        tool("s:read_text_file", description="Read a file, and much more that is not asked for"),
        tool("s:zip", description="Compress a file"),
    ]
    found = ranked(*tools, need="read file")
    assert found[0] == "read_text_file"
    assert found[-1] == "read_file"
    assert ranked(*tools, need="read_file") == ["read_file"]


def test_a_denied_tool_is_not_offered() -> None:
    denying = SearchIndex(CATALOG, Policy(tables=(Rules(deny=("*:read_file",)),)))
    for need in ("read file", "read_file", "files:read_file", "files:read_fil"):
        assert "files:read_file" not in names(denying, need)[0]
    assert denying.search("").total == 5
    denying.close()


def test_a_server_is_searched_whatever_the_others_have() -> None:
    tools = [*(tool(f"big:read_{number}") for number in range(500)), tool("small:note_read_later")]
    assert ranked(*tools, need="read", server="small") == ["note_read_later"]


def test_a_semicolon_separates_needs(index: SearchIndex) -> None:
    result = index.search("read file; ; send mail;")
    assert [need for need, _ in result.needs] == ["read file", "send mail"]
    assert [tools[0].full_name for _, tools in result.needs] == ["files:read_file", "mail:send"]


@pytest.mark.parametrize("query", ["", "  ", ";", " ; ;"])
def test_an_empty_query_lists_the_servers(index: SearchIndex, query: str) -> None:
    result = index.search(query)
    assert result.needs == ()
    assert [server.name for server in result.servers] == ["files", "github", "mail", "maths"]
    assert result.total == 6


def test_one_server_can_be_asked_alone(index: SearchIndex) -> None:
    assert {
        name.partition(":")[0] for name in names(index, "file issue mail", server="github")[0]
    } == {"github"}
    assert [server.name for server in index.search("", server="github").servers] == ["github"]


def test_a_tool_named_in_full_is_not_shown_for_another_server(index: SearchIndex) -> None:
    assert "files:read_file" not in names(index, "files:read_file", server="github")[0]


def test_no_more_than_the_limit_come_back(index: SearchIndex) -> None:
    assert len(names(index, "file issue email", limit=2)[0]) == 2


def test_a_misspelt_name_finds_the_nearest(index: SearchIndex) -> None:
    assert names(index, "mal:sendd")[0][0] == "mail:send"


def test_words_that_no_tool_has_find_nothing(index: SearchIndex) -> None:
    assert names(index, "quantum chromodynamics") == [[]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(CHARACTERS)
    | st.lists(
        st.sampled_from(['"', "*", "OR", "NEAR(", "name:", "-", "^", "read", "'", ")", "\x00"])
    ).map(" ".join)
)
def test_any_text_can_be_searched_for(index: SearchIndex, query: str) -> None:
    for _, tools in index.search(query).needs:
        assert len(tools) <= 6


def test_tools_that_only_have_a_word_in_common_with_the_need_are_left_out() -> None:
    tools = [
        tool("s:list_issues", description="List the open issues of a repository, by label."),
        tool("s:list_rooms", description="List the rooms of the building."),
        tool("s:reboot", description="Restart the machine, also if files are open."),
    ]
    assert ranked(*tools, need="list open issues by label") == ["list_issues"]
    assert ranked(*tools, need="list") == ["list_rooms", "list_issues"]
