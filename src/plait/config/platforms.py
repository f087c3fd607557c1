"""What the platform has: where it lacks what our own pipes need, the SDK's take their place."""

from __future__ import annotations

import sys


def has_own_pipes(platform: str = sys.platform) -> bool:
    """Whether an event loop of *platform* (as `sys.platform` names it) can wait for any pipe, and a signal reaches a
    process with all its children. Windows has neither."""
    return platform != "win32"
