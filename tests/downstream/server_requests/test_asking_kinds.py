"""The kinds of requests during which a server asks: suspected, and cleared."""

from __future__ import annotations

import pytest

from plait.downstream.server_requests.asking_kinds import AskingKinds


def asking(kinds: AskingKinds) -> str:
    return "".join(kind for kind in "abcde" if kind in kinds)


def test_a_question_clears_the_suspects_that_are_not_open_now():
    kinds = AskingKinds()
    assert not kinds
    kinds.note({"a", "b", "c"})
    assert asking(kinds) == "abc"
    kinds.note({"b", "c", "d"})
    assert asking(kinds) == "bc"
    kinds.note({"c"})
    assert asking(kinds) == "c"


def test_a_question_that_no_suspect_explains_leaves_the_others():
    kinds = AskingKinds("a")
    kinds.note({"b", "c"})
    assert asking(kinds) == "abc"
    kinds.note({"c"})
    kinds.note({"a"})
    assert asking(kinds) == "ac"


def test_with_too_many_kinds_every_kind_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("plait.downstream.server_requests.asking_kinds.MOST_KINDS", 2)
    kinds = AskingKinds("a")
    assert asking(kinds) == "a"
    kinds.note({"b"})
    assert asking(kinds) == "abcde"
