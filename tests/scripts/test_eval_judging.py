"""A job is judged from the calls that its services logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evals.judging import Call, Expected, Holding, faults, read_calls


def made(tool: str, *, error: str | None = None, reads: bool = False, **arguments: Any) -> Call:
    return Call(tool, arguments, changes=not reads, error=error)


def wanted(tool: str, *, fails: bool = False, **arguments: Any) -> Expected:
    return Expected(tool, arguments, fails)


COMMENT, CLOSE = wanted("i:comment", number=1), wanted("i:close", number=1)
COMMENTED, CLOSED = made("i:comment", number=1, text="x"), made("i:close", number=1)


def test_a_chain_must_be_there_in_its_order():
    assert faults([COMMENTED, CLOSED], [[COMMENT, CLOSE]], []) == []
    assert faults([CLOSED, COMMENTED], [[COMMENT, CLOSE]], []) == [
        "missing: i:close(number=1)",
        "not asked for: i:close(number=1)",
    ]


def test_chains_may_mix():
    other = made("i:comment", number=2)
    chains = [[COMMENT, CLOSE], [wanted("i:comment", number=2)]]
    assert faults([COMMENTED, other, CLOSED], chains, []) == []


def test_a_call_counts_once():
    twice = [[COMMENT], [COMMENT]]
    assert faults([COMMENTED], twice, []) == ["missing: i:comment(number=1)"]
    assert faults([COMMENTED, COMMENTED], twice, []) == []


def test_a_further_call_that_changes_something_is_wrong():
    assert faults([COMMENTED, CLOSED], [[COMMENT]], []) == ["not asked for: i:close(number=1)"]


def test_a_further_call_that_only_reads_or_had_no_effect_is_not_wrong():
    calls = [made("i:list", reads=True), COMMENTED, made("i:close", number=2, error="locked")]
    assert faults(calls, [[COMMENT]], []) == []


def test_a_call_that_must_not_be_is_wrong_even_if_it_failed():
    failed = made("i:close", number=1, error="locked")
    assert faults([failed], [], [CLOSE]) == ["must not be: i:close(number=1) (failed: locked)"]


def test_a_call_that_has_to_fail_must_have_failed():
    failing = wanted("i:comment", fails=True, number=1)
    assert faults([COMMENTED], [[failing]], [])[0] == "missing: i:comment(number=1) (which fails)"
    assert faults([made("i:comment", number=1, error="locked")], [[failing]], []) == []
    failed = made("i:comment", number=1, error="locked")
    assert faults([failed], [[COMMENT]], []) == ["missing: i:comment(number=1)"]


@pytest.mark.parametrize(
    ("channel", "text", "fits"),
    [
        ("ops", "a: 1\nb: 2", True),
        ("#ops", " a:  1\n\nb: 2\n", True),
        ("ops", "a: 1 b: 2", False),
        ("ops", "a: 1\nb: 2\nc: 3", False),
        ("dev", "a: 1\nb: 2", False),
    ],
    ids=["equal", "spaces", "lines", "more", "channel"],
)
def test_texts_are_equal_but_for_spaces(channel: str, text: str, fits: bool):
    expected = wanted("chat:post", channel="ops", text="a: 1\nb: 2")
    assert expected.fits(made("chat:post", channel=channel, text=text, thread=None)) is fits


def test_a_text_may_have_to_hold_some_parts_only():
    expected = wanted("chat:post", text=Holding(("failed: ", "disk full")))
    assert expected.fits(made("chat:post", text="It failed: error of db: disk full."))
    assert not expected.fits(made("chat:post", text="failed: timeout"))
    assert not expected.fits(made("chat:post"))
    assert str(expected) == "chat:post(text=text with 'failed: ', 'disk full')"


def test_the_log_begins_with_the_job(tmp_path: Path):
    log = tmp_path / "calls.jsonl"
    log.write_text('{"job": "close"}\n')
    assert read_calls(log) == []
    entry = {"tool": "i:close", "arguments": {"number": 1}, "changes": True, "error": "locked"}
    log.write_text(f'{{"job": "close"}}\n{json.dumps(entry)}\n')
    assert read_calls(log) == [made("i:close", number=1, error="locked")]
