"""The command `plait`, and `python -m plait`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress

from . import __version__
from .cli.streams import with_lasting_streams


def main() -> None:
    """Run the command line. Ends the process with one of the codes in `cli/exits.py`."""
    with_lasting_streams(_main)


def _main() -> None:
    if sys.argv[1:] == ["--version"]:  # the one answer that needs nothing else
        sys.stdout.write(f"plait {__version__}\n")
        return
    from .cli.exits import INTERRUPTED

    def end(number: int, frame: object) -> None:
        if "--json" in sys.argv:
            with suppress(OSError):
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


if __name__ == "__main__":
    main()
