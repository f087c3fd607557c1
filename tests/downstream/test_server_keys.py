"""Unique names of servers."""

from __future__ import annotations

from plait.config import Config, ServerSettings
from plait.downstream.identity import process_identity
from plait.downstream.server_keys import identity_in, names_as_keys


def test_in_one_configuration_names_are_unique():
    servers = {name: ServerSettings(command="x") for name in ("a", "b")}
    assert names_as_keys(Config(servers=servers)) == {"a": "a", "b": "b"}


def test_a_unique_name_says_which_server_it_is_and_in_one_configuration_the_settings_do():
    config = Config(servers={"a": ServerSettings(command="x")})
    assert identity_in(config, "a", "a@1") == "a@1"
    expected = process_identity("a", config.servers["a"], config)
    assert identity_in(config, "a", "a") == expected
