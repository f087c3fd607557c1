"""What a policy that only observes lets through is logged, call by call."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from plait.calls.policy_log import PolicyLog
from plait.core.ports import ToolCall
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.values.strict import JsonObject

from ..fakes import a_call, tool

RULES = Rules(deny=("*:delete",), ask=("write",), lines={("deny", 0): 3})


async def answer(call: ToolCall) -> JsonObject:
    return {"content": []}


async def logged(policy: Policy, name: str, caplog: pytest.LogCaptureFixture) -> list[Any]:
    called = tool(name, readOnlyHint=name.endswith("get"))
    with caplog.at_level(logging.WARNING):
        call = a_call(called, {}, policy=policy.of(called))
        assert await PolicyLog(answer)(call) == {"content": []}
    return caplog.records


@pytest.mark.parametrize(
    ("name", "answer", "why"),
    [
        ("s:delete", "deny", 'denied because [policy] deny = ["*:delete"], line 3'),
        ("s:put", "ask", 'asked because [policy] ask = ["write"]'),
    ],
)
async def test_a_call_that_would_be_denied_or_asked_for_is_made_and_logged(
    name: str, answer: str, why: str, caplog: pytest.LogCaptureFixture
):
    [record] = await logged(Policy(tables=(RULES,), observes=True), name, caplog)
    assert record.message == "policy.observed"
    assert (record.run, record.task, record.tool) == ("r", "t", name)
    assert record.answer == answer
    assert record.why == f'allowed by [policy] mode = "observe", else {why}'


async def test_a_call_that_is_allowed_is_not_logged(caplog: pytest.LogCaptureFixture):
    assert await logged(Policy(tables=(RULES,), observes=True), "s:get", caplog) == []


async def test_a_policy_that_is_enforced_is_not_logged(caplog: pytest.LogCaptureFixture):
    assert await logged(Policy(tables=(RULES,)), "s:put", caplog) == []
