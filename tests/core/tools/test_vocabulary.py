"""The words of search: each table does what its reader expects."""

from __future__ import annotations

from itertools import permutations

from plait.core.tools.vocabulary import (
    FUNCTION_WORDS,
    QUESTIONS,
    QUESTIONS_ASK_FOR,
    SYNONYMS,
)

GROUPS = [frozenset(group) for group in SYNONYMS]


def test_synonyms_are_words_that_are_searched_for() -> None:
    words = [word for group in SYNONYMS for word in group]
    assert all(word.isalpha() and word.islower() for word in words)
    assert not FUNCTION_WORDS & set(words)


def test_every_group_adds_something() -> None:
    assert all(len(group) == len(names) > 1 for group, names in zip(GROUPS, SYNONYMS, strict=True))
    assert not [(one, other) for one, other in permutations(GROUPS, 2) if one <= other]


def test_words_that_begin_a_question_are_not_searched_for_and_what_answers_it_is() -> None:
    assert QUESTIONS <= FUNCTION_WORDS
    assert not FUNCTION_WORDS & set(QUESTIONS_ASK_FOR)
