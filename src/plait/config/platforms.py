"""What the platform has, where others take another way: the SDK's pipes instead of our own, signals by another door."""

from __future__ import annotations

import sys


def has_own_pipes(platform: str = sys.platform) -> bool:
    """Whether an event loop of *platform* (as `sys.platform` names it) can wait for any pipe, and a signal reaches a
    process with all its children. Windows has neither."""
    return platform != "win32"


def loops_hear_signals(platform: str = sys.platform) -> bool:
    """Whether an event loop of *platform* can be told of signals itself. Windows' cannot."""
    return platform != "win32"
