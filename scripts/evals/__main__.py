"""The command `scripts/eval`: twenty jobs over made-up services, done by reference plans or by a
model, and judged from the calls that the services logged."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from .doing import Model, Outcome, Way, do_by_model, do_by_plan, do_in_shell
from .jobs import Job, jobs
from .report import (
    HEADING,
    dear,
    in_shell,
    markdown,
    missed,
    row,
    summary,
    summary_line,
    wrong,
)

HOW = """\
Without --model the reference plans are played: for each job one search and one DAG, sent by a
client over stdio. The exit code is 1 if one of them is wrong, or if all of them together miss
a bound: 1.1 DAGs a job, and 900 characters of answer in the median.

With --shell they are played a second time by `plait tools` and `plait run -` in a shell. The exit
code is 1, too, if that takes more than 1.3 of the characters.

With --model each job is done by that command, through execute_dag (--way dag) and through the
tools of the services by name (--way tools). It is any program that speaks MCP over stdio:

  {mcp_config}  in a word of the command is the path of a JSON file with "mcpServers", whose only
                entry, "plait", is how to start the gateway (command, args, env). The program runs
                in a fresh folder that holds the file as .mcp.json.
  {job}         is the job as a person would say it; without it, the job is the standard input.

  scripts/eval --model 'claude -p --mcp-config {mcp_config} --strict-mcp-config \\
                        --allowedTools mcp__plait'

What the program prints does not matter. A job is right if the services logged the calls that it
takes, in their order, and no others that change something.

Characters are those that pass the model: of each request the name of the tool and the arguments
as compact JSON, of each answer its text. The definitions of the tools are counted apart.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/eval",
        description=__doc__,
        epilog=HOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("jobs", nargs="*", metavar="job", help="only these jobs; --list names them")
    parser.add_argument("--list", action="store_true", help="print the jobs and do none")
    parser.add_argument("--model", metavar="COMMAND", help="the program that does the jobs")
    parser.add_argument("--shell", action="store_true", help="play the plans from a shell, too")
    parser.add_argument(
        "--way", choices=("dag", "tools"), action="append", help="with --model; both without it"
    )
    parser.add_argument(
        "--timeout", type=float, default=600.0, metavar="S", help="seconds for a job (600)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--table", action="store_true", help="print a Markdown table as well")
    chosen = parser.parse_args()
    now = datetime.now(UTC)
    every = jobs(now)
    if unknown := set(chosen.jobs) - every.keys():
        parser.error(f"unknown job: {', '.join(sorted(unknown))}")
    if chosen.way and chosen.model is None:
        parser.error("--way is for a --model; without one the reference plans are played")
    if chosen.model is not None and "{mcp_config}" not in chosen.model:
        parser.error("the command of --model needs {mcp_config}, the way to the gateway")
    if chosen.shell and chosen.model is not None:
        parser.error("--shell plays the reference plans, not a --model")
    these = [every[name] for name in chosen.jobs or every]
    if chosen.list:
        print("\n".join(f"{job.name}: {job.sentence}" for job in these))
        return 0
    model = None if chosen.model is None else Model(chosen.model, chosen.timeout)
    ways: list[Way] = chosen.way or ["dag", "tools"]
    if model is None:
        ways = ["reference", "shell"] if chosen.shell else ["reference"]
    outcomes: dict[Way, list[Outcome]] = {}
    with tempfile.TemporaryDirectory(prefix="plait-eval-", ignore_cleanup_errors=True) as state:
        for way in ways:
            doing = do_all(these, way, model, Path(state), now, chosen.json)
            outcomes[way] = asyncio.run(doing)
    check = wrong if chosen.jobs else missed  # the bounds are those of all jobs
    broken = check(outcomes["reference"]) if model is None else []
    if chosen.shell:
        broken += dear(outcomes["shell"], outcomes["reference"])
        if not chosen.json:
            ratio = in_shell(outcomes["shell"], outcomes["reference"])
            print(f"from a shell: {ratio:.2f} of the characters over MCP")
    if chosen.json:
        print(as_json(outcomes, broken))
    elif chosen.table:
        for done in outcomes.values():
            print(f"\n{markdown(done, {job.name: job.takes for job in these})}")
    for sentence in broken:
        print(f"missed: {sentence}", file=sys.stderr)
    return 1 if broken else 0


async def do_all(
    these: list[Job], way: Way, model: Model | None, state: Path, now: datetime, is_quiet: bool
) -> list[Outcome]:
    """Do the jobs one after the other, and print each unless *is_quiet*."""

    def say(outcome: Outcome) -> None:
        if not is_quiet:
            print(row(outcome), flush=True)

    if not is_quiet:
        print(f"\n{way}\n{HEADING}")
    if way == "shell":
        done = await do_in_shell(these, state, now, say)
    elif model is None:
        done = await do_by_plan(these, state, now, say)
    else:
        done = await do_by_model(these, way, model, state, now, say)
    if not is_quiet:
        print(summary_line(done))
    return done


def as_json(outcomes: dict[Way, list[Outcome]], broken: list[str]) -> str:
    ways = {way: summary(done) for way, done in outcomes.items()}
    each = [outcome.as_json() for done in outcomes.values() for outcome in done]
    return json.dumps({"ways": ways, "missed": broken, "jobs": each}, indent=1)


if __name__ == "__main__":
    sys.exit(main())
