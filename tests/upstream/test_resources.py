"""Our own resources and prompts."""

from __future__ import annotations

import json
from typing import Any

import mcp_types as types
import pytest
from mcp import MCPError

from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules

from .conftest import PICTURE, Connect, structured, task

pytestmark = pytest.mark.virtual_time


def text_of(result: types.ReadResourceResult) -> str:
    [content] = result.contents
    assert isinstance(content, types.TextResourceContents)
    return content.text


async def test_the_guide_and_the_catalogue_can_be_read(connect: Connect):
    async with connect() as client:
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        guide = text_of(await client.read_resource("plait://guide"))
        catalog = json.loads(text_of(await client.read_resource("plait://catalog")))
    assert listed == ["plait://guide", "plait://catalog"]
    assert "## Worked examples" in guide
    assert catalog["servers"][0]["name"] == "s"
    assert "s:many(n: integer)" in catalog["servers"][0]["tools"]


async def test_the_catalogue_offers_no_denied_tool(connect: Connect):
    async with connect(policy=Policy(tables=(Rules(deny=("s:many",)),))) as client:
        catalog = json.loads(text_of(await client.read_resource("plait://catalog")))
    tools = catalog["servers"][0]["tools"]
    assert tools
    assert "s:many(n: integer)" not in tools


async def test_runs_and_whole_outputs_can_be_read_by_their_address(connect: Connect):
    async with connect(max_chars=1_000) as client:
        tasks = [
            task("a", "s:many", arguments={"n": 5_000}),
            task("b", "s:text"),
            task("c", "s:image"),
        ]
        run = structured(await client.call_tool("execute_dag", {"tasks": tasks}))["run_id"]
        templates = [
            one.uri_template for one in (await client.list_resource_templates()).resource_templates
        ]
        whole: Any = json.loads(text_of(await client.read_resource(f"plait://runs/{run}")))
        output = json.loads(text_of(await client.read_resource(f"plait://runs/{run}/tasks/a")))
        text = text_of(await client.read_resource(f"plait://runs/{run}/tasks/b"))
        picture = (await client.read_resource(f"plait://runs/{run}/tasks/c")).contents[1]
    assert templates == ["plait://runs/{id}", "plait://runs/{id}/tasks/{task}"]
    assert whole["outputs"]["a"] == output == {"items": list(range(5_000))}
    assert whole["truncated"] == []
    assert text == "line\n" * 20_000
    assert isinstance(picture, types.BlobResourceContents)
    assert picture.blob == PICTURE["data"]


@pytest.mark.parametrize(
    "uri",
    [
        "plait://nope",
        "plait://runs/r_nope",
        "plait://runs/{run}/tasks/zz",
        "plait://runs/{run}/tasks/a/b",
        "file:///etc",
    ],
)
async def test_the_error_for_an_unknown_resource_names_its_uri(
    connect: Connect, era: str, uri: str
):
    async with connect() as client:
        run = structured(await client.call_tool("execute_dag", {"tasks": [task("a")]}))["run_id"]
        with pytest.raises(MCPError) as raised:
            await client.read_resource(uri.format(run=run))
    assert raised.value.error.code == (-32002 if era == "legacy" else types.INVALID_PARAMS)
    assert raised.value.error.data == {"uri": uri.format(run=run)}


async def test_prompts_plan_a_task_and_explain_a_run(connect: Connect):
    async with connect() as client:
        run = structured(await client.call_tool("execute_dag", {"tasks": [task("a", "s:fail")]}))[
            "run_id"
        ]
        listed = [prompt.name for prompt in (await client.list_prompts()).prompts]
        plan = (
            (await client.get_prompt("plan", {"task": "Compare the {two} logs"}))
            .messages[0]
            .content
        )
        explain = (await client.get_prompt("explain_run", {"run_id": run})).messages[0].content
    assert listed == ["plan", "explain_run"]
    assert isinstance(plan, types.TextContent)
    assert "Compare the {two} logs" in plan.text
    assert isinstance(explain, types.TextContent)
    assert "EACCES: /x" in explain.text


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("nope", {}), ("plan", {}), ("plan", {"task": " "}), ("explain_run", {"run_id": "r_no"})],
)
async def test_an_unknown_prompt_or_a_missing_argument_is_a_protocol_error(
    connect: Connect, name: str, arguments: dict[str, str]
):
    async with connect() as client:
        with pytest.raises(MCPError) as raised:
            await client.get_prompt(name, arguments)
    assert raised.value.error.code == types.INVALID_PARAMS
