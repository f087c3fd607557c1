"""Chunks of a stream, cut into what is read in a row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.downstream.transports.pacing import SLICE_BYTES, sliced


@given(st.integers(0, 4 * SLICE_BYTES))
def test_a_chunk_is_cut_into_pieces_that_make_it(size: int):
    chunk = bytes(size)
    pieces = [*sliced(chunk)]
    assert b"".join(pieces) == chunk
    assert all(0 < len(piece) <= SLICE_BYTES for piece in pieces)
