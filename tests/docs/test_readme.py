"""The job in README.md runs as it stands, and the command line explains it as its page says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plait.cli.approval_screen import Shown, approval_screen
from plait.cli.approving import choices
from plait.cli.graph_lines import graph_lines
from plait.core.results.mermaid import mermaid
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from tests.fakes import FakeServers, tool

from ..cli.records import shown
from .blocks import ROOT, blocks_in

[JOB] = [block.text for block in blocks_in("json") if block.page == ROOT / "README.md"]
STRING, NUMBER = {"type": "string"}, {"type": "integer"}
LABEL = {"label": "stale"}
BUGS = {"1": [(7, "ada", 20), (8, "ken", 2)], "2": [(9, "ken", 15)], "3": [(12, "ada", 40)]}


def bugs(repo: str, label: str, cursor: str = "1") -> dict[str, Any]:
    """Give a page of bugs, each with the days since its last news."""
    now, following = datetime.now(UTC), str(int(cursor) + 1)
    items = [
        {"number": number, "owner": owner, "updated_at": str(now - timedelta(days, hours=1))}
        for number, owner, days in BUGS[cursor]
    ]
    return {"items": items, "next": following if following in BUGS else None}


@pytest.fixture
def servers() -> FakeServers:
    made = FakeServers()
    listed = {"repo": STRING, "label": STRING, "cursor": STRING}
    made.add(tool("github:list_issues", listed, ["repo"], readOnlyHint=True), bugs)
    made.add(
        tool(
            "github:add_comment",
            {"number": NUMBER, "text": STRING},
            ["number", "text"],
            readOnlyHint=False,
        ),
        lambda number, text: {},
    )
    made.add(
        tool(
            "github:add_label",
            {"number": NUMBER, "label": STRING},
            ["number", "label"],
            readOnlyHint=False,
        ),
        lambda number, label: {},
    )
    made.add(
        tool("pager:who_is_on_call", {}, readOnlyHint=True),
        lambda: {"name": "margaret", "channel": "ops"},
    )
    made.add(
        tool(
            "slack:post_message",
            {"channel": STRING, "text": STRING},
            ["channel", "text"],
            openWorldHint=True,
        ),
        lambda channel, text: {"channel": channel, "text": text},
    )
    return made


async def test_the_job_of_the_readme_is_done_in_one_call(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        result = await gateway.execute(json.loads(JOB))
    assert (result.status, result.errors) == ("success", ())
    text = 'Without news, by owner: {"ada":2,"ken":1}'
    assert result.outputs == {"post": {"channel": "ops", "text": text}}
    asked = {7: "@ada", 9: "@ken", 12: "@ada"}
    for number, owner in asked.items():
        question = {"number": number, "text": f"{owner}, is there any news?"}
        steps = [("github:add_comment", question), ("github:add_label", LABEL | {"number": number})]
        assert [call for call in servers.calls if call[1].get("number") == number] == steps
    assert [name for name, _ in servers.calls].count("github:add_comment") == len(asked)


async def test_the_job_of_the_readme_waits_for_a_yes_as_its_screen_shows(servers: FakeServers):
    [screen] = [block.text for block in blocks_in("text") if block.page == ROOT / "README.md"]
    policy = Policy(tables=(Rules(ask=("write",)),))
    async with Gateway(servers, servers, InMemoryRuns(), policy=policy) as gateway:
        result = await gateway.execute(json.loads(JOB))
        approval = gateway.approval(result.run_id)
        assert approval is not None
        lines = shown(approval_screen(approval, Shown(80)))
    assert screen.splitlines()[: len(lines)] == lines
    assert screen.splitlines()[len(lines) :] == [choices([*approval.calls], [])]
    assert {name for name, _ in servers.calls} == {
        "github:list_issues",
        "pager:who_is_on_call",
    }


async def test_the_job_of_the_readme_is_explained_as_the_page_on_the_command_line_says(
    servers: FakeServers,
):
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    said = "".join(re.findall(r"^> ?(.*\n)", page, re.MULTILINE))
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        planned = await gateway.plan(json.loads(JOB))
    sentences = planned["explanation"]
    assert isinstance(sentences, list)
    assert said.split() == " ".join(map(str, sentences)).split()
    assert servers.calls == []


async def test_the_job_of_the_readme_is_drawn_as_the_page_on_the_command_line_says(
    servers: FakeServers,
):
    [drawn] = [block.text for block in blocks_in("mermaid") if block.page.name == "cli.md"]
    blocks_of_cli = [block.text for block in blocks_in("text") if block.page.name == "cli.md"]
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        graph = await gateway.graph(json.loads(JOB))
    assert drawn == mermaid(graph) + "\n"
    [boxes] = [text for text in blocks_of_cli if text.startswith(" " * 10 + "┏")]
    assert boxes.splitlines() == shown(graph_lines(graph, 80))
    assert servers.calls == []
