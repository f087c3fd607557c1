"""What the operator says of tools: the last rule that says something counts."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.planning.plan import VALUE
from plait.core.tools.policy import DEFAULT_TIMEOUT_S, Policy, Rule
from plait.core.tools.rules import Answer, Rules
from plait.errors import CallError, PolicyDenied
from tests.fakes import tool

from ..tables import table

POLICY = Policy(
    rules=(
        Rule("files:*", timeout_s=10, weight=2),
        Rule("files:write_*", timeout_s=20, idempotent=True),
        Rule("files:write_log", weight=5),
        Rule("*:get_*", idempotent=False),
    ),
    tables=(Rules(deny=("*:delete_*", "shell:*")),),
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


ASKING = Policy(tables=(Rules(deny=("s:del",), ask_each=("s:pay",), ask=("write",)),))


@table(
    ("used", "answer"),
    [
        (tool("s:del", readOnlyHint=True), Answer.DENY),
        (tool("s:pay"), Answer.ASK_EACH),
        (tool("s:post"), Answer.ASK),
        (tool("s:get", readOnlyHint=True), Answer.ALLOW),
    ],
)
def test_the_rules_decide_about_a_tool_by_its_name_and_traits(used: Any, answer: Answer) -> None:
    assert ASKING.of(used).decision.answer is ASKING.decide(used).answer is answer


def test_a_decision_is_made_once_for_the_same_name_and_traits() -> None:
    assert ASKING.decide(tool("s:post")) is ASKING.decide(tool("s:post"))
    read_only = tool("s:post", readOnlyHint=True)
    assert ASKING.decide(read_only).answer is Answer.ALLOW  # as it is listed now


def test_names_that_callers_make_up_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plait.core.tools.policy._MOST_KEPT", 3)
    policy = Policy(tables=(Rules(ask=("write",)),))
    first = policy.decide(tool("s:t0"))
    for number in range(1, 4):
        policy.decide(tool(f"s:t{number}"))
    assert policy.decide(tool("s:t0")) is not first


def test_what_calls_no_tool_needs_no_permission() -> None:
    policy = Policy(tables=(Rules(default=Answer.DENY),))
    assert policy.decide(VALUE).answer is Answer.ALLOW


@table(
    ("name", "error"),
    [
        ("s:get", None),
        ("s:del", PolicyDenied),
        ("s:pay", None),
        ("s:x", None),
    ],
)
def test_a_call_that_is_denied_is_refused_by_its_rule(
    name: str, error: type[CallError] | None
) -> None:
    used = tool(name, readOnlyHint=name == "s:get")
    settings = ASKING.of(used)
    refusal = settings.refusal(name)
    assert (None if refusal is None else type(refusal)) is error
    if refusal is not None:
        assert settings.decision.why in refusal.message
