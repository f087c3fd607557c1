"""What the operator says of tools: the last rule that says something counts."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.policy import DEFAULT_TIMEOUT_S, Policy, Rule
from tests.fakes import tool

POLICY = Policy(
    rules=(
        Rule("files:*", timeout_s=10, weight=2),
        Rule("files:write_*", timeout_s=20, idempotent=True),
        Rule("files:write_log", weight=5),
        Rule("*:get_*", idempotent=False),
    ),
    deny=("*:delete_*", "shell:*"),
    server_timeouts={"slow": 300, "files": 7},
)


@pytest.mark.parametrize(
    ("name", "timeout_s", "weight", "may_repeat"),
    [
        ("files:read", 10, 2, False),
        ("files:write_text", 20, 2, True),
        ("files:write_log", 20, 5, True),
        ("slow:anything", 300, 1, False),
        ("other:anything", DEFAULT_TIMEOUT_S, 1, False),
    ],
)
def test_the_last_rule_that_says_something_counts(name: str, timeout_s: float, weight: int, may_repeat: bool) -> None:
    named = tool(name)
    assert POLICY.timeout_s(named) == timeout_s
    assert POLICY.weight(named) == weight
    assert POLICY.may_repeat(named) is may_repeat


@pytest.mark.parametrize(
    ("hints", "may_repeat"),
    [({}, False), ({"readOnlyHint": True}, True), ({"idempotentHint": True}, True), ({"readOnlyHint": False}, False)],
)
def test_without_a_rule_the_annotations_say_whether_a_call_may_be_repeated(hints: Any, may_repeat: bool) -> None:
    assert Policy().may_repeat(tool("s:t", **hints)) is may_repeat


def test_a_rule_is_stronger_than_an_annotation() -> None:
    assert POLICY.may_repeat(tool("x:get_it", readOnlyHint=True)) is False


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("files:delete_all", "*:delete_*"), ("shell:run", "shell:*"), ("files:read", None), ("Shell:run", None)],
)
def test_the_pattern_that_denies_a_tool_is_told(name: str, pattern: str | None) -> None:
    assert POLICY.denies(tool(name)) == pattern
