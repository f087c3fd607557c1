"""The budget of one evaluation, and what is paid from it: equality, size and text of JSON values,
computed without recursion.

*The idea.* A step is about one look at one value (0.1 µs). A unit is about one value, or 64
characters of text. Both bounds are a base plus a multiple of the size of the input. That size is
computed only when the base is used up, so that a small expression on a large output stays cheap.

Two ways to make much from little need care. *Doubling by sharing*: `[@, @] | [@, @] | …` makes a
list of two each time, which is cheap, but its text has the length 2ⁿ. So `size` counts a value as
it is when written out, with one visit to each list that is shared; whatever walks or writes a value
asks for its size first, or pays as it goes. Keys count like texts, because `group_by` makes keys of
values. *One large step*: `join` could make a large text in one call, so it pays before it builds.

Regular expressions have a bound of their own. A character takes about 1 ns, but up to 10 ns for
each instruction of the pattern where RE2's automaton does not fit in its memory. Which of the two
it will be cannot be seen beforehand, so the worst is paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...errors import ExpressionFailed
from ..values.strict import RESULT_DEPTH, dumps

BASE_STEPS = 500_000
STEPS_PER_UNIT = 20
BASE_MADE = 100_000
MADE_PER_UNIT = 10
CHARS_PER_UNIT = 64
FEW_UNITS = 10_000
"""Above these, and what was made, a value is measured with one visit to each shared part."""
BASE_MATCHING = 50_000_000
MATCHING_PER_UNIT = 1_024
MATCHING_PER_STEP = 32
"""The looks of a pattern that take about as long as one step."""


class Work:
    """The steps that evaluations took, added up by whoever has to let others have their turn."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps = 0


