"""The command `plait`, and `python -m plait`."""

from __future__ import annotations

import gc
import os
import sys

from . import __version__


def main() -> None:
    """Run the command line. Ends the process with one of the codes in `cli/exits.py`."""
    if sys.argv[1:] == ["--version"]:  # the one answer that needs nothing else
        sys.stdout.write(f"plait {__version__}\n")
        return
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # else it searches all installed packages
    # Importing leaves no garbage, and looking for it takes a fifth of the start: `settle_memory`.
    gc.disable()
    try:
        from .cli.commands import program

        program(prog_name="plait")
    except KeyboardInterrupt:  # while the program is still being imported
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
