"""JSON text where a value should stand: it is read with notes, or refused with what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.json_text import corrections, fix_of, flaw_of, read_text
from plait.core.values.near_json import NearJson
from plait.core.values.problems import MAX_FIX_CHARS, Fix, Op
from plait.core.values.strict import Json, NotStrict, dumps

from ..tables import table

PARSED = "repeat came as a JSON string; it was parsed"


@table(
    ("text", "value", "notes"),
    [
        ('{"x": 1}', {"x": 1}, [PARSED]),
        ('{"x": 1,}', {"x": 1}, [PARSED, "repeat: a trailing comma was corrected"]),
        (
            "```json\n[1,]\n```",
            [1],
            [PARSED, "repeat: a code fence and a trailing comma were corrected"],
        ),
    ],
)
def test_text_is_read_and_what_was_corrected_is_noted(
    text: str, value: Json, notes: list[str]
) -> None:
    assert read_text(text, "repeat") == (value, notes)


def test_nothing_is_noted_where_nothing_was_corrected() -> None:
    assert corrections("repeat", []) == []


@table(
    ("text", "flaw", "meant"),
    [
        ("{'x': 1}", "not JSON: there are single quotes in it", {"x": 1}),
        ('{"x"', "not JSON: it ends before all its brackets are closed", None),
        ('{"x": 1, "x": 2}', "not strict JSON: x appears twice in one object", None),
    ],
)
def test_text_that_cannot_be_read_is_described_with_what_was_meant(
    text: str, flaw: str, meant: Any
) -> None:
    with pytest.raises(NotStrict) as refused:
        read_text(text, "repeat")
    assert flaw_of(refused.value) == flaw
    assert fix_of(refused.value) == (None if meant is None else Fix(Op.REPLACE, meant))


def test_a_large_value_is_not_repeated_in_a_fix() -> None:
    meant = "x" * MAX_FIX_CHARS
    assert len(dumps(meant)) > MAX_FIX_CHARS
    assert fix_of(NearJson("not JSON", meant)) is None
