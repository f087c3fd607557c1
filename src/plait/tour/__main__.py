"""One service of the tour on a pipe: `python -m plait.tour SERVICE FOLDER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from .company import SERVICES
from .service import serve


def main(name: str, folder: str) -> None:
    """Serve until the input ends. What was read by then is still answered and logged."""
    asyncio.run(serve(name, SERVICES[name](Path(folder)), Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
