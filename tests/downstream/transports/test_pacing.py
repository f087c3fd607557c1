"""Rests for what no request was answered with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.downstream.transports.pacing import (
    LONGEST_REST_S,
    RESTS,
    SLICE_BYTES,
    UNNOTICED_S,
    rest_after,
    sliced,
)
from plait.downstream.transports.process import DRAIN_S


def test_a_rest_is_longer_than_what_it_follows_and_bounded():
    assert rest_after(UNNOTICED_S) == 0
    assert rest_after(0.01) == pytest.approx(RESTS * 0.01)
    assert rest_after(10) == LONGEST_REST_S
    assert LONGEST_REST_S < DRAIN_S  # else the end of a dead process would be lost


@given(st.integers(0, 4 * SLICE_BYTES))
def test_a_chunk_is_cut_into_pieces_that_make_it(size: int):
    chunk = bytes(size)
    pieces = [*sliced(chunk)]
    assert b"".join(pieces) == chunk
    assert all(0 < len(piece) <= SLICE_BYTES for piece in pieces)
