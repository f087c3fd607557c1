"""The command `scripts/bench`: it runs all groups, or those that are named."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from . import (
    bombs,
    completing,
    dag,
    doors,
    eager,
    history,
    http,
    memory,
    relay,
    scheduling,
    soak,
    start,
)
from .figures import Figure, keep, table

GROUPS: dict[str, Callable[[int], Iterator[Figure]]] = {
    scheduling.GROUP: scheduling.figures,
    dag.GROUP: dag.figures,
    memory.GROUP: memory.figures,
    eager.GROUP: eager.figures,
    relay.GROUP: relay.figures,
    http.GROUP: http.figures,
    soak.GROUP: soak.figures,
    start.GROUP: start.figures,
    completing.GROUP: completing.figures,
    bombs.GROUP: bombs.figures,
    doors.GROUP: doors.figures,
    history.GROUP: history.figures,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "groups", nargs="*", metavar="group", help=f"of {', '.join(GROUPS)}; all without one"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds, of which the best counts (5)"
    )
    parser.add_argument("--table", action="store_true", help="print Markdown tables as well")
    chosen = parser.parse_args()
    if unknown := set(chosen.groups) - GROUPS.keys():
        parser.error(f"unknown group: {', '.join(sorted(unknown))}")
    measured: list[Figure] = []
    for name in chosen.groups or GROUPS:
        print(f"\n{name}", flush=True)
        found = []
        for figure in GROUPS[name](chosen.rounds):
            print(figure.line(), flush=True)
            found.append(figure)
        if chosen.table:
            print(f"\n{table(found)}")
        measured += found
    print(f"\nkept in .bench/{keep(measured).name}")
    missed = [figure for figure in measured if figure.is_missed]
    for figure in missed:
        print(
            f"missed: {figure.group}: {figure.name}: {figure.value:g} {figure.unit}",
            file=sys.stderr,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
