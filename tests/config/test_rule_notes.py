"""Rules that match nothing or never decide are explained."""

from __future__ import annotations

from typing import Any

import pytest

from plait.config.models import Settings
from plait.config.rule_notes import idle_patterns, overruled, unmatched, unused_labels
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from tests.fakes import tool


def settings(policy: dict[str, Any], **others: Any) -> Settings:
    servers = {name: {"command": "x"} for name in ("files", "bank")}
    return Settings.model_validate({"servers": servers, "policy": policy, **others})


@pytest.mark.parametrize("key", ["deny", "ask_each", "ask", "allow"])
def test_a_rule_that_matches_no_server_is_noted_and_a_class_is_not(key: str):
    [note] = idle_patterns(settings({key: ["file:*", "bank:*", "*:x", "write"]}))
    assert note == f'policy.{key}[0]: "file:*" matches no server. Did you mean "files:*"?'


@pytest.mark.parametrize(
    ("policy", "notes"),
    [
        ({"deny": ["bank:*"], "ask": ["files:*"], "allow": ["files:read"]}, []),
        (
            {"deny": ["bank:*"], "allow": ["bank:pay"]},
            ['policy.allow[0]: "bank:pay" has no effect: deny[0] ("bank:*") is stricter'],
        ),
        (
            {"ask_each": ["*"], "ask": ["bank:pay"]},
            ['policy.ask[0]: "bank:pay" has no effect: ask_each[0] ("*") is stricter'],
        ),
        (
            {"ask": ["write"], "ask_each": ["write"]},
            ['policy.ask[0]: "write" has no effect: ask_each[0] ("write") is stricter'],
        ),
        (
            {"deny": ["write"], "ask": ["destructive", "read"]},
            ['policy.ask[0]: "destructive" has no effect: deny[0] ("write") is stricter'],
        ),
        (
            {"ask": ["write"], "allow": ["files:*", "read", "files:write"]},
            [
                f'policy.allow[{at}]: "{rule}" has no effect: only the full name of a tool lifts '
                "an ask"
                for at, rule in enumerate(("files:*", "read"))
            ],
        ),
        ({"default": "deny", "ask": ["write"], "allow": ["read", "files:*"]}, []),
        ({"deny": ["bank:?"], "ask": ["bank:*"]}, []),
        (
            {"deny": ["bank:[ab]"], "ask": ["bank:a", "bank:*"]},
            ['policy.ask[0]: "bank:a" has no effect: deny[0] ("bank:[ab]") is stricter'],
        ),
    ],
)
def test_a_rule_that_never_decides_names_the_stricter_one(policy: Any, notes: list[str]):
    assert list(overruled(settings(policy))) == notes


def test_the_rules_of_a_profile_are_explained_at_their_place():
    profiles = {"p": {"policy": {"deny": ["bank:*", "bnk:*"], "ask": ["bank:pay"]}}}
    found = settings({}, profiles=profiles)
    [note] = overruled(found)
    assert note.startswith('profiles.p.policy.ask[0]: "bank:pay" has no effect: deny[0]')
    [note] = idle_patterns(found)
    assert note.startswith('profiles.p.policy.deny[1]: "bnk:*" matches no server')


def test_a_glob_of_a_label_or_an_exception_that_matches_no_server_is_noted():
    rule = {"from": ["private"], "to": "out", "except": ["fils:public"]}
    labels = {"private": ["files:*", "flies:*"], "out": ["bank:pay"]}
    first, second = idle_patterns(settings({"labels": labels, "flows": [rule]}))
    assert first == (
        'policy.labels.private[1]: "flies:*" matches no server. Did you mean "files:*"?'
    )
    assert second.startswith('policy.flows[0].except[0]: "fils:public" matches no server')


def test_a_label_that_no_rule_names_is_noted():
    labels = {"private": ["files:*"], "out": ["bank:pay"], "web": ["files:x"]}
    rules = [{"from": ["private"], "to": "out"}]
    used = {"labels": {"web": ["bank:*"]}, "flows": [{"from": ["web"], "to": "out"}]}
    policy = {"labels": labels, "flows": rules}
    assert list(unused_labels(settings(policy))) == [
        "policy.labels.web has no effect: no rule for flows names it"
    ]
    assert not list(unused_labels(settings(policy, profiles={"p": {"policy": used}})))


KNOWN = Catalog(
    [tool("files:read", readOnlyHint=True), tool("files:write")],
    [
        ServerInfo("files", ServerState.READY, tools=2),
        ServerInfo("bank", ServerState.RETRYING),
    ],
)


@pytest.mark.parametrize(
    ("policy", "notes"),
    [
        ({"deny": ["files:write", "files:*"], "labels": {"private": ["files:read"]}}, []),
        ({"deny": ["files:writ"]}, ['policy.deny[0]: "files:writ" matches no tool']),
        (
            {"labels": {"private": ["files:reed"]}},
            ['policy.labels.private[0]: "files:reed" matches no tool'],
        ),
        # The tools of a server that was not reached are unknown.
        ({"deny": ["bank:*", "*:pay"], "ask": ["destructive"]}, []),
        # That no server matches is noted already.
        ({"deny": ["bnk:*"]}, []),
    ],
)
def test_a_rule_that_matches_no_tool_is_noted_once_the_tools_are_known(
    policy: Any, notes: list[str]
):
    assert list(unmatched(settings(policy), KNOWN)) == notes


def test_a_class_without_tools_and_a_pattern_of_settings_are_noted_too():
    alone = Catalog(KNOWN.tools.values(), [KNOWN.servers["files"]])
    found = settings({"ask": ["destructive", "write"]}, tools={"files:reed": {"read_only": True}})
    assert list(unmatched(found, alone)) == [
        'policy.ask[0]: "destructive" matches no tool',
        'tools: "files:reed" matches no tool',
    ]
