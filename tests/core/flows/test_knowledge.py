"""The knowledge of callers, and of what resources hold."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.flows.knowledge import (
    MOST_NEWS,
    MOST_OWNERS,
    MOST_RESOURCES,
    Facts,
    Knowledge,
    News,
    Owner,
)
from plait.core.values.principal import USER, Principal

ADA, BOB = Owner(USER, "/a"), Owner(Principal("bob"), "/a")
X, Y = ("file:", "x"), ("file:", "y")


def test_what_one_owner_has_seen_is_known_of_it_alone() -> None:
    knowledge = Knowledge()
    knowledge.see(ADA, ["files:read"])
    knowledge.see(ADA, ["web:get", "files:read"])
    assert knowledge.seen_by(ADA) == {"files:read", "web:get"}
    assert knowledge.seen_by(BOB) == set()
    assert knowledge.changes == 2


def test_a_resource_holds_what_anybody_wrote_to_it() -> None:
    knowledge = Knowledge()
    knowledge.write(ADA, X, ["files:read"], "r1")
    knowledge.write(BOB, X, ["web:get"], "r2")
    assert knowledge.held == {X: {"files:read", "web:get"}}
    assert knowledge.read_from([(*X, "z")]) == {"files:read", "web:get"}
    assert knowledge.read_from([Y]) == set()


def test_only_what_is_new_and_of_other_runs_is_news_to_a_run() -> None:
    knowledge = Knowledge()
    knowledge.write(ADA, X, ["files:read"], "r1")
    since = knowledge.count
    knowledge.write(ADA, X, ["files:read"], "r2")
    assert knowledge.news_for("r1", since, [X]) == []
    knowledge.write(ADA, X, ["web:get", "files:read"], "r1")
    assert knowledge.news_for("r1", since, [X]) == []
    news = [News(X, frozenset(["web:get"]), "r1")]
    assert knowledge.news_for("r2", since, [X]) == news
    assert knowledge.news_for("r2", since, [("file:",), Y]) == news
    assert knowledge.news_for("r2", since, [Y]) == []
    assert knowledge.news_for("r2", knowledge.count, [X]) == []


def test_news_that_are_not_kept_any_more_are_unknown() -> None:
    knowledge = Knowledge()
    for number in range(MOST_NEWS + 1):
        knowledge.write(ADA, X, [f"s:{number}"], "r1")
    assert knowledge.count == MOST_NEWS + 1
    assert knowledge.news_for("r1", 0, [Y]) is None
    assert knowledge.news_for("r1", knowledge.count - 1, [Y]) == []


def test_beyond_many_resources_all_of_a_scheme_holds_what_is_written() -> None:
    knowledge = Knowledge()
    for number in range(MOST_RESOURCES):
        knowledge.write(ADA, ("file:", str(number)), ["files:read"], "r1")
    knowledge.write(ADA, ("file:", "0"), ["web:get"], "r1")
    knowledge.write(ADA, ("realm", "db:", "t"), ["db:query"], "r1")
    knowledge.write(ADA, ("file:", "a", "b"), ["mail:read"], "r1")
    assert len(knowledge.held) == MOST_RESOURCES + 2
    assert knowledge.held[("file:", "0")] == {"files:read", "web:get"}
    assert knowledge.held[("realm", "db:")] == {"db:query"}
    assert knowledge.held[("file:",)] == {"mail:read"}


def test_all_of_a_place_is_forgotten_together() -> None:
    knowledge = Knowledge()
    elsewhere = Owner(USER, "/b")
    for owner in (ADA, BOB, elsewhere):
        knowledge.see(owner, ["files:read"])
        knowledge.write(owner, X, [owner.place], "r1")
    knowledge.forget("/a")
    assert knowledge.owners.keys() == {elsewhere}
    assert knowledge.held == {X: {"/b"}}


def test_owners_are_bounded_and_the_oldest_go_first() -> None:
    knowledge = Knowledge()
    for number in range(MOST_OWNERS + 1):
        knowledge.see(Owner(USER, str(number)), ["files:read"])
    assert len(knowledge.owners) == MOST_OWNERS
    assert not knowledge.seen_by(Owner(USER, "0"))


def test_facts_are_written_and_read() -> None:
    facts = Facts({"files:read", "a:b"}, {X: {"web:get"}})
    assert Facts.read(facts.document()) == facts
    knowledge = Knowledge()
    knowledge.see(ADA, ["web:get"])
    knowledge.take_in(ADA, facts)
    assert knowledge.seen_by(ADA) == {"files:read", "a:b", "web:get"}
    assert knowledge.held == {X: {"web:get"}}


@pytest.mark.parametrize(
    "document", [{}, {"seen": [], "written": {}}, {"seen": [], "written": [{"at": "x"}]}]
)
def test_what_is_no_knowledge_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"it is not|is not one"):
        Facts.read(document)
