"""The figures of many jobs: as a table to read, as Markdown for the documentation, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from .doing import Outcome

MOST_DAGS = 1.1
"""DAGs a job, with reference plans."""
MOST_IN_SHELL = 1.3
"""Characters of a job from a shell, for one of the same job over MCP."""
MOST_ANSWER = 900
"""Characters of answer in the median, with reference plans."""

_COLUMNS = ("requests", "dags", "calls", "characters", "answer", "seconds")
HEADING = f"{'job':20} {'':5} " + " ".join(f"{name:>10}" for name in _COLUMNS)


def row(outcome: Outcome) -> str:
    """Return the line of one job, and below it a line for each fault."""
    verdict = "right" if outcome.is_right else "WRONG"
    numbers = " ".join(f"{number:>10,}" for number in _numbers(outcome))
    return "\n".join(
        [f"{outcome.job:20} {verdict:5} {numbers}", *(f"    {why}" for why in outcome.faults)]
    )


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Add up the jobs of one way."""
    return {
        "jobs": len(outcomes),
        "right": sum(outcome.is_right for outcome in outcomes),
        "requests": sum(outcome.requests for outcome in outcomes),
        "dags_a_job": round(sum(outcome.dags for outcome in outcomes) / len(outcomes), 2),
        "service_calls": sum(outcome.service_calls for outcome in outcomes),
        "characters": sum(outcome.characters for outcome in outcomes),
        "answer_median": median(outcome.answer for outcome in outcomes),
        "definitions": max(outcome.definitions for outcome in outcomes),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
    }


def summary_line(outcomes: Sequence[Outcome]) -> str:
    """Return the sums of one way as a sentence."""
    of = summary(outcomes)
    return (
        f"{of['right']} of {of['jobs']} right; {of['requests']} requests, {of['dags_a_job']} DAGs "
        f"a job, {of['characters']:,} characters ({of['definitions']:,} of definitions not "
        f"counted), {of['answer_median']:g} of answer in the median; {of['seconds']:g} s"
    )


def wrong(outcomes: Sequence[Outcome]) -> list[str]:
    """Name the jobs that are wrong."""
    return [f"{outcome.job} is wrong" for outcome in outcomes if not outcome.is_right]


def missed(outcomes: Sequence[Outcome]) -> list[str]:
    """List what the reference plans of all jobs promise and do not keep."""
    of = summary(outcomes)
    found = wrong(outcomes)
    if of["dags_a_job"] > MOST_DAGS:
        found.append(f"{of['dags_a_job']} DAGs a job, promised are {MOST_DAGS}")
    if of["answer_median"] > MOST_ANSWER:
        found.append(f"{of['answer_median']:g} characters of answer, promised are {MOST_ANSWER}")
    return found


def dear(shell: Sequence[Outcome], reference: Sequence[Outcome]) -> list[str]:
    """List what is promised of jobs from a shell and not kept; *reference* are the same jobs over
    MCP."""
    found = wrong(shell)
    ratio = in_shell(shell, reference)
    if ratio > MOST_IN_SHELL:
        found.append(f"{ratio:.2f} of the characters from a shell, promised are {MOST_IN_SHELL}")
    return found


def in_shell(shell: Sequence[Outcome], reference: Sequence[Outcome]) -> float:
    """Return the characters of jobs from a shell, for one of the same jobs over MCP."""
    return float(summary(shell)["characters"] / summary(reference)["characters"])


def markdown(outcomes: Sequence[Outcome], takes: dict[str, str]) -> str:
    """Return the table of `docs/performance.md`; *takes* says what each job takes."""
    lines = [
        "| job | what it takes | calls | characters | of answer |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for each in outcomes:
        numbers = f"{each.service_calls} | {each.characters:,} | {each.answer:,}"
        lines.append(f"| {each.job} | {takes[each.job]} | {numbers} |")
    return "\n".join(lines)


def _numbers(outcome: Outcome) -> tuple[float, ...]:
    return (
        outcome.requests,
        outcome.dags,
        outcome.service_calls,
        outcome.characters,
        outcome.answer,
        outcome.seconds,
    )
