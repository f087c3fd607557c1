"""The standard streams of the program, which cannot fail in the middle of a run.

A stream may be closed (`>&-` of a shell), its reader may end (`| head`), its disk may be full. What
cannot be written is dropped, so that no warning costs a result. A reader that has gone has seen
enough; any other fault of standard output is reported at the end, and is a failure.
"""

from __future__ import annotations

import errno
import io
import os
import sys

TYPE_CHECKING = False  # a `plait call` in a shared gateway starts without `typing`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LOST = "error: standard output cannot be written: {}\n"
FAILED = 1


class Lasting(io.FileIO):
    """One of the streams. `fault` is the first error in writing to it."""

    fault: OSError | None = None

    def write(self, data: Any, /) -> int:
        if self.fault is None:
            try:
                return super().write(data)
            except OSError as error:
                self.fault = error
        return memoryview(data).nbytes


def with_lasting_streams(work: Callable[[], None]) -> None:
    """Do *work* on streams that do not fail. Exits with its code; with 1 in place of 0 if some of
    standard output was lost."""
    _open_missing_streams()
    out, sys.stdout = _lasting(sys.stdout)
    _, sys.stderr = _lasting(sys.stderr)
    try:
        work()
        code: Any = 0
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    if out.fault is not None and out.fault.errno != errno.EPIPE:
        sys.stderr.write(LOST.format(out.fault.strerror))
        code = code or FAILED
    sys.exit(code)


def _lasting(stream: Any) -> tuple[Lasting, io.TextIOWrapper]:
    raw = Lasting(stream.fileno(), "w", closefd=False)
    text = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )
    return raw, text


def _open_missing_streams() -> None:
    """Open nothing in place of each standard stream that was closed, as a shell's `>&-` does: else
    the next file that is opened would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # to the end
