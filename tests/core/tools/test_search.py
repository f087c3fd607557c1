"""Tools by words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.search import MAX_NEEDS, SearchIndex
from tests.fakes import tool

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


@pytest.mark.parametrize(
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
    assert names(index, "files:read_file", server="github") == [[]]


def test_no_more_than_the_limit_come_back(index: SearchIndex) -> None:
    assert len(names(index, "file issue email", limit=2)[0]) == 2


def test_a_misspelt_name_finds_the_nearest(index: SearchIndex) -> None:
    assert names(index, "mal:sendd")[0][0] == "mail:send"


def test_words_that_no_tool_has_find_nothing(index: SearchIndex) -> None:
    assert names(index, "quantum chromodynamics") == [[]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text()
    | st.lists(
        st.sampled_from(['"', "*", "OR", "NEAR(", "name:", "-", "^", "read", "'", ")", "\x00"])
    ).map(" ".join)
)
def test_any_text_can_be_searched_for(index: SearchIndex, query: str) -> None:
    for _, tools in index.search(query).needs:
        assert len(tools) <= 6
