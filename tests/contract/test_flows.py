"""Section 11: what tools' data may reach which calls."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.flows.rules import TRIFECTA, FlowPolicy, FlowRule, Then
from plait.core.values.problems import Problem
from plait.errors import InvalidDag

from ..fakes import tool
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


async def test_what_a_rule_asks_for_is_not_sent_without_a_yes(house: House) -> None:
    ask = FlowRule(("private",), "outbound", Then.ASK)
    [problem] = await problems(house, policy(ask), READ, SAY)
    assert problem.code == "approval_required"
    assert "read.text → say.text" in problem.message


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
