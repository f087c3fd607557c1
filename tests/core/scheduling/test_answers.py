"""Answers to calls: what is kept of them, and what they end."""

from __future__ import annotations

from typing import Any

from plait.core.results.record import record_of
from plait.core.tools.output import Output
from plait.errors import InvalidOutput

from ..tables import table
from .played import Played


def test_select_shapes_the_output_before_it_is_kept():
    played = Played({"id": "a", "select": "items[?n > `1`].n"})
    played.answer("a", {"items": [{"n": 1}, {"n": 2}]})
    assert played.run.outputs["a"].value == [2]


def test_a_select_that_cannot_be_applied_fails_its_task():
    played = Played({"id": "a", "select": "sum(items)"})
    played.answer("a", {"items": ["x"]})
    [error] = played.errors
    assert error.code == "invalid_expression"
    assert error.message.startswith("select: ")


@table(("what", "is_kept"), [("x" * 50, True), ("x" * 500, False), (None, False)])
def test_an_invalid_output_is_kept_to_be_looked_at_if_there_is_room(what: Any, is_kept: bool):
    played = Played({"id": "a"}, {"id": "b"}, max_bytes=100)
    played.answer("a", InvalidOutput("no such shape", output=what))
    state = played.run.states["a"]
    assert (state.status, played.codes["a"]) == ("failed", "invalid_output")
    assert (state.output is not None) is is_kept
    assert played.run.usage.bytes == (52 if is_kept else 0)
    assert "a" not in played.run.outputs


def test_invalid_outputs_of_items_are_not_kept():
    """A thousand items may each give one of many megabytes."""
    played = Played({"id": "a", "for_each": [1, 2]})
    for index in range(2):
        played.answer(f"a[{index}]", InvalidOutput("no such shape", output="x" * 10_000))
    assert played.run.states["a"].output == Output([None, None])
    assert "xxx" not in repr(record_of(played.run, played.now))
    assert played.run.usage.bytes == 0
