"""A table names each row that fails, and tries them all."""

from __future__ import annotations

import inspect

import pytest

from .tables import table


def test_every_row_is_tried_and_every_row_that_fails_is_named() -> None:
    tried = []

    @table(("one", "other"), [(1, 1), (1, 2), (2, 2), (2, 0)])
    def equal(one: int, other: int) -> None:
        tried.append((one, other))
        assert one == other

    with pytest.raises(ExceptionGroup, match="2 of 4 rows") as caught:
        equal()
    assert tried == [(1, 1), (1, 2), (2, 2), (2, 0)]
    assert [failure.__notes__ for failure in caught.value.exceptions] == [
        ["in the row {'one': 1, 'other': 2}"],
        ["in the row {'one': 2, 'other': 0}"],
    ]


def test_a_row_that_raises_nothing_where_it_should_fails_too() -> None:
    @table("text", ["1", "x"])
    def refused(text: str) -> None:
        with pytest.raises(ValueError, match="invalid"):
            int(text)

    with pytest.raises(BaseExceptionGroup, match="1 of 2 rows"):
        refused()


def test_tables_multiply_and_leave_fixtures_to_pytest() -> None:
    tried = []

    @table("one", [1, 2])
    @table("other", ["a", "b"])
    def test(one: int, other: str, monkeypatch: object) -> None:
        tried.append((one, other, monkeypatch))

    assert [*inspect.signature(test).parameters] == ["monkeypatch"]
    test(monkeypatch=0)
    assert tried == [(1, "a", 0), (1, "b", 0), (2, "a", 0), (2, "b", 0)]
