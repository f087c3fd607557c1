"""Requests of direct calls: made of the policy, the catalogue as it is now, and the params of a
client."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.scheduling.direct_calls import CallRequests, DirectCall
from plait.core.scheduling.events import Failure, Key, Status, Wait
from plait.core.scheduling.lanes import SlotRequest
from plait.core.scheduling.notices import Delayed
from plait.core.tools.catalog import Catalog
from plait.core.tools.policy import Policy, Rule
from plait.core.tools.rules import Rules
from plait.errors import PolicyDenied
from tests.fakes import tool

from ..tables import table

PATH = {"path": {"type": "string"}}
CATALOG = Catalog([tool("s:write", PATH, closed=False), tool("s:read", readOnlyHint=True)])
KEPT = Policy((Rule("s:read", cache_ttl_s=60.0, cache_stat="path"),))


def test_a_request_has_the_limits_and_the_weight_of_its_tool() -> None:
    policy = Policy((Rule("s:*", max_concurrency=2), Rule("s:write", weight=3)))
    request = CallRequests(policy).make(7, CATALOG, "s:write", {"arguments": {"path": "x"}})
    assert (request.key, request.tool) == (Key("", "s:write", 7), CATALOG.tools["s:write"])
    assert request.arguments == {"path": "x"}
    assert request.slots == SlotRequest("", "s", ("s:*", 2), 3)


@table("params", [{}, {"arguments": None}])
def test_a_call_without_arguments_has_none(params: dict[str, Any]) -> None:
    assert CallRequests(Policy()).make(1, CATALOG, "s:write", params).arguments == {}


def test_a_tool_that_is_not_listed_can_be_called_all_the_same() -> None:
    request = CallRequests(Policy()).make(1, CATALOG, "s:new:er", {})
    assert (request.tool.server, request.tool.name, request.tool.listed) == ("s", "new:er", False)


def test_a_tool_is_as_the_catalogue_has_it_now() -> None:
    requests = CallRequests(Policy())
    before = requests.make(1, CATALOG, "s:write", {}).tool
    changed = Catalog([tool("s:write", {"text": {"type": "string"}})])
    assert requests.make(2, changed, "s:write", {}).tool is changed.tools["s:write"] is not before


def test_what_a_call_accesses_follows_from_its_arguments() -> None:
    params: dict[str, Any] = {"arguments": {"path": "x"}}
    accesses = CallRequests(Policy()).make(1, CATALOG, "s:write", params).accesses
    assert accesses is not None
    assert [name.key for name in accesses.files] == ["file:x"]
    assert (
        CallRequests(Policy(), detect_conflicts=False).make(1, CATALOG, "s:write", params).accesses
        is None
    )


@table(
    ("members", "max_age_s"),
    [
        ({"_meta": {"trace": 1}}, 60.0),
        ({"inputResponses": {}}, 0.0),
        ({"requestState": "s"}, 0.0),
        ({"x-new": 1}, 0.0),
    ],
)
def test_an_earlier_answer_is_only_for_a_call_that_says_nothing_else(
    members: dict[str, Any], max_age_s: float
) -> None:
    params = {"name": "read", "arguments": {}, **members}
    request = CallRequests(KEPT).make(1, CATALOG, "s:read", params)
    assert (request.max_age_s, request.policy.cache_stat) == (max_age_s, "path")


def test_a_tool_that_the_policy_denies_is_refused() -> None:
    with pytest.raises(PolicyDenied) as refused:
        CallRequests(Policy(tables=(Rules(deny=("s:w*",)),))).make(1, CATALOG, "s:write", {})
    assert (refused.value.code, refused.value.denied_by) == ("policy_denied", "s:w*")


def test_of_direct_calls_the_first_is_the_most_urgent() -> None:
    requests = CallRequests(Policy())
    first, second = (DirectCall(requests.make(number, CATALOG, "s:read", {})) for number in (1, 2))
    assert first.urgency < second.urgency < (0.0, -1e9, 0)


def test_each_move_is_a_notice_and_only_a_call_that_was_sent_has_an_attempt() -> None:
    call = DirectCall(CallRequests(Policy()).make(1, CATALOG, "s:read", {}))
    ready = call.move(Status.READY, 1.0)
    call.started_at = 2.0
    running = call.move(Status.RUNNING, 2.0)
    failed = call.move(Status.FAILED, 5.0, Failure("tool_error", "no"))
    assert (ready.before, ready.after, ready.attempt, ready.at) == (
        Status.PENDING,
        Status.READY,
        0,
        1.0,
    )
    assert (running.attempt, running.started_at, running.took_s) == (1, None, None)
    assert (failed.before, failed.attempt, failed.tool, failed.code) == (
        Status.RUNNING,
        1,
        "s:read",
        "tool_error",
    )
    assert (failed.started_at, failed.took_s) == (2.0, 3.0)


def test_the_time_of_a_call_begins_when_its_server_is_there() -> None:
    call = DirectCall(CallRequests(Policy()).make(1, CATALOG, "s:read", {}))
    assert call.sent(1.0) == []
    call.started_at = 2.0
    assert call.sent(6.0) == [Delayed(call.key, Wait("server", "s", 4.0), is_first=True, at=6.0)]
    call.move(Status.RUNNING, 2.0)
    assert call.move(Status.SUCCESS, 7.0).took_s == 1.0
