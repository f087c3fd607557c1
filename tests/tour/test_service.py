"""A service of the tour, message by message, and what it leaves behind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from plait.tour.service import (
    METHOD_NOT_FOUND,
    Refused,
    Service,
    Tool,
    alive,
    all_ended,
    log_of,
    read_log,
)


def double(number: int) -> dict[str, Any]:
    if number < 0:
        raise Refused("only numbers from 0 on")
    return {"twice": 2 * number}


DOUBLE = Tool("double", "Doubles.", {"number": "integer"}, double, seconds=0, changes=True)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service("sums", [DOUBLE], tmp_path)


async def ask(service: Service, method: str, **params: Any) -> Any:
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    line = await service.respond(json.dumps(message).encode())
    assert line is not None
    assert line.endswith(b"\n")
    answer = json.loads(line)
    assert answer["id"] == 7
    return answer.get("result") or answer["error"]


async def test_a_call_is_answered_as_text_and_as_structured_content(service: Service):
    answer = await ask(service, "tools/call", name="double", arguments={"number": 4})
    assert answer["structuredContent"] == {"twice": 8}
    assert json.loads(answer["content"][0]["text"]) == {"twice": 8}


async def test_a_call_is_in_the_log_with_the_process_that_sent_it(service: Service, tmp_path: Path):
    await ask(service, "tools/call", name="double", arguments={"number": 4})
    [call] = read_log(tmp_path, "sums")
    assert (call.tool, call.arguments, call.changes) == ("sums:double", {"number": 4}, True)
    assert call.gateway == os.getppid()


async def test_a_call_is_in_the_log_before_its_work_begins(tmp_path: Path):
    seen: list[int] = []

    def look() -> dict[str, Any]:
        seen.append(len(read_log(tmp_path, "sums")))
        return {}

    service = Service("sums", [Tool("look", "Looks.", {}, look, seconds=0)], tmp_path)
    await ask(service, "tools/call", name="look", arguments={})
    assert seen == [1]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"name": "double", "arguments": {"number": -1}}, "only numbers from 0 on"),
        ({"name": "double", "arguments": {"count": 1}}, "unexpected keyword argument"),
        ({"name": "halve"}, "unknown tool: halve"),
    ],
)
async def test_what_cannot_be_done_is_an_error_of_the_call(
    service: Service, params: dict[str, Any], said: str
):
    answer = await ask(service, "tools/call", **params)
    assert answer["isError"] is True
    assert said in answer["content"][0]["text"]


async def test_an_unknown_method_is_answered_as_the_protocol_says(service: Service):
    assert (await ask(service, "server/discover"))["code"] == METHOD_NOT_FOUND
    assert "tools" in await ask(service, "tools/list")
    assert (await ask(service, "initialize"))["serverInfo"]["name"] == "sums"


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"7", b'{"method": "notifications/x"}'])
async def test_what_is_not_a_request_is_not_answered(service: Service, line: bytes):
    assert await service.respond(line) is None


def test_a_definition_names_what_is_optional_and_what_the_tool_does():
    tool = Tool("t", "T.", {"a": "string", "b": "integer"}, double, optional=("b",), destroys=True)
    definition = tool.definition()
    assert definition["inputSchema"]["required"] == ["a"]
    assert definition["annotations"] == {
        "readOnlyHint": True,
        "destructiveHint": True,
        "openWorldHint": False,
    }


def test_a_service_without_calls_has_an_empty_log(tmp_path: Path):
    assert read_log(tmp_path, "sums") == []
    assert log_of(tmp_path, "sums").parent == tmp_path


def test_all_have_ended_once_the_last_one_has(tmp_path: Path):
    assert all_ended(tmp_path)
    with alive(tmp_path):
        with alive(tmp_path):
            assert not all_ended(tmp_path)
        assert not all_ended(tmp_path)
    assert all_ended(tmp_path)
