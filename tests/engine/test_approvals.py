"""A person says yes to calls: over the client's own question in both eras, or elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

from plait.core.ports import NoClient
from plait.core.results.approval_text import NO, YES, YES_FROM_NOW_ON
from plait.core.results.record import RunStatus
from plait.core.tools.approving import Approving
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.values.principal import Principal
from plait.engine.gateway import Gateway, GatewayLimits
from plait.errors import (
    ApprovalDenied,
    ApprovalRequired,
    InvalidDag,
    StaleApproval,
    UnknownRun,
)
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.principals import always_user
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.server import build_server

from ..fakes import FakeServers, tool
from ..upstream.conftest import LEGACY, MODERN, in_memory, structured
from ..upstream.relay.test_run_waiters import Nothing

pytestmark = pytest.mark.virtual_time

Person = Callable[[types.ElicitRequestParams], Awaitable[types.ElicitResult]]
ASK = Rules(ask=("write",))


@pytest.fixture(params=[LEGACY, MODERN])
def era(request: pytest.FixtureRequest) -> str:
    era: str = request.param
    return era


def task(id: str, name: str, n: Any) -> dict[str, Any]:
    return {"id": id, "tool": name, "arguments": {"n": n}}


class Other(NoClient):
    principal = Principal("other")


class House:
    """Servers with tools that read and write, and a person in front of a client."""

    def __init__(self) -> None:
        self.servers = FakeServers()
        self.sent: list[Any] = []
        self.questions: list[str] = []
        self.answers: list[str | None] = []
        """The words of the person, one for each question: None dismisses it."""
        self.seconds = 0.0
        """The time that the person takes."""
        self.servers.add(tool("s:read", closed=False, readOnlyHint=True), lambda **given: given)
        self.servers.add(tool("s:write", closed=False), self._write)
        self.servers.add(tool("s:pay", closed=False, destructiveHint=True), self._write)

    def _write(self, **arguments: Any) -> dict[str, Any]:
        self.sent.append(arguments.get("n"))
        return arguments

    async def person(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.questions.append(params.message)
        await anyio.sleep(self.seconds)
        word = self.answers.pop(0)
        if word is None:
            return types.ElicitResult(action="cancel")
        return types.ElicitResult(action="accept", content={"answer": word})

    @asynccontextmanager
    async def gateway(self, rules: Rules = ASK, **approving: Any) -> AsyncIterator[Gateway]:
        async with Gateway(
            self.servers,
            self.servers,
            InMemoryRuns(),
            policy=Policy(tables=(rules,)),
            limits=GatewayLimits(approving=Approving(**approving)),
        ) as gateway:
            yield gateway

    @asynccontextmanager
    async def client(
        self, era: str, rules: Rules = ASK, *, asks: bool = True, **approving: Any
    ) -> AsyncIterator[tuple[Client, Gateway]]:
        async with self.gateway(rules, **approving) as gateway:
            server = build_server(
                gateway, relaying=RelayConfig(Nothing()), principal_of=always_user
            )
            person = self.person if asks else None
            async with Client(in_memory(server), mode=era, elicitation_callback=person) as client:
                yield client, gateway


@pytest.fixture
def house() -> House:
    return House()


WRITE = task("w", "s:write", n="$OUTPUT[r].n")
TASKS = [task("r", "s:read", n=7), WRITE, task("again", "s:read", n="$OUTPUT[w].n")]


async def test_a_yes_to_the_clients_question_sends_the_calls(house: House, era: str) -> None:
    house.answers = [YES]
    async with house.client(era) as (client, _):
        result = structured(await client.call_tool("execute_dag", {"tasks": TASKS}))
    assert (result["status"], house.sent) == ("success", [7])
    [question] = house.questions
    assert "1. w: s:write n: 7" in question
    assert 'asked because [policy] ask = ["write"]' in question


async def test_a_no_sends_nothing(house: House, era: str) -> None:
    house.answers = [NO]
    async with house.client(era) as (client, _):
        result = structured(await client.call_tool("execute_dag", {"tasks": TASKS}))
    assert (result["status"], house.sent) == ("partial", [])
    assert [error["code"] for error in result["errors"]] == ["approval_denied", "dependency_failed"]


async def test_a_client_that_cannot_ask_gets_the_question_at_once(house: House, era: str) -> None:
    async with house.client(era, asks=False) as (client, gateway):
        began = anyio.current_time()
        result = await client.call_tool("execute_dag", {"tasks": TASKS})
        answered = structured(result)
        assert (answered["status"], result.is_error, house.sent) == ("waiting", False, [])
        assert anyio.current_time() - began < 1
        [call] = answered["approval"]["calls"]
        assert (call["task"], call["tool"], call["arguments"]) == ("w", "s:write", {"n": 7})
        assert answered["approval"]["reads"] == 1
        run_id, digest = answered["run_id"], answered["approval"]["digest"]
        await gateway.approve(run_id, digest)
        later = structured(await client.call_tool("get_run", {"run_id": run_id}))
    assert (later["status"], house.sent) == ("success", [7])


async def test_a_dismissed_question_is_asked_again_by_the_next_request(
    house: House, era: str
) -> None:
    house.answers = [None, YES]
    async with house.client(era) as (client, _):
        first = structured(await client.call_tool("execute_dag", {"tasks": TASKS}))
        assert (first["status"], len(house.questions)) == ("waiting", 1)
        second = structured(await client.call_tool("get_run", {"run_id": first["run_id"]}))
    assert (second["status"], len(house.questions), house.sent) == ("success", 2, [7])


async def test_a_question_of_the_handshake_era_is_taken_back_with_its_request(
    house: House,
) -> None:
    house.seconds, house.answers = 70, [YES, YES]
    async with house.client(LEGACY) as (client, _):
        first = structured(await client.call_tool("execute_dag", {"tasks": TASKS, "wait_s": 5}))
        assert (first["status"], house.sent) == ("waiting", [])
        house.seconds = 1
        second = structured(await client.call_tool("get_run", {"run_id": first["run_id"]}))
    assert (second["status"], len(house.questions), house.sent) == ("success", 2, [7])


async def test_a_client_of_2026_may_take_its_time(house: House) -> None:
    house.seconds, house.answers = 400, [YES]
    async with house.client(MODERN) as (client, _):
        result = structured(await client.call_tool("execute_dag", {"tasks": TASKS, "wait_s": 5}))
    assert (result["status"], house.sent) == ("success", [7])


async def test_nobody_says_yes_in_time(house: House, era: str) -> None:
    async with house.client(era, asks=False, seconds=30) as (client, _):
        first = structured(await client.call_tool("execute_dag", {"tasks": TASKS}))
        await anyio.sleep(31)
        second = structured(await client.call_tool("get_run", {"run_id": first["run_id"]}))
    assert second["errors"][0]["code"] == "approval_required"
    assert house.sent == []


async def test_each_call_that_needs_a_yes_of_its_own_is_asked_for_by_itself(
    house: House, era: str
) -> None:
    house.answers = [YES, NO, YES]
    tasks = [task("a", "s:write", n=1), task("p", "s:pay", n=2), task("q", "s:pay", n=3)]
    async with house.client(era, Rules(ask=("write",), ask_each=("s:pay",))) as (client, _):
        result = structured(await client.call_tool("execute_dag", {"tasks": tasks}))
    assert (house.sent, len(house.questions)) == ([1, 3], 3)
    assert [error["id"] for error in result["errors"]] == ["p"]
    assert "s:pay (destructive)" in house.questions[1]


@pytest.mark.parametrize("count", [12, 40])
async def test_a_client_is_asked_for_many_calls_by_themselves_over_one_request(
    house: House, era: str, count: int
) -> None:
    """The client of 2026-07-28 of the official SDK comes back ten times for one request."""
    house.answers = [YES if n % 3 else NO for n in range(count)]
    each = {**task("p", "s:pay", "$ITEM"), "for_each": list(range(count))}
    async with house.client(era, Rules(ask_each=("s:pay",)), seconds=3600) as (client, _):
        result = structured(await client.call_tool("execute_dag", {"tasks": [each]}))
    assert result["status"] != "waiting"
    assert len(house.questions) == count
    assert sorted(house.sent) == [n for n in range(count) if n % 3]


async def test_a_client_that_comes_back_only_so_often_is_asked_for_the_rest_by_the_next_request(
    house: House,
) -> None:
    count = 200
    house.answers = [YES] * count
    each = {**task("p", "s:pay", "$ITEM"), "for_each": list(range(count))}
    async with house.client(MODERN, Rules(ask_each=("s:pay",)), seconds=3600) as (client, _):
        first = structured(await client.call_tool("execute_dag", {"tasks": [each]}))
        assert (first["status"], house.sent) == ("waiting", [])
        assert 100 < len(house.questions) < count
        second = structured(await client.call_tool("get_run", {"run_id": first["run_id"]}))
    assert (second["status"], len(house.sent)) == ("success", count)
    assert len(house.questions) == count


async def test_a_yes_until_the_client_leaves_covers_these_tools_and_no_others(
    house: House,
) -> None:
    house.answers = [YES_FROM_NOW_ON, YES]
    async with house.client(LEGACY) as (client, _):
        for n in (1, 2):
            one = {"tasks": [task("w", "s:write", n=n)]}
            await client.call_tool("execute_dag", one)
        assert (house.sent, len(house.questions)) == ([1, 2], 1)
        await client.call_tool("execute_dag", {"tasks": [task("p", "s:pay", n=3)]})
    assert (house.sent, len(house.questions)) == ([1, 2, 3], 2)


async def test_a_way_that_does_not_count_is_not_gone(house: House, era: str) -> None:
    async with house.client(era, ways=frozenset({"terminal"})) as (client, _):
        result = structured(await client.call_tool("execute_dag", {"tasks": TASKS}))
    assert (result["status"], house.questions, house.sent) == ("waiting", [], [])


@pytest.mark.parametrize("by", ["terminal", "flag"])
async def test_a_command_says_yes_only_where_the_settings_of_the_run_let_it(
    house: House, by: str
) -> None:
    tasks = [task("w", "s:write", 1)]
    async with house.gateway(ways=frozenset({"elicitation"})) as gateway:
        asked = gateway.approval((await gateway.execute({"tasks": tasks})).run_id)
        assert asked is not None
        with pytest.raises(StaleApproval, match="does not count"):
            await gateway.approve(asked.run_id, asked.digest, by=by)
        await gateway.approve(asked.run_id, asked.digest, [], by=by)  # a no always counts
        assert (await gateway.wait(asked.run_id)).errors[0].code == "approval_denied"
    async with house.gateway(ways=frozenset({by})) as gateway:
        asked = gateway.approval((await gateway.execute({"tasks": tasks})).run_id)
        assert asked is not None
        await gateway.approve(asked.run_id, asked.digest, by=by)
        await gateway.wait(asked.run_id)
    assert house.sent == [1]


async def test_a_yes_is_good_once_and_for_its_own_question(house: House) -> None:
    tasks = [task("one", "s:write", n=1), task("two", "s:write", n="$OUTPUT[one].n")]
    async with house.gateway() as gateway:
        result = await gateway.execute({"tasks": tasks})
        assert result.status is RunStatus.WAITING
        first = gateway.approval(result.run_id)
        assert first is not None
        assert [one.task for one in first.later] == ["two"]
        with pytest.raises(StaleApproval):
            await gateway.approve(result.run_id, "0" * 64)
        with pytest.raises(UnknownRun):
            await gateway.approve(result.run_id, first.digest, caller=Other())
        await gateway.approve(result.run_id, first.digest)
        assert (await gateway.wait(result.run_id)).status is RunStatus.WAITING
        with pytest.raises(StaleApproval):
            await gateway.approve(result.run_id, first.digest)
        assert house.sent == [1]
        second = gateway.approval(result.run_id)
        assert second is not None
        assert second.digest != first.digest
        await gateway.approve(result.run_id, second.digest)
        assert (await gateway.wait(result.run_id)).status is RunStatus.SUCCESS
    assert house.sent == [1, 1]


async def test_a_yes_may_cover_what_comes_later(house: House) -> None:
    tasks = [task("one", "s:write", n=1), task("two", "s:write", n="$OUTPUT[one].n")]
    async with house.gateway(covers_later=True) as gateway:
        result = await gateway.execute({"tasks": tasks})
        approval = gateway.approval(result.run_id)
        assert approval is not None
        await gateway.approve(result.run_id, approval.digest)
        assert (await gateway.wait(result.run_id)).status is RunStatus.SUCCESS


async def test_a_question_is_withdrawn_as_soon_as_a_tool_of_it_is_defined_anew(
    house: House, era: str
) -> None:
    house.seconds, house.answers = 10, [YES, YES]
    tasks = [task("w", "s:write", 1), task("p", "s:pay", 2)]
    async with house.client(era) as (client, gateway):
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            results: list[Any] = []

            async def execute() -> None:
                results.append(await client.call_tool("execute_dag", {"tasks": tasks}))

            group.start_soon(execute)
            await anyio.sleep(1)
            [first] = house.questions
            house.servers.add(tool("s:pay", closed=False, description="It pays twice"), print)
            gateway.engine.tools_changed()
            await anyio.sleep(1)
            [run_id] = gateway.runs()
            approval = gateway.approval(run_id)
            assert approval is not None
            assert [call.place for call in approval.calls] == ["w"]
            failed = gateway.record(run_id).tasks["p"].error
            assert failed is not None
            assert failed.code == "tool_changed"
            assert anyio.current_time() - began == 2
    assert "2. p: s:pay" in first
    result = structured(results[0])
    assert (result["status"], house.sent) == ("partial", [1])


async def test_a_tool_that_was_defined_anew_is_not_approved(house: House) -> None:
    async with house.gateway() as gateway:
        result = await gateway.execute({"tasks": [task("w", "s:write", n=1)]})
        approval = gateway.approval(result.run_id)
        assert approval is not None
        house.servers.add(tool("s:write", closed=False, description="Now it deletes"), house._write)
        with pytest.raises(StaleApproval):
            await gateway.approve(result.run_id, approval.digest)
    assert house.sent == []


async def test_some_calls_are_approved_and_the_others_denied(house: House) -> None:
    async with house.gateway() as gateway:
        each = {**task("w", "s:write", n="$ITEM"), "for_each": [1, 2, 3], "on_item_failure": "skip"}
        result = await gateway.execute({"tasks": [each]})
        approval = gateway.approval(result.run_id)
        assert approval is not None
        await gateway.approve(result.run_id, approval.digest, ["w[0]", "w[2]"])
        result = await gateway.wait(result.run_id)
    assert (result.status, house.sent) == (RunStatus.PARTIAL, [1, 3])


@pytest.mark.parametrize(
    ("answers", "error"), [([YES], None), ([NO], ApprovalDenied), ([None], ApprovalRequired)]
)
async def test_a_call_by_name_asks_while_its_request_is_open(
    house: House, answers: list[str | None], error: type[Exception] | None
) -> None:
    house.answers = answers

    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        given = types.ElicitRequestFormParams.model_validate(params)
        result = await house.person(None, given)
        return result.model_dump(mode="json", exclude_none=True)

    async with house.gateway() as gateway:
        from ..upstream.relay.test_run_waiters import request_of

        call = gateway.call("s", "write", {"arguments": {"n": 1}}, request_of(ask))
        if error is None:
            await call
        else:
            with pytest.raises(error):
                await call
    assert house.sent == ([] if error else [1])
    assert "Call s:write n: 1" in house.questions[0]


async def test_a_call_by_name_without_a_client_needs_a_yes(house: House) -> None:
    async with house.gateway() as gateway:
        with pytest.raises(ApprovalRequired):
            await gateway.call("s", "write", {"arguments": {"n": 1}})
        await gateway.call("s", "read", {"arguments": {"n": 1}})
    assert house.sent == []


async def test_a_preview_goes_on_as_it_was_shown_when_it_is_applied(house: House, era: str) -> None:
    document = {"tasks": TASKS, "preview": True}
    async with house.client(era, Rules(), asks=True) as (client, _):
        shown = structured(await client.call_tool("execute_dag", document))
        assert (shown["status"], house.sent, house.questions) == ("waiting", [], [])
        assert shown["approval"]["calls"][0]["arguments"] == {"n": 7}
        applied = {"tasks": [], "apply": shown["run_id"]}
        result = structured(await client.call_tool("execute_dag", applied))
        assert (result["status"], result["run_id"]) == ("success", shown["run_id"])
        again = structured(await client.call_tool("execute_dag", applied))
    assert (house.sent, again["errors"][0]["code"]) == ([7], "not_a_preview")


async def test_the_policy_still_asks_once_a_preview_is_applied(house: House) -> None:
    house.answers = [YES]
    async with house.client(LEGACY) as (client, _):
        document = {"tasks": TASKS, "preview": True}
        shown = structured(await client.call_tool("execute_dag", document))
        assert (shown["status"], house.questions) == ("waiting", [])
        result = structured(
            await client.call_tool("execute_dag", {"tasks": [], "apply": shown["run_id"]})
        )
    assert (result["status"], len(house.questions), house.sent) == ("success", 1, [7])


async def test_a_preview_of_changed_tools_is_not_applied(house: House) -> None:
    async with house.gateway(Rules()) as gateway:
        result = await gateway.execute({"tasks": TASKS, "preview": True})
        house.servers.add(tool("s:write", closed=False, description="new"), house._write)
        with pytest.raises(InvalidDag) as refused:
            await gateway.submit({"tasks": [], "apply": result.run_id})
    assert [problem.code for problem in refused.value.problems] == ["plan_changed"]


async def test_a_run_that_is_cancelled_while_it_asks_asks_for_what_cleans_up(house: House) -> None:
    always = {**task("clean", "s:write", n=2), "depends_on": ["w"], "trigger_rule": "always"}
    async with house.gateway() as gateway:
        result = await gateway.execute({"tasks": [task("w", "s:write", n=1), always]})
        await gateway.cancel(result.run_id, seconds=1)
        await anyio.sleep(1)
        approval = gateway.approval(result.run_id)
        assert approval is not None
        assert [call.place for call in approval.calls] == ["clean"]
        await gateway.approve(result.run_id, approval.digest)
        result = await gateway.wait(result.run_id)
    assert (result.status, house.sent) == (RunStatus.CANCELLED, [2])


async def test_no_answer_of_plait_gives_a_yes(house: House, era: str) -> None:
    async with house.client(era, asks=False) as (client, _):
        shown = structured(await client.call_tool("execute_dag", {"tasks": TASKS}))
        run_id, digest = shown["run_id"], shown["approval"]["digest"]
        for arguments in (
            {"tasks": [], "apply": run_id},
            {"tasks": [], "apply": run_id, "approve": digest},
            {"tasks": [], "resume_from": run_id, "approval": digest},
        ):
            await client.call_tool("execute_dag", arguments)
        for arguments in ({"run_id": run_id, "approve": digest}, {"run_id": run_id}):
            await client.call_tool("get_run", {**arguments, "wait_s": 1})
    assert house.sent == []