class Budget:
    """The steps that may still be taken, and the units that may still be made. Beyond that it
    raises `ExpressionFailed`."""

    __slots__ = ("_given", "_input", "_is_extended", "allowed", "made", "matching", "steps")

    def __init__(self, input_: Callable[[], int]) -> None:
        self.steps = BASE_STEPS
        self.made = self.allowed = BASE_MADE
        self.matching = BASE_MATCHING
        self._given = BASE_STEPS + BASE_MATCHING // MATCHING_PER_STEP
        self._input = input_
        self._is_extended = False

    @property
    def spent(self) -> int:
        """The steps that were taken so far, those of patterns too."""
        return self._given - self.steps - self.matching // MATCHING_PER_STEP

    def spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            self._extend()

    def make(self, units: int) -> None:
        self.made -= units
        self.steps -= units
        if self.made < 0 or self.steps < 0:
            self._extend()

    def make_text(self, chars: int) -> None:
        self.make(1 + chars // CHARS_PER_UNIT)

    def match(self, size: int, instructions: int, steps: int) -> None:
        """Pay for looking at *size* bytes with a pattern of *instructions*, and for *steps*
        besides."""
        self.matching -= size * instructions
        self.steps -= steps + size // CHARS_PER_UNIT
        if self.matching < 0 or self.steps < 0:
            self._extend()

    def _extend(self) -> None:
        if not self._is_extended:
            self._is_extended = True
            units = self._input()
            self.steps += STEPS_PER_UNIT * units
            self.made += MADE_PER_UNIT * units
            self.allowed += MADE_PER_UNIT * units
            self.matching += MATCHING_PER_UNIT * units
            self._given += (STEPS_PER_UNIT + MATCHING_PER_UNIT // MATCHING_PER_STEP) * units
        if self.made < 0:
            raise ExpressionFailed(
                f"its result grows above the limit of {self.allowed:,} values",
                hint="It makes far more than it is given: select the parts that are needed.",
            )
        if self.matching < 0:
            raise ExpressionFailed(
                "its regular expressions take more steps than the size of its input allows",
                hint="Search each line by itself, as in lines(@)[].find_all(@, 'a+')[].",
            )
        if self.steps < 0:
            raise ExpressionFailed(
                "it takes more steps than the size of its input allows",
                hint="Narrow the lists that it goes over, or split it over two tasks.",
            )


def is_true(value: Any) -> bool:
    """Return whether *value* counts as true: anything but null, false, and empty texts, lists and
    objects. 0 is true."""
    return bool(value) or type(value) is int or type(value) is float


def is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def equal(one: Any, other: Any, budget: Budget) -> bool:
    """Return whether both are the same JSON value: 1 and 1.0 are, 1 and true are not."""
    if not isinstance(one, list | dict):
        return scalars_equal(one, other)
    stack = [(one, other)]
    while stack:
        one, other = stack.pop()
        if one is other:
            continue
        if type(one) is list and type(other) is list:
            if len(one) != len(other):
                return False
            budget.spend(len(one))
            stack.extend(zip(one, other, strict=True))
        elif type(one) is dict and type(other) is dict:
            if one.keys() != other.keys():
                return False
            budget.spend(len(one))
            stack.extend((value, other[name]) for name, value in one.items())
        elif not scalars_equal(one, other):
            return False
    return True


def scalars_equal(one: Any, other: Any) -> bool:
    return (type(one) is type(other) and one == other) or (
        is_number(one) and is_number(other) and one == other
    )


def size(values: Iterable[Any], expected: int = 1 << 62) -> int:
    """Count the units of *values* when they are written out. Above *expected*, visit what is
    shared only once."""
    joined = "".join
    stack = [*values]
    units = len(stack)
    top = stack
    stack = [part for part in stack if isinstance(part, list | dict)]
    units += sum(len(part) // CHARS_PER_UNIT for part in top if type(part) is str)
    while stack:
        part = stack.pop()
        units += len(part)
        if units > expected:
            return _size_of_shared(top)
        if type(part) is dict:
            units += len(joined(part)) // CHARS_PER_UNIT  # keys may be long texts
            part = part.values()
        for inner in part:
            kind = type(inner)
            if kind is dict or kind is list:
                stack.append(inner)
            elif kind is str and len(inner) >= CHARS_PER_UNIT:
                units += len(inner) // CHARS_PER_UNIT
    return units


def _size_of_shared(values: Iterable[Any]) -> int:
    """Do as `size` in time linear in the lists and objects, however often they are shared."""
    total = 0
    known: dict[int, int] = {}
    for value in values:
        stack = [value]
        while stack:
            value = stack[-1]
            parts = value if type(value) is list else value.values() if type(value) is dict else ()
            inner = [
                part for part in parts if isinstance(part, list | dict) and id(part) not in known
            ]
            if inner:
                stack.extend(inner)
                continue
            stack.pop()
            known[id(value)] = _units(value) + sum(
                known[id(p)] if isinstance(p, list | dict) else _units(p) for p in parts
            )
            if type(value) is dict:
                known[id(value)] += len("".join(value)) // CHARS_PER_UNIT
        total += known[id(value)]
    return total


def _units(value: Any) -> int:
    return 1 + len(value) // CHARS_PER_UNIT if type(value) is str else 1


def depth(value: Any) -> int:
    """Count the levels of lists and objects in *value*, up to `RESULT_DEPTH`; what is shared is
    visited once a level."""
    levels, layer = 0, [value]
    while layer := [part for part in layer if isinstance(part, list | dict)]:
        levels += 1
        inner = {
            id(p): p for part in layer for p in (part if isinstance(part, list) else part.values())
        }
        layer = [*inner.values()]
        if levels > RESULT_DEPTH:
            break
    return levels


def to_text(value: Any, budget: Budget) -> str:
    """Return a text as it is, anything else as compact JSON."""
    if type(value) is str:
        return value
    if isinstance(value, list | dict):
        budget.make(4 * size([value], FEW_UNITS))
        if depth(value) > RESULT_DEPTH:
            raise ExpressionFailed(f"a value is nested more than {RESULT_DEPTH} levels deep")
    return dumps(value)
