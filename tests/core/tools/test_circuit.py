"""When the circuit of a server opens, for how long, and how it closes."""

from __future__ import annotations

from math import floor

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from plait.core.tools.circuit import (
    FIRST_OPEN_S,
    IN_A_ROW,
    LONGEST_OPEN_S,
    SPREAD,
    Circuit,
    CircuitState,
    Pass,
    circuit_document,
)

C, O, H = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN  # noqa: E741
EVEN = 0.5
"""The chance by which the open time is neither longer nor shorter."""


def admitted(circuit: Circuit, at: float) -> Pass:
    found = circuit.admit(at)
    assert found is not None
    return found


def fail(circuit: Circuit, at: float, *, is_repeated: bool = False) -> None:
    """A call that fails at once."""
    circuit.failed(admitted(circuit, at), at, EVEN, is_repeated=is_repeated)


def answer(circuit: Circuit, at: float) -> None:
    circuit.answered(admitted(circuit, at), at)


def opened(at: float = 0.0) -> Circuit:
    circuit = Circuit()
    for _ in range(IN_A_ROW):
        fail(circuit, at)
    return circuit


def test_failures_in_a_row_open_it_and_an_answer_among_them_does_not():
    circuit = Circuit()
    for at in range(4):
        fail(circuit, at)
    answer(circuit, 4)
    for at in range(5, 9):
        fail(circuit, at)
    assert circuit.state(9) is C
    fail(circuit, 9)
    assert (circuit.state(9), circuit.admit(9)) == (O, None)


def test_calls_that_were_on_their_way_together_fail_as_one():
    circuit = Circuit()
    together = [admitted(circuit, 0.0) for _ in range(100)]
    for one in together:
        circuit.failed(one, 1.0, EVEN)
    for at in range(20, 23):
        fail(circuit, at)
    assert circuit.state(23) is C
    fail(circuit, 23)
    assert circuit.state(23) is O


def test_two_deaths_with_many_calls_on_their_way_do_not_open_it():
    circuit = Circuit()
    for at in (1.0, 4.0):
        for one in [admitted(circuit, at) for _ in range(100)]:
            circuit.failed(one, at + 0.5, EVEN)
    assert circuit.state(5) is C


def test_further_attempts_of_a_call_do_not_count():
    circuit = Circuit()
    for at in range(100):
        fail(circuit, at, is_repeated=True)
    assert circuit.state(100) is C


@pytest.mark.parametrize(("answers", "failures", "state"), [(10, 10, O), (11, 10, C), (9, 9, C)])
def test_half_of_twenty_calls_in_ten_seconds_open_it(
    answers: int, failures: int, state: CircuitState
):
    circuit = Circuit()
    for _ in range(answers - failures):
        answer(circuit, 0)
    for index in range(failures):  # in turns, so that they are never five in a row
        at = 9.9 * index / failures
        if circuit.state(at) is C:
            answer(circuit, at)
            fail(circuit, at)
    assert circuit.state(9.9) is state


def test_calls_of_earlier_seconds_are_forgotten():
    circuit = Circuit()
    for at in range(0, 200, 2):  # ten calls within ten seconds
        fail(circuit, at)
        answer(circuit, at + 1)
    assert circuit.state(200) is C


def test_it_is_half_open_after_its_time_for_one_probe():
    circuit = opened()
    assert (circuit.state(FIRST_OPEN_S - 0.1), circuit.state(FIRST_OPEN_S)) == (O, H)
    admitted(circuit, FIRST_OPEN_S)
    assert circuit.admit(FIRST_OPEN_S + 1) is None


def test_the_probe_that_is_answered_closes_it():
    circuit = opened()
    answer(circuit, 5)
    assert circuit.state(5) is C
    for _ in range(4):
        fail(circuit, 6)
    assert circuit.state(6) is C


def test_a_probe_that_says_nothing_leaves_the_next_call_as_the_probe():
    circuit = opened()
    circuit.released(admitted(circuit, 5))
    assert circuit.state(5) is H
    assert circuit.admit(5) is not None


def test_it_stays_open_for_twice_as_long_after_each_failed_probe_up_to_the_longest():
    circuit, at, times = opened(), 0.0, list[float]()
    for _ in range(6):
        assert circuit.open_until is not None
        times.append(circuit.open_until - at)
        at = circuit.open_until
        fail(circuit, at, is_repeated=True)  # a probe counts, whichever attempt it is
    assert times == [5, 10, 20, 40, 60, 60]


@pytest.mark.parametrize(("closed_s", "next_open_s"), [(59, 10), (60, 5)])
def test_only_a_time_without_failures_makes_the_next_open_time_short(
    closed_s: float, next_open_s: float
):
    circuit = opened()
    answer(circuit, 5)
    for _ in range(IN_A_ROW):
        fail(circuit, 5 + closed_s)
    assert circuit.open_until == 5 + closed_s + next_open_s


def test_the_end_of_a_call_from_before_a_change_changes_nothing():
    circuit = Circuit()
    early = [admitted(circuit, 0.0) for _ in range(20)]
    for _ in range(IN_A_ROW):
        fail(circuit, 1)
    circuit.answered(early[0], 2)
    circuit.failed(early[1], 2, EVEN)
    circuit.released(early[2])
    assert circuit.open_until == 6
    answer(circuit, 6)
    for one in early[3:]:
        circuit.failed(one, 7, EVEN)
    assert circuit.state(7) is C


