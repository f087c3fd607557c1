"""Section 11: what the policy allows, asks for and denies."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from fnmatch import fnmatchcase
from random import Random
from typing import Any

import pytest

from plait.calls.policy_log import PolicyLog
from plait.core.flows.rules import FlowPolicy, FlowRule
from plait.core.results.result import RunResult
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Answer, Rules
from plait.engine.gateway import Gateway, GatewayLimits
from plait.errors import ApprovalRequired, CallError, InvalidDag, PolicyDenied
from plait.stores.in_memory import InMemoryRuns

from ..core.flows.drawn import CALLS, Draw
from ..fakes import FakeServers, tool
from .conftest import House, task

pytestmark = pytest.mark.virtual_time


async def run(house: House, rules: Rules, *tasks: dict[str, Any], **dag: Any) -> RunResult:
    async with house.gateway(tables=(rules,)) as gateway:
        return await gateway.execute({"tasks": list(tasks), **dag})


def status_of(result: RunResult, id: str) -> str:
    [found] = [one for one in result.tasks if one.id == id]
    return found.status


async def by_name(gateway: Gateway, tool: str, **arguments: Any) -> Any:
    server, _, name = tool.partition(":")
    return await gateway.call(server, name, {"name": name, "arguments": arguments})


pytestmark = pytest.mark.virtual_time

# Rules


async def test_a_plan_with_a_denied_call_is_refused_before_anything_runs(house: House) -> None:
    with pytest.raises(InvalidDag) as refused:
        await run(house, Rules(deny=("s:say",)), task("a"), task("b", "s:say", text="x"))
    [problem] = refused.value.problems
    assert (problem.path, problem.code) == ("tasks[1].tool", "policy_denied")
    assert 'denied because [policy] deny = ["s:say"]' in problem.message
    assert house.called == []


@pytest.mark.parametrize(("is_open", "status"), [(True, "failed"), (False, "skipped")])
async def test_a_denied_call_behind_a_when_fails_if_it_comes_to_it(
    house: House, is_open: bool, status: str
) -> None:
    say = {**task("b", "s:say", text="x"), "depends_on": ["a"], "when": "a.open"}
    result = await run(house, Rules(deny=("s:say",)), task("a", open=is_open), say)
    assert status_of(result, "b") == status
    codes = [error.code for error in result.errors if error.id == "b"]
    assert codes == (["policy_denied"] if is_open else [])
    assert house.called == ["s:echo"]


@pytest.mark.parametrize("items", [[], ["x", "y"]])
async def test_a_denied_call_for_a_list_that_is_not_known_fails_if_it_has_items(
    house: House, items: list[str]
) -> None:
    say = {**task("b", "s:say", text="$ITEM"), "for_each": "$OUTPUT[a].items"}
    result = await run(house, Rules(deny=("s:say",)), task("a", items=items), say)
    assert status_of(result, "b") == ("failed" if items else "success")
    assert [error.code for error in result.errors] == (["policy_denied"] if items else [])
    assert house.called == ["s:echo"]


@pytest.mark.parametrize(
    ("rules", "refusal"),
    [
        (Rules(deny=("*:say",)), PolicyDenied),
        (Rules(deny=("write",)), PolicyDenied),
        (Rules(ask=("write",)), ApprovalRequired),
        (Rules(ask_each=("s:*",)), ApprovalRequired),
        (Rules(default=Answer.DENY), PolicyDenied),
        (Rules(ask=("write",), allow=("s:say",)), None),
        (Rules(default=Answer.DENY, allow=("s:*",)), None),
        (Rules(deny=("read", "destructive", "open_world", "unannotated")), PolicyDenied),
        (Rules(deny=("read", "destructive", "open_world")), None),
    ],
)
async def test_it_holds_for_calls_by_name(
    house: House, rules: Rules, refusal: type[CallError] | None
) -> None:
    async with house.gateway(tables=(rules,)) as gateway:
        if refusal is None:
            await by_name(gateway, "s:say", text="x")
        else:
            with pytest.raises(refusal):
                await by_name(gateway, "s:say", text="x")
    assert house.called == ([] if refusal else ["s:say"])


async def test_it_holds_for_items_and_in_groups(house: House) -> None:
    say = {**task("b", "s:say", text="$ITEM"), "for_each": ["x", "y"]}
    group = {"id": "g", "tasks": [task("c", "s:say", text="z")]}
    result = await run(house, Rules(ask=("s:say",)), say, group)
    assert str(result.status) == "waiting"
    assert result.record.approval is not None
    asked = [call["task"] for call in result.record.approval["calls"]]
    assert (asked, house.called) == (["b[0]", "b[1]", "g.c"], [])


async def test_it_holds_for_what_a_resumed_run_does(house: House) -> None:
    async with house.gateway() as gateway:
        first = await gateway.execute({"tasks": [task("a", x=1), task("f", "s:fail")]})
        gateway.change(Policy(tables=(Rules(deny=("s:say",)),)), GatewayLimits(), None)
        document = {"tasks": [task("b", "s:say", text="$OUTPUT[a].x")]}
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({**document, "resume_from": first.run_id})
    assert [problem.code for problem in refused.value.problems] == ["policy_denied"]
    assert "s:say" not in house.called


# query_dag


async def query(house: House, *tasks: dict[str, Any], **dag: Any) -> dict[str, Any]:
    async with house.client() as client:
        result = await client.call_tool("query_dag", {"tasks": list(tasks), **dag})
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def test_the_same_language_answers_alike(house: House) -> None:
    group = {"id": "g", "for_each": "$OUTPUT[a].items", "tasks": [task("i", x="$ITEM")]}
    answer = await query(house, task("a", items=[1, 2]), group)
    assert answer["status"] == "success"
    assert answer["outputs"] == {"g": [{"x": 1}, {"x": 2}]}
    planned = await query(house, task("a"), dry_run=True)
    assert planned["status"] == "planned"


async def test_a_task_that_is_not_known_to_read_only_is_refused(house: House) -> None:
    tasks = task("a"), task("b", "s:say", text="x")
    for options in ({}, {"dry_run": True}):
        answer = await query(house, *tasks, **options)
        [error] = answer["errors"]
        assert (error["path"], error["code"]) == ("tasks[1].tool", "not_read_only")
        assert "execute_dag" in error["hint"]
    assert house.called == []


async def test_no_reference_reaches_an_argument_of_an_open_world_tool(house: House) -> None:
    fetch = tool("web:get", {"q": {"type": "string"}}, readOnlyHint=True, openWorldHint=True)
    house.servers.add(fetch, lambda q: {"page": q})
    answer = await query(house, task("a", x="secret"), task("w", "web:get", q="$OUTPUT[a].x"))
    [error] = answer["errors"]
    assert (error["path"], error["code"]) == ("tasks[1].arguments.q", "flow_denied")
    assert house.called == []
    answer = await query(house, task("w", "web:get", q="mcp"), task("a", x="$OUTPUT[w].page"))
    assert answer["outputs"] == {"a": {"x": "mcp"}}


async def test_it_lets_nothing_else_change_anything(house: House) -> None:
    """Neither by applying a preview, nor by going on with a run that has more to do."""
    async with house.gateway() as gateway:
        waiting = await gateway.submit({"tasks": [task("b", "s:say", text="x")], "preview": True})
        result = await gateway.wait(waiting.run_id)
        assert result.status == "waiting"
        with pytest.raises(InvalidDag) as refused:
            await gateway.submit({"apply": waiting.run_id}, only_reads=True)
        assert [one.code for one in refused.value.problems] == ["not_read_only"]
        failed = await gateway.execute({"tasks": [task("f", "s:fail"), task("a", x=1)]})
        again = {"tasks": [task("f", "s:fail")], "resume_from": failed.run_id}
        with pytest.raises(InvalidDag) as refused:
            await gateway.submit(again, only_reads=True)
        assert [one.code for one in refused.value.problems] == ["not_read_only"]
        more = {"tasks": [task("r", x="$OUTPUT[a].x")], "resume_from": failed.run_id}
        submitted = await gateway.submit(more, only_reads=True)
        assert (await gateway.wait(submitted.run_id)).outputs == {"r": {"x": 1}}
    assert house.called == ["s:fail", "s:echo", "s:echo"]


async def test_the_policy_holds_for_it(house: House) -> None:
    async with house.gateway(tables=(Rules(deny=("read",)),)) as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.submit({"tasks": [task("a")]}, only_reads=True)
    assert [problem.code for problem in refused.value.problems] == ["policy_denied"]


# Observing


async def test_observe_lets_all_of_it_pass_and_writes_down_what_would_have_been(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    rules = Rules(deny=("s:say",), ask=("write",))
    policy = Policy(tables=(rules,), observes=True)
    call_tool = PolicyLog(house.servers)
    runs = InMemoryRuns()
    async with Gateway(house.servers, call_tool, runs, policy=policy) as gateway:
        tasks = [task("a"), task("b", "s:say", text="x"), task("c", "files:write", path="p")]
        result = await gateway.execute({"tasks": tasks})
        await by_name(gateway, "s:say", text="y")
    assert result.status == "success"
    observed = [(one.tool, one.answer) for one in caplog.records]  # type: ignore[attr-defined]  # extra
    assert sorted(observed) == [("files:write", "ask"), ("s:say", "deny"), ("s:say", "deny")]


async def test_observe_lets_flows_pass_too(house: House, caplog: pytest.LogCaptureFixture) -> None:
    labels = {"private": ("files:read",), "outbound": ("s:say",)}
    flows = FlowPolicy(labels, (FlowRule(("private",), "outbound"),))
    house.files["x"] = "text"
    tasks = [task("a", "files:read", path="x"), task("b", "s:say", text="$OUTPUT[a].text")]
    runs, policy = InMemoryRuns(), Policy(observes=True)
    async with Gateway(house.servers, house.servers, runs, policy=policy, flows=flows) as gateway:
        result = await gateway.execute({"tasks": tasks})
    assert result.outputs == {"b": {"said": "text"}}
    [record] = [one for one in caplog.records if one.message == "flow.observed"]
    assert "a.text → b.text" in record.why  # type: ignore[attr-defined]  # extra


# Hostile plans


def drawn_rules(random: Random) -> tuple[Rules, dict[str, Answer]]:
    """Some rules, and what they say of each tool in the words of the contract."""
    all_globs = [*CALLS, "*:post", "web:*", "*:read", "write", "read", "unannotated"]

    def some() -> tuple[str, ...]:
        return tuple(random.sample(all_globs, random.choice((0, 0, 1, 2))))

    rules = Rules(some(), some(), some(), some(), random.choice([Answer.ALLOW, Answer.ASK]))

    def named(patterns: tuple[str, ...], tool: str) -> bool:
        kinds = {"write", "unannotated"} if tool in WRITES else {"read"}
        return any(one in kinds or fnmatchcase(tool, one) for one in patterns)

    said: dict[str, Answer] = {}
    for name in CALLS:
        lists = {key: getattr(rules, key) for key in (Answer.DENY, Answer.ASK_EACH, Answer.ASK)}
        strictest = next((key for key, globs in lists.items() if named(globs, name)), None)
        if strictest is Answer.ASK and name in rules.allow:
            strictest = Answer.ALLOW
        said[name] = strictest or (Answer.ALLOW if named(rules.allow, name) else rules.default)
    return rules, said


WRITES = {"web:post", "chat:post"}


@pytest.mark.parametrize("seed", range(4))
async def test_without_a_yes_no_server_gets_a_call_that_the_rules_do_not_allow(seed: int) -> None:
    """Fifty drawn plans with groups, loops, conditions, repeats and rules of all kinds; what counts
    is what the servers themselves have seen."""
    seen: Counter[Answer] = Counter()
    made = 0
    for number in range(50):
        random = Random(f"{seed}/{number}")
        rules, said = drawn_rules(random)
        documents = [one.document() for one in Draw(random).plan()]
        servers = FakeServers()
        for name in CALLS:
            plain = tool(name, closed=False)
            called = plain if name in WRITES else tool(name, closed=False, readOnlyHint=True)
            servers.add(called, lambda **_: {"a": "q", "b": "q", "c": ["q", "q"]})
        policy = Policy(tables=(rules,))
        async with Gateway(servers, servers, InMemoryRuns(), policy=policy) as gateway:
            with suppress(InvalidDag):
                submitted = await gateway.submit({"tasks": documents})
                await gateway.wait(submitted.run_id, 3_600)
        seen.update(said[name] for name, _ in servers.calls)
        made += len(servers.calls)
    assert set(seen) == {Answer.ALLOW}
    assert made > 10
