"""What the operator says of tools: the last rule that says something counts."""

from __future__ import annotations

from typing import Any

from plait.core.tools.policy import DEFAULT_TIMEOUT_S, Policy, Rule
from tests.fakes import tool

from ..tables import table

POLICY = Policy(
    rules=(
        Rule("files:*", timeout_s=10, weight=2),
        Rule("files:write_*", timeout_s=20, idempotent=True),
        Rule("files:write_log", weight=5),
        Rule("*:get_*", idempotent=False),
    ),
    deny=("*:delete_*", "shell:*"),
    server_timeouts={"slow": 300, "files": 7},
    server_startups={"slow": 90},
)


@table(
    ("name", "timeout_s", "weight", "may_repeat"),
    [
        ("files:read", 10, 2, False),
        ("files:write_text", 20, 2, True),
        ("files:write_log", 20, 5, True),
        ("slow:anything", 300, 1, False),
        ("other:anything", DEFAULT_TIMEOUT_S, 1, False),
    ],
)
def test_the_last_rule_that_says_something_counts(
    name: str, timeout_s: float, weight: int, may_repeat: bool
) -> None:
    named = tool(name)
    said = POLICY.of(named)
    assert (said.timeout_s, said.weight, said.may_repeat) == (timeout_s, weight, may_repeat)


@table(
    ("hints", "may_repeat"),
    [
        ({}, False),
        ({"readOnlyHint": True}, True),
        ({"idempotentHint": True}, True),
        ({"readOnlyHint": False}, False),
    ],
)
def test_without_a_rule_the_annotations_say_whether_a_call_may_be_repeated(
    hints: Any, may_repeat: bool
) -> None:
    assert Policy().of(tool("s:t", **hints)).may_repeat is may_repeat


def test_the_time_of_a_start_is_that_of_the_server() -> None:
    said = [POLICY.of(tool(name)).startup_timeout_s for name in ("slow:anything", "files:read")]
    assert said == [90, None]


def test_a_rule_is_stronger_than_an_annotation() -> None:
    assert POLICY.of(tool("x:get_it", readOnlyHint=True)).may_repeat is False


@table(
    ("name", "pattern"),
    [
        ("files:delete_all", "*:delete_*"),
        ("shell:run", "shell:*"),
        ("files:read", None),
        ("Shell:run", None),
    ],
)
def test_the_pattern_that_denies_a_tool_is_named(name: str, pattern: str | None) -> None:
    assert POLICY.of(tool(name)).denied_by == pattern


def test_a_limit_of_calls_is_shared_by_all_tools_that_its_pattern_matches() -> None:
    policy = Policy((Rule("files:*", max_concurrency=3), Rule("files:write_*", max_concurrency=1)))
    assert policy.of(tool("files:read")).limit == ("files:*", 3)
    assert (
        policy.of(tool("files:write_a")).limit
        == policy.of(tool("files:write_b")).limit
        == ("files:write_*", 1)
    )
    assert policy.of(tool("other:x")).limit is None


def test_an_empty_list_of_resources_says_that_there_are_none() -> None:
    policy = Policy((Rule("files:*", writes=("file:{path}",)), Rule("files:log", writes=())))
    assert policy.of(tool("files:write")).writes == ("file:{path}",)
    assert policy.of(tool("files:log")).writes == ()
    assert policy.of(tool("files:write")).reads is None
