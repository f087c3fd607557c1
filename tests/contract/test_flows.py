"""Section 11: what tools' data may reach which calls."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from plait.core.flows.rules import TRIFECTA, FlowPolicy, FlowRule, Remember, Then
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.values.principal import Principal
from plait.core.values.problems import Problem
from plait.engine.gateway import Gateway
from plait.errors import ApprovalRequired, FlowDenied, InvalidDag
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeCaller, text, tool
from .conftest import House, task

pytestmark = pytest.mark.virtual_time

LABELS = {"private": ("files:read",), "untrusted": ("s:text",), "outbound": ("s:say",)}
PRIVATE = FlowRule(("private",), "outbound")
READ = task("read", "files:read", path="x")
SAY = task("say", "s:say", text="$OUTPUT[read].text")


def policy(*rules: FlowRule, **more: Any) -> FlowPolicy:
    return FlowPolicy(LABELS, rules or (PRIVATE,), **more)


async def problems(house: House, flows: FlowPolicy, *tasks: Any, **dag: Any) -> list[Problem]:
    """The reasons for which a document is refused, before anything runs."""
    async with house.gateway(flows=flows) as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [*tasks], **dag})
    assert house.called == []
    return list(refused.value.problems)


async def test_a_plan_that_breaks_a_rule_is_refused_with_the_way_in_words_and_drawn(
    house: House,
) -> None:
    sum = {"id": "sum", "value": "${OUTPUT[read].text}!"}
    say = task("post", "s:say", text="$OUTPUT[sum]")
    [problem] = await problems(house, policy(), READ, sum, say)
    assert (problem.path, problem.id, problem.code) == ("tasks[2]", "post", "flow_denied")
    assert "read.text → sum → post.text" in problem.message
    assert problem.mermaid is not None
    assert problem.mermaid.startswith("flowchart LR")
    assert problem.document()["mermaid"] == problem.mermaid


async def test_a_call_in_a_group_is_refused_at_its_place(house: House) -> None:
    inner = {"id": "h", "tasks": [task("one"), SAY]}
    [problem] = await problems(house, policy(), READ, {"id": "g", "tasks": [inner]})
    assert (problem.path, problem.id) == ("tasks[1].tasks[0].tasks[1]", "g.h.say")


async def test_the_ready_rule_keeps_private_and_untrusted_together_from_going_out(
    house: House,
) -> None:
    flows = policy(TRIFECTA)
    fetch = task("fetch", "s:text", text="a page")
    both = task("say", "s:say", text="${OUTPUT[read].text} ${OUTPUT[fetch]}")
    [problem] = await problems(house, flows, READ, fetch, both)
    assert "private and untrusted" in problem.message
    async with house.gateway(flows=flows) as gateway:
        house.files["x"] = "text"
        result = await gateway.execute({"tasks": [READ, SAY]})
    assert result.outputs["say"] == {"said": "text"}


async def test_what_a_rule_asks_for_is_sent_once_a_person_has_said_yes(house: House) -> None:
    house.files["x"] = "text"
    ask = FlowRule(("private",), "outbound", Then.ASK)
    async with house.gateway(flows=policy(ask)) as gateway:
        run = await gateway.submit({"tasks": [READ, SAY]})
        async for _ in gateway.follow(run.run_id):
            if (approval := gateway.approval(run.run_id)) is not None:
                break
        assert approval is not None
        [call] = approval.calls
        assert call.why == (
            "asked because [policy.flows] keeps what is private from outbound: read.text → say.text"
        )
        assert call.is_single
        assert "s:say" not in house.called
        await gateway.approve(run.run_id, approval.digest)
        result = await gateway.wait(run.run_id)
    assert result.outputs["say"] == {"said": "text"}


async def test_a_dry_run_says_what_a_person_will_be_asked_for(house: House) -> None:
    ask = FlowRule(("private",), "outbound", Then.ASK)
    async with house.gateway(flows=policy(ask)) as gateway:
        planned = await gateway.plan({"tasks": [READ, SAY]})
    assert planned["notes"] == [
        "say: s:say needs a person's yes to be given what is private: read.text → say.text."
    ]


async def test_a_policy_that_only_observes_lets_all_of_it_pass_and_logs_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.files["x"] = "text"
    gateway = Gateway(
        house.servers,
        house.servers,
        InMemoryRuns(),
        policy=Policy(observes=True),
        flows=policy(remembers=Remember.DENY),
    )
    async with gateway:
        result = await gateway.execute({"tasks": [READ, SAY]})
        await gateway.call("s", "say", {"name": "say", "arguments": {"text": "x"}})
    assert result.outputs["say"] == {"said": "text"}
    logged = [record for record in caplog.records if record.message == "flow.observed"]
    assert len(logged) == 2
    assert "read.text → say.text" in logged[0].__dict__["why"]


async def test_a_dry_run_is_refused_too(house: House) -> None:
    async with house.gateway(flows=policy()) as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.plan({"tasks": [READ, SAY]})
    assert [problem.code for problem in refused.value.problems] == ["flow_denied"]


async def test_new_rules_hold_for_the_next_document(house: House) -> None:
    house.files["x"] = "text"
    async with house.gateway() as gateway:
        await gateway.execute({"tasks": [READ, SAY]})
        gateway.change(gateway._policy, gateway._limits, gateway._resolver, policy())
        with pytest.raises(InvalidDag):
            await gateway.execute({"tasks": [READ, SAY]})


async def test_an_output_that_is_reused_keeps_its_tools(house: House) -> None:
    house.files["x"] = "text"
    made = {"id": "made", "value": "${OUTPUT[read].text}!"}
    group = {"id": "g", "tasks": [task("in", "files:read", path="x")]}
    fail = task("f", "s:fail")
    for source in ("read", "made", "g"):
        async with house.gateway(flows=policy()) as gateway:
            first = await gateway.execute({"tasks": [READ, made, group, fail]})
            say = task("say", "s:say", text=f"$OUTPUT[{source}]")
            with pytest.raises(InvalidDag) as refused:
                await gateway.execute({"tasks": [say], "resume_from": first.run_id})
        assert [problem.code for problem in refused.value.problems] == ["flow_denied"]
    assert "s:say" not in house.called


async def test_a_file_that_is_written_and_read_holds_what_was_written(house: House) -> None:
    house.servers.add(tool("files:look", {"path": {}}, readOnlyHint=True), lambda path: path)
    write = task("w", "files:write", path="y", text="$OUTPUT[read].text")
    look = {**task("look", "files:look", path="y"), "depends_on": ["w"]}
    say = task("say", "s:say", text="$OUTPUT[look]")
    [problem] = await problems(house, policy(), READ, write, look, say)
    assert "read.text → w → look → say.text" in problem.message


async def test_without_rules_nothing_is_looked_at(house: House) -> None:
    house.files["x"] = "text"
    async with house.gateway(flows=FlowPolicy(LABELS)) as gateway:
        result = await gateway.execute({"tasks": [READ, SAY]})
    assert result.status == "success"


# What a caller knows


async def refusals(gateway: Gateway, *tasks: Any, **dag: Any) -> list[str]:
    """The codes of the reasons for which a document, or a call of it, is refused; or that it waits
    for a person."""
    try:
        result = await gateway.execute({"tasks": [*tasks], **dag})
    except InvalidDag as refused:
        return [problem.code for problem in refused.problems]
    if result.status == "waiting":
        return ["waiting"]
    return [error.code for error in result.errors]


async def say(gateway: Gateway, text: str = "x") -> str:
    """Whether the client may send a text of its own."""
    codes = await refusals(gateway, task("say", "s:say", text=text))
    return codes[0] if codes else "sent"


@pytest.mark.parametrize(
    ("remembers", "answer"),
    [
        (Remember.ASK, "waiting"),
        (Remember.DENY, "flow_denied"),
        (Remember.OFF, "sent"),
    ],
)
async def test_what_was_returned_labels_all_that_the_client_writes(
    house: House, remembers: Remember, answer: str
) -> None:
    async with house.gateway(flows=policy(remembers=remembers)) as gateway:
        assert await say(gateway) == "sent"
        await gateway.execute({"tasks": [READ]})
        assert await say(gateway) == answer


async def test_a_run_that_returns_nothing_shows_nothing(house: House) -> None:
    async with house.gateway(flows=policy()) as gateway:
        await gateway.execute({"tasks": [READ], "return": []})
        assert await say(gateway) == "sent"


async def test_how_tasks_ended_is_seen_where_private_data_decided_it(house: House) -> None:
    gate = {"id": "gate", "value": 1, "when": "contains(to_string($OUTPUT[read]), 'q')"}
    async with house.gateway(flows=policy()) as gateway:
        await gateway.execute({"tasks": [READ, gate], "return": []})
        assert await say(gateway) == "waiting"


async def test_an_error_is_seen(house: House) -> None:
    def fail(**_: Any) -> Any:
        return text("no such file: it says 42", is_error=True)

    house.servers.add(tool("files:read", closed=False, readOnlyHint=True), fail)
    async with house.gateway(flows=policy()) as gateway:
        await gateway.execute({"tasks": [READ, task("other")], "return": ["other"]})
        assert await say(gateway) == "waiting"


async def test_an_error_in_a_group_is_seen(house: House) -> None:
    house.servers.add(
        tool("files:read", closed=False, readOnlyHint=True), lambda **_: text("x", is_error=True)
    )
    group = {"id": "g", "for_each": [1, 2], "tasks": [READ]}
    async with house.gateway(flows=policy()) as gateway:
        await gateway.execute({"tasks": [group, task("other")], "return": ["other"]})
        assert await say(gateway) == "waiting"


async def test_an_output_that_is_read_later_is_seen_then(house: House) -> None:
    async with house.gateway(flows=policy()) as gateway:
        run = await gateway.execute({"tasks": [READ], "return": []})
        assert await say(gateway) == "sent"
        gateway.output(run.run_id, "read")
        assert await say(gateway) == "waiting"


async def test_the_arguments_of_an_approval_are_seen(house: House) -> None:
    write = task("w", "files:write", path="y", text="$OUTPUT[read].text")
    rules = Rules(ask=("files:write",))
    async with house.gateway(flows=policy(), tables=(rules,)) as gateway:
        run = await gateway.submit({"tasks": [READ, write], "return": []})
        assert (await gateway.wait(run.run_id)).status == "waiting"
        assert await say(gateway) == "waiting"


async def test_the_progress_of_a_call_is_seen(house: House) -> None:
    async def slow(on_progress: Any, **_: Any) -> dict[str, Any]:
        on_progress({"progress": 1, "message": "it says 42"})
        await anyio.sleep(60)
        return {}

    house.servers.add(tool("files:read", closed=False, readOnlyHint=True), slow)
    caller = FakeCaller(on_progress=lambda _: None)
    async with house.gateway(flows=policy()) as gateway:
        run = await gateway.submit({"tasks": [READ], "return": []}, caller)
        async for report in gateway.follow(run.run_id):
            if report.latest is not None:
                break
        assert await say(gateway) == "waiting"


async def test_calls_by_name_are_seen_and_are_refused_in_turn(house: House) -> None:
    async with house.gateway(flows=policy()) as gateway:
        send: dict[str, Any] = {"name": "say", "arguments": {"text": "x"}}
        await gateway.call("s", "say", send)
        await gateway.call("files", "read", {"name": "read", "arguments": {"path": "x"}})
        with pytest.raises(ApprovalRequired) as refused:
            await gateway.call("s", "say", send)
        assert "what you have seen (files:read) → s:say" in str(refused.value.hint)
        assert await say(gateway) == "waiting"
    async with house.gateway(flows=policy(remembers=Remember.DENY)) as gateway:
        await gateway.call("files", "read", {"name": "read", "arguments": {"path": "x"}})
        with pytest.raises(FlowDenied):
            await gateway.call("s", "say", send)
    assert house.called.count("s:say") == 1


async def test_what_one_principal_has_seen_no_other_knows(house: House) -> None:
    other = FakeCaller()
    other.principal = Principal("other")
    async with house.gateway(flows=policy()) as gateway:
        await gateway.execute({"tasks": [READ]}, other)
        assert await say(gateway) == "sent"


async def test_a_plan_that_uses_what_was_seen_is_refused_by_the_rule_itself(house: House) -> None:
    async with house.gateway(flows=policy()) as gateway:
        await gateway.execute({"tasks": [READ]})
        assert await refusals(gateway, READ, SAY) == ["flow_denied"]


async def test_what_a_run_has_written_comes_out_of_the_file_in_later_runs(house: House) -> None:
    house.files["x"] = "secret"
    house.servers.add(tool("files:look", {"path": {}}, readOnlyHint=True), lambda path: path)
    write = task("w", "files:write", path="y", text="$OUTPUT[read].text")
    look = task("look", "files:look", path="y")
    send = task("say", "s:say", text="$OUTPUT[look]")
    async with house.gateway(flows=policy()) as gateway:
        assert await refusals(gateway, look, send) == []
        assert await refusals(gateway, READ, write, **{"return": []}) == []
        assert await refusals(gateway, look, send) == ["flow_denied"]
        assert await refusals(gateway, task("look", "files:look", path="z"), send) == []


async def test_a_file_that_another_run_writes_meanwhile_stops_the_call_that_would_send_it(
    house: House,
) -> None:
    """The plan was right when it was accepted; the file changed before the call was sent."""
    house.files["x"] = "secret"
    house.servers.add(tool("files:look", {"path": {}}, readOnlyHint=True), lambda path: path)
    look = {**task("look", "files:look", path="y"), "depends_on": ["wait"]}
    first = [task("wait", "s:sleep", seconds=10), look, task("say", "s:say", text="$OUTPUT[look]")]
    write = task("w", "files:write", path="y", text="$OUTPUT[read].text")
    async with house.gateway(flows=policy()) as gateway:
        run = await gateway.submit({"tasks": first})
        await gateway.execute({"tasks": [READ, write], "return": []})
        result = await gateway.wait(run.run_id)
    [error] = result.errors
    assert (error.id, error.code) == ("say", "flow_denied")
    assert "file:/y → look → say.text" in error.message
    assert "s:say" not in house.called


async def test_what_a_run_writes_itself_does_not_stop_it_again(house: House) -> None:
    house.servers.add(tool("files:look", {"path": {}}, readOnlyHint=True), lambda path: path)
    look = task("look", "files:look", path="y")
    write = task("w", "files:write", path="y", text="$OUTPUT[look]")
    async with house.gateway(flows=policy()) as gateway:
        for _ in range(2):
            assert await refusals(gateway, look, write, task("say", "s:say", text="x")) == []


async def test_one_yes_covers_what_was_seen_until_the_client_leaves(house: House) -> None:
    asked: list[str] = []

    async def yes(method: str, params: Any) -> Any:
        asked.append(params["message"])
        return {"action": "accept", "content": {"answer": "yes"}}

    send: dict[str, Any] = {"name": "say", "arguments": {"text": "x"}}
    caller = FakeCaller(yes)
    async with house.gateway(flows=policy()) as gateway:
        await gateway.execute({"tasks": [READ]}, caller)
        await gateway.call("s", "say", send, caller)
        await gateway.call("s", "say", send, caller)
        result = await gateway.execute({"tasks": [task("say", "s:say", text="x")]}, caller)
    assert len(asked) == 1
    assert "what you have seen (files:read)" in asked[0]
    assert result.outputs["say"] == {"said": "x"}


async def test_a_yes_to_a_run_covers_what_was_seen_in_later_ones(house: House) -> None:
    async with house.gateway(flows=policy()) as gateway:
        await gateway.execute({"tasks": [READ]})
        run = await gateway.submit({"tasks": [task("say", "s:say", text="x")]})
        await gateway.wait(run.run_id)
        approval = gateway.approval(run.run_id)
        assert approval is not None
        await gateway.approve(run.run_id, approval.digest)
        await gateway.wait(run.run_id)
        assert await say(gateway) == "sent"
        assert await refusals(gateway, READ, SAY) == ["flow_denied"]
