"""The end of a program that is interrupted while it still starts: before anything was sent."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has none; `signal` takes 3 ms
import os
import sys

INTERRUPTED = (
    '{"status": "cancelled", "errors": [], "outputs": {}, '
    '"notes": ["interrupted before anything was sent"]}'
)
"""The document of `--json` then. It is text, so that it can be written while modules are
imported."""


def end_if_interrupted() -> None:
    """End the process at a signal. While modules are imported, a KeyboardInterrupt could surface as
    any error of theirs."""
    for number in (_signal.SIGINT, _signal.SIGTERM):
        if _signal.getsignal(number) in {_signal.default_int_handler, _signal.SIG_DFL}:
            _signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    if "--json" in sys.argv:
        try:  # noqa: SIM105  # `contextlib` takes 5 ms
            os.write(1, f"{INTERRUPTED}\n".encode())
        except OSError:
            pass
    os._exit(128 + number)
