"""One service as an MCP server over stdio: `python -m evals.services NAME`.

The variable `EVAL_LOG` names the file that gets a line for each call, `EVAL_NOW` is the time that
the service takes for the present. With arguments in their place, it would be another server in each
job; so a gateway recognizes it and remembers its tools.
"""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path

from .builds import builds
from .calendar import calendar
from .chat import chat
from .customers import customers
from .issues import issues
from .service import CallLog, Service

SERVICES = {
    "issues": issues,
    "chat": chat,
    "customers": customers,
    "builds": builds,
    "calendar": calendar,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="evals.services", description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    service = parser.parse_args().service
    log, now = Path(os.environ["EVAL_LOG"]), datetime.fromisoformat(os.environ["EVAL_NOW"])
    Service(service, lambda: SERVICES[service](now), CallLog(log)).server().run("stdio")


if __name__ == "__main__":
    main()
