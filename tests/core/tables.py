"""Tables of cases: many rows of what a pure function is given and what it gives.

pytest keeps books of each test. That takes a hundred times as long as a row of such a table, and
there are thousands of rows; so a table is one test. `pytest.mark.parametrize` is for the rest: few
rows, or rows that take long or need fixtures of their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest


def table(names: str | Sequence[str], rows: Iterable[Any]) -> Callable[[Any], Callable[..., None]]:
    """Have a test try each of *rows*, and fail with every row that fails.

    The arguments are those of `pytest.mark.parametrize`.
    """
    columns = (names,) if isinstance(names, str) else tuple(names)
    rows = list(rows)
    assert rows

    def of(test: Callable[..., None]) -> Callable[..., None]:
        assert not inspect.iscoroutinefunction(test)

        @functools.wraps(test)
        def all_rows(**others: Any) -> None:
            failures: list[BaseException] = []
            for row in rows:
                values = (row,) if isinstance(names, str) else row
                given = dict(zip(columns, values, strict=True))
                try:
                    test(**given, **others)
                except (Exception, pytest.fail.Exception) as failure:
                    failure.add_note(f"in the row {given!r}")
                    failures.append(failure)
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(rows)} rows", failures)

        signature = inspect.signature(test)
        kept = [one for name, one in signature.parameters.items() if name not in columns]
        all_rows.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return all_rows

    return of
