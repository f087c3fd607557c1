"""Kills a piece of work at each step that it makes in the file system, in a process of its own."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable

KILLED = 9
STEPS = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.chmod", "os.chown", "os.rmdir"}


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do *work* in a copy of this process, which ends without a word right before its step number
    *step* in the file system. Returns whether it got there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # idle threads of other tests
        child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in {0, KILLED}, f"the work failed ({code})"
        return code == KILLED
    try:
        _dies_at(step)
        work()
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        code = 1
    os._exit(code)


def _dies_at(step: int) -> None:
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event == "open":
            flags = arguments[2]
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                return
        elif event not in STEPS:
            return
        if seen == step:
            os._exit(KILLED)
        seen += 1

    sys.addaudithook(hook)
