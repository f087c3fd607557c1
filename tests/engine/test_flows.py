"""The flows of runs and of calls by name while they are made."""

from __future__ import annotations

from plait.core.flows.knowledge import Knowledge, Owner
from plait.core.flows.rules import FlowPolicy, FlowRule, Remember, Then
from plait.core.scheduling.direct_calls import CallRequests
from plait.core.scheduling.events import CallRequested
from plait.core.tools.claims import ResourceClaim
from plait.core.tools.policy import Policy
from plait.core.values.principal import USER
from plait.core.values.strict import Json
from plait.engine.flows import CallFlows, Flows, RunFlows, claims_of
from plait.engine.lookups import AS_WRITTEN, Lookups
from plait.errors import ApprovalRequired, FlowDenied

from ..core.flows.plans import CATALOG, LABELS, PRIVATE, READ, call, flows_of, post, value

OWNER, OTHER = Owner(USER, "/a"), Owner(USER, "/b")
X = ("file:", "x")
WRITES = (ResourceClaim("file:/x", True, X),)
LOOK = call("look", "notes:get", path="/x")


def watching(*tasks: object, knowledge: Knowledge, rule: FlowRule = PRIVATE) -> RunFlows:
    flows = RunFlows(
        flows_of(*tasks, rules=[rule]),  # type: ignore[arg-type]  # documents
        knowledge,
        (OWNER, None),
        knowledge.count,
    )
    flows.run = "r1"
    return flows


def test_a_call_is_stopped_by_what_another_run_has_written_since() -> None:
    for then, error in ((Then.DENY, FlowDenied), (Then.ASK, ApprovalRequired)):
        knowledge = Knowledge()
        rule = FlowRule(("private",), "outbound", then)
        flows = watching(LOOK, post("$OUTPUT[look]"), knowledge=knowledge, rule=rule)
        assert flows.send("post", "chat:post", ()) is None
        knowledge.write(OTHER, X, ["files:read"], "r2")
        assert flows.send("look", "notes:get", ()) is None
        assert isinstance(flows.send("post", "chat:post", ()), error)


def test_what_was_allowed_when_the_plan_was_accepted_stays_allowed() -> None:
    knowledge = Knowledge()
    ask = FlowRule(("private",), "outbound", Then.ASK)
    flows = watching(READ, LOOK, post("$OUTPUT[read].x"), knowledge=knowledge, rule=ask)
    knowledge.write(OTHER, X, ["files:read"], "r2")
    assert flows.send("post", "chat:post", ()) is None


def test_a_call_writes_what_it_is_given_and_what_its_tool_gives() -> None:
    knowledge = Knowledge()
    write = call("w", "notes:put", path="/x", x="$OUTPUT[read]")
    watching(READ, write, knowledge=knowledge).send("w", "notes:put", WRITES)
    assert knowledge.held == {X: {"files:read", "notes:put"}}


def test_an_ended_run_still_says_what_its_outputs_come_from() -> None:
    knowledge = Knowledge()
    flows = watching(READ, LOOK, value("v", "$OUTPUT[read].x"), knowledge=knowledge)
    knowledge.write(OTHER, X, ["web:get"], "r2")
    before = flows.sources()
    flows.end()
    assert flows.sources() == before
    assert before["look"] == {"notes:get", "web:get"}
    assert flows.shown(["v"]) == {"files:read"}
    assert flows.shown([]) == set()


def test_what_is_taken_over_has_the_tools_that_are_known_of_it() -> None:
    flows = Flows()
    flows.begin("r1", watching(READ, value("v", 1), knowledge=flows.knowledge))
    assert flows.taken_over("r1", ["read", "v", "gone"]) == {
        "read": {"files:read"},
        "v": frozenset(),
        "gone": None,
    }
    assert flows.taken_over("r2", ["read"]) == {"read": None}


