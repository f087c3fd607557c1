"""Frames come out as they went in, however the stream is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.door.frames import END, HELLO, MESSAGE, Frames, frame, read_record, record

ONE = st.tuples(
    st.sampled_from([MESSAGE, HELLO, END]), st.integers(0, 2**32 - 1), st.binary(max_size=40)
)
NAMES = st.text(st.characters(exclude_characters="=\0", exclude_categories=["Cs"]), min_size=1)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(ONE), st.lists(st.integers(1, 30)))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    sent: list[tuple[bytes, int, bytes]], cuts: list[int]
):
    stream = b"".join(frame(kind, payload, number) for kind, number, payload in sent)
    frames, found = Frames(), []
    for cut in [*cuts, len(stream)]:
        piece, stream = stream[:cut], stream[cut:]
        found += frames.feed(piece)
    found += frames.feed(stream)
    assert found == sent


def test_a_frame_that_was_cut_off_is_not_given():
    frames = Frames()
    assert frames.feed(frame(MESSAGE, b"whole", 1) + frame(MESSAGE, b"cut off", 2)[:-1]) == [
        (MESSAGE, 1, b"whole")
    ]
    assert repr(frames) == f"<Frames: {9 + len(b'cut of')} bytes of the next one>"


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_a_record_keeps_names_values_and_order(pairs: list[tuple[str, str]]):
    assert read_record(record(pairs)) == pairs
