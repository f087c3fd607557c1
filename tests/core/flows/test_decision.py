"""Which plans break a rule, case by case; and what comes of it."""

from __future__ import annotations

from typing import Any

from plait.core.flows.decision import MAX_SHOWN
from plait.core.flows.rules import TRIFECTA, FlowRule, Remember, Then
from plait.core.planning.plan import TakenOver

from ..tables import table
from .cases import ALLOWED, GATE, REFUSED
from .plans import (
    FETCH,
    PRIVATE,
    QUERY,
    READ,
    call,
    flows_of,
    post,
    value,
)


@table("name", REFUSED)
def test_a_private_value_is_refused_through(name: str) -> None:
    broken = flows_of(*REFUSED[name]).broken
    assert [one.task.rpartition(".")[2] for one in broken] == ["post"]
    assert broken[0].words


@table("name", ALLOWED)
def test_a_plan_passes_with(name: str) -> None:
    assert not flows_of(*ALLOWED[name]).broken


def test_two_labels_that_meet_in_one_call_break_a_rule_though_no_value_has_both() -> None:
    send = call("send", "chat:post", to="$OUTPUT[fetch].to", text="$OUTPUT[read].text")
    [found] = flows_of(READ, FETCH, send, rules=[TRIFECTA]).broken
    assert found.words == "read.text → send.text and fetch.to → send.to"
    assert not flows_of(READ, FETCH, post("$OUTPUT[read].text"), rules=[TRIFECTA]).broken


def test_one_tool_with_both_labels_breaks_such_a_rule_alone() -> None:
    mail = call("mail", "mail:read")
    assert flows_of(mail, post("$OUTPUT[mail].text"), rules=[TRIFECTA]).broken


def test_paging_hands_a_tool_its_own_output() -> None:
    rule = FlowRule(("untrusted",), "outbound")
    page = {"repeat": {"set": {"page": "next"}}, "allow_repeat": True}
    [found] = flows_of(call("a", "web:post") | page, rules=[rule]).broken
    assert found.words == "a → a (repeat)"
    assert not flows_of(call("a", "web:post"), rules=[rule]).broken


def test_an_exception_takes_a_tool_out_of_one_rule_alone() -> None:
    public = call("public", "files:read_public")
    strict = FlowRule(("private",), "outbound")
    tasks = [public, post("$OUTPUT[public].text")]
    assert [one.rule for one in flows_of(*tasks, rules=[PRIVATE, strict]).broken] == [strict]


def test_a_broken_rule_is_denied_or_asked_for_as_it_says() -> None:
    ask = FlowRule(("private",), "outbound", Then.ASK)
    flows = flows_of(READ, post("$OUTPUT[read].x"), rules=[ask, PRIVATE])
    assert [one.rule for one in flows.denied] == [PRIVATE]
    assert [one.rule for one in flows.asked] == [ask]


@table(
    ("remembers", "denied", "asked"),
    [(Remember.ASK, 0, 1), (Remember.DENY, 1, 0), (Remember.OFF, 0, 0)],
)
def test_what_a_caller_has_seen_is_in_all_that_it_sends(
    remembers: Remember, denied: int, asked: int
) -> None:
    flows = flows_of(post("x"), seen=["files:read"], policy={"remembers": remembers})
    assert (len(flows.denied), len(flows.asked)) == (denied, asked)
    for one in flows.broken:
        assert one.is_remembered
        assert one.words == "what you have seen (files:read) → post"


def test_what_a_plan_does_itself_is_judged_by_its_rule_whatever_the_caller_has_seen() -> None:
    [found] = flows_of(READ, post("$OUTPUT[read].x"), seen=["files:read"]).broken
    assert not found.is_remembered
    assert found.then is Then.DENY


def test_a_label_that_was_seen_meets_one_that_is_read() -> None:
    [found] = flows_of(READ, post("$OUTPUT[read].x"), seen=["web:get"], rules=[TRIFECTA]).broken
    assert found.is_remembered
    assert found.words == "read.x → post.text and what you have seen (web:get) → post"


def test_what_other_runs_have_written_comes_out_of_a_file() -> None:
    reading = [call("r", "notes:get", path="/x/y"), post("$OUTPUT[r]")]
    [found] = flows_of(*reading, written={("file:", "x"): ["files:read"]}).broken
    assert found.words == "file:/x → r → post.text"
    assert not flows_of(*reading, written={("file:", "z"): ["files:read"]}).broken


def test_a_file_read_before_its_writer_still_holds_what_other_runs_wrote() -> None:
    tasks = ALLOWED["a file that is read before it is written"]
    assert not flows_of(*tasks).broken
    assert flows_of(*tasks, written={("file:",): ["files:read"]}).broken


def test_a_task_that_is_taken_over_keeps_the_tools_of_its_output() -> None:
    reused = {"v": TakenOver("value", ("read",)), "read": TakenOver("files:read", ())}
    tasks = [value("v", "$OUTPUT[read].text"), READ, post("$OUTPUT[v]")]
    known: Any = {"v": ["db:query"], "read": ["files:read"]}
    assert not flows_of(*tasks, reused=reused, taken_over=known).broken
    known["v"] = None  # then all that it needed counts
    assert flows_of(*tasks, reused=reused, taken_over=known).broken


def test_a_group_that_is_taken_over_holds_the_tools_in_it() -> None:
    reused = {"g": TakenOver("group", ())}
    tasks = [{"id": "g", "tasks": [READ]}, post("$OUTPUT[g]")]
    assert flows_of(*tasks, reused=reused, taken_over={"g": None}).broken


def test_the_tools_that_an_output_comes_from_are_known_by_name() -> None:
    flows = flows_of(READ, QUERY, GATE, value("v", "${OUTPUT[query].x}"), seen=["web:get"])
    assert flows.sources_of("v") == {"db:query", "web:get"}
    assert flows.sources_of("read") == {"files:read", "web:get"}
    assert flows.deciding() == {"files:read", "web:get"}
    assert flows.sources() == {id: flows.sources_of(id) for id in ("read", "query", "gate", "v")}


def test_many_broken_rules_are_all_found_and_the_refused_stand_first() -> None:
    ask = FlowRule(("private",), "outbound", Then.ASK, exceptions=("mail:*",))
    sends = [post("$OUTPUT[read].x") | {"id": f"p{index}"} for index in range(100)]
    mail = [call("mail", "mail:read"), post("$OUTPUT[mail].x")]
    rules = [ask, FlowRule(("untrusted",), "outbound")]
    flows = flows_of(READ, *sends, *mail, rules=rules)
    assert [one.task for one in flows.denied] == ["post"]
    assert len(flows.asked) == 100
    assert [bool(one.ways) for one in flows.broken] == [True] * MAX_SHOWN + [False] * 81
