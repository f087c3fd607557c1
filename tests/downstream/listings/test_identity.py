"""Which server settings lead to: by what makes it this one, and by nothing that is secret."""

from __future__ import annotations

from typing import Any

import pytest

from plait.config import ServerSettings
from plait.downstream.listings.identity import identity_of

SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"url": "https://x/mcp", "headers": {"A": "1"}},
        {"url": "https://x/mcp", "headers": {"A": "2"}},
    ),
    ({"url": "https://u:1@x/mcp?key=1"}, {"url": "https://u:2@x/mcp?key=2"}),
    ({"command": "c", "env": {"A": "1"}}, {"command": "c", "env": {"A": "2"}}),
    ({"command": "c", "timeout_s": 1, "include": ["a"]}, {"command": "c", "lazy": True}),
]
OTHER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"url": "https://x/mcp"}, {"url": "https://y/mcp"}),
    ({"url": "https://x/mcp"}, {"url": "https://x/mcp", "transport": "sse"}),
    ({"url": "https://x/mcp?key=1"}, {"url": "https://x/mcp?user=1"}),
    (
        {"url": "https://x/mcp", "headers": {"A": "1"}},
        {"url": "https://x/mcp", "headers": {"B": "1"}},
    ),
    ({"command": "c", "env": {"A": "1"}}, {"command": "c"}),
    ({"command": "c", "args": ["a b"]}, {"command": "c", "args": ["a", "b"]}),
    ({"command": "c"}, {"command": "c", "cwd": "/"}),
    ({"command": "c"}, {"command": "c", "protocol": "legacy"}),
    ({"builtin": "workspace", "root": "/a"}, {"builtin": "workspace", "root": "/b"}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_secrets_and_rules_do_not_make_another_server(one: dict[str, Any], other: dict[str, Any]):
    assert identity_of("s", ServerSettings(**one)) == identity_of("s", ServerSettings(**other))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_each_setting_that_leads_to_a_server_makes_another_server(
    one: dict[str, Any], other: dict[str, Any]
):
    assert identity_of("s", ServerSettings(**one)) != identity_of("s", ServerSettings(**other))
    assert identity_of("s", ServerSettings(**one)) != identity_of("t", ServerSettings(**one))


def test_variables_that_differ_by_client_make_no_other_server():
    """Else each client would find other tools remembered, and pinned."""
    passing: dict[str, Any] = {"command": "x", "env_pass": ("AWS_*",)}
    identities = {
        identity_of("s", ServerSettings(**passing, env=env))
        for env in list[dict[str, str]]([{}, {"AWS_A": "1"}, {"AWS_A": "2", "AWS_B": "3"}])
    }
    assert len(identities) == 1
    named = ServerSettings(**passing, env={"OTHER": "1"})
    assert identity_of("s", named) not in identities
    assert identity_of("s", ServerSettings(command="x")) not in identities
