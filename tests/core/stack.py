"""A stack that is nearly full, so that what calls itself for each part of a value fails early."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def little_stack_left(calls: int = 200) -> Iterator[None]:
    """Let only *calls* more be inside each other than there are now."""
    frame, depth = sys._getframe(), 0
    while (outer := frame.f_back) is not None:
        frame, depth = outer, depth + 1
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + calls)
    try:
        yield
    finally:
        sys.setrecursionlimit(usual)
