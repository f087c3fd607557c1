"""The rules of `[policy]`, as section 12 of the contract states them."""

from __future__ import annotations

from itertools import product
from typing import Any

from plait.core.tools.rules import ALLOWED, Answer, Decision, Rules, ToolClass, strictest
from plait.core.tools.traits import Traits

from ..tables import table

ALLOW, ASK, ASK_EACH, DENY = Answer
READS = Traits(read_only=True, annotated=True)
SENDS = Traits(read_only=True, open_world=True, annotated=True)
WRITES = Traits(annotated=True)
DESTROYS = Traits(destructive=True, annotated=True)
POSTS = Traits(open_world=True, annotated=True)
UNKNOWN = Traits()

KINDS: dict[str, tuple[Traits, set[str]]] = {
    "reads": (READS, {"read"}),
    "reads and sends": (SENDS, {"read", "open_world"}),
    "writes": (WRITES, {"write"}),
    "destroys": (DESTROYS, {"write", "destructive"}),
    "posts": (POSTS, {"write", "open_world"}),
    "without hints": (UNKNOWN, {"write", "unannotated"}),
}
"""Each kind of tool, with the classes that it is in."""

NAME = "bank:pay"
MATCHING = {"in full": NAME, "of a server": "bank:*", "of a name": "*:pay", "of all": "*"}
OTHERS = ("bank:pays", "Bank:pay", "shop:*", "*:p")


@table(("kind", "named"), list(product(KINDS, ToolClass)))
def test_a_class_has_the_tools_that_its_name_says(kind: str, named: ToolClass) -> None:
    traits, classes = KINDS[kind]
    answer = Rules(ask=(named,)).decide(NAME, traits).answer
    assert answer is (ASK if named in classes else ALLOW)


@table(("kind", "matching", "key"), list(product(KINDS, MATCHING, ("deny", "ask_each", "ask"))))
def test_a_glob_matches_the_full_name_of_any_kind_of_tool(
    kind: str, matching: str, key: str
) -> None:
    given: Any = {key: (*OTHERS, MATCHING[matching])}
    decided = Rules(**given).decide(NAME, KINDS[kind][0])
    assert (decided.answer, decided.rule) == (Answer(key), MATCHING[matching])
    given = {key: OTHERS}
    assert Rules(**given).decide(NAME, KINDS[kind][0]) == ALLOWED


RULES_FOR_WRITES = {**MATCHING, "of a class": "write"}
NONE = ""


def expected(deny: str, ask_each: str, ask: str, allow: str, default: Answer) -> Answer:
    """The contract: the strictest rule that matches wins: deny, ask_each, ask. An allow lifts an
    ask, never ask_each or deny, and only where it names the tool in full. The default is what no
    rule matches."""
    if deny:
        return DENY
    if ask_each:
        return ASK_EACH
    if ask:
        return ALLOW if allow == NAME else ASK
    return ALLOW if allow else default


def all_mixes() -> list[Any]:
    choices = [NONE, *RULES_FOR_WRITES.values()]
    return list(product(choices, choices, choices, choices, (ALLOW, ASK, DENY)))


@table(("deny", "ask_each", "ask", "allow", "default"), all_mixes())
def test_the_strictest_rule_that_matches_wins(
    deny: str, ask_each: str, ask: str, allow: str, default: Answer
) -> None:
    def with_others(rule: str) -> tuple[str, ...]:
        return (*OTHERS, rule, "read") if rule else (*OTHERS, "read")

    rules = Rules(
        with_others(deny), with_others(ask_each), with_others(ask), with_others(allow), default
    )
    decided = rules.decide(NAME, WRITES)
    assert decided.answer is expected(deny, ask_each, ask, allow, default)


ORDER = (ALLOW, ASK, ASK_EACH, DENY)
TABLES = {
    ALLOW: Rules(allow=(NAME,)),
    ASK: Rules(ask=("write",)),
    ASK_EACH: Rules(ask_each=("bank:*",)),
    DENY: Rules(default=DENY),
}


@table(("first", "second"), list(product(ORDER, ORDER)))
def test_of_several_tables_the_strictest_decision_counts(first: Answer, second: Answer) -> None:
    decided = strictest((TABLES[first], TABLES[second]), NAME, WRITES)
    assert decided.answer is max(first, second, key=ORDER.index)


def test_an_allow_of_a_profile_lifts_no_ask_of_the_settings() -> None:
    tables = (Rules(ask=("write",)), Rules(allow=(NAME,)))
    assert strictest(tables, NAME, WRITES).answer is ASK


def test_without_tables_all_is_allowed() -> None:
    assert strictest((), NAME, UNKNOWN) == Decision(ALLOW, "allowed: no rule of [policy] matches")


@table(
    ("rules", "why"),
    [
        (
            Rules(ask=("read", "write"), lines={("ask", 1): 12}),
            'asked because [policy] ask = ["write"], line 12',
        ),
        (Rules(ask_each=("bank:*",)), 'asked because [policy] ask_each = ["bank:*"]'),
        (
            Rules(deny=("*:p*",), section="profiles.home.policy", lines={("deny", 0): 3}),
            'denied because [profiles.home.policy] deny = ["*:p*"], line 3',
        ),
        (
            Rules(ask=("write",), allow=("a:b", NAME), lines={("allow", 1): 4, ("ask", 0): 3}),
            'allowed by [policy] allow = ["bank:pay"], line 4',
        ),
        (
            Rules(default=DENY, lines={("default", 0): 2}),
            'denied because [policy] default = "deny", line 2',
        ),
        (Rules(default=ASK), 'asked because [policy] default = "ask"'),
    ],
)
def test_a_decision_names_its_rule_and_the_line_of_it(rules: Rules, why: str) -> None:
    assert rules.decide(NAME, WRITES).why == why


@table("answer", list(ORDER))
def test_a_policy_that_observes_allows_all_and_says_what_it_would_say(answer: Answer) -> None:
    said = strictest((TABLES[answer],), NAME, WRITES)
    observed = strictest((TABLES[answer],), NAME, WRITES, observes=True)
    if answer is ALLOW:
        assert observed == said
    else:
        why = f'allowed by [policy] mode = "observe", else {said.why}'
        assert observed == Decision(ALLOW, why, said.rule, answer)
