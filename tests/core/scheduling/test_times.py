"""The sleeps of one run: each has a name of its own, and the clock of a run can stand still."""

from __future__ import annotations

from plait.core.scheduling.events import Abort, Command, Key, Sleep
from plait.core.scheduling.times import Times, Until


def test_a_sleep_that_is_over_says_for_what_it_was_and_one_that_was_ended_does_not():
    commands: list[Command] = []
    times = Times("r", commands)
    times.begin(Until.TIMEOUT, 9.0, 0.0)
    times.begin(Until.ASK, 3.0, 0.0)
    timeout, ask = [command.key for command in commands if isinstance(command, Sleep)]
    assert (times.woke(ask), times.woke(ask)) == (Until.ASK, None)
    times.end_all()
    assert commands[-1] == Abort(timeout)
    assert times.woke(timeout) is None


def test_the_next_sleep_has_another_name_than_one_that_may_not_be_answered_yet():
    commands: list[Command] = []
    times = Times("r", commands)
    times.begin(Until.TIMEOUT, 9.0, 0.0)
    times.stop_clock(4.0)
    assert Until.TIMEOUT not in times
    times.start_clock(100.0)
    assert commands == [
        Sleep(Key("r", ""), 9.0),
        Abort(Key("r", "")),
        Sleep(Key("r", "", 2), 5.0),
    ]
    times.start_clock(100.0)
    assert len(commands) == 3


def test_a_clock_that_was_stopped_does_not_go_on_once_all_has_ended():
    commands: list[Command] = []
    times = Times("r", commands)
    times.begin(Until.TIMEOUT, 9.0, 0.0)
    times.stop_clock(4.0)
    times.end_all()
    times.start_clock(5.0)
    assert len(commands) == 2
