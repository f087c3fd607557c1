"""The attempts of a call: which failures are tried again, and when."""

from __future__ import annotations

from plait.core.scheduling.events import Key, Sleep, Status
from plait.errors import CallTimeout, ServerUnavailable, ToolError

from .played import Played


def test_only_failures_that_may_pass_are_tried_again_with_growing_pauses():
    played = Played({"id": "a", "retries": 2}, {"id": "b", "retries": 2})
    played.answer("b", ToolError("for good"))
    played.answer("a", ServerUnavailable("not yet"))
    assert played.statuses == {"a": "backing_off", "b": "failed"}
    played.run.wake(Key("r", "a"), played.now)
    played.answer("a", CallTimeout("late"))
    assert played.run.commands == [Sleep(Key("r", "a"), 0.5), Sleep(Key("r", "a"), 1.0)]
    played.run.wake(Key("r", "a"), played.now)
    played.answer("a", CallTimeout("late"))
    assert (played.statuses["a"], played.run.states["a"].attempts) == (str(Status.TIMEOUT), 3)


def test_a_failure_that_retries_are_not_for_says_so():
    played = Played({"id": "a", "retries": 3}, {"id": "b"})
    played.answer("a", ToolError("no such file", hint="Look first."))
    played.answer("b", ToolError("no such file"))
    first, second = played.errors
    assert first.hint == (
        "Look first. It was not tried again: retries are for calls that time out, are lost or "
        'cannot be sent; "on": ["tool_error"] is for answers of the tool that it failed.'
    )
    assert second.hint is None


def test_retries_follow_the_kinds_of_failures_that_are_listed_after_pauses_from_delay_s():
    retries = {"max": 2, "on": ["tool_error", "timeout"], "delay_s": 3}
    played = Played({"id": "a", "retries": retries}, {"id": "b", "retries": retries})
    played.answer("a", ToolError("locked"))
    played.answer("b", ServerUnavailable("away"))
    assert played.statuses == {"a": "backing_off", "b": "failed"}
    assert played.errors[0].hint == (
        "It was not tried again: its retries are on tool_error, timeout."
    )
    played.run.wake(Key("r", "a"), played.now)
    played.answer("a", CallTimeout("late"))
    assert played.run.commands == [Sleep(Key("r", "a"), 3.0), Sleep(Key("r", "a"), 6.0)]
    played.run.wake(Key("r", "a"), played.now)
    played.answer("a", ToolError("locked"))
    assert (played.statuses["a"], played.run.states["a"].attempts) == ("failed", 3)


def test_when_the_retries_of_a_server_are_spent_a_failure_stands_and_says_so():
    played = Played({"id": "a", "for_each": list(range(12)), "retries": 1})
    for index in range(12):
        played.answer(f"a[{index}]", CallTimeout("late"))
    assert [error.index for error in played.errors] == []
    assert str(played.run.states["a"].items.errors[0][1].hint) == (  # type: ignore[union-attr]  # it has items
        "It was not tried again: too many calls of s failed lately."
    )
    assert len([command for command in played.run.commands if isinstance(command, Sleep)]) == 11
