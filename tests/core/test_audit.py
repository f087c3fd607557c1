"""Rows of the audit, and what a chain of them shows that was changed."""

from __future__ import annotations

import hashlib
import json

import pytest

from plait.core.audit import (
    START,
    AuditRow,
    ChainCheck,
    ChainEnd,
    What,
    deleted,
    digest,
    lost_rows,
    missing,
    read_line,
    written_time,
)
from plait.core.values.principal import USER


def rows(count: int) -> list[AuditRow]:
    return [AuditRow(float(n), What.SENT, USER, run=f"r_{n}") for n in range(1, count + 1)]


def chain(given: list[AuditRow]) -> tuple[dict[int, str], ChainEnd]:
    end, lines = ChainEnd(), dict[int, str]()
    for row in given:
        line = row.line(end)
        end = end.after(line)
        lines[end.number] = line
    return lines, end


def fault(lines: dict[int, str], end: ChainEnd) -> str | None:
    check = ChainCheck()
    for number, line in sorted(lines.items()):
        check.add(number, line)
    return check.fault(end)


def test_a_row_is_one_line_of_json_with_the_hash_of_the_line_before():
    row = AuditRow(
        1_767_225_600.1234,
        What.SENT,
        USER,
        "stdio",
        "r_1",
        "close[3]",
        "tracker:close_issue",
        {"b": 1, "a": "ü"},
        {"why": "allowed: no rule of [policy] matches"},
    )
    lines, end = chain([row, row])
    assert json.loads(lines[1]) == {
        "number": 1,
        "before": START,
        "at": "2026-01-01T00:00:00.123Z",
        "what": "sent",
        "principal": "user",
        "client": "stdio",
        "run": "r_1",
        "task": "close[3]",
        "tool": "tracker:close_issue",
        "arguments": hashlib.sha256('{"a":"ü","b":1}'.encode()).hexdigest(),
        "why": "allowed: no rule of [policy] matches",
    }
    assert json.loads(lines[2])["before"] == hashlib.sha256(lines[1].encode()).hexdigest()
    assert end == ChainEnd(2, hashlib.sha256(lines[2].encode()).hexdigest())


def test_equal_arguments_have_equal_digests_in_whatever_order_they_are_written():
    assert digest({"a": 1, "b": [2, {"d": 3, "c": 4}]}) == digest(
        {"b": [2, {"c": 4, "d": 3}], "a": 1}
    )
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest({"a": 2**70}) == digest({"a": 2**70})


def test_a_chain_that_nobody_touched_is_whole():
    for count in (0, 1, 7):
        assert fault(*chain(rows(count))) is None


@pytest.mark.parametrize("number", range(1, 8))
def test_a_changed_row_is_found(number: int):
    lines, end = chain(rows(7))
    lines[number] = lines[number].replace(f"r_{number}", "r_9")
    found = fault(lines, end)
    assert found is not None
    assert f"row {number}" in found


@pytest.mark.parametrize("number", range(1, 8))
def test_a_deleted_row_is_found(number: int):
    lines, end = chain(rows(7))
    del lines[number]
    assert fault(lines, end) == f"row {number} is missing"


def test_deleted_rows_are_found_at_once():
    lines, end = chain(rows(7))
    for number in (3, 4, 5, 7):
        del lines[number]
    assert fault(lines, end) == "rows 3 to 5 are missing"
    assert fault({}, end) == "rows 1 to 7 are missing"


@pytest.mark.parametrize("number", range(1, 9))
def test_an_inserted_row_is_found(number: int):
    lines, end = chain(rows(7))
    shifted = {n + (n >= number): line for n, line in lines.items()}
    before = ChainEnd(number - 1, START if number == 1 else json_hash(lines[number - 1]))
    shifted[number] = AuditRow(0.0, What.SENT, USER, run="r_9").line(before)
    assert fault(shifted, end) is not None


def json_hash(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


@pytest.mark.parametrize("number", range(1, 7))
def test_rows_that_changed_places_are_found(number: int):
    lines, end = chain(rows(7))
    lines[number], lines[number + 1] = lines[number + 1], lines[number]
    found = fault(lines, end)
    assert found is not None
    assert f"row {number} " in found


@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("line", ["", "null", "[]", "{", '{"number": {}}', '"\ud800"'])
def test_a_row_that_is_no_row_any_more_is_found(number: int, line: str):
    lines, end = chain(rows(7))
    lines[number] = line
    assert fault(lines, end) is not None
    assert read_line("{") == {}


def test_the_first_of_several_broken_places_is_named():
    lines, end = chain(rows(9))
    lines[7] = lines[7].replace("r_7", "r_9")
    del lines[3]
    assert fault(lines, end) == "row 3 is missing"


def test_a_chain_without_its_oldest_rows_follows_on_what_a_row_says_was_deleted():
    given = rows(5)
    lines, end = chain(given)
    last = ChainEnd(3, json_hash(lines[3]))
    row = deleted(9.0, last).line(end)
    lines[6], end = row, end.after(row)
    assert fault(lines, end) is None
    for number in (2, 1, 3):  # in whatever order, and whether it is done or not
        del lines[number]
        assert fault(lines, end) is None
    assert fault({n: lines[n] for n in (5, 6)}, end) == "rows 1 to 4 are missing"
    with_another_hash = lines | {4: lines[4].replace(last.hash, START)}
    assert fault(with_another_hash, end) is not None


def test_rows_that_vanish_without_a_row_that_says_so_are_found():
    lines, end = chain(rows(5))
    assert fault({n: lines[n] for n in (4, 5)}, end) == "rows 1 to 3 are missing"


def test_rows_behind_the_end_are_found():
    lines, _ = chain(rows(5))
    assert fault(lines, chain(rows(3))[1]) == "rows 4 to 5 were added from outside"


def test_a_row_about_missing_rows_stands_for_them_if_it_is_missing_too():
    assert sum(map(lost_rows, [*rows(2), missing(3.0, 5)])) == 7


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_599.9996, "2025-12-31T23:59:59.999Z"),
        (1_767_225_600.25, "2026-01-01T00:00:00.250Z"),
    ],
)
def test_times_are_written_in_utc_and_sort_as_text(at: float, text: str):
    assert written_time(at) == text


@pytest.mark.parametrize("name", ["größe", "a\x7fb", "\ud800", "\x1b[2J", "\u202e"])
def test_a_line_holds_nothing_that_a_terminal_obeys(name: str):
    line = AuditRow(0.0, What.SENT, tool=name).line(ChainEnd())
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["tool"] == name
