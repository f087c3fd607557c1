"""Keeps the memory of this process from other processes of its user (Linux)."""

from __future__ import annotations

import sys

PR_SET_DUMPABLE = 4
"""Of prctl(2): whether others of the same user may trace it and read its memory, its environment
and its descriptors in `/proc`, and whether it leaves core dumps. A program that it starts may be
read again."""


def hide_memory() -> None:
    """Let no other process of this user look into this one; debuggers cannot attach either."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
