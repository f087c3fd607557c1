"""Notes on what becomes known only while a run goes on."""

from __future__ import annotations

from plait.core.scheduling.events import Key

from ..runs import result_at
from .played import Played


def test_what_was_left_out_once_it_was_known_is_noted_once_for_all_items():
    played = Played(
        {"id": "a"},
        {
            "id": "b",
            "tool": "s:numbers",
            "for_each": "$OUTPUT[a]",
            "arguments": {"n0": "$ITEM.x", "n1": "${ITEM.y ?? null}"},
        },
    )
    played.answer("a", [{"x": None}, {"x": 1}, {"x": ""}])
    for index, sent in enumerate([{}, {"n0": 1}, {}]):
        played.start()
        assert played.run.open[Key("r", "b", index)].arguments == sent
    assert result_at(played.run, played.now).notes == (
        "b.arguments.n0 was null or empty text and was left out; the tool does not take it",
        "b.arguments.n1 was null or empty text and was left out; the tool does not take it",
    )
