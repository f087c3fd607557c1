"""Counting the steps that something takes: its time would say as much of the machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def steps(function: Callable[[], object]) -> int:
    """The number of calls that *function* makes, of functions in Python and in C."""
    count = 0

    def hook(frame: object, event: str, argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count
