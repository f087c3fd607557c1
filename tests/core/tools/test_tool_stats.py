"""What the gateway learns of tools: how long they take, what their outputs look like, and how that
is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.tools import tool_stats
from plait.core.tools.catalog import Tool
from plait.core.tools.tool_stats import LOOKS, MAX_DOCUMENT_CHARS, MAX_TOOLS, WINDOW, ToolStats
from tests.fakes import tool

from ...profiles import share_of_examples
from ..strategies import WORDS, json_values
from ..tables import table

LIST = tool("s:list", {"q": {"type": "string"}})
DURATIONS = st.floats(0.001, 1000)


def after(*seconds: float, value: Any = None) -> ToolStats:
    learned = ToolStats()
    for duration in seconds:
        learned.saw(LIST, duration, value)
    return learned


def seen(*values: Any, of: Tool = LIST) -> ToolStats:
    learned = ToolStats()
    for value in values:
        learned.saw(of, 1.0, value)
    return learned


def line(learned: ToolStats, of: Tool = LIST) -> str | None:
    shape = learned.shape(of)
    return None if shape is None else shape.shape()


def kept(learned: ToolStats) -> ToolStats:
    """What comes back of it after it was written and read."""
    return ToolStats.read(json.loads(json.dumps(learned.document())))


@table(
    ("seconds", "expected"),
    [
        ([], None),
        ([0.2], 0.2),
        ([0.2, 0.4], pytest.approx(0.3)),
        ([0.2, 0.3, 30.0], 0.3),
        ([0.2] * 7 + [200.0] * 7 + [0.2], 0.2),
        ([1.0] * 100 + [2.0] * WINDOW, 2.0),
        ([0.0], 0.0),
    ],
)
def test_a_call_is_expected_to_take_as_long_as_the_median_of_the_last_ones(
    seconds: list[float], expected: float | None
):
    assert after(*seconds).seconds(LIST) == expected


@given(st.lists(DURATIONS, min_size=WINDOW, max_size=WINDOW), st.data())
def test_outliers_fewer_than_half_never_move_it_beyond_what_is_usual(
    usual: list[float], data: st.DataObject
):
    places = st.lists(st.integers(0, WINDOW - 1), max_size=WINDOW // 2, unique=True)
    outliers = dict.fromkeys(data.draw(places), data.draw(st.sampled_from([0.0, 100.0, 1e9])))
    mixed = [outliers.get(place, duration) for place, duration in enumerate(usual)]
    left = [duration for place, duration in enumerate(usual) if place not in outliers]
    expected = after(*mixed).seconds(LIST)
    assert expected is not None
    assert min(left) <= expected <= max(left)


def test_tools_are_learned_apart():
    learned = after(1.0)
    learned.saw(tool("t:list"), 5.0, None)
    assert (
        learned.seconds(LIST),
        learned.seconds(tool("t:list")),
        learned.seconds(tool("s:other")),
    ) == (
        1.0,
        5.0,
        None,
    )


def test_what_is_switched_off_learns_nothing():
    learned = ToolStats(enabled=False)
    learned.saw(LIST, 1.0, {"id": 1})
    learned.take_in(after(1.0, value={"id": 1}))
    assert learned.seconds(LIST) is None
    assert learned.shape(LIST) is None
    assert learned.document()["tools"] == {}


def test_the_shape_of_outputs_is_learned():
    learned = seen({"items": [{"number": 1, "title": "It breaks"}]}, {"items": [], "total": 0})
    assert line(learned) == "{items: [{number, title}], total}"


def test_no_shape_is_learned_of_a_tool_that_declares_one():
    declared = tool("s:list", output={"type": "object", "properties": {"n": {"type": "integer"}}})
    learned = seen({"id": 1}, of=declared)
    assert learned.shape(declared) is None
    assert learned.seconds(declared) == 1.0
    assert "shape" not in json.dumps(learned.document())


def test_a_tool_whose_server_has_not_been_reached_has_no_shape_and_loses_none():
    learned = seen({"id": 1})
    unlisted = Tool("s", "list", listed=False)
    learned.saw(unlisted, 1.0, {"title": "x"})
    assert learned.shape(unlisted) is None
    assert line(learned) == "{id}"


@table("is_kept", [False, True])
def test_a_shape_is_dropped_when_the_definition_of_its_tool_changes(is_kept: bool):
    changed = tool("s:list", {"q": {"type": "integer"}})
    learned = kept(seen({"id": 1})) if is_kept else seen({"id": 1})
    assert line(learned) == "{id}"
    assert learned.shape(changed) is None
    learned.saw(changed, 1.0, {"title": "x"})
    assert line(learned, changed) == "{title}"
    assert learned.seconds(changed) == 1.0


def test_a_shape_stays_when_its_tool_is_listed_anew():
    assert (
        line(
            seen({"id": 1}), tool("s:list", {"q": {"type": "string"}}, description="Now with words")
        )
        == "{id}"
    )


class Watched(dict[str, Any]):
    """An output that counts how often its keys are looked at."""

    looks = 0

    def __iter__(self) -> Iterator[str]:
        self.looks += 1
        return super().__iter__()


def test_outputs_are_looked_at_ever_more_rarely():
    output = Watched(id=1)
    seen(*[output] * 1_000)
    assert output.looks <= 2 * (LOOKS + 7)  # 8, then 16, 32, … 512; once or twice each


def test_a_shape_that_shows_only_later_is_learned_too():
    assert line(seen(*[{"id": 1}] * 15, {"title": "x"})) == "{id, title}"


@pytest.fixture
def few_tools(monkeypatch: pytest.MonkeyPatch) -> int:
    """The most tools: a fortieth, as learning of them all takes time."""
    assert MAX_TOOLS == 2_000
    monkeypatch.setattr(tool_stats, "MAX_TOOLS", 50)
    return 50


def test_the_tools_called_the_longest_ago_are_forgotten_first(few_tools: int):
    learned = after(1.0)
    for number in range(few_tools - 1):
        learned.saw(tool(f"s:t{number}"), 1.0, None)
    learned.saw(LIST, 1.0, None)
    learned.saw(tool("s:one-more"), 1.0, None)
    assert learned.tools == few_tools
    assert learned.seconds(LIST) == 1.0
    assert learned.seconds(tool("s:t0")) is None


def test_what_was_learned_comes_back_from_its_document():
    learned = kept(seen({"items": [{"id": 1}], "ada@example.com": 1, "total": None}))
    assert learned.seconds(LIST) == 1.0
    assert line(learned) == "{items: [{id}], total}"


@share_of_examples(0.4)
@given(st.lists(st.tuples(st.sampled_from("abc"), DURATIONS, json_values()), max_size=20))
def test_a_document_holds_all_that_was_learned(calls: list[tuple[str, float, Any]]):
    learned = ToolStats()
    for name, seconds, value in calls:
        learned.saw(tool(f"s:{name}"), seconds, value)
    document = learned.document()
    assert ToolStats.read(document).document() == document


@given(
    json_values()
    | st.fixed_dictionaries(
        {
            "version": st.just(1),
            "tools": st.dictionaries(WORDS.map("s:{}".format), json_values(), max_size=3),
        }
    )
    | json_values(
        st.just({"version": 1, "tools": {"s:list": {"seconds": [True, "x", -1, None, 1e300]}}})
    )
)
def test_any_document_can_be_read(document: Any):
    learned = ToolStats.read(document)
    assert ToolStats.read(learned.document()).document() == learned.document()


DIGEST: Any = seen({"id": 1}).document()["tools"]["s:list"]["definition"]  # type: ignore[index, call-overload]
GOOD: dict[str, Any] = {
    "seconds": [1.0, 2.0, 3.0],
    "definition": DIGEST,
    "shape": {"type": "string"},
}


@table(
    ("members", "seconds", "shape"),
    [
        (GOOD, 2.0, "text"),
        ({**GOOD, "seconds": [1, 2, 3]}, 2.0, "text"),
        ({**GOOD, "seconds": [1.0, "5", True, None, -3.0, 1e300, [9.0]]}, 1.0, "text"),
        ({**GOOD, "seconds": "1.0"}, None, "text"),
        ({**GOOD, "seconds": [50.0] * 100 + [1.0] * WINDOW}, 1.0, "text"),
        ({**GOOD, "shape": "string"}, 2.0, None),
        ({**GOOD, "definition": "x"}, 2.0, None),
        ({**GOOD, "definition": "0" * len(DIGEST)}, 2.0, None),
        ({"seconds": [2.0]}, 2.0, None),
        ({**GOOD, "something": "new"}, 2.0, "text"),
        ({}, None, None),
        ([], None, None),
    ],
)
def test_of_a_broken_document_what_can_be_read_is_kept(
    members: Any, seconds: float | None, shape: str | None
):
    learned = ToolStats.read(
        {"version": 1, "tools": {"s:list": members, "s:other": GOOD, "nameless": GOOD}}
    )
    assert (learned.seconds(LIST), line(learned)) == (seconds, shape)
    assert learned.seconds(tool("s:other")) == 2.0


@table("version", [0, 2, "1", True, None, 1.5])
def test_a_document_of_another_version_is_ignored(version: Any):
    assert ToolStats.read({"version": version, "tools": {"s:list": GOOD}}).tools == 0


def test_a_document_is_bounded_and_holds_what_was_called_last(monkeypatch: pytest.MonkeyPatch):
    most = MAX_DOCUMENT_CHARS // 40
    monkeypatch.setattr(tool_stats, "MAX_DOCUMENT_CHARS", most)
    learned = ToolStats()
    words = ("id", "name", "date", "type", "text", "path", "kind", "size")
    record: Any = {
        f"{letter}_{word}_organization_description_status": 1
        for letter in "abcdefgh"
        for word in words
    }
    for number in range(10):
        learned.saw(tool(f"s:t{number}"), 1.0, record)
    document: Any = learned.document()
    assert 0.8 * most < len(json.dumps(document)) < 1.2 * most
    assert "s:t0" not in document["tools"]
    assert "s:t9" in document["tools"]
    assert ToolStats.read(document).seconds(tool("s:t9")) == 1.0


def test_a_document_with_too_many_tools_is_read_in_part(few_tools: int):
    tools: Any = {f"s:t{number}": GOOD for number in range(few_tools + 10)}
    assert ToolStats.read({"version": 1, "tools": tools}).tools == few_tools


def test_durations_that_others_kept_come_before_ones_own():
    learned = after(*[9.0] * 8)
    learned.take_in(after(*[1.0] * WINDOW))
    assert learned.seconds(LIST) == 9.0
    assert learned.document()["tools"]["s:list"]["seconds"] == [1.0] * 7 + [9.0] * 8  # type: ignore[index, call-overload]


def test_what_was_exchanged_once_is_not_counted_again():
    learned, file = after(9.0, 9.0), ToolStats()
    for _ in range(5):
        learned.take_in(file)
        file = kept(learned)
        learned.mark_kept()
    assert learned.document() == after(9.0, 9.0).document()


def test_of_two_that_exchange_what_they_saw_both_know_all():
    one, other = seen({"id": 1}), seen({"title": "x"})
    other.saw(tool("s:more"), 3.0, None)
    one.take_in(kept(other))
    assert line(one) == "{title, id}"
    assert one.seconds(tool("s:more")) == 3.0


def test_the_shape_seen_of_the_present_definition_goes_before_one_that_was_kept():
    changed = tool("s:list", {"q": {"type": "integer"}})
    learned = seen({"title": "x"}, of=changed)
    learned.take_in(seen({"id": 1}))
    assert line(learned, changed) == "{title}"


@given(st.lists(DURATIONS, min_size=1, max_size=40))
def test_the_typical_duration_is_the_median_of_the_window(seconds: list[float]):
    assert after(*seconds).seconds(LIST) == median(seconds[-WINDOW:])


def alone(*seconds: float) -> ToolStats:
    learned = ToolStats()
    for duration in seconds:
        learned.took(LIST, duration, alone=True)
    return learned


@table(
    ("seconds", "expected"),
    [((), None), ((9.0,), None), ((9.0, 1.0), 1.0), ((9.0, 1.0, 2.0), 1.0), ((5, 4, 3, 2, 1), 2)],
)
def test_what_a_call_takes_alone_is_known_from_two_by_their_lower_quartile(
    seconds: tuple[float, ...], expected: float | None
) -> None:
    learned = alone(*seconds)
    learned.took(LIST, 50.0)
    learned.saw(LIST, 60.0, None)
    assert learned.seconds_alone(LIST) == expected
    assert learned.has_met_others(LIST)


def test_a_tool_whose_calls_were_all_alone_has_not_met_others() -> None:
    assert not alone(1.0, 2.0).has_met_others(LIST)
    assert not ToolStats().has_met_others(LIST)


def test_what_calls_take_alone_is_saved_and_merged_once() -> None:
    learned = ToolStats.read(alone(1.0, 3.0).document())
    assert (learned.seconds_alone(LIST), learned.has_met_others(LIST)) == (1.0, False)
    mine = alone(5.0)
    mine.take_in(learned)
    assert mine.seconds_alone(LIST) == 1.0
    mine.mark_kept()
    mine.take_in(mine)
    assert mine.document()["tools"] == {"s:list": {"seconds": [1, 3, 5], "alone": [1, 3, 5]}}
