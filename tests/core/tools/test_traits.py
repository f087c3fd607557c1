"""What counts as known of the effects of a tool."""

from __future__ import annotations

from typing import Any

from plait.core.tools.traits import NO_WORD, Traits, Word, Words
from tests.fakes import tool

from ..tables import table

NOTHING = Traits()


@table(
    ("hints", "read_only", "traits"),
    [
        ({}, None, NOTHING),
        ({"title": "Look"}, None, NOTHING),
        ({"readOnlyHint": "yes"}, None, NOTHING),
        ({"readOnlyHint": True}, None, Traits(read_only=True, annotated=True)),
        ({"readOnlyHint": False}, None, Traits(annotated=True)),
        ({"idempotentHint": True}, None, Traits(annotated=True)),
        ({"destructiveHint": True}, None, Traits(destructive=True, annotated=True)),
        ({"destructiveHint": False}, None, Traits(annotated=True)),
        ({"openWorldHint": True}, None, Traits(open_world=True, annotated=True)),
        (
            {"readOnlyHint": True, "openWorldHint": True},
            None,
            Traits(read_only=True, open_world=True, annotated=True),
        ),
        # What only reads destroys nothing, whatever else is said.
        (
            {"readOnlyHint": True, "destructiveHint": True},
            None,
            Traits(read_only=True, annotated=True),
        ),
        # The operator's word goes first, and says something of a tool without hints.
        ({}, True, Traits(read_only=True, annotated=True)),
        ({}, False, Traits(annotated=True)),
        ({"readOnlyHint": True}, False, Traits(annotated=True)),
        (
            {"readOnlyHint": False, "destructiveHint": True},
            True,
            Traits(read_only=True, annotated=True),
        ),
        ({"destructiveHint": True}, False, Traits(destructive=True, annotated=True)),
    ],
)
def test_a_hint_counts_where_it_is_given_and_the_operators_word_counts_more(
    hints: dict[str, Any], read_only: bool | None, traits: Traits
) -> None:
    assert Traits.of(hints, read_only) == traits


@table(
    ("before", "now", "is_riskier"),
    [
        ({"readOnlyHint": True}, {}, True),
        ({"readOnlyHint": True}, {"readOnlyHint": True, "openWorldHint": True}, True),
        ({}, {"destructiveHint": True}, True),
        ({}, {"openWorldHint": True}, True),
        ({}, {}, False),
        ({}, {"readOnlyHint": True}, False),
        ({"destructiveHint": True}, {}, False),
        ({"openWorldHint": True}, {"idempotentHint": True}, False),
    ],
)
def test_a_tool_is_riskier_that_may_do_more(before: Any, now: Any, is_riskier: bool) -> None:
    assert Traits.of(now).is_riskier_than(Traits.of(before)) is is_riskier


WORDS = Words(frozenset({"found"}), (("*:get_*", True), ("s:get_and_*", False)))


@table(
    ("name", "word"),
    [
        ("s:look", NO_WORD),
        ("s:get_it", Word(read_only=True)),
        ("s:get_and_delete", Word(read_only=False)),
        ("found:look", Word(trusts_hints=False)),
        ("found:get_it", Word(trusts_hints=False, read_only=True)),
    ],
)
def test_the_last_glob_that_matches_marks_a_tool(name: str, word: Word) -> None:
    assert WORDS.of(*name.split(":")) == word


def test_nothing_is_said_without_settings() -> None:
    assert Words().of("s", "look") == NO_WORD


def test_the_hints_of_a_tool_count_unless_its_server_is_ignored() -> None:
    def with_word(word: Word) -> Any:
        listed = tool("s:t", readOnlyHint=True, idempotentHint=True)
        return type(listed)(listed.server, listed.name, listed.definition, word=word)

    assert with_word(NO_WORD).is_read_only
    ignored = with_word(Word(trusts_hints=False))
    assert (ignored.is_read_only, ignored.is_idempotent) == (False, False)
    assert with_word(Word(trusts_hints=False, read_only=True)).is_read_only
    assert not with_word(Word(read_only=False)).is_read_only
