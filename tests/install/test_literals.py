"""Values that may be secret become variables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.install.literals import Literals, filled

KEY = "sk-abcdefghijkl0123456789"


@pytest.mark.parametrize(
    ("settings", "replaced", "names"),
    [
        (
            {"env": {"GITHUB_TOKEN": "x1", "DEBUG": "1", "ROOT": "/a/b", "MODE": "production"}},
            {
                "env": {
                    "GITHUB_TOKEN": "${GITHUB_TOKEN}",
                    "DEBUG": "1",
                    "ROOT": "/a/b",
                    "MODE": "production",
                }
            },
            ["GITHUB_TOKEN"],
        ),
        ({"env": {"PASSWORD": "1"}}, {"env": {"PASSWORD": "${PASSWORD}"}}, ["PASSWORD"]),
        ({"env": {"OTHER": "anything"}}, {"env": {"OTHER": "${OTHER}"}}, ["OTHER"]),
        ({"env": {"A": "${B}", "C": ""}}, {"env": {"A": "${B}", "C": ""}}, []),
        (
            {"headers": {"Authorization": "Bearer abc", "X-Api-Key": "k"}},
            {
                "headers": {
                    "Authorization": "Bearer ${MY_GH_TOKEN}",
                    "X-Api-Key": "${MY_GH_X_API_KEY}",
                }
            },
            ["MY_GH_TOKEN", "MY_GH_X_API_KEY"],
        ),
        ({"url": "https://u:p@h/mcp"}, {"url": "${MY_GH_URL}"}, ["MY_GH_URL"]),
        ({"url": "https://h/mcp?key=1"}, {"url": "${MY_GH_URL}"}, ["MY_GH_URL"]),
        ({"url": "https://h/mcp"}, {"url": "https://h/mcp"}, []),
        (
            {"args": ["-y", "pkg", "--api-key", "v", "--token=w", "--port", "8080", KEY]},
            {
                "args": [
                    "-y",
                    "pkg",
                    "--api-key",
                    "${MY_GH_API_KEY}",
                    "--token=${MY_GH_TOKEN}",
                    "--port",
                    "8080",
                    "${MY_GH_KEY}",
                ]
            },
            ["MY_GH_API_KEY", "MY_GH_TOKEN", "MY_GH_KEY"],
        ),
        ({"args": ["postgres://u:p@h/db"]}, {"args": ["${MY_GH_KEY}"]}, ["MY_GH_KEY"]),
        (
            {"args": ["@modelcontextprotocol/server-filesystem", "/home/me"]},
            {"args": ["@modelcontextprotocol/server-filesystem", "/home/me"]},
            [],
        ),
    ],
)
def test_what_may_be_secret_is_replaced(
    settings: dict[str, Any], replaced: dict[str, Any], names: list[str]
):
    literals = Literals({}, {})
    assert literals.replaced("my-gh", settings) == replaced
    assert [*literals.made] == names
    assert filled(replaced, literals.made) == settings


def test_two_values_of_one_name_get_two_variables():
    literals = Literals({"KEY": "kept"}, {"SHELL_KEY": "shell"})
    made = [
        literals.replaced(name, {"env": env})["env"]
        for name, env in [
            ("a", {"KEY": "kept"}),
            ("b", {"KEY": "other"}),
            ("c", {"SHELL_KEY": "mine"}),
            ("d", {"SHELL_KEY": "shell"}),
            ("e", {"KEY": "other"}),
        ]
    ]
    assert [*made[0].values(), *made[1].values()] == ["${KEY}", "${B_KEY}"]
    assert [*made[2].values(), *made[3].values()] == ["${C_SHELL_KEY}", "${SHELL_KEY}"]
    assert literals.made == {
        "B_KEY": "other",
        "C_SHELL_KEY": "mine",
        "SHELL_KEY": "shell",
        "E_KEY": "other",
    }


def test_a_text_that_looks_like_a_variable_here_is_kept_as_it_is():
    literals = Literals({}, {})
    assert literals.replaced("s", {"env": {"K": "a$${b}"}}) == {"env": {"K": "${K}"}}
    assert literals.made == {"K": "a${b}"}
    assert filled({"env": {"K": "${K}"}}, literals.made) == {"env": {"K": "a$${b}"}}


@given(st.dictionaries(st.sampled_from(["A", "TOKEN", "P"]), st.text(max_size=12), max_size=3))
def test_values_are_what_they_were_once_they_are_filled_in(env: dict[str, str]):
    env = {name: text.replace("${", "$${") for name, text in env.items()}
    literals = Literals({}, {})
    assert filled(literals.replaced("s", {"env": env}), literals.made) == {"env": env}
