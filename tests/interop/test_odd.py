"""Servers whose lists and answers are odd cost no client anything of ours or of another server.

Each file in `odd` is one server: `tools`, `resources`, `resourceTemplates` and `prompts` are its
lists as it sends them, `results` the results of its tools, and `expected` what of the lists is
served; `blocks` is the number of its images and sounds that every client can read. To add an
oddity, add a file.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from plait.core.values.js_pattern import is_js_pattern
from plait.core.values.portable import uncompilable

from ..core.values.test_js_pattern import REFUSED, VALID
from ..core.values.test_portable import COMPILED
from ..core.values.test_portable import REFUSED as UNCOMPILED
from .clients import programs, talk
from .places import HERE, node
from .raw_client import Message
from .samples import Call
from .servers import Process, gateway_over_http, write_settings

ODD = {file.stem: json.loads(file.read_text()) for file in sorted((HERE / "odd").glob("*.json"))}
SOUND: Message = {
    "tools": [{"name": "echo", "inputSchema": {"type": "object"}}],
    "resources": [{"uri": "sound://r", "name": "r"}],
    "resourceTemplates": [{"uriTemplate": "sound://{t}", "name": "t"}],
    "prompts": [{"name": "p"}],
    "results": {"echo": {"content": [{"type": "text", "text": "sound"}]}},
    "expected": {
        "tools": ["echo"],
        "resources": ["sound://r"],
        "resourceTemplates": ["sound://{t}"],
        "prompts": ["p"],
    },
}
SERVERS = {**ODD, "sound": SOUND}
OURS = {
    "tools": [
        "execute_dag",
        "search_tools",
        "describe_tools",
        "get_run",
        "cancel_run",
        "query_dag",
    ],
    "resources": ["plait://guide", "plait://catalog"],
    "resourceTemplates": ["plait://runs/{id}", "plait://runs/{id}/tasks/{task}"],
    "prompts": ["plan", "explain_run"],
}
CALLS = {
    f"{server}-{tool}": f"{server}:{tool}"
    for server, odd in SERVERS.items()
    for tool in odd.get("results", {})
}
DAG: Call = ("execute_dag", {"tasks": [{"id": id, "tool": tool} for id, tool in CALLS.items()]})
BLOCKS = sum(odd["expected"].get("blocks", 0) for odd in SERVERS.values())


def expected(kind: str) -> list[str]:
    theirs = [
        f"{server}__{name}" if kind == "tools" else name
        for server, odd in SERVERS.items()
        for name in odd["expected"].get(kind, [])
    ]
    if kind == "prompts":  # a name that several servers have is prefixed by the server's
        theirs = [
            f"{server}__{name}" if theirs.count(name) > 1 else name
            for server, odd in SERVERS.items()
            for name in odd["expected"].get(kind, [])
        ]
    return sorted([*OURS[kind], *theirs])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "sound.json").write_text(json.dumps(SOUND))
    files = {name: HERE / "odd" / f"{name}.json" for name in ODD} | {"sound": folder / "sound.json"}
    script = str(HERE / "odd_server.py")
    servers = {
        name: Process([sys.executable, script, str(file)], folder) for name, file in files.items()
    }
    with gateway_over_http(
        write_settings(folder / "servers.toml", servers, {"expose": "all"})
    ) as url:
        asyncio.run(ready(url))
        yield f"{url}/mcp"


async def ready(url: str) -> None:
    """Wait until every server is connected."""
    async with asyncio.timeout(30), httpx2.AsyncClient() as client:
        while True:
            servers = (await client.get(f"{url}/healthz")).json()["servers"]
            if servers.keys() == {"ready"}:
                return
            await asyncio.sleep(0.05)


def assert_answered(result: Message) -> None:
    """Every task has its outcome, whatever its server returned."""
    document = result["structuredContent"]
    assert (document["status"], result.get("isError", False)) == ("success", False), document
    assert document["outputs"]["sound-echo"] == "sound"
    assert json.loads(result["content"][0]["text"]) == document
    media = [block["type"] for block in result["content"][1:]]
    assert len(media) == BLOCKS


@pytest.mark.parametrize("client", programs())
async def test_a_client_reads_every_list_and_the_answer_of_a_run(client: str, url: str):
    answer = await talk(client, "http", [url], [DAG])
    assert sorted(answer.tools) == expected("tools")
    assert sorted(answer.resources) == expected("resources")
    assert sorted(answer.templates) == expected("resourceTemplates")
    assert sorted(answer.prompts) == expected("prompts")
    assert_answered(answer.results[0])


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_python_sdk_2_reads_every_list_and_the_answer_of_a_run(mode: Any, url: str):
    async with Client(streamable_http_client(url), mode=mode) as client:
        tools = await client.list_tools()
        resources = await client.list_resources()
        templates = await client.list_resource_templates()
        prompts = await client.list_prompts()
        result = await client.call_tool(*DAG)
    assert sorted(tool.name for tool in tools.tools) == expected("tools")
    assert sorted(one.uri for one in resources.resources) == expected("resources")
    found = sorted(one.uri_template for one in templates.resource_templates)
    assert found == expected("resourceTemplates")
    assert sorted(prompt.name for prompt in prompts.prompts) == expected("prompts")
    assert_answered(result.model_dump(mode="json", by_alias=True, exclude_none=True))


def asked_node(script: str, value: object) -> list[bool]:
    """The answer of a program in JavaScript, which has *value* as `given`."""
    read = 'const given = JSON.parse(require("fs").readFileSync(0, "utf8"));'
    command = [node(), "-e", f"{read} console.log(JSON.stringify({script}))"]
    out = subprocess.run(
        command, input=json.dumps(value), capture_output=True, text=True, check=True, cwd=HERE
    )
    answer: list[bool] = json.loads(out.stdout)
    return answer


_WORKS = "((f) => { try { f(); return true; } catch { return false; } })"


def test_javascript_compiles_the_patterns_that_are_said_to_compile():
    patterns = VALID + REFUSED
    answers = asked_node(f'given.map((p) => {_WORKS}(() => new RegExp(p, "u")))', patterns)
    assert answers == [is_js_pattern(pattern) for pattern in patterns]


def test_ajv_compiles_the_schemas_that_are_said_to_compile():
    schemas = [*COMPILED, *(schema for schema, _ in UNCOMPILED)]
    make = "new (require('ajv').default)({strict: false, validateSchema: false})"
    answers = asked_node(f"given.map((s) => {_WORKS}(() => {make}.compile(s)))", schemas)
    assert answers == [uncompilable(schema) is None for schema in schemas]
