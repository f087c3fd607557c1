"""Which values in a server's settings are secret by where they stand."""

from __future__ import annotations

from typing import Any

import pytest

from plait.config import Config
from plait.config.credentials import is_secret

WEB = {"url": "http://h/mcp"}


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "X-Api-Key", "apikey", "Cookie", "X-Auth-Token",
        "key", "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "PGPASS_WORD_PWD", "GITHUB_PAT", "OPENAI_API_KEY",
        "SSH_PRIVATE",
    ],
)  # fmt: skip
def test_a_name_says_that_its_value_is_secret(name: str):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["Accept", "X-Tenant", "PATH", "DEBUG", "GIT_AUTHOR_NAME", "MONKEY", "LOG_LEVEL"]
)
def test_other_names_do_not(name: str):
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("settings", "text", "redacted"),
    [
        (
            {**WEB, "headers": {"Authorization": "Bearer the-value"}},
            "Bearer the-value",
            "Bearer ***",
        ),
        ({**WEB, "headers": {"Cookie": "a=the-value; theme=dark-mode"}}, "a: the-value", "a: ***"),
        ({**WEB, "headers": {"X-Tenant": "the-value"}}, "the-value", "the-value"),
        ({"command": "x", "env": {"DB_PASSWORD": "the-value"}}, "the-value", "***"),
        ({"command": "x", "env": {"LANGUAGE": "the-value"}}, "the-value", "the-value"),
        (
            {"command": "x", "env": {"DB": "postgres://ada:the-value@host/db"}},
            "the-value at host",
            "*** at host",
        ),
        (
            {"command": "x", "args": ["--api-key", "the-value", "plain-text"]},
            "the-value plain-text",
            "*** plain-text",
        ),
        ({"command": "x", "args": ["--token=the-value"]}, "the-value", "***"),
        ({"command": "x", "args": ["--token"]}, "nothing follows", "nothing follows"),
        (
            {"command": "x", "args": ["https://h/?token=the-value&page=plain-text"]},
            "the-value plain-text",
            "*** plain-text",
        ),
        ({"url": "https://ghp_the-value@h/mcp"}, "ghp_the-value", "***"),
        ({"url": "https://ada:the%2Fvalue@h/mcp"}, "the/value", "***"),
        ({"url": "https://h/mcp?profile=the+value&x=1"}, "the value", "***"),
        (
            {"url": "https://host.example/mcp"},
            "https://host.example/mcp",
            "https://host.example/mcp",
        ),
    ],
)
def test_literal_values_are_secret_where_their_place_says_so(
    settings: dict[str, Any], text: str, redacted: str
):
    assert Config.model_validate({"servers": {"a": settings}}).secrets.redact(text) == redacted
