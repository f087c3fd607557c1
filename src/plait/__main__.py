"""The command `plait`, and `python -m plait`.

`plait serve` on a pipe is a door, which starts in the time of a bare interpreter. So nothing is
imported here before it is known whether it is one.
"""

from __future__ import annotations

import os
import sys

from . import __version__


def main() -> None:
    """Be a door or run the command line. Ends the process with one of the codes in
    `cli/exits.py`."""
    if _is_door():
        from .door.door import main as serve

        sys.exit(serve(sys.argv[2:]))
    from .cli.streams import with_lasting_streams

    with_lasting_streams(_main)


def _is_door() -> bool:
    """Return whether this is `plait serve` for a client that reaches us over a pipe: a person at a
    terminal may be asked something."""
    if sys.argv[1:2] != ["serve"] or None in (sys.stdin, sys.stdout, sys.stderr):
        return False
    from .door.arguments import is_for_door

    return is_for_door(sys.argv[2:], os.environ) and not os.isatty(0)


def _main() -> None:
    if sys.argv[1:] == ["--version"]:  # the one answer that needs nothing else
        sys.stdout.write(f"plait {__version__}\n")
        return
    import gc
    import signal
    from contextlib import suppress

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
