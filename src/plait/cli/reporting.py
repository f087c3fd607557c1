"""The reports of a run that a command was asked for: which, where, and how they are written."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ..core.results.result import RunResult
    from ..redaction import Secrets


class Format(StrEnum):
    JUNIT = "JUnit"


@dataclass(frozen=True, slots=True)
class Report:
    """A report in the file at `path`."""

    format: Format
    path: Path


Made: TypeAlias = Sequence[tuple[Report, bytes]]
"""Reports and their content."""


def reports_of(junit: Path | None) -> tuple[Report, ...]:
    """Return the reports that the options ask for."""
    return () if junit is None else (Report(Format.JUNIT, junit),)


def make(reports: Iterable[Report], result: RunResult, known: Secrets) -> Made:
    """Make the *reports* of the run of *result*, without secrets."""
    return [(report, _maker(report.format)(result, known.redact)) for report in reports]


def _maker(format: Format) -> Callable[[RunResult, Callable[[str], str]], bytes]:
    match format:
        case Format.JUNIT:
            from ..reports.junit import junit_report

            return junit_report


def write(made: Made, complain: Callable[[str], object]) -> bool:
    """Write the reports that were *made*. Calls *complain* with the reason for each that cannot be
    written, and returns whether there was none."""
    is_whole = True
    for report, content in made:
        try:
            _replace(report.path, content)
        except OSError as error:
            is_whole = False
            reason = error.strerror or error
            complain(f"{report.path}: the {report.format} report cannot be written: {reason}.")
    return is_whole


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
