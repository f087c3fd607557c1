"""The start of a shared gateway: lock and socket first, and only then the imports."""

from __future__ import annotations

import gc
import os
import signal
import sys

from ..door.place import NoPlace, Place
from ..privacy import hide_memory
from .listening import Listening

NO_SOCKET = 73
"""The exit code of a gateway that has no place for its socket (EX_CANTCREAT of sysexits.h)."""


def main(words: list[str]) -> int:
    """Serve doors, and return the exit code."""
    # It asks for the settings to be read anew: before any are read there is nothing to do.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    options = dict(zip(words[::2], words[1::2], strict=True))
    # Importing leaves no garbage, and looking for it takes a fifth of the start.
    gc.disable()
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # else it searches all installed packages
    place = Place(options["--state"])
    if "--serve-fd" in options:
        hide_memory()
        from .serving import serve_one

        return serve_one(place, int(options["--serve-fd"]))
    lock = int(options["--lock-fd"])
    os.set_inheritable(lock, False)  # a server that inherits it would hold it after our death
    listening = Listening(place, lock, options.get("--runtime", ""))
    try:
        sock = listening.open()
    except NoPlace as error:
        sys.stderr.write(f"The gateway cannot make its socket: {error}\n")
        return NO_SOCKET
    hide_memory()
    from .serving import serve

    return serve(listening, sock)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
