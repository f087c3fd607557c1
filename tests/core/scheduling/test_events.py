from __future__ import annotations

import json

import pytest

from plait.core.scheduling.events import MOVES, Failure, Status
from plait.core.tools.output import Output
from plait.errors import CallError


def test_a_final_status_moves_no_further_and_every_other_does():
    assert {status for status in Status if not MOVES[status]} == {
        status for status in Status if status.is_final
    }
    assert {str(status) for status in Status if status.is_final} == {
        "success", "failed", "timeout", "skipped", "cancelled",
    }  # fmt: skip


def test_every_status_can_be_reached_and_leads_to_an_end():
    reached, to_look_at = {Status.PENDING}, [Status.PENDING]
    while to_look_at:
        for after in MOVES[to_look_at.pop()] - reached:
            reached.add(after)
            to_look_at.append(after)
    assert reached == set(Status)


def test_whatever_has_not_ended_can_be_cancelled():
    assert all(Status.CANCELLED in moves for moves in MOVES.values() if moves)


KINDS = [kind for kind in CallError.__subclasses__() if kind.__module__ == CallError.__module__]
"""Other tests have kinds of their own."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_an_error_is_the_same_after_it_was_kept_as_a_failure(kind: type[CallError]):
    failure = Failure(kind.code, "no", "Try later.", kind.retryable, None, None, 2.5)
    kept = Failure(**json.loads(json.dumps(failure.document())))
    error = kept.error(Output.of([1]))
    assert type(error) is kind
    assert Failure.of(error) == failure
    assert getattr(error, "output", [1]) == [1]