def test_a_call_by_name_sends_what_was_seen() -> None:
    for remembers, then in ((Remember.DENY, Then.DENY), (Remember.ASK, Then.ASK)):
        knowledge = Knowledge()
        calls = CallFlows(FlowPolicy(LABELS, (PRIVATE,), remembers), knowledge)
        assert calls.broken(OWNER, None, "chat:post") is None
        calls.answer(OWNER, "files:read", ())
        broken = calls.broken(OWNER, None, "chat:post")
        assert broken is not None
        assert broken.then is then
        assert "what you have seen (files:read) → chat:post" in broken.message
        assert calls.broken(OTHER, None, "chat:post") is None
        knowledge.allow(OWNER, "c1", PRIVATE)
        assert calls.broken(OWNER, "c1", "chat:post") is None
        assert calls.broken(OWNER, "c2", "chat:post") is not None


def test_a_call_by_name_writes_what_was_seen_and_gives_back_what_is_there() -> None:
    knowledge = Knowledge()
    calls = CallFlows(FlowPolicy(LABELS, (PRIVATE,)), knowledge)
    calls.answer(OWNER, "files:read", ())
    calls.send(OWNER, "db:query", WRITES)
    calls.answer(OTHER, "notes:get", WRITES)
    assert knowledge.seen_by(OTHER) == {"notes:get", "files:read", "db:query"}


def test_once_a_person_has_allowed_what_was_seen_a_rule_is_not_asked_for_again() -> None:
    knowledge = Knowledge()
    flows = RunFlows(
        flows_of(post("x"), seen=["files:read"]), knowledge, (OWNER, "c1"), knowledge.count
    )
    assert not knowledge.allowed(OWNER, "c1")
    assert flows.send("post", "chat:post", ()) is None  # it had to wait for a yes
    assert knowledge.allowed(OWNER, "c1") == {PRIVATE}
    assert not knowledge.allowed(OWNER, "c2")
    assert not flows_of(post("x"), seen=["files:read"], allowed=[PRIVATE]).broken
    assert flows_of(READ, post("$OUTPUT[read].x"), allowed=[PRIVATE]).broken


def test_a_policy_that_only_observes_stops_no_call() -> None:
    knowledge = Knowledge()
    found = flows_of(LOOK, post("$OUTPUT[look]"))
    flows = RunFlows(found, knowledge, (OWNER, None), knowledge.count, observes=True)
    knowledge.write(OTHER, X, ["files:read"], "r2")
    assert flows.send("post", "chat:post", ()) is None


def test_what_a_run_has_written_itself_keeps_its_order_when_others_write() -> None:
    """It read the file before it wrote to it, and what another run wrote there is harmless."""
    knowledge = Knowledge()
    write = call("w", "notes:put", path="/x", x="$OUTPUT[read]", y="$OUTPUT[look]")
    flows = watching(LOOK, READ, write, post("$OUTPUT[look]"), knowledge=knowledge)
    flows.send("w", "notes:put", WRITES)
    knowledge.write(OTHER, X, ["db:query"], "r2")
    assert flows.send("post", "chat:post", ()) is None
    assert flows.sources()["look"] == {"notes:get", "db:query"}


def test_without_conflicts_a_call_writes_what_its_plan_says() -> None:
    knowledge = Knowledge()
    write = call("w", "notes:put", path="/x", x="$OUTPUT[read]")
    watching(READ, write, knowledge=knowledge).send("w", "notes:put", ())
    assert knowledge.held == {X: {"files:read", "notes:put"}}


async def test_a_file_that_is_not_found_in_time_is_any_file() -> None:
    class Nowhere(Lookups):
        async def locate(self, *_: object, **__: object) -> dict[object, str]:  # type: ignore[override]  # finds nothing
            return {}

    def request(name: str, **arguments: Json) -> CallRequested:
        requests = CallRequests(Policy(), detect_conflicts=False)
        return requests.make(1, CATALOG, name, {"arguments": arguments})

    put, lookups = request("notes:put", path="/x"), Lookups(AS_WRITTEN)
    assert await claims_of(request("db:query"), lookups) == ()
    assert [claim.steps for claim in await claims_of(put, lookups)] == [X]
    assert [claim.steps for claim in await claims_of(put, Nowhere(AS_WRITTEN))] == [("file:",)]
