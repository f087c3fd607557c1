"""Which requests may change something, and which make the state of a session."""

from __future__ import annotations

from typing import Any

import pytest

from plait.upstream.transports.reports import dropped_by, effects_of, kept_by


def only_read(name: str) -> bool:
    return name == "read"


@pytest.mark.parametrize(
    ("method", "params", "tool"),
    [
        ("tools/list", None, None),
        ("ping", {}, None),
        ("resources/read", {"uri": "a:b"}, None),
        ("tools/call", None, None),
        ("tools/call", {"name": 5}, None),
        ("tools/call", {"name": "read"}, None),
        ("tools/call", {"name": "write"}, "write"),
        ("tools/call", {"name": "execute_dag", "arguments": {"tasks": []}}, "execute_dag"),
        ("tools/call", {"name": "execute_dag", "arguments": {"dry_run": True}}, None),
        ("tools/call", {"name": "execute_dag", "arguments": {"dry_run": "yes"}}, "execute_dag"),
        ("tools/call", {"name": "execute_dag", "arguments": '{"dry_run":true}'}, "execute_dag"),
        ("tools/call", {"name": "write", "arguments": {"dry_run": True}}, "write"),
    ],
)
def test_only_calls_that_are_not_known_to_be_harmless_have_effects(
    method: str, params: Any, tool: str | None
):
    assert effects_of(method, params, only_read) == tool


def test_a_session_is_made_of_its_handshake_level_and_subscriptions():
    assert kept_by("initialize", {}, {"protocolVersion": "v"}) == (b"initialize", b"v")
    assert kept_by("notifications/initialized", {}, {}) == (b"initialized", b"")
    assert kept_by("logging/setLevel", {"level": "info"}, {}) == (b"level", b"")
    assert kept_by("tools/list", {}, {}) is None


def test_a_subscription_is_dropped_by_its_end_and_holds_no_nul():
    kept = kept_by("resources/subscribe", {"uri": "a:\0"}, {})
    assert kept is not None
    assert b"\0" not in kept[0]
    assert dropped_by("resources/unsubscribe", {"uri": "a:\0"}) == kept[0]
    assert dropped_by("resources/unsubscribe", {"uri": "a:b"}) != kept[0]
    assert dropped_by("resources/subscribe", {"uri": "a:\0"}) is None
