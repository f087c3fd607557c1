"""What is said of a mistake in the settings: what would be right, and never the value."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from plait.config.mistakes import message_of, steps_of
from plait.config.models import Settings
from plait.config.places import place


def mistakes(values: Any) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(values)
    details = refused.value.errors(include_url=False, include_input=False)
    return [f"{place(steps_of(detail))}: {message_of(detail)}" for detail in details]


@pytest.mark.parametrize("value", [0, "many", 1.5])
def test_a_mistake_in_a_value_of_several_types_is_one(value: object):
    assert {*mistakes(server(max_concurrency=value))} == {
        'servers.a.max_concurrency: must be a whole number, 1 or more, or "auto"'
    }


def server(**settings: Any) -> dict[str, Any]:
    return {"servers": {"a": {"command": "x", **settings}}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gatway": {}}, 'gatway: unknown key. Did you mean "gateway"?'),
        (server(comand="x"), 'servers.a.comand: unknown key. Did you mean "command"?'),
        (server(cmd="x"), 'servers.a.cmd: unknown key. Did you mean "command"?'),
        (server(Environment={}), 'servers.a.Environment: unknown key. Did you mean "env"?'),
        (server(command=["x"]), "servers.a.command: must be text, in quotes: the program alone"),
        (
            {"gateway": {"zzz": 1}},
            "gateway.zzz: unknown key. Known keys: expose, types, max_concurrency, wait_s, ",
        ),
        (
            {"gateway": {"limits": {"max_task": 1}}},
            'gateway.limits.max_task: unknown key. Did you mean "max_tasks"?',
        ),
        (
            {"tools": {"a:b": {"wieght": 1}}},
            'tools."a:b".wieght: unknown key. Did you mean "weight"?',
        ),
        ({"policy": {"denied": []}}, 'policy.denied: unknown key. Did you mean "deny"?'),
        ({"gateway": 3}, "gateway: must be a table of keys and values"),
        ({"servers": {"a": "x"}}, "servers.a: must be a table of keys and values"),
        ({"servers": []}, "servers: must be a table of keys and values"),
        (server(args="y"), "servers.a.args: must be a list, in [ ]"),
        (server(env={"N": 1}), "servers.a.env.N: must be text, in quotes"),
        (server(cwd=1), "servers.a.cwd: must be a path, in quotes"),
        (server(command=""), "servers.a.command: must have at least 1 character"),
        (server(protocol="new"), "servers.a.protocol: must be 'auto', 'legacy' or 'modern'"),
        (server(rate_limit="fast"), "servers.a.rate_limit: "),
        (
            {"gateway": {"max_concurrency": 0}},
            "gateway.max_concurrency: must be greater than or equal to 1",
        ),
        (
            {"servers": {"A b": {"command": "x"}}},
            'servers."A b": a server\'s name is 1 to 32 lower-case letters, digits, - or _, and ',
        ),
        (
            {"servers": {"a": {"url": "ftp://h"}}},
            "servers.a.url: an address starts with http:// or https://",
        ),
        (
            {"servers": {"a": {}}},
            "servers.a: set exactly one of command, url and builtin; found none",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_key_and_fix(values: Any, said: str):
    [message] = mistakes(values)
    assert message.startswith(said)


def test_every_mistake_is_reported():
    assert len(mistakes({"gateway": {"x": 1, "timeout_s": 0}, "servers": {"a": {}}})) == 3


@pytest.mark.parametrize(
    "values",
    [
        server(protocol="s3cret", enabled="s3cret", timeout_s="s3cret"),
        server(headers={"Authorization": ["s3cret"], "A": " s3cret"}),
        server(rate_limit="s3cret", idle_timeout_s="s3cret"),
        {"servers": {"a": {"url": "s3cret"}}},
    ],
)
def test_no_value_stands_in_a_message(values: Any):
    assert "s3cret" not in "\n".join(mistakes(values))
