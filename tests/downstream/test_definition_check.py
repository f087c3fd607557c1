"""The last look at a tool before its call is sent."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from plait.core.tools.catalog import Tool
from plait.core.tools.policy import Pin, Policy, ToolPolicy
from plait.core.tools.rules import Rules
from plait.core.tools.traits import Word
from plait.downstream.connection import Connection
from plait.errors import ApprovalRequired, CallError, PolicyDenied, ToolChanged
from plait.stores.pins import Pins

from ..fakes import a_call
from .scripted import ScriptedServer, owned, script

pytestmark = pytest.mark.virtual_time


def listed(**hints: bool) -> dict[str, Any]:
    return {"name": "look", "inputSchema": {"type": "object"}, "annotations": hints}


def serving(definition: dict[str, Any]) -> ScriptedServer:
    return ScriptedServer(script(tools={"tools": [definition]}))


def sent(server: ScriptedServer) -> int:
    return sum(method == "tools/call" for method, _ in server.received)


async def call(connection: Connection, planned: Tool, policy: ToolPolicy) -> None:
    await connection.call(a_call(planned, {}, policy=policy))


ASK_WRITES = Policy(tables=(Rules(ask=("write",)),))
ASK_DESTROYS = Policy(tables=(Rules(ask=("destructive",)),))
DENY_OPEN = Policy(tables=(Rules(deny=("open_world",)),))
READS = {"readOnlyHint": True}
DESTROYS = {"readOnlyHint": False, "destructiveHint": True}


@pytest.mark.parametrize(
    ("planned", "now", "policy", "refusal"),
    [
        # The same, or one that may do less.
        (READS, READS, Policy(), None),
        ({}, READS, ASK_DESTROYS, None),
        (DESTROYS, {}, Policy(), None),
        # One that may do more than the tool that was planned.
        (READS, {}, Policy(), ToolChanged),
        (READS, DESTROYS, ASK_WRITES, ToolChanged),
        (READS, {**READS, "openWorldHint": True}, Policy(), ToolChanged),
        ({}, DESTROYS, Policy(), ToolChanged),
        # One of which nothing was known when it was planned.
        (None, {}, Policy(), None),
        (None, DESTROYS, Policy(), None),
        (None, DESTROYS, ASK_DESTROYS, ApprovalRequired),
        (None, {**READS, "openWorldHint": True}, DENY_OPEN, PolicyDenied),
        (None, READS, DENY_OPEN, None),
    ],
)
async def test_a_call_is_judged_by_what_the_tool_is_when_it_is_sent(
    planned: Any, now: Any, policy: Policy, refusal: type[CallError] | None
):
    server = serving(listed(**now))
    tool = Tool("s", "look", listed=False)
    if planned is not None:
        tool = Tool("s", "look", listed(**planned))
    async with owned(server) as connection:
        if refusal is None:
            await call(connection, tool, policy.of(tool))
        else:
            with pytest.raises(refusal):
                await call(connection, tool, policy.of(tool))
    assert sent(server) == (refusal is None)


@pytest.mark.parametrize("is_approved", [True, False])
async def test_an_approved_call_is_not_sent_to_a_tool_that_is_described_otherwise(
    is_approved: bool,
):
    server = serving({**listed(), "description": "Now it sends."})
    planned = Tool("s", "look", listed())
    async with owned(server) as connection:
        made = a_call(planned, {})._replace(is_approved=is_approved)
        if is_approved:
            with pytest.raises(ToolChanged):
                await connection.call(made)
        else:
            await connection.call(made)
    assert sent(server) == (not is_approved)


async def test_the_operators_word_holds_for_the_tool_as_it_is_now():
    server = serving(listed(**DESTROYS))
    planned = Tool("s", "look", listed(**READS), word=Word(read_only=True))
    async with owned(server) as connection:
        await call(connection, planned, ASK_WRITES.of(planned))
    assert sent(server) == 1


async def test_a_description_that_changed_meanwhile_does_not_matter_to_the_rules():
    server = serving({**listed(**READS), "description": "Another one."})
    planned = Tool("s", "look", listed(**READS))
    async with owned(server) as connection:
        await call(connection, planned, ASK_WRITES.of(planned))
    assert sent(server) == 1


def pinning(pin: Pin) -> ToolPolicy:
    return replace(ToolPolicy(), pin=pin)


async def use(pins: Pins, pin: Pin, description: str) -> tuple[int, tuple[str, ...]]:
    """Use the tool with that *description*; gives the number of calls that were sent, and what is
    said of the server."""
    definition = {**listed(), "description": description}
    server, tool = serving(definition), Tool("s", "look", definition)
    async with owned(server, pins=pins.of("s")) as connection:
        for _ in range(2):
            with suppress(ToolChanged):
                await call(connection, tool, pinning(pin))
        return sent(server), connection.info.warnings


async def test_a_tool_that_changed_since_it_was_first_used_is_blocked():
    pins = Pins(None)
    assert await use(pins, Pin.BLOCK, "Look.") == (2, ())
    said = ("not described as when first used: look (plait servers accept s)",)
    assert await use(pins, Pin.BLOCK, "Send all.") == (0, said)
    assert await use(pins, Pin.BLOCK, "Look.") == (2, ())


async def test_the_error_says_how_a_person_accepts_it():
    pins = Pins(None)
    await use(pins, Pin.BLOCK, "Look.")
    server, tool = serving({**listed(), "description": "Send all."}), Tool("s", "look", listed())
    async with owned(server, pins=pins.of("s")) as connection:
        with pytest.raises(ToolChanged, match="s:look is not described as when") as refused:
            await call(connection, tool, pinning(Pin.BLOCK))
    assert (refused.value.hint or "").endswith(": plait servers accept s")


async def test_with_warn_it_is_called_and_logged_once(caplog: pytest.LogCaptureFixture):
    pins = Pins(None)
    await use(pins, Pin.WARN, "Look.")
    with caplog.at_level(logging.WARNING, "plait.downstream.definition_check"):
        calls, said = await use(pins, Pin.WARN, "Send all.")
    assert (calls, len(said)) == (2, 1)
    [record] = caplog.records
    assert (record.message, record.tool) == ("tool.changed", "look")  # type: ignore[attr-defined]  # extra


async def test_with_ignore_nothing_is_remembered():
    pins = Pins(None)
    for description in ("Look.", "Send all."):
        assert await use(pins, Pin.IGNORE, description) == (2, ())
    assert await use(pins, Pin.BLOCK, "Anything.") == (2, ())


async def test_a_tool_that_the_server_does_not_list_is_left_to_it():
    server = serving(listed())
    planned = Tool("s", "other", listed=False)
    async with owned(server, pins=Pins(None).of("s")) as connection:
        await call(connection, planned, pinning(Pin.BLOCK))
    assert sent(server) == 1
