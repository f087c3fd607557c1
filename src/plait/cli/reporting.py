"""The reports of a run that a command was asked for: which, where, and how they are written."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from .exits import Misused

if TYPE_CHECKING:
    from ..core.results.result import RunResult
    from ..redaction import Secrets

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file which GitHub shows as the summary of a step."""


class Format(StrEnum):
    JUNIT = "JUnit"
    MARKDOWN = "Markdown"
    HTML = "HTML"


@dataclass(frozen=True, slots=True)
class Report:
    """A report in the file at `path`: instead of what is there, or after it."""

    format: Format
    path: Path
    appends: bool = False


Made: TypeAlias = Sequence[tuple[Report, bytes]]
"""Reports and their content."""


def reports_of(
    junit: Path | None, markdown: Path | None, html: Path | None, environ: Mapping[str, str]
) -> tuple[Report, ...]:
    """Return the reports that the options and *environ* ask for. Raises `Misused` if two would be
    one file."""
    asked = {
        "--junit": (Format.JUNIT, junit),
        "--md": (Format.MARKDOWN, markdown),
        "--html": (Format.HTML, html),
    }
    given = {
        option: Report(format, path) for option, (format, path) in asked.items() if path is not None
    }
    summary = environ.get(SUMMARY)
    if summary:
        given[SUMMARY] = Report(Format.MARKDOWN, Path(summary), appends=True)
    found: dict[str, tuple[str, Report]] = {}
    for option, report in given.items():
        place = os.path.realpath(report.path)
        other, before = found.get(place, (option, report))
        if before.format is not report.format:
            raise Misused(f"{report.path} is the file of {option}, too.", hint=other)
        found[place] = option, report  # what is appended to the summary is the same report
    return tuple(report for _, report in found.values())


def make(reports: Iterable[Report], result: RunResult, known: Secrets) -> Made:
    """Make the *reports* of the run of *result*, without secrets."""
    return [(report, _maker(report.format)(result, known.redact)) for report in reports]


def _maker(format: Format) -> Callable[[RunResult, Callable[[str], str]], bytes]:
    match format:
        case Format.JUNIT:
            from ..reports.junit import junit_report

            return junit_report
        case Format.MARKDOWN:
            from ..reports.markdown import markdown_report

            return markdown_report
        case Format.HTML:
            from ..reports.page import html_report

            return html_report


def write(made: Made, complain: Callable[[str], object]) -> bool:
    """Write the reports that were *made*. Calls *complain* with the reason for each that cannot be
    written, and returns whether there was none."""
    is_whole = True
    for report, content in made:
        try:
            if report.appends:
                _append(report.path, content)
            else:
                _replace(report.path, content)
        except OSError as error:
            is_whole = False
            reason = error.strerror or error
            complain(f"{report.path}: the {report.format} report cannot be written: {reason}.")
    return is_whole


def _append(path: Path, content: bytes) -> None:
    with open(path, "ab") as file:
        file.write(b"\n" + content)  # what is there may end within a line


def _replace(path: Path, content: bytes) -> None:
    """Replace the file at *path*, through links, or write to a device or pipe. A reader never sees
    part of it. Raises `OSError`."""
    mode = None
    with suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
    if mode is not None and not stat.S_ISREG(mode):
        _write_to(path, content)
        return
    file = Path(os.path.realpath(path))
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".plait-{secrets.token_hex(8)}")
    try:
        with open(draft, "xb") as fresh:
            fresh.write(content)
        if mode is not None:
            os.chmod(draft, stat.S_IMODE(mode))
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def _write_to(device: Path, content: bytes) -> None:
    """Write to a device or a pipe; a pipe without a reader is an error rather than a wait."""
    descriptor = os.open(device, os.O_WRONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with open(descriptor, "wb") as file:
        file.write(content)
