"""The command lines of plait apply, approve and deny. What they do is in test_approving.py."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules

from ..fakes import FakeServers
from .conftest import Plait, task
from .sharing import Lasting
from .test_trusting import on_a_terminal, read_to_the_end, read_until

SAY = task("say", "s:say", arguments={"text": "hi"})


@pytest.mark.parametrize("command", ["approve", "deny"])
def test_an_unknown_run_is_a_wrong_command_line(plait: Plait, command: str):
    result = plait(command, "r_" + "a" * 26)
    assert result.exit_code == 2
    assert "Unknown run id" in " ".join(result.stderr.split())
    assert plait(command, "r_short").exit_code == 2
    assert plait(command).exit_code == 2


def test_what_is_not_a_preview_is_not_applied(plait: Plait):
    result = plait("apply", "r_" + "a" * 26, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["errors"][0]["path"] == "apply"


@pytest.fixture
def way() -> str:
    return "shared"


@pytest.fixture
def lasting(plait: Plait) -> Plait:
    """A shared gateway whose policy asks, in which runs stay from command to command."""
    plait.policy = Policy(tables=(Rules(ask=("write",)),))
    plait.opened = Lasting(plait._in_memory)
    return plait


def run_id_of(plait: Plait, *words: str) -> str:
    result = plait.run([task("look"), SAY], *words, "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (6, "waiting")
    return str(json.loads(result.stdout)["run_id"])


def test_an_applied_preview_goes_on_and_what_the_policy_asks_for_is_still_asked_for(
    lasting: Plait, servers: FakeServers
):
    run_id = run_id_of(lasting, "--preview")
    result = lasting("apply", run_id)
    assert result.exit_code == 6
    assert f"plait approve {run_id}" in result.stdout
    assert servers.calls == [("s:echo", {})]
    assert lasting("apply", run_id).exit_code == 3


def test_approve_shows_the_question_and_takes_no_answer_but_at_a_terminal(
    lasting: Plait, servers: FakeServers
):
    run_id = run_id_of(lasting)
    result = lasting("approve", run_id, input="y\n")
    assert result.exit_code == 2
    assert "+ s:say  say" in result.stdout
    assert "It asks at a terminal alone." in result.stderr
    for words in (["--yes"], ["--approve"]):
        assert lasting("approve", run_id, *words).exit_code == 2
    assert servers.calls == [("s:echo", {})]


def test_deny_ends_what_waits(lasting: Plait, servers: FakeServers):
    run_id = run_id_of(lasting)
    result = lasting("deny", run_id)
    assert result.exit_code == 0
    assert "1 call denied, and not sent." in result.stderr
    assert "approval_denied" in result.stdout
    result = lasting("deny", run_id)
    assert result.exit_code == 1
    assert "does not wait for a yes: it is partial" in " ".join(result.stderr.split())
    assert servers.calls == [("s:echo", {})]


def test_at_a_terminal_approve_sends_what_a_person_says_yes_to(
    lasting: Plait, servers: FakeServers, tmp_path: Path
):
    run_id = run_id_of(lasting)
    with on_a_terminal("approve", run_id, cwd=tmp_path) as (process, terminal):
        read_until(terminal, "[q] leave it waiting")
        assert servers.calls == [("s:echo", {})]
        os.write(terminal, b"y\n")
        read_to_the_end(terminal)
        process.communicate()
    assert process.returncode == 0
    assert servers.calls == [("s:echo", {}), ("s:say", {"text": "hi"})]
