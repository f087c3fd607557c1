"""Which variables were asked for."""

from __future__ import annotations

from plait.config.variables import Recording


def test_what_was_asked_for_is_recorded_whether_it_is_set_or_not():
    recording = Recording({"A": "1", "B": "2"})
    assert (recording.get("A"), recording.get("NONE", "default")) == ("1", "default")
    assert recording.used == {"A": "1", "NONE": None}
    assert (list(recording), len(recording)) == (["A", "B"], 2)


def test_it_shows_no_value():
    recording = Recording({"A": "s3cret"})
    assert recording["A"] == "s3cret"
    assert "s3cret" not in repr(recording)
