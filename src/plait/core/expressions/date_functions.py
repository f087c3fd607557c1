"""The functions of dates. They read no clock: the start of the run is given to an evaluation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .budget import Budget
from .signatures import TEXT, Function, Unfit

MAX_CHARS = 100
"""Most characters of a date."""


def _age_days(budget: Budget, text: str, start: float | None) -> Any:
    if start is None:
        raise Unfit("needs the start of a run, and there is none here")
    try:
        date = datetime.fromisoformat(text.strip() if len(text) <= MAX_CHARS else "")
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return (datetime.fromtimestamp(start, UTC) - date).days
    except (ValueError, OverflowError):
        return None


DATE_FUNCTIONS: dict[str, Function] = {
    "age_days": Function(_age_days, (TEXT,), "integer or null", reads_start=True),
}