def test_a_server_that_is_back_is_probed_at_once_and_a_closed_circuit_stays_closed():
    circuit = opened()
    circuit.server_is_back(1)
    assert circuit.state(1) is H
    answer(circuit, 1)
    circuit.server_is_back(2)
    assert circuit.state(2) is C


def test_a_circuit_is_shown_unless_it_is_closed():
    assert circuit_document(None, 3) == {}
    assert circuit_document(7.25, 3) == {"circuit": "open", "retry_after_s": 4.2}
    assert circuit_document(3, 3) == {"circuit": "half_open"}


class Oracle:
    """The rules of a circuit, told again from the list of all that happened."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float, bool, bool]] = []
        """When each call was sent and ended since the last change, whether it failed, and whether
        it was a further attempt."""
        self.closed_at = float("-inf")
        self.until: float | None = None
        self.openings = 0

    def ended(self, sent: float, now: float, chance: float, *, failed: bool, again: bool) -> None:
        if self.until is not None:
            self._open(now, chance) if failed else self._close(now)
            return
        self.ends.append((sent, now, failed, again))
        counted = [end for end in self.ends if not (end[2] and end[3])]
        recent = [end for end in counted if floor(end[1]) > floor(now) - 10]
        failures = [end[1] for end in recent if end[2]]
        too_many = (
            len(recent) >= 20
            and 2 * len(failures) >= len(recent)
            and len({floor(end) for end in failures}) >= 3
        )
        if failed and not again and (too_many or self._row(counted) >= 5):
            self._open(now, chance)

    @staticmethod
    def _row(counted: list[tuple[float, float, bool, bool]]) -> int:
        last, count = float("-inf"), 0
        for sent, end, failed, _ in counted:
            if not failed:
                count = 0
            elif sent >= last:
                count, last = count + 1, end
        return count

    def _open(self, now: float, chance: float) -> None:
        if self.until is None and now - self.closed_at >= 60:
            self.openings = 0
        self.openings += 1
        seconds = min(60, 5 * 2 ** (self.openings - 1)) * (0.8 + 0.4 * chance)
        self.until = now + min(60, seconds)
        self.ends = []

    def _close(self, now: float) -> None:
        self.until, self.closed_at, self.ends = None, now, []


class Circuits(RuleBasedStateMachine):
    """Any calls, with any ends in any order, at any times."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.circuit, self.oracle, self.now, self.changes = Circuit(), Oracle(), 0.0, 0
        self.probe: Pass | None = None

    @rule(seconds=st.sampled_from([0.0, 0.25, 1.0, 4.0, 11.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=calls, times=st.integers(1, 12))
    def begin(self, times: int) -> list[tuple[Pass, int]]:
        begun: list[tuple[Pass, int]] = []
        for _ in range(times):
            is_open = self.oracle.until is not None
            is_due = not is_open or self.now >= (self.oracle.until or 0.0)
            found = self.circuit.admit(self.now)
            assert (found is not None) == (is_due and (not is_open or self.probe is None))
            if found is not None:
                self.probe = found if is_open else None
                begun.append((found, self.changes))
        return begun

    @rule(calls=consumes(calls), chance=st.floats(0, 1), again=st.booleans())
    def fail(self, calls: list[tuple[Pass, int]], chance: float, again: bool) -> None:
        for one, changes in calls:
            self.circuit.failed(one, self.now, chance, is_repeated=again)
            self._end(one, changes, chance, failed=True, again=again)

    @rule(calls=consumes(calls))
    def answer(self, calls: list[tuple[Pass, int]]) -> None:
        for one, changes in calls:
            self.circuit.answered(one, self.now)
            self._end(one, changes, EVEN, failed=False, again=False)

    @rule(calls=consumes(calls))
    def say_nothing(self, calls: list[tuple[Pass, int]]) -> None:
        for one, _ in calls:
            self.circuit.released(one)
            self.probe = None if one is self.probe else self.probe

    @rule()
    def server_is_back(self) -> None:
        self.circuit.server_is_back(self.now)
        if self.oracle.until is not None:
            self.oracle.until = min(self.oracle.until, self.now)

    def _end(self, one: Pass, changes: int, chance: float, *, failed: bool, again: bool) -> None:
        if changes != self.changes:
            return
        before = self.oracle.until
        self.oracle.ended(one.at, self.now, chance, failed=failed, again=again)
        if self.oracle.until != before:
            self.changes += 1
            self.probe = None

    @invariant()
    def it_is_as_the_rules_say(self) -> None:
        until = self.oracle.until
        assert self.circuit.open_until == pytest.approx(until)
        expected = C if until is None else O if self.now < until else H
        assert self.circuit.state(self.now) is expected

    @invariant()
    def it_is_never_open_for_longer_than_the_longest_time(self) -> None:
        if self.circuit.open_until is not None:
            assert self.circuit.open_until - self.now <= LONGEST_OPEN_S


TestCircuits = Circuits.TestCase


def test_chance_spreads_the_open_time_within_its_bounds():
    times = []
    for chance in (0.0, 1.0):
        circuit = Circuit()
        for _ in range(IN_A_ROW):
            circuit.failed(admitted(circuit, 0.0), 0.0, chance)
        times.append(circuit.open_until)
    assert times == pytest.approx([FIRST_OPEN_S * (1 - SPREAD), FIRST_OPEN_S * (1 + SPREAD)])
