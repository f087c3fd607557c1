"""What the values of the history say of themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plait.core.history import (
    SAID,
    CallKey,
    Chain,
    Durable,
    Effect,
    Happened,
    KeptCall,
    KeptEvent,
    KeptRun,
    Kind,
    Outcome,
    RunEntry,
)
from plait.core.scheduling.events import Failure
from plait.core.values.principal import USER

A = CallKey("a")
FAILURE = Failure("timeout", "no answer")
CALL = KeptCall("r", A, 1, "s:t", Effect.READ, 1, 0.0, 0.0, None, None, "d")
ENTRY = RunEntry(
    *("r", Kind.DAG, "interrupted", 1.0, None, Durable.PROCESS, USER, None, "", None, "d", "c"),
    *(None, None, 0, 0, False, True),
)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (CALL, None),
        (replace(CALL, ended=2), "success"),
        (replace(CALL, ended=2, error=FAILURE), "timeout"),
    ],
)
def test_a_call_has_no_code_while_it_is_in_the_air(call: KeptCall, code: str | None):
    assert call.code == code


def test_an_outcome_has_the_code_of_its_error():
    assert [Outcome(A, 1, 0.0).code, Outcome(A, 1, 0.0, None, FAILURE).code] == [
        "success",
        "timeout",
    ]


def test_a_run_that_lost_its_history_or_kept_no_values_is_final():
    assert ENTRY.why_final is None
    assert "in time" in (replace(ENTRY, is_lost=True).why_final or "")
    assert "not kept" in (replace(ENTRY, has_values=False).why_final or "")


def test_the_last_word_about_a_task_in_doubt_counts():
    words = [("a", "retry"), ("b", "skip"), ("a", "done")]
    events = [
        KeptEvent("r", number, Happened(0.0, SAID, CallKey(task), word))
        for number, (task, word) in enumerate(words)
    ]
    events.append(KeptEvent("r", 9, Happened(0.0, "woke", A, "later")))
    chain = Chain("r", KeptRun(ENTRY, {}), {}, frozenset(), {}, tuple(events), False)
    assert chain.said == {"a": "done", "b": "skip"}
