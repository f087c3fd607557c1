"""The command `plait`, and `python -m plait`."""

from __future__ import annotations

import gc
import os
import signal
import sys

from . import __version__


def main() -> None:
    """Run the command line. Ends the process with one of the codes in `cli/exits.py`."""
    if sys.argv[1:] == ["--version"] and sys.stdout:  # the one answer that needs nothing else
        sys.stdout.write(f"plait {__version__}\n")
        return
    _open_missing_streams()
    from .cli.exits import INTERRUPTED

    def end(number: int, frame: object) -> None:
        if "--json" in sys.argv:
            os.write(1, f"{INTERRUPTED}\n".encode())
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in {signal.default_int_handler, signal.SIG_DFL}:
            # While modules are imported, a KeyboardInterrupt could surface as any error of theirs.
            signal.signal(number, end)
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # else it searches all installed packages
    # Importing leaves no garbage, and looking for it takes a fifth of the start: `settle_memory`.
    gc.disable()
    from .cli.commands import program
    from .privacy import hide_memory

    hide_memory()
    program(prog_name="plait")


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


if __name__ == "__main__":
    main()
