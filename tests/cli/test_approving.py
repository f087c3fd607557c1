"""A person's answers at the terminal, and what becomes of the calls."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.app.gateway import Gateway as AppGateway
from plait.cli.approving import Asking, approve_run, changed_so_far, deny_run
from plait.cli.console import Console
from plait.cli.exits import Exit, Misused
from plait.cli.invocation import Invocation
from plait.core.results.record import RunStatus
from plait.core.scheduling.holding import ASK_S
from plait.core.tools.approving import Approving
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.engine.gateway import Gateway, GatewayLimits
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, tool
from .conftest import Plait, task
from .test_console import Written
from .test_trusting import on_a_terminal, read_to_the_end, read_until

ASK = Rules(ask=("write",))
KEYS = "[q] leave it waiting"


class Person(Invocation):
    """A person who types *lines*, then leaves the question open for ever. None closes the
    terminal."""

    def __init__(self, *lines: str | None, is_terminal: bool = True, as_json: bool = False) -> None:
        self.out, self.err = Written(is_terminal=False), Written(is_terminal=is_terminal)
        super().__init__(Console(self.out, self.err, {"NO_COLOR": "1"}, 80), as_json=as_json)
        self.lines = [*lines]
        self.waits = anyio.Event()
        """Set once they read a question and do not answer."""

    async def read_line(self, ask: Callable[[], None]) -> str | None:
        ask()
        if not self.lines:
            self.waits.set()
            await anyio.sleep_forever()
        return self.lines.pop(0)

    @property
    def said(self) -> str:
        return self.err.text()


class House:
    """A gateway over a tool that reads, one that writes, and one that waits."""

    def __init__(self) -> None:
        self.servers = FakeServers()
        self.sent: list[Any] = []
        self.goes_on = anyio.Event()
        self.servers.add(tool("s:read", closed=False, readOnlyHint=True), lambda **given: given)
        self.servers.add(tool("s:write", closed=False), self._write)
        self.servers.add(tool("s:slow", closed=False, readOnlyHint=True), self._slow)

    def _write(self, **arguments: Any) -> dict[str, Any]:
        self.sent.append(arguments["n"])
        return arguments

    async def _slow(self, **arguments: Any) -> dict[str, Any]:
        await self.goes_on.wait()
        return arguments

    @asynccontextmanager
    async def gateway(self, rules: Rules = ASK, **approving: Any) -> AsyncIterator[Gateway]:
        limits = GatewayLimits(approving=Approving(**approving))
        policy = Policy(tables=(rules,))
        async with Gateway(
            self.servers, self.servers, InMemoryRuns(), policy=policy, limits=limits
        ) as gateway:
            yield gateway


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(params=["alone", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    """Carried out in this process, and by a gateway that runs."""
    return str(request.param)


def write(id: str, n: Any, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": "s:write", "arguments": {"n": n}, **more}


THREE = [
    {"id": "r", "tool": "s:read", "arguments": {"n": 1}},
    write("a", "$OUTPUT[r].n"),
    write("b", 2),
    write("c", "$OUTPUT[b].n"),
]


async def answered(gateway: Gateway, person: Person, *tasks: Any, **more: Any) -> tuple[Any, Exit]:
    asking = Asking(gateway, person, **more)
    submitted = await gateway.submit({"tasks": [*(tasks or THREE)]})
    result = await asking.ended(submitted.run_id)
    return result, asking.exit_of(result)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("lines", "sent", "code"),
    [
        (["y", "y"], [1, 2, 2], Exit.SUCCESS),
        (["yes", "Y"], [1, 2, 2], Exit.SUCCESS),
        (["n"], [], Exit.REFUSED),
        (["y", "n"], [1, 2], Exit.TASK_FAILED),
        (["e", "n", "y", "y"], [2, 2], Exit.TASK_FAILED),
        (["e", "y", "x", "n"], [1], Exit.TASK_FAILED),
        (["e", "x"], [], Exit.REFUSED),
        (["d", "y", "d", "y"], [1, 2, 2], Exit.SUCCESS),
        (["", "yep", "yn", "ja", "n"], [], Exit.REFUSED),
        (["q"], [], Exit.WAITING),
        ([None], [], Exit.WAITING),
        (["y", "q"], [1, 2], Exit.WAITING),
        (["e", "y", "q"], [], Exit.WAITING),
    ],
)
async def test_only_what_a_person_says_yes_to_is_sent(
    house: House, lines: list[str | None], sent: list[int], code: Exit
):
    person = Person(*lines)
    async with house.gateway() as gateway:
        result, found = await answered(gateway, person)
        assert (sorted(house.sent), found) == (sorted(sent), code)
        assert (result.status is RunStatus.WAITING) is (code is Exit.WAITING)
        assert person.lines == []


@pytest.mark.virtual_time
async def test_each_call_that_needs_a_yes_of_its_own_is_asked_for_by_itself(house: House):
    person = Person("y", "n", "y")
    rules = Rules(ask=("write",), ask_each=("s:pay",))
    house.servers.add(tool("s:pay", closed=False), house._write)
    pay = [{"id": f"p{n}", "tool": "s:pay", "arguments": {"n": n}} for n in (7, 8)]
    async with house.gateway(rules) as gateway:
        _, code = await answered(gateway, person, write("a", 1), *pay)
    assert (house.sent, code) == ([1, 8], Exit.TASK_FAILED)
    assert "[y] yes, this one, then 2 calls by themselves   [n] no" in person.said
    assert "s:pay  p7  1 of 2" in person.said


@pytest.mark.virtual_time
async def test_all_is_shown_whole_when_it_is_asked_for(house: House):
    person = Person("d", "n")
    text = "line\n" * 40
    async with house.gateway() as gateway:
        await answered(gateway, person, write("a", text))
    first, second = person.said.split(KEYS)[:2]
    assert (first.count("│ line"), second.count("│ line")) == (8, 40)


@pytest.mark.virtual_time
async def test_a_question_that_is_answered_elsewhere_is_withdrawn(house: House):
    person = Person()
    async with house.gateway() as gateway, anyio.create_task_group() as tasks:

        async def answer_elsewhere() -> None:
            await person.waits.wait()
            [run_id] = gateway.runs()
            approval = gateway.approval(run_id)
            assert approval is not None
            await gateway.approve(run_id, approval.digest)

        tasks.start_soon(answer_elsewhere)
        result, _ = await answered(gateway, person, write("a", 1))
    assert (result.status, house.sent) == (RunStatus.SUCCESS, [1])
    assert "It was answered elsewhere, or its time is over." in person.said


@pytest.mark.virtual_time
async def test_a_question_that_is_not_answered_in_time_is_withdrawn(house: House):
    person = Person()
    async with house.gateway(seconds=60) as gateway:
        result, code = await answered(gateway, person, write("a", 1))
    assert [error.code for error in result.errors] == ["approval_required"]
    assert (house.sent, code) == ([], Exit.TASK_FAILED)


@pytest.mark.virtual_time
async def test_a_yes_is_not_one_to_a_tool_that_was_defined_anew_meanwhile(house: House):
    class Slow(Person):
        async def read_line(self, ask: Callable[[], None]) -> str | None:
            new = tool("s:write", closed=False, description="Now it deletes")
            house.servers.add(new, house._write)
            return await super().read_line(ask)

    person = Slow("y", None)
    async with house.gateway() as gateway:
        result, code = await answered(gateway, person, write("a", 1))
    assert (result.status, house.sent, code) == (RunStatus.WAITING, [], Exit.WAITING)
    assert "not defined as it was" in person.said


@pytest.mark.virtual_time
async def test_it_asks_while_other_calls_still_run(house: House):
    person = Person("y")
    slow = {"id": "slow", "tool": "s:slow"}
    async with house.gateway() as gateway, anyio.create_task_group() as tasks:

        async def let_go() -> None:
            await anyio.sleep(ASK_S + 1)
            assert house.sent == [1]
            house.goes_on.set()

        tasks.start_soon(let_go)
        result, _ = await answered(gateway, person, slow, write("a", 1))
    assert result.status is RunStatus.SUCCESS


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("person", "ways"),
    [
        (Person(is_terminal=False), {"terminal"}),
        (Person(), {"elicitation", "dashboard"}),
        (Person(), {"flag"}),
    ],
)
async def test_without_a_terminal_that_counts_it_is_left_to_others(
    house: House, person: Person, ways: set[str]
):
    async with house.gateway(ways=frozenset(ways)) as gateway:
        result, code = await answered(gateway, person)
        assert (result.status, code, house.sent) == (RunStatus.WAITING, Exit.WAITING, [])
        assert not person.waits.is_set()
        Asking(gateway, person).show(result, is_whole=False)
    shown = person.out.text()
    assert "Nothing has been changed yet." in shown
    assert ("plait approve r_" in shown) is ("terminal" in ways)
    if "elicitation" in ways:
        assert "[policy] approve counts: dashboard, elicitation." in shown


@pytest.mark.virtual_time
async def test_a_command_that_says_yes_shows_all_and_asks_nothing(house: House):
    person = Person()
    async with house.gateway(ways=frozenset({"flag"})) as gateway:
        _, code = await answered(gateway, person, says_yes=True)
    assert (sorted(house.sent), code) == ([1, 2, 2], Exit.SUCCESS)
    assert person.said.count("why  [policy] ask") == 2
    assert KEYS not in person.said


@pytest.mark.virtual_time
async def test_what_was_sent_is_counted_unless_it_only_reads(house: House):
    person = Person("y", "y")
    async with house.gateway() as gateway:
        result, _ = await answered(gateway, person)
        assert changed_so_far(gateway, result.record) == 3
    assert "Nothing has been changed yet." in person.said
    assert "2 tasks changed something so far." in person.said


@pytest.mark.virtual_time
async def test_a_run_whose_person_has_gone_is_left_waiting(house: House):
    for has_left in (False, True):
        person = Person()
        person.has_left = has_left
        async with house.gateway() as gateway:
            submitted = await gateway.submit({"tasks": THREE})
            asking = Asking(gateway, person)
            with anyio.move_on_after(5):
                await asking.ended(submitted.run_id)
            assert asking.is_left(submitted.run_id) is has_left


async def waiting(gateway: Gateway, **more: Any) -> str:
    result = await gateway.execute({"tasks": THREE, **more})
    assert result.status is RunStatus.WAITING
    return result.run_id


@pytest.mark.virtual_time
async def test_plait_approve_comes_back_to_the_question_and_shows_the_end(house: House):
    person = Person("y", "y")
    async with house.gateway() as gateway:
        run_id = await waiting(gateway)
        code = await approve_run(gateway, person, run_id, is_whole=False)
    assert (sorted(house.sent), code) == ([1, 2, 2], Exit.SUCCESS)
    assert "● success" in person.out.text()


@pytest.mark.virtual_time
async def test_plait_approve_leaves_the_run_alone_if_it_is_ended(house: House):
    person = Person()
    async with house.gateway() as gateway:
        run_id = await waiting(gateway)
        with anyio.move_on_after(5):
            await approve_run(gateway, person, run_id, is_whole=False)
        assert person.waits.is_set()
        assert gateway.record(run_id).status is RunStatus.WAITING


@pytest.mark.virtual_time
async def test_plait_approve_needs_a_terminal_that_counts_and_an_open_question(house: House):
    async with house.gateway() as gateway:
        run_id, preview = await waiting(gateway), await waiting(gateway, preview=True)
        person = Person(is_terminal=False)
        assert await approve_run(gateway, person, run_id, is_whole=False) == Exit.USAGE
        assert "It asks at a terminal alone." in person.said
        assert "wants to make these calls" in " ".join(person.out.text().split())
        person = Person()
        assert await approve_run(gateway, person, preview, is_whole=False) == Exit.TASK_FAILED
        assert f"plait apply {preview}" in " ".join(person.said.split())
        await gateway.cancel(run_id)
        person = Person(as_json=True)
        assert await approve_run(gateway, person, run_id, is_whole=False) == Exit.TASK_FAILED
        assert "does not wait for a yes: it is cancelled" in " ".join(person.said.split())
        document = json.loads(person.out.text())
        assert (document["status"], "approval" in document) == ("cancelled", False)
        with pytest.raises(Misused, match="Unknown run id"):
            await approve_run(gateway, person, "r_none", is_whole=False)
    assert house.sent == []


@pytest.mark.virtual_time
async def test_plait_deny_sends_nothing_and_needs_no_terminal(house: House):
    async with house.gateway() as gateway:
        for more in ({}, {"preview": True}):
            person = Person(is_terminal=False, as_json=True)
            run_id = await waiting(gateway, **more)
            assert await deny_run(gateway, person, run_id, is_whole=False) == Exit.SUCCESS
            assert "2 calls denied, and not sent." in person.said
            codes = {error["code"] for error in json.loads(person.out.text())["errors"]}
            assert "approval_denied" in codes
        assert await deny_run(gateway, person, run_id, is_whole=False) == Exit.TASK_FAILED
    assert house.sent == []


# The command line, in both ways.


@pytest.fixture
def asking(plait: Plait) -> Plait:
    plait.policy = Policy(tables=(Rules(ask=("write",)),))
    return plait


SAY = task("say", "s:say", arguments={"text": "hi"})


def test_without_a_terminal_a_run_waits_and_says_what_to_do(asking: Plait, servers: FakeServers):
    result = asking.run([task("look"), SAY])
    assert (result.exit_code, servers.calls) == (6, [("s:echo", {})])
    assert "wants to make this call" in result.stdout
    assert re.search(r"plait approve r_\w{26}\n.*plait deny r_", result.stdout)
    result = asking.run([task("look"), SAY], "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["status"]) == (6, "waiting")
    assert document["approval"]["calls"][0]["arguments"] == {"text": "hi"}


def test_a_call_that_is_asked_for_waits_too(asking: Plait, servers: FakeServers):
    result = asking("call", "s:say", "text=hi")
    assert (result.exit_code, servers.calls) == (6, [])
    assert "plait approve r_" in result.stdout


def test_a_preview_shows_what_would_be_changed(plait: Plait, servers: FakeServers):
    result = plait.run([task("look"), SAY], "--preview")
    assert (result.exit_code, servers.calls) == (6, [("s:echo", {})])
    assert "would make this call" in result.stdout
    assert "Nothing of this is sent before: plait apply r_" in result.stdout


def test_a_command_cannot_say_yes_unless_the_settings_let_it(asking: Plait, servers: FakeServers):
    result = asking.run([SAY], "--approve")
    assert (result.exit_code, servers.calls) == (2, [])
    assert 'approve = ["flag", …]' in " ".join(result.stderr.split())


@pytest.mark.parametrize(("words", "code"), [(("--approve",), 0), ((), 6)])
def test_settings_can_let_a_command_say_yes(
    plait: Plait, tmp_path: Path, words: tuple[str, ...], code: int
):
    plait.opened = partial(AppGateway.from_config, on_demand=True)
    (tmp_path / "servers.toml").write_text(f'{SETTINGS}approve = ["flag"]\n')
    (tmp_path / "dag.json").write_text(json.dumps(DAG))
    result = plait("run", "dag.json", "--config", "servers.toml", *words)
    assert result.exit_code == code
    assert {path.stem for path in tmp_path.glob("*.txt")} == ({"one", "two"} if words else set())
    shown = result.stderr if words else result.stdout
    assert "~ workspace:write_file" in shown
    if not words:
        assert "[policy] approve counts: plait run --approve." in shown


# On a real terminal.

SETTINGS = """\
[servers.workspace]
builtin = "workspace"

