"""The answer of a person comes back from the history as it was given."""

from __future__ import annotations

import pytest

from plait.core.history import CallKey, digest_of_arguments
from plait.core.kept_decisions import DecidedCall, KeptDecision
from plait.core.scheduling.events import Decided, Key
from plait.core.tools.overwriting import Reading
from plait.core.values.strict import Json

from .results.test_approval import asked_in
from .scheduling.test_holding import write


def test_it_names_the_approved_calls_with_their_arguments_and_without_their_run():
    question = asked_in(
        write("w", arguments={"path": "x"}), write("each", for_each=[1, 2], arguments={"path": "y"})
    )
    keys = [call.key for call in question.calls]
    answer = Decided(question.question, frozenset(keys[:2]), "approval_denied", frozenset({"v"}))
    kept = KeptDecision.of(answer, question)
    assert kept.approved == (
        DecidedCall(CallKey("w"), digest_of_arguments({"path": "x"})),
        DecidedCall(CallKey("each", 0), digest_of_arguments({"path": "y"})),
    )
    assert kept.denied == (DecidedCall(CallKey("each", 1), digest_of_arguments({"path": "y"})),)
    assert KeptDecision.read(kept.document()) == kept
    assert kept.event(question.question) == answer
    other = Key("other", "", 5)
    assert kept.event(other).approved == {Key("other", "w"), Key("other", "each", 0)}


def test_an_answer_for_some_calls_alone_comes_back_as_that():
    question = asked_in(
        write("w", arguments={"path": "x"}), write("each", for_each=[1, 2], arguments={"path": "y"})
    )
    about = frozenset(call.key for call in question.calls[1:])
    answer = Decided(question.question, frozenset(), "tool_changed", about=about)
    kept = KeptDecision.of(answer, question)
    assert KeptDecision.read(kept.document()) == kept
    assert (kept.event(question.question), kept.denied) == (answer, ())


def test_a_reading_that_was_shown_comes_back_with_its_call():
    question = asked_in(write("w", arguments={"path": "x"}), write("v", arguments={"path": "y"}))
    [w, v] = [call.key for call in question.calls]
    reading = Reading("content", "s:read_file", {"path": "x"}, is_file=True, digest="d")
    answer = Decided(question.question, frozenset({w, v}), "", readings=((w, reading),))
    kept = KeptDecision.of(answer, question)
    assert KeptDecision.read(kept.document()) == kept
    assert kept.event(question.question) == answer
    denied = Decided(question.question, frozenset({v}), "", readings=((w, reading),))
    assert KeptDecision.of(denied, question).readings == ()


def test_a_call_without_an_answer_in_time_is_not_denied():
    question = asked_in(write("w", arguments={"path": "x"}))
    kept = KeptDecision.of(Decided(question.question, frozenset(), "approval_required"), question)
    assert (kept.approved, kept.denied) == ((), ())


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"approved": 1}, {"approved": [["w"], [1, None, [], 0, "x"]], "covered": 1}],
)
def test_what_is_not_of_its_form_approves_nothing(document: Json):
    kept = KeptDecision.read(document)
    assert (kept.approved, kept.denied, kept.covered) == ((), (), ())
    assert not kept.is_preview
