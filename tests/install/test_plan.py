"""A plan as data, and what it says to a person."""

from __future__ import annotations

from pathlib import Path

from plait.install.changes import Drop, Extend, Put
from plait.install.plan import by_hand

from .homes import machine, planned, with_clients


def test_what_to_do_by_hand_is_said_without_values_of_servers():
    lines = [
        *by_hand(Drop(("mcpServers",), "a")),
        *by_hand(Put(("mcpServers",), "plait", {"command": "p"})),
        *by_hand(Extend(("permissions", "allow"), ("x",))),
    ]
    assert lines == [
        "remove a from mcpServers",
        'put into mcpServers: {"plait": {"command": "p"}}',
        'append to permissions.allow: ["x"]',
    ]


def test_a_change_says_what_to_do_by_hand(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "lm-studio")
    change = planned(here).changes[-1]
    assert [line.partition(":")[0] for line in change.lines] == [
        "put into mcpServers",
        "remove paint from mcpServers",
    ]
