"""Findings as documents, and their numbers."""

from __future__ import annotations

from pathlib import Path

from plait.doctor.findings import Mark, documents, look, mends_of, summary, well, wrong
from plait.doctor.mending import TakeAway

MEND = TakeAway(Path("/x"), 0o022)


def test_a_finding_as_a_document_holds_what_there_is():
    assert [*documents([well("a", "good"), wrong("b", "bad", "do it", MEND)])] == [
        {"mark": "well", "about": "a", "says": "good"},
        {"mark": "wrong", "about": "b", "says": "bad", "fix": "do it", "can_be_fixed": True},
    ]


def test_findings_are_counted_and_each_change_once():
    found = [well("a", ""), look("b", "", "", MEND), wrong("c", ""), wrong("d", "", "", MEND)]
    assert summary(found) == {"to_do": 2, "to_look_at": 1, "can_be_fixed": 1}
    assert mends_of(found) == [MEND]
    assert found[1].mark is Mark.LOOK
