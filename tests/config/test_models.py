"""What settings may hold, and what the example file shows of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from plait.config.models import (
    AuditSettings,
    Config,
    GatewaySettings,
    HistorySettings,
    LimitSettings,
    ProfileSettings,
    ServerSettings,
    Settings,
    ToolSettings,
)
from plait.config.policy import PolicySettings
from plait.config.read import load_config

EXAMPLE = Path(__file__).parents[2] / "servers.example.toml"
SECRET = "s3cr3t-value"


def reasons(model: type[Any], values: Any) -> list[str]:
    """What is wrong with *values*, in our words."""
    with pytest.raises(ValidationError) as refused:
        model.model_validate(values)
    details = refused.value.errors(include_url=False, include_input=False)
    return [detail["msg"].removeprefix("Value error, ") for detail in details]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"command": "x"}, "stdio"),
        ({"builtin": "workspace"}, "stdio"),
        ({"url": "http://h/mcp"}, "http"),
        ({"url": "https://h/sse", "transport": "sse"}, "sse"),
        ({"command": "x", "transport": "stdio"}, "stdio"),
    ],
)
def test_the_transport_follows_from_the_way_to_the_server(settings: Any, kind: str):
    assert ServerSettings.model_validate(settings).kind == kind


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "set exactly one of command, url and builtin; found none"),
        (
            {"command": "x", "url": "http://h"},
            "set exactly one of command, url and builtin; found command and url",
        ),
        ({"command": "x", "transport": "sse"}, 'transport = "sse" does not go with command'),
        (
            {"builtin": "workspace", "transport": "http"},
            'transport = "http" does not go with builtin',
        ),
        ({"url": "http://h", "transport": "stdio"}, 'transport = "stdio" does not go with url'),
    ],
)
def test_settings_lead_to_exactly_one_server(settings: Any, reason: str):
    assert reasons(ServerSettings, settings) == [reason]


def test_an_odd_command_is_refused_when_the_settings_are_read():
    settings = {"builtin": "workspace", "allow_commands": ["make test", "make a && make b"]}
    (reason,) = reasons(ServerSettings, settings)
    assert "commands run without a shell" in reason


@pytest.mark.parametrize(("is_lazy", "idle_s"), [(True, 60.0), (False, None)])
def test_only_a_lazy_server_stops_when_unused(is_lazy: bool, idle_s: float | None):
    assert ServerSettings(command="x", lazy=is_lazy, idle_timeout_s=60).idle_s == idle_s


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"A": f"{SECRET}\n"}, "must not begin or end with a blank or a line break"),
        ({"A": f" {SECRET}"}, "must not begin or end with a blank"),
        ({"A": f"{SECRET}\r\nB: c"}, "must not contain a line break"),
        ({"A": f"{SECRET}\0"}, "must not contain a line break or another control character"),
        ({"A": f"{SECRET}\x7f."}, "must not contain a line break or another control character"),
        ({"A": f"{SECRET}\u00eb"}, "must be ASCII"),
        ({"A B": SECRET}, "the name of a header is"),
        ({"A:": SECRET}, "the name of a header is"),
        ({"": SECRET}, "the name of a header is"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(headers: Any, said: str):
    [reason] = reasons(ServerSettings, {"url": "http://h/mcp", "headers": headers})
    assert said in reason
    assert SECRET not in reason


@pytest.mark.parametrize("value", ["", "a", "a\tb c", "!~"])
def test_a_header_that_can_be_sent_is_taken_as_it_is(value: str):
    headers = {"X-a.b~1": value}
    assert ServerSettings(url="http://h/mcp", headers=headers).headers == headers


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"env": {"A": f"{SECRET}\0"}}, "must not contain the character NUL"),
        ({"env": {"A=B": SECRET}}, "the name of a variable must not be empty or contain ="),
        ({"env": {"": SECRET}}, "the name of a variable must not be empty or contain ="),
        ({"args": [f"{SECRET}\0"]}, "must not contain the character NUL"),
        ({"command": f"{SECRET}\0"}, "must not contain the character NUL"),
    ],
)
def test_what_no_program_can_be_given_is_refused_without_its_value(settings: Any, said: str):
    [reason] = reasons(ServerSettings, {"command": "x", **settings})
    assert said in reason
    assert SECRET not in reason


@pytest.mark.parametrize(
    "url",
    [
        f"http://ada:{SECRET}/k@h/mcp",
        f"http://h:{SECRET}/",
        f"http://[{SECRET}/",
        f"http://h/{SECRET}\x7f",
        f"http://:80/{SECRET}",
        f"http://h:0/{SECRET}",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_parts(url: str):
    [reason] = reasons(ServerSettings, {"url": url})
    assert SECRET not in reason


@pytest.mark.parametrize(
    "url", ["http://h/mcp", "https://h:8080", "http://ada:p%2Fq@h/", "http://[::1]:80/x?y=z"]
)
def test_an_address_is_kept_as_it_was_written(url: str):
    assert ServerSettings(url=url).url == url


@pytest.mark.parametrize("pattern", ["delete_*", "tool"])
def test_a_pattern_without_a_server_would_match_no_tool_and_is_refused(pattern: str):
    said = 'a tool is named server:tool; write "*:tool" for any server'
    assert reasons(Settings, {"tools": {pattern: {}}}) == [said]


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (ServerSettings, {"command": "x", "rate_limit": "often"}),
        (ToolSettings, {"reads": ["file:{path"]}),
        (ToolSettings, {"cache_ttl_s": -1}),
        (GatewaySettings, {"timeout_s": float("inf")}),
        (GatewaySettings, {"timeout_s": 0}),
        (LimitSettings, {"max_tasks": 0}),
        (LimitSettings, {"max_message_bytes": 1_000}),
    ],
)
def test_a_value_without_a_meaning_is_refused(model: Any, values: Any):
    assert len(reasons(model, values)) == 1


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        GatewaySettings().max_concurrency = 4


def test_no_representation_shows_what_a_server_is_given():
    settings = ServerSettings(command="x", env={"A": SECRET}, headers={"B": SECRET})
    assert SECRET not in repr(settings)
    assert SECRET not in repr(Config(servers={"a": settings}))


def test_the_credentials_of_all_servers_are_secrets():
    settings = ServerSettings(command="x", env={"API_KEY": SECRET})
    assert Config(servers={"a": settings}).secrets.redact(SECRET) == "***"


def test_the_example_file_holds_every_key():
    example = tomllib.loads(EXAMPLE.read_text())
    assert set(example) == set(Settings.model_fields)
    assert set(example["gateway"]) == set(GatewaySettings.model_fields)
    assert set(example["gateway"]["limits"]) == set(LimitSettings.model_fields)
    assert {key for server in example["servers"].values() for key in server} == set(
        ServerSettings.model_fields
    )
    assert {key for tool in example["tools"].values() for key in tool} == set(
        ToolSettings.model_fields
    )
    assert set(example["history"]) == set(HistorySettings.model_fields)
    assert set(example["audit"]) == set(AuditSettings.model_fields)
    assert set(example["policy"]) == set(PolicySettings.model_fields)
    [profile] = example["profiles"].values()
    assert set(profile) == set(ProfileSettings.model_fields)


def test_the_example_file_loads_and_shows_the_defaults():
    config = load_config(EXAMPLE, {"HOME": "/home/ada", "GITHUB_TOKEN": "t"})
    assert config.servers["github"].headers == {"Authorization": "Bearer t"}
    assert config.gateway.limits == LimitSettings()
    assert config.history == HistorySettings()
    assert config.gateway.model_copy(update={"wait_s": None}) == GatewaySettings()


@pytest.mark.parametrize(
    ("settings", "scope"),
    [
        ({"command": "x"}, "machine"),
        ({"command": "npx", "args": ["@playwright/mcp@latest"]}, "client"),
        ({"command": "npx", "args": ["@playwright/mcp"], "scope": "machine"}, "machine"),
        ({"url": "http://h/mcp", "scope": "client"}, "client"),
    ],
)
def test_a_server_is_shared_as_the_settings_say_or_as_its_command_is_known(
    settings: Any, scope: str
):
    assert ServerSettings(**settings).kept_for == scope


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [
        ({"builtin": "workspace"}, ("run_tests", "format_code")),
        ({"builtin": "workspace", "exclude": ["grep"]}, ("grep", "run_tests", "format_code")),
        ({"builtin": "workspace", "tools": ["run_tests"]}, ()),
        ({"command": "x"}, ()),
    ],
)
def test_over_http_a_bundled_server_runs_code_only_where_its_tools_are_named(
    settings: Any, left_out: tuple[str, ...]
):
    config = Config(servers={"w": ServerSettings(**settings)})
    assert config.over_http().servers["w"].exclude == left_out
    assert config.servers["w"].exclude == tuple(settings.get("exclude", ()))
