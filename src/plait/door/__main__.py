"""`python -m plait.door`: the door for a client, with the arguments of `plait serve`."""

from __future__ import annotations

import sys

from .door import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
