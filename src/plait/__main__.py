"""The command `plait`, and `python -m plait`.

`plait serve` on a pipe is a door, and `plait call` mostly asks a gateway that runs: both start in
the time of a bare interpreter. So nothing is imported here before it is known what is asked for.
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
    if "_PLAIT_COMPLETE" in os.environ:
        _complete()
    from .cli.streams import with_lasting_streams

    with_lasting_streams(_main)


def _is_door() -> bool:
    """Return whether this is `plait serve` for a client that reaches us over a pipe: a person at a
    terminal may be asked something."""
    if sys.argv[1:2] != ["serve"] or None in (sys.stdin, sys.stdout, sys.stderr):
        return False
    from .door.arguments import is_for_door

    return is_for_door(sys.argv[2:], os.environ) and not os.isatty(0)


def _complete() -> None:
    """Answer the shell that asks for names, where that takes no more than they are."""
    from .door.arguments import PLATFORMS

    if sys.platform not in PLATFORMS:
        return
    from .door.completion import answer

    try:
        found = answer(os.environ, os.getcwd())
    except OSError:  # the folder is gone
        return
    if found is not None:
        sys.stdout.write(found)
        sys.exit()


def _main() -> None:
    if sys.argv[1:] == ["--version"]:  # the one answer that needs nothing else
        sys.stdout.write(f"plait {__version__}\n")
        return
    from .cli.early import end_if_interrupted

    end_if_interrupted()
    if sys.argv[1:2] == ["call"]:
        _call_in_shared_gateway()
    import gc

    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # else it searches all installed packages
    # Importing leaves no garbage, and looking for it takes a fifth of the start: `settle_memory`.
    gc.disable()
    from .cli.command_line import asked_for
    from .cli.commands import program
    from .privacy import hide_memory

    hide_memory()
    asked_for(program, sys.argv[1:])(prog_name="plait")


def _call_in_shared_gateway() -> None:
    """Let the gateway that others share make the call, if there is one and the call is a plain one:
    that needs no imports."""
    from .door.arguments import PLATFORMS

    if sys.platform not in PLATFORMS:
        return
    from .door.call import call
    from .door.commands import Lost

    try:
        if (code := call(sys.argv[2:])) is not None:
            sys.exit(code)
    except Lost as error:
        from .cli.shared import end_lost

        sys.exit(end_lost(error, as_json="--json" in sys.argv))


if __name__ == "__main__":
    main()
