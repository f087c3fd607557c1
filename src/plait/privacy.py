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
        # The part of `ctypes` that is written in C: the rest takes longer than the start of a door.
        import _ctypes

        program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # the C library is in it
        prctl = _ctypes.dlsym(program, "prctl")
        _ctypes.call_function(prctl, (PR_SET_DUMPABLE, 0, 0, 0, 0))
