"""The services that jobs are done with: as odd as real ones, and the same in every run."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from evals.judging import read_calls
from evals.services.__main__ import SERVICES
from evals.services.service import CallLog, Refused, Service
from mcp import Client

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
READERS: dict[str, tuple[str, dict[str, Any]]] = {
    "issues": ("get_issue", {"number": 1}),
    "chat": ("list_channels", {}),
    "customers": ("get_customer", {"id": "C-1001"}),
    "builds": ("list_builds", {}),
    "calendar": ("list_events", {"start": "2026-03-02", "end": "2026-03-03"}),
}


def tools(service: str) -> dict[str, Callable[..., Any]]:
    return {tool.name: tool.function for tool in SERVICES[service](NOW)}


@pytest.mark.parametrize("service", SERVICES)
async def test_every_tool_is_listed_with_what_it_returns_and_every_call_is_logged(
    service: str, tmp_path: Path
):
    log = tmp_path / "calls.jsonl"
    own = SERVICES[service](NOW)
    CallLog(log).begin("look")
    async with Client(Service(service, lambda: own, CallLog(log)).server()) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(listed) == [tool.name for tool in own]
        for tool in own:
            given = listed[tool.name]
            assert given.description == inspect.getdoc(tool.function)
            assert given.annotations is not None
            assert given.annotations.read_only_hint is not tool.changes
            assert (given.output_schema is None) is tool.is_text
        name, arguments = READERS[service]
        assert not (await client.call_tool(name, arguments)).is_error
    [call] = read_calls(log)
    assert call.tool == f"{service}:{name}"
    assert arguments.items() <= call.arguments.items()
    assert not call.changes


def issues_of(log: Path) -> Service:
    return Service("issues", lambda: SERVICES["issues"](NOW), CallLog(log))


async def test_each_job_finds_its_service_as_new(tmp_path: Path):
    log = tmp_path / "calls.jsonl"
    states = []
    async with Client(issues_of(log).server()) as client:
        for job in ("one", "two"):
            CallLog(log).begin(job)
            for name in ("get_issue", "close_issue", "get_issue"):
                answer = await client.call_tool(name, {"number": 5})
                states.append((answer.structured_content or {}).get("state"))
            assert len(read_calls(log)) == 3
    assert states == ["open", None, "closed"] * 2


async def test_a_refusal_is_an_error_of_the_tool_and_is_logged(tmp_path: Path):
    log = tmp_path / "calls.jsonl"
    CallLog(log).begin("comment")
    async with Client(issues_of(log).server()) as client:
        answer = await client.call_tool("add_comment", {"number": 44, "text": "x"})
    assert answer.is_error
    assert "issue 44 is locked" in answer.content[0].text  # type: ignore[union-attr] # a text
    assert [call.error for call in read_calls(log)] == ["issue 44 is locked"]


def test_130_issues_come_in_pages_behind_a_cursor():
    list_issues = tools("issues")["list_issues"]
    numbers, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = list_issues(state="all", limit=50, cursor=cursor)
        numbers += [issue["number"] for issue in page["issues"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert (numbers, pages) == (list(range(1, 131)), 3)
    with pytest.raises(Refused):
        list_issues(limit=51)


def test_customers_have_ties_and_unknown_revenues():
    list_customers = tools("customers")["list_customers"]
    pages = [list_customers(page=number)["customers"] for number in (1, 2, 3)]
    revenues = [customer["revenue"] for page in pages for customer in page]
    known = sorted((r for r in revenues if r is not None), reverse=True)
    assert len(known) < len(revenues) == 60
    assert known[1] > known[2] == known[3] > known[4]
    with pytest.raises(Refused):
        list_customers(page=4)


def test_invoices_come_as_a_list_from_an_offset():
    list_invoices = tools("customers")["list_invoices"]
    assert [len(list_invoices(offset=start)) for start in (0, 100, 200, 300)] == [100, 100, 40, 0]


def test_a_build_is_queued_then_running_then_done():
    own = tools("builds")
    number = own["start_build"](project="api")["id"]
    with pytest.raises(Refused, match="still queued"):
        own["get_log"](id=number)
    statuses = [dict(own["get_build"](id=number))["status"] for _ in range(5)]
    assert statuses == ["queued", "running", "running", "failed", "failed"]
    log = own["get_log"](id=number)
    assert len(log) > 50_000
    assert sum("ERROR" in line for line in log.splitlines()) == 3


def test_production_refuses_a_build_and_staging_gives_the_one_before_back():
    own = tools("builds")
    assert own["deploy"](build_id=815, environment="staging")["previous_build_id"] == 810
    with pytest.raises(Refused, match="smoke test"):
        own["deploy"](build_id=815, environment="production")
    assert own["rollback"](environment="staging", build_id=810)["previous_build_id"] == 815


def test_the_chat_answers_with_text_and_refuses_the_away_the_archived_and_the_unknown():
    own = tools("chat")
    assert (
        own["who_is_on_call"](team="platform")
        == "On call for platform: margaret (until 2026-03-04)"
    )
    assert own["read_channel"](channel="#ops", limit=1).count("\n") == 0
    assert own["post_message"](channel="#ops", text="x") == "Posted to #ops as message 501."
    for name, arguments in (
        ("who_is_on_call", {"team": "payments"}),
        ("send_direct_message", {"person": "linus", "text": "x"}),
        ("post_message", {"channel": "old-news", "text": "x"}),
        ("post_message", {"channel": "none", "text": "x"}),
    ):
        with pytest.raises(Refused):
            own[name](**arguments)


def test_a_room_is_free_until_it_is_booked():
    own = tools("calendar")
    times = {"start": "2026-03-03T14:00", "end": "2026-03-03T15:00"}
    assert "Babbage" not in {room["name"] for room in own["list_free_rooms"](**times)["rooms"]}
    own["create_event"](title="x", attendees=[], room="Curie", **times)
    assert "Curie" not in {room["name"] for room in own["list_free_rooms"](**times)["rooms"]}
    with pytest.raises(Refused, match="taken"):
        own["create_event"](title="y", attendees=[], room="Curie", **times)


@pytest.mark.parametrize("service", SERVICES)
def test_the_data_is_the_same_in_every_run(service: str):
    readers: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "issues": [("list_issues", {"state": "all"}), ("list_comments", {"number": 11})],
        "chat": [("read_channel", {"channel": "ops"})],
        "customers": [("list_customers", {}), ("list_invoices", {})],
        "builds": [("list_builds", {"limit": 40}), ("get_log", {"id": 812})],
        "calendar": [("list_events", {"start": "2026-03-02", "end": "2026-03-16"})],
    }
    for name, arguments in readers[service]:
        once, again = (json.dumps(tools(service)[name](**arguments)) for _ in range(2))
        assert once == again
        assert len(once) > 50
