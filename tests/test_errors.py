"""The errors: what a caller and a client can read from each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plait import errors
from plait.core.values.problems import Problem
from plait.errors import (
    CallError,
    CircuitOpen,
    ConfigError,
    ConnectionLost,
    InvalidDag,
    PlaitError,
    PolicyDenied,
    ServerOff,
    ToolError,
    UnknownRun,
)

PAGE = (Path(__file__).parents[1] / "docs" / "dag.md").read_text()
FAMILY = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PlaitError)
]
OF_CALLS = [kind for kind in FAMILY if issubclass(kind, CallError) and kind is not CallError]


@pytest.mark.parametrize("kind", OF_CALLS)
def test_the_code_of_each_failed_call_is_documented(kind: type[CallError]):
    [table] = re.findall(r"^### Errors\n(.*?)\n\n[^|\n]", PAGE, re.MULTILINE | re.DOTALL)
    assert f"`{kind.code}`" in table


def test_every_kind_has_a_code_of_its_own():
    kinds: set[type[PlaitError]] = {*OF_CALLS, ConfigError, InvalidDag, UnknownRun}
    kinds -= {CircuitOpen, ServerOff}  # to clients it is a server that is not available
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_every_kind_is_in_the_tree_at_the_top_of_the_module():
    assert set(re.findall(r"^[│├└─ ]*(\w+)(?=  |\n├)", errors.__doc__ or "", re.MULTILINE)) == {
        kind.__name__ for kind in FAMILY
    }


def test_only_a_call_that_may_succeed_later_may_be_retried():
    assert {kind.code for kind in OF_CALLS if kind.retryable} == {
        "connection_lost",
        "server_unavailable",
        "timeout",
    }


def test_a_refused_dag_says_all_its_problems():
    refused = InvalidDag([Problem("a", "x", "One."), Problem("b", "y", "Two.")], ["a note"])
    assert str(refused) == "a: One.; b: Two."
    assert [problem.path for problem in refused.problems] == ["a", "b"]
    assert refused.notes == ("a note",)


def test_a_denial_names_its_pattern_and_who_can_lift_it():
    denied = PolicyDenied("s:x is denied", denied_by="s:*")
    assert (denied.denied_by, denied.hint) == ("s:*", "Use another tool, or ask the operator.")


def test_the_words_of_a_server_can_be_written_down_whatever_they_are():
    assert str(ToolError("not \ud800 found")) == "not ? found"


@pytest.mark.parametrize("hint", ["ask k3y", None])
def test_a_reworded_error_shows_its_old_words_nowhere(hint: str | None):
    error = ConnectionLost("k3y is wrong", hint=hint, rpc_code=-5)
    error.reword(lambda text: text.replace("k3y", "***"))
    assert error.hint == ("ask ***" if hint else None)
    assert (str(error), error.message, error.rpc_code) == ("*** is wrong", "*** is wrong", -5)
    assert "k3y" not in repr(error)
