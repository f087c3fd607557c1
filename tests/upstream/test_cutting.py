"""Values are cut to their room, stay JSON, and say what is missing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.core.values.strict import dumps
from plait.upstream.cutting import cut, fair, size_within

from ..profiles import CHARACTERS

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(CHARACTERS, max_size=40), st.integers(50, 3000).map(lambda n: 'é"\n' * n),
    st.integers(0, 900).map(lambda n: [n] * n),
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.text(CHARACTERS, max_size=20), inner, max_size=8)
    ),
)


@settings(max_examples=70, deadline=None)
@given(values, st.integers(3, 4000))
def test_a_cut_value_takes_no_more_than_its_room(value: Any, room: int):
    shown = cut(value, room)
    assert len(dumps(shown)) <= room
    assert (shown == value) == (len(dumps(value)) <= room)


@given(values, st.integers(0, 5000))
def test_size_within_is_exact_up_to_its_bound(value: Any, most: int):
    exact = len(dumps(value))
    assert size_within(value, most) == exact if exact <= most else size_within(value, most) > most


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(0, 5000))
def test_room_is_shared_so_that_only_what_is_above_the_common_share_is_cut(
    needs: list[int], room: int
):
    shares = fair(needs, room)
    assert sum(shares) <= room
    assert all(share <= need for share, need in zip(shares, needs, strict=True))
    cut_short = [share for share, need in zip(shares, needs, strict=True) if share < need]
    if cut_short:
        assert max(shares) - min(cut_short) <= 1
        assert room - sum(shares) <= len(needs)


def test_a_list_keeps_its_first_elements_and_says_how_many_follow():
    assert cut(list(range(200)), 40) == [0, 1, 2, 3, 4, 5, 6, 7, 8, "… 191 more of 200"]


def test_a_long_text_keeps_its_head_and_its_tail():
    shown = cut("start " + "x" * 5000 + " end", 100)
    assert isinstance(shown, str)
    assert shown.startswith("start xxx")
    assert shown.endswith("xxx end")
    assert "5,010 characters in all" in shown


def test_an_object_keeps_every_member_it_can_and_shares_the_room_between_them():
    shown = cut({"title": "short", "body": "x" * 5000, "more": "y" * 5000}, 300)
    assert isinstance(shown, dict)
    assert shown["title"] == "short"
    assert abs(len(str(shown["body"])) - len(str(shown["more"]))) <= 2
