"""The tools are plain enough for every client, and their examples are right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import jsonschema_rs
import pytest
from jmespath.functions import Functions as JmespathFunctions

from plait.core.expressions.functions import FUNCTIONS
from plait.core.language.dag import Task
from plait.core.tools.catalog import ServerInfo, ServerState
from plait.core.values.strict import dumps
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.instructions import instructions
from plait.upstream.resources import guide
from plait.upstream.schemas import TOOLS, ToolText
from plait.upstream.texts import EXECUTE, INSTRUCTIONS, MAX_TEXT

from ..fakes import FakeServers, tool

NOT_PORTABLE = {
    "$ref", "$defs", "definitions", "oneOf", "anyOf", "allOf", "not", "if", "then", "else", "const",
    "format",
    "pattern", "patternProperties", "propertyNames", "unevaluatedProperties", "dependentSchemas",
    "prefixItems",
}  # fmt: skip
EXAMPLES = [
    *re.findall(r"```json\n(.*?)```", guide(), re.DOTALL),
    EXECUTE.partition("Example: ")[2],
]


def every(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each task, those in groups too."""
    for task in tasks:
        yield task
        yield from every(task.get("tasks", []))


def schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """*schema* and every schema in it."""
    yield schema
    for inner in (*schema.get("properties", {}).values(), schema.get("items")):
        if inner is not None:
            yield from schemas(inner)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_schemas_use_only_keywords_that_all_clients_read(tool: ToolText):
    for root in (tool.input_schema, tool.output_schema):
        assert root["type"] == "object"
        for schema in schemas(root):
            assert not NOT_PORTABLE & schema.keys()
            assert isinstance(schema["type"], str)
            assert schema["type"] != "object" or schema.keys() & {
                "properties",
                "additionalProperties",
            }
            assert schema["type"] != "array" or "items" in schema
        jsonschema_rs.validator_for(root)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_names_and_descriptions_of_arguments_are_short(tool: ToolText):
    assert re.fullmatch(r"[a-z_]{1,64}", tool.name)
    for schema in schemas(tool.input_schema):
        assert len(schema.get("description", "")) <= 120


@pytest.mark.parametrize("text", EXAMPLES)
async def test_the_published_examples_are_valid(text: str):
    document = json.loads(text)
    jsonschema_rs.validator_for(TOOLS[0].input_schema).validate(document)
    servers = FakeServers()
    tasks = list(every(document["tasks"]))
    for task in tasks:
        if "repeat" in task:
            servers.add(tool(task["tool"], closed=False, readOnlyHint=True), lambda **_: {})
        elif "tool" in task:  # of a server that is not connected yet: any tool may be its own
            servers.add_server(ServerInfo(task["tool"].partition(":")[0], ServerState.CONNECTING))
    document.pop("resume_from", None)
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        plan = await gateway.plan(document)
    assert plan["status"] == "planned"
    assert plan["estimate"]["tasks"] == len(tasks)  # type: ignore[index, call-overload]  # it is an object


def test_what_models_read_fits_into_their_context():
    """Models read names, descriptions and inputs; clients read the whole list."""
    read: list[Any] = [
        {"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema}
        for tool in TOOLS
    ]
    assert len(dumps(read)) <= 7_500
    assert all(len(tool.description) <= MAX_TEXT for tool in TOOLS)
    assert len(dumps([tool.output_schema for tool in TOOLS])) <= 3_600


def test_what_models_read_names_every_function_and_every_field_that_they_are_offered():
    names = FUNCTIONS.keys() - JmespathFunctions.FUNCTION_TABLE.keys()
    assert names
    for text in (EXECUTE, guide()):
        assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)] == []
    rules = get_args(Task.model_fields["trigger_rule"].annotation)
    assert [rule for rule in rules if f"`{rule}" not in guide()] == []
    assert "not_null(" in guide()
    fields = TOOLS[0].input_schema["properties"]["tasks"]["items"]["properties"]
    assert [name for name in fields if name not in guide()] == []


def test_instructions_stay_within_their_length_however_many_servers_there_are():
    said = instructions(ServerInfo(f"server-{n}", ServerState.READY, tools=n) for n in range(1_000))
    assert len(said) <= MAX_TEXT
    assert re.search(r"server-1 \(1 tool\), server-2 \(2 tools\), .* and \d+ more$", said)
    assert instructions([]) == f"{INSTRUCTIONS}none"


def test_output_schemas_accept_what_the_tools_answer_when_they_refuse():
    refused = {
        "status": "invalid",
        "errors": [{"path": "x", "code": "wrong_type", "message": "no"}],
    }
    for one in TOOLS:
        jsonschema_rs.validator_for(one.output_schema).validate(refused)
