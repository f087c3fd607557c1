"""Each decision about a call, and each call that changes something, is a row of the audit."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest

from plait.core.audit import AuditRow, ChainCheck, digest
from plait.core.flows.rules import FlowPolicy, FlowRule
from plait.core.results.approval_text import NO, YES, YES_FROM_NOW_ON
from plait.core.tools.approving import Approving
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.engine.auditing import DeskAudit
from plait.engine.gateway import Gateway, GatewayLimits
from plait.engine.writing import Kept
from plait.errors import (
    ApprovalDenied,
    CallError,
    CallTimeout,
    InvalidDag,
    PolicyDenied,
    ToolChanged,
)
from plait.stores.history.memory import MemoryHistory
from plait.stores.in_memory import InMemoryRuns

from ..fakes import tool
from ..upstream.conftest import LEGACY
from ..upstream.relay.test_run_waiters import request_of
from .dying import World
from .test_approvals import ASK, House, task

pytestmark = pytest.mark.virtual_time

FREE = Rules()


class Audited(House):
    """A house whose gateways write to one history."""

    def __init__(self) -> None:
        super().__init__()
        self.history = MemoryHistory()

    @asynccontextmanager
    async def gateway(
        self,
        rules: Rules = ASK,
        *,
        flows: FlowPolicy | None = None,
        observes: bool = False,
        kept: Kept = Kept.WHOLE,
        **approving: Any,
    ) -> AsyncIterator[Gateway]:
        async with Gateway(
            self.servers,
            self.servers,
            InMemoryRuns(),
            policy=Policy(tables=(rules,), observes=observes),
            flows=flows,
            limits=GatewayLimits(approving=Approving(**approving), kept=kept),
            history=self.history,
        ) as gateway:
            yield gateway

    async def rows(self) -> list[dict[str, Any]]:
        """All rows, of a chain that is whole."""
        self.history._commit()
        check, found = ChainCheck(), list[dict[str, Any]]()
        end = await self.history.audited(lambda *line: found.append(check.add(*line)))
        assert check.fault(end) is None
        return found

    async def told(self, *members: str) -> list[tuple[Any, ...]]:
        """These *members* of all rows."""
        return [tuple(row.get(name) for name in members) for row in await self.rows()]


@pytest.fixture
def house() -> Audited:
    return Audited()


READ = task("r", "s:read", n=7)
WRITE = task("w", "s:write", n="$OUTPUT[r].n")


async def test_a_call_that_changes_something_is_a_row_when_it_leaves_and_one_when_it_ends(
    house: Audited,
) -> None:
    async with house.gateway(FREE) as gateway:
        result = await gateway.execute({"tasks": [READ, WRITE]})
    sent, ended = await house.rows()
    assert (sent["what"], ended["what"]) == ("sent", "ended")
    for row in (sent, ended):
        assert row["principal"] == "user"
        assert (row["run"], row["task"], row["tool"]) == (result.run_id, "w", "s:write")
    assert sent["arguments"] == digest({"n": 7})
    assert sent["why"] == "allowed: no rule of [policy] matches"
    assert ended["code"] == "success"


async def test_reads_that_are_allowed_are_in_no_row(house: Audited) -> None:
    async with house.gateway(FREE) as gateway:
        await gateway.execute({"tasks": [READ]})
        await gateway.call("s", "read", {"arguments": {"n": 1}})
    assert await house.rows() == []


async def test_the_row_is_committed_before_the_server_gets_the_call(house: Audited) -> None:
    seen: list[str] = []

    def look(**given: Any) -> dict[str, Any]:
        seen.extend(house.history.shelf.audit.lines.values())
        return given

    house.servers.add(tool("s:write", closed=False), look)
    async with house.gateway(FREE) as gateway:
        await gateway.execute({"tasks": [task("w", "s:write", n=1)]})
        [line] = seen
        await gateway.call("s", "write", {"arguments": {"n": 1}})
    assert '"what":"sent"' in line
    assert len(seen) == 1 + 3


async def test_each_item_and_each_attempt_has_its_rows(house: Audited) -> None:
    errors = [CallTimeout("no answer")]

    def fail_once(n: int) -> dict[str, Any]:
        if n == 1 and errors:
            raise errors.pop()
        return {"n": n}

    house.servers.add(tool("s:write", closed=False, idempotentHint=True), fail_once)
    each = {**task("w", "s:write", n="$ITEM"), "for_each": [1, 2], "retries": 1}
    async with house.gateway(FREE) as gateway:
        await gateway.execute({"tasks": [each]})
    found = await house.told("what", "task", "code", "attempt")
    assert sorted(found, key=lambda row: row[1]) == [
        ("sent", "w[0]", None, None),
        ("ended", "w[0]", "timeout", None),
        ("sent", "w[0]", None, 2),
        ("ended", "w[0]", "success", None),
        ("sent", "w[1]", None, None),
        ("ended", "w[1]", "success", None),
    ]


async def test_a_call_that_was_cancelled_ended_as_that(house: Audited) -> None:
    began = anyio.Event()

    async def hang(**_: Any) -> dict[str, Any]:
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    house.servers.add(tool("s:write", closed=False), hang)
    async with house.gateway(FREE) as gateway:
        run = await gateway.submit({"tasks": [task("w", "s:write", n=1)]})
        await began.wait()
        await gateway.cancel(run.run_id)
        timed = task("w", "s:write", n=1) | {"timeout_s": 3}
        await gateway.execute({"tasks": [timed]})
    assert [code for what, code in await house.told("what", "code") if what == "ended"] == [
        "cancelled",
        "timeout",
    ]


async def test_a_call_by_name_has_the_same_rows(house: Audited) -> None:
    async with house.gateway(FREE) as gateway:
        await gateway.call("s", "write", {"arguments": {"n": 1}})
        house.servers.add(tool("s:write", closed=False), lambda **_: {"isError": True})
        await gateway.call("s", "write", {"arguments": {"n": 1}})
    rows = await house.rows()
    assert [(row["what"], row.get("code")) for row in rows] == [
        ("sent", None),
        ("ended", "success"),
        ("sent", None),
        ("ended", "tool_error"),
    ]
    assert [row["run"][:2] for row in rows] == ["c_"] * 4
    assert rows[0]["arguments"] == digest({"n": 1})
    assert rows[0]["run"] == rows[1]["run"] != rows[2]["run"]


@pytest.mark.parametrize(("word", "answer", "sent"), [(YES, "yes", True), (NO, "no", False)])
async def test_a_question_to_a_client_and_its_answer_are_rows(
    house: Audited, word: str, answer: str, sent: bool
) -> None:
    house.answers = [word]
    async with house.client(LEGACY) as (client, _):
        await client.call_tool("execute_dag", {"tasks": [READ, WRITE]})
    asked, answered, *others = await house.rows()
    for row in (asked, answered):
        assert (row["task"], row["tool"], row["arguments"]) == ("w", "s:write", digest({"n": 7}))
    assert asked["what"] == "asked"
    assert asked["why"] == 'asked because [policy] ask = ["write"]'
    assert "elicitation" in asked["ways"]
    assert (answered["what"], answered["answer"]) == ("answered", answer)
    assert answered["by"] == "elicitation"
    assert answered["question"] == asked["question"]
    assert [row["what"] for row in others] == (["sent", "ended"] if sent else [])
    assert all(row["approved"] for row in others[:1])


async def test_a_question_that_nobody_answers_is_a_row(house: Audited) -> None:
    async with house.gateway(seconds=30) as gateway:
        run = await gateway.submit({"tasks": [task("w", "s:write", n=1)]})
        await gateway.wait(run.run_id)
        await anyio.sleep(31)
    assert await house.told("what", "answer", "by") == [
        ("asked", None, None),
        ("answered", "none", None),
    ]


async def test_an_answer_to_some_calls_says_which(house: Audited) -> None:
    each = {**task("w", "s:write", n="$ITEM"), "for_each": [1, 2], "on_item_failure": "skip"}
    async with house.gateway() as gateway:
        result = await gateway.execute({"tasks": [each]})
        approval = gateway.approval(result.run_id)
        assert approval is not None
        await gateway.approve(result.run_id, approval.digest, ["w[1]"])
        await gateway.wait(result.run_id)
    answers = [row for row in await house.rows() if row["what"] == "answered"]
    assert [(row["task"], row["answer"], row["by"]) for row in answers] == [
        ("w[0]", "no", "python"),
        ("w[1]", "yes", "python"),
    ]


async def test_an_answer_from_another_process_says_how_it_came(house: Audited) -> None:
    async with house.gateway() as gateway, house.gateway() as other:
        run = await gateway.submit({"tasks": [task("w", "s:write", n=1)]})
        result = await gateway.wait(run.run_id)
        digest = (result.record.approval or {})["digest"]
        await other.approve(run.run_id, str(digest), by="terminal")
        await gateway.wait(run.run_id)
    answers = [row for row in await house.rows() if row["what"] == "answered"]
    assert [(row["answer"], row["by"]) for row in answers] == [("yes", "terminal")]


async def test_a_yes_that_was_given_before_is_a_row_without_a_question(house: Audited) -> None:
    house.answers = [YES_FROM_NOW_ON]
    async with house.client(LEGACY) as (client, _):
        for n in (1, 2):
            await client.call_tool("execute_dag", {"tasks": [task("w", "s:write", n=n)]})
    assert await house.told("what", "answer", "by") == [
        ("asked", None, None),
        ("answered", "yes", "elicitation"),
        ("sent", None, None),
        ("ended", None, None),
        ("answered", "yes", "granted"),
        ("sent", None, None),
        ("ended", None, None),
    ]


async def test_a_preview_is_asked_for_and_answered_by_apply(house: Audited) -> None:
    async with house.gateway(FREE) as gateway:
        shown = await gateway.execute({"tasks": [READ, WRITE], "preview": True})
        await gateway.execute({"tasks": [], "apply": shown.run_id})
        await gateway.wait(shown.run_id)
    asked, answered, sent, _ = await house.rows()
    assert asked["ways"] == ["apply"]
    assert (answered["answer"], answered["by"]) == ("yes", "apply")
    assert (sent["what"], sent["task"]) == ("sent", "w")


@pytest.mark.parametrize(
    ("word", "answer"), [(YES, ("yes", "elicitation")), (NO, ("no", "elicitation"))]
)
async def test_a_question_about_a_call_by_name_and_its_answer_are_rows(
    house: Audited, word: str, answer: tuple[str, str]
) -> None:
    house.answers = [word]

    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        given = types.ElicitRequestFormParams.model_validate(params)
        result = await house.person(None, given)
        return result.model_dump(mode="json", exclude_none=True)

    async with house.gateway() as gateway:
        call = gateway.call("s", "write", {"arguments": {"n": 1}}, request_of(ask))
        try:
            await call
        except ApprovalDenied:
            assert word == NO
    asked, answered, *others = await house.rows()
    assert asked["arguments"] == answered["arguments"] == digest({"n": 1})
    assert asked["ways"] == ["elicitation"]
    assert (answered["answer"], answered["by"]) == answer
    assert [row["what"] for row in others] == (["sent", "ended"] if word == YES else [])


async def test_a_call_by_name_that_nobody_could_be_asked_for_has_no_answer(
    house: Audited,
) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(CallError):
            await gateway.call("s", "write", {"arguments": {"n": 1}})
    assert await house.told("what", "answer", "by") == [("answered", "none", None)]


async def test_a_plan_that_a_rule_refuses_is_a_row_for_each_denied_call(house: Audited) -> None:
    group = {"id": "g", "tasks": [task("in", "s:write", n=2)]}
    async with house.gateway(Rules(deny=("s:write",))) as gateway:
        with pytest.raises(InvalidDag):
            await gateway.submit({"tasks": [READ, WRITE, group]})
    rows = await house.rows()
    assert [(row["what"], row["code"], row["tool"]) for row in rows] == [
        ("denied", "policy_denied", "s:write")
    ] * 2
    assert [row["task"] for row in rows] == ["w", "g.in"]
    assert '[policy] deny = ["s:write"]' in rows[0]["why"]


async def test_a_document_that_is_refused_for_something_else_is_in_no_row(house: Audited) -> None:
    async with house.gateway(FREE) as gateway:
        with pytest.raises(InvalidDag):
            await gateway.submit({"tasks": [task("w", "s:nothing", n=1)]})
    assert await house.rows() == []


async def test_a_call_that_is_denied_when_the_run_comes_to_it_is_a_row(house: Audited) -> None:
    later = WRITE | {"when": "$OUTPUT[r].n > 1"}
    async with house.gateway(Rules(deny=("s:write",))) as gateway:
        result = await gateway.execute({"tasks": [READ, later]})
    [row] = await house.rows()
    assert (row["what"], row["code"], row["run"]) == ("denied", "policy_denied", result.run_id)
    assert (row["task"], row["tool"]) == ("w", "s:write")


async def test_a_denied_call_by_name_is_a_row(house: Audited) -> None:
    async with house.gateway(Rules(deny=("s:write",))) as gateway:
        with pytest.raises(PolicyDenied):
            await gateway.call("s", "write", {"arguments": {"n": 1}})
    [row] = await house.rows()
    assert (row["what"], row["code"], row["tool"]) == ("denied", "policy_denied", "s:write")
    assert row["arguments"] == digest({"n": 1})


FLOWS = FlowPolicy(
    {"private": ("s:read",), "outbound": ("s:write",)}, (FlowRule(("private",), "outbound"),)
)


async def test_a_flow_that_is_refused_is_a_row_with_its_way(house: Audited) -> None:
    async with house.gateway(FREE, flows=FLOWS) as gateway:
        with pytest.raises(InvalidDag):
            await gateway.submit({"tasks": [READ, WRITE]})
    [row] = await house.rows()
    assert (row["what"], row["code"], row["task"]) == ("denied", "flow_denied", "w")
    assert "r" in row["why"]
    assert "→" in row["why"]


async def test_a_tool_that_has_changed_is_a_row_with_the_arguments(house: Audited) -> None:
    def refuse(**_: Any) -> None:
        raise ToolChanged("s:write is not described as when it was first used")

    house.servers.add(tool("s:write", closed=False), refuse)
    async with house.gateway(FREE) as gateway:
        await gateway.execute({"tasks": [task("w", "s:write", n=1)]})
        with pytest.raises(ToolChanged):
            await gateway.call("s", "write", {"arguments": {"n": 1}})
    denied = [row for row in await house.rows() if row["what"] == "denied"]
    assert [(row["code"], row["arguments"]) for row in denied] == [
        ("tool_changed", digest({"n": 1}))
    ] * 2


async def test_what_a_policy_that_observes_lets_pass_is_a_row_for_reads_too(
    house: Audited,
) -> None:
    async with house.gateway(Rules(deny=("s:read",)), observes=True) as gateway:
        await gateway.execute({"tasks": [READ]})
    sent, _ = await house.rows()
    assert sent["tool"] == "s:read"
    assert sent["why"].startswith('allowed by [policy] mode = "observe", else denied because')


async def test_rows_go_to_a_file_also_where_nothing_is_kept(
    house: Audited, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lines: list[AuditRow] = []

    class File:
        def audit(self, row: AuditRow) -> None:
            lines.append(row)

    async with house.gateway(FREE, kept=Kept.NOT) as gateway:
        gateway.engine.trail.adopt("", DeskAudit(is_kept=False, file=File()))
        await gateway.call("s", "write", {"arguments": {"n": 1}})
        assert [str(row.what) for row in lines] == ["sent", "ended"]
        assert "audit.not_kept" not in caplog.text
        gateway.engine.trail.adopt("", DeskAudit(is_kept=False))
        for _ in range(2):
            await gateway.call("s", "write", {"arguments": {"n": 1}})
    assert caplog.text.count("audit.not_kept") == 1
    assert await house.rows() == []


async def test_the_log_says_once_that_rows_are_in_memory_alone(
    house: Audited, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with house.gateway(FREE) as gateway:
        for _ in range(2):
            await gateway.call("s", "write", {"arguments": {"n": 1}})
    said = [getattr(r, "why", None) for r in caplog.records if r.message == "audit.not_kept"]
    assert said == ["the history is in memory alone"]


async def test_secrets_are_taken_out_of_rows_before_they_are_hashed(house: Audited) -> None:
    redact: Callable[[str], str] = lambda text: text.replace("hunter22", "***")  # noqa: E731
    async with house.gateway(FREE) as gateway:
        gateway.engine.trail.adopt("", DeskAudit(redact=redact))
        await gateway.execute({"tasks": [task("hunter22", "s:write", n=1)]})
    assert [task for (task,) in await house.told("task")] == ["***", "***"]


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ({"w": "skip"}, [("resolved", "w", "s:write", "skip")]),
        ({"*": "done"}, [("resolved", "w", "s:write", "done")]),
        ({"w": {"done": {"n": 7}}}, [("resolved", "w", "s:write", "done")]),
        ({"w": "retry"}, [("resolved", "w", "s:write", "retry"), ("sent", "w", "s:write", None)]),
        (
            {"w": "skip", "r": "done"},
            [("resolved", "w", "s:write", "skip"), ("resolved", "r", None, "done")],
        ),
    ],
)
async def test_what_a_caller_says_of_a_call_in_doubt_is_a_row_before_the_run_goes_on(
    says: dict[str, Any], told: list[tuple[Any, ...]]
) -> None:
    world = World()
    world.hangs = {("write", 7)}
    run_id = await world.interrupted({"tasks": [READ, {**WRITE, "id": "w"}]})
    before = len(await rows_of(world))
    result = await world.gone_on(run_id, in_doubt=says)
    rows = (await rows_of(world))[before:]
    assert {row["run"] for row in rows} == {result.run_id}
    assert {row["principal"] for row in rows} == {"user"}
    kinds = [row for row in rows if row["what"] != "ended"]
    members = ("what", "task", "tool", "word")
    assert [tuple(row.get(name) for name in members) for row in kinds] == told
    assert rows[0]["arguments"] == digest({"n": 7})


async def rows_of(world: World) -> list[dict[str, Any]]:
    """All rows of the history of *world*."""
    check, found = ChainCheck(), list[dict[str, Any]]()
    await MemoryHistory(world.shelf).audited(lambda *line: found.append(check.add(*line)))
    return found
