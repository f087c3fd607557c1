"""The examples in docs/dag.md are run as they stand there."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.core.expressions.evaluation import expression
from plait.core.expressions.functions import FUNCTIONS
from plait.core.language.dag import DAG_FIELDS, TASK_FIELDS
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from tests.core.tables import table
from tests.fakes import FakeServers, text, tool

PAGE = (Path(__file__).parents[2] / "docs" / "dag.md").read_text()
EXAMPLES = re.findall(r"```json dag\n(.*?)```\s+```json outputs\n(.*?)```", PAGE, re.DOTALL)

ISSUES = [
    {"number": 1, "title": "crash", "comments": 2, "user": {"login": "ada"}},
    {"number": 2, "title": "typo", "comments": 0, "user": {"login": "bob"}},
    {"number": 3, "title": "slow", "comments": 5, "user": {"login": "cy"}},
]
STRING = {"type": "string"}


class SlowFile:
    """One file, which what is written reaches only after a while."""

    def __init__(self) -> None:
        self.content: Any = None

    async def read(self, path: str) -> dict[str, Any]:
        await anyio.sleep(1)
        return {"path": path, "text": f"text of {path}" if self.content is None else self.content}

    async def write(self, path: str, content: Any) -> dict[str, Any]:
        await anyio.sleep(2)
        self.content = content
        return {"path": path, "content": content}


def commits(repo: str, cursor: str = "1") -> dict[str, Any]:
    """Give one commit a page, of three."""
    following = int(cursor) + 1
    return {"items": [{"sha": f"c{cursor}"}], "next": str(following) if following < 4 else None}


async def open_issues(**_: str) -> dict[str, Any]:
    await anyio.sleep(0.14)
    return {"items": ISSUES, "total": 3}


async def deployed(app: str) -> dict[str, Any]:
    await anyio.sleep(0.15)
    return {"version": "2.1"} if app == "web" else text("no capacity", is_error=True)


@pytest.fixture
def servers() -> FakeServers:
    made, file = FakeServers(), SlowFile()
    repo = {"repo": STRING, "state": STRING}
    made.add(tool("github:get_user", {"name": STRING}, ["name"]), lambda name: {"login": name})
    made.add(tool("github:list_issues", repo, ["repo"]), open_issues)
    made.add(
        tool(
            "github:get_issue", {"repo": STRING, "number": {"type": "integer"}}, ["repo", "number"]
        ),
        lambda repo, number: (
            ISSUES[number - 1] if number <= len(ISSUES) else text("no such issue", is_error=True)
        ),
    )
    made.add(
        tool("slack:post_message", {"channel": STRING, "text": STRING}, ["channel", "text"]),
        lambda channel, text: {"ts": "1", "text": text},
    )
    made.add(
        tool("files:write", {"path": STRING, "content": {}}, ["path", "content"]),
        file.write,
    )
    made.add(tool("files:read", {"path": STRING}, ["path"], readOnlyHint=True), file.read)
    made.add(
        tool("ops:deploy", {"app": STRING}, ["app"]),
        deployed,
    )
    made.add(
        tool("github:list_commits", {"repo": STRING, "cursor": STRING}, readOnlyHint=True), commits
    )
    states = iter(["starting", "green"])
    made.add(
        tool("ops:status", {"app": STRING}, readOnlyHint=True), lambda app: {"state": next(states)}
    )
    health = iter([text("warming up", is_error=True), {"healthy": "api"}])
    made.add(tool("ops:health", {"app": STRING}, readOnlyHint=True), lambda app: next(health))
    made.add(tool("ops:lock", {"app": STRING}, ["app"]), lambda app: {"held": True})
    made.add(tool("ops:unlock", {"app": STRING}, ["app"]), lambda app: {"unlocked": app})
    made.add(tool("ops:rollback", {"app": STRING}, ["app"]), lambda app: {"rolled_back": app})
    return made


@pytest.mark.parametrize(
    ("dag", "outputs"), EXAMPLES, ids=[f"example {index}" for index in range(len(EXAMPLES))]
)
@pytest.mark.virtual_time
async def test_an_example_gives_what_the_page_says(dag: str, outputs: str, servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        result = await gateway.execute(json.loads(dag))
    assert result.outputs == json.loads(outputs)


def test_every_example_is_found():
    assert len(EXAMPLES) == PAGE.count("```json dag") == 14


def block(label: str) -> dict[str, Any]:
    [found] = re.findall(rf"```json {label}\n(.*?)```", PAGE, re.DOTALL)
    value: dict[str, Any] = json.loads(found)
    return value


@pytest.mark.virtual_time
async def test_a_failed_run_has_the_result_of_the_page_and_goes_on_as_the_page_says(
    servers: FakeServers,
):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        failed = await gateway.execute(block("failing dag"))
        fixed = await gateway.execute({**block("fixed dag"), "resume_from": failed.run_id})
    assert {**failed.document(), "run_id": ""} == {**block("result"), "run_id": ""}
    assert fixed.outputs == block("fixed outputs")


def test_every_field_has_its_row():
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert (DAG_FIELDS | TASK_FIELDS) - {"allow_repeat"} <= rows


VALUE = re.search(r"```json functions\n(.*?)```", PAGE, re.DOTALL)
ROWS = re.findall(r"^\| `(\w+)\((.*?)\)` \| .+ \| `(.+)` \| `(.+)` \|$", PAGE, re.MULTILINE)
START = datetime(2026, 11, 30, tzinfo=UTC).timestamp()


@table("row", ROWS)
def test_an_example_of_a_function_gives_what_the_page_says(row: tuple[str, str, str, str]):
    name, arguments, example, result = row
    assert VALUE is not None
    assert f"{name}(" in example
    assert FUNCTIONS[name].takes(len(arguments.split(", ")))
    found = expression(example).evaluate(json.loads(VALUE[1]), start=START)
    assert json.dumps(found) == json.dumps(json.loads(result))


def test_every_function_has_its_row():
    assert sorted(name for name, *_ in ROWS) == [*FUNCTIONS]