[policy]
ask = ["write"]
"""
DAG = {
    "tasks": [
        {
            "id": id,
            "tool": "workspace:write_file",
            "arguments": {"path": f"{id}.txt", "text": "hello"},
        }
        for id in ("one", "two")
    ]
}


@pytest.mark.parametrize(
    ("answers", "written", "code"),
    [("y", {"one", "two"}, 0), ("n", set(), 3), ("eny", {"two"}, 1), ("q", set(), 6)],
)
def test_on_a_terminal_a_run_is_answered(
    plait: Plait, tmp_path: Path, answers: str, written: set[str], code: int
):
    plait.opened = partial(AppGateway.from_config, on_demand=True)
    (tmp_path / "servers.toml").write_text(SETTINGS)
    (tmp_path / "dag.json").write_text(json.dumps(DAG))
    words = ("run", "dag.json", "--config", "servers.toml")
    with on_a_terminal(*words, cwd=tmp_path) as (process, terminal):
        os.write(terminal, b"y\n")  # before there is a question
        for answer in answers:
            read_until(terminal, KEYS)
            assert {path.stem for path in tmp_path.glob("*.txt")} == set()
            os.write(terminal, f"{answer}\n".encode())
        read_to_the_end(terminal)
        out, _ = process.communicate()
    assert process.returncode == code
    assert {path.stem for path in tmp_path.glob("*.txt")} == written
    assert (b"plait approve r_" in out) is (code == 6)


@pytest.mark.parametrize("way", ["alone"])  # a shared gateway does not end with the command
def test_a_run_that_was_left_waiting_is_approved_after_its_process_has_ended(
    plait: Plait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    plait.opened = partial(AppGateway.from_config, on_demand=True)
    (tmp_path / "servers.toml").write_text(SETTINGS)
    (tmp_path / "dag.json").write_text(json.dumps(DAG))
    settings = ("--config", "servers.toml")
    left = plait("run", "dag.json", *settings)
    assert left.exit_code == 6
    found = re.search(r"plait approve (r_\w+)", left.stdout)
    assert found is not None
    with on_a_terminal("approve", found[1], *settings, cwd=tmp_path) as (process, terminal):
        read_until(terminal, KEYS)
        assert {*tmp_path.glob("*.txt")} == set()
        os.write(terminal, b"y\n")
        read_to_the_end(terminal)
        process.communicate()
    assert process.returncode == 0
    assert {path.stem for path in tmp_path.glob("*.txt")} == {"one", "two"}


def test_a_run_that_was_left_waiting_is_asked_for_again_if_its_file_has_changed(
    plait: Plait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    plait.opened = partial(AppGateway.from_config, on_demand=True)
    (tmp_path / "servers.toml").write_text(SETTINGS)
    (tmp_path / "dag.json").write_text(json.dumps(DAG))
    (tmp_path / "one.txt").write_text("before\n")
    settings = ("--config", "servers.toml")
    left = plait("run", "dag.json", *settings)
    assert left.exit_code == 6
    assert "-before" in left.stdout
    found = re.search(r"plait approve (r_\w+)", left.stdout)
    assert found is not None
    with on_a_terminal("approve", found[1], *settings, cwd=tmp_path) as (process, terminal):
        read_until(terminal, KEYS)
        (tmp_path / "one.txt").write_text("changed meanwhile\n")
        os.write(terminal, b"y\n")
        again = read_until(terminal, KEYS)
        assert "does not ask for the same any" in again
        assert "-changed meanwhile" in again
        assert (tmp_path / "one.txt").read_text() == "changed meanwhile\n"
        os.write(terminal, b"y\n")
        read_to_the_end(terminal)
        process.communicate()
    assert process.returncode == 0
    assert (tmp_path / "two.txt").exists()


@pytest.mark.parametrize("way", ["alone"])  # test_errands.py does it with one shared gateway
def test_a_run_that_asks_at_one_terminal_is_answered_at_another(
    plait: Plait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "servers.toml").write_text(SETTINGS)
    (tmp_path / "dag.json").write_text(json.dumps(DAG))
    settings = ("--config", "servers.toml")
    with on_a_terminal("run", "dag.json", *settings, cwd=tmp_path) as (asking, first):
        read_until(first, KEYS)
        listed = json.loads(plait("history", "--json").stdout)
        [run_id] = [run["run_id"] for run in listed["runs"]]
        with on_a_terminal("approve", run_id, *settings, cwd=tmp_path) as (approving, second):
            read_until(second, KEYS)
            os.write(second, b"y\n")
            assert "answered elsewhere" in read_until(first, "elsewhere")
            for terminal in (first, second):
                read_to_the_end(terminal)
            for process in (asking, approving):
                process.communicate()
    assert (asking.returncode, approving.returncode) == (0, 0)
    assert {path.stem for path in tmp_path.glob("*.txt")} == {"one", "two"}
