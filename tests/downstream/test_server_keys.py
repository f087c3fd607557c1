"""Unique names of servers."""

from __future__ import annotations

from plait.config import Config, ServerSettings
from plait.downstream.server_keys import names_as_keys


def test_in_one_configuration_names_are_unique():
    servers = {name: ServerSettings(command="x") for name in ("a", "b")}
    assert names_as_keys(Config(servers=servers)) == {"a": "a", "b": "b"}
