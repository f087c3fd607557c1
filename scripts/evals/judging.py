"""Whether a job was done, judged from the calls that the services logged and from nothing that a
model says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its service logged it."""

    tool: str
    arguments: Mapping[str, Any]
    changes: bool
    error: str | None = None

    def __str__(self) -> str:
        failed = f" (failed: {self.error})" if self.error else ""
        return f"{_written(self.tool, self.arguments)}{failed}"


@dataclass(frozen=True, slots=True)
class Holding:
    """A text that holds all *parts*, however they are joined."""

    parts: tuple[str, ...]

    def __repr__(self) -> str:
        return f"text with {', '.join(map(repr, self.parts))}"


@dataclass(frozen=True, slots=True)
class Expected:
    """A call that must have happened, or must not, with the arguments that matter. Texts are
    compared without regard to spaces around them and between their words."""

    tool: str
    arguments: Mapping[str, Any]
    fails: bool = False
    """The service must have refused it: the job has to try, and to go on from there."""

    def fits(self, call: Call) -> bool:
        return self.tool == call.tool and all(
            _equals(name, value, call.arguments.get(name)) for name, value in self.arguments.items()
        )

    def __str__(self) -> str:
        failing = " (which fails)" if self.fails else ""
        return f"{_written(self.tool, self.arguments)}{failing}"


def read_calls(log: Path) -> list[Call]:
    """Read the *log* of the services, without its first line, which names the job."""
    _, *lines = log.read_text(encoding="utf-8").splitlines()
    return [Call(**json.loads(line)) for line in lines]


def faults(
    calls: Sequence[Call], must: Sequence[Sequence[Expected]], must_not: Sequence[Expected]
) -> list[str]:
    """List what is wrong with the *calls* of a job; nothing is wrong if it was done.

    Each chain of *must* has to be there in its order; chains may mix. Every other call that changed
    something is wrong, and so is any that *must_not* names, even if it failed."""
    found: list[str] = []
    open_calls = dict(enumerate(calls))
    for chain in must:
        place = -1
        for expected in chain:
            at = next((n for n, c in open_calls.items() if n > place and _is(expected, c)), None)
            if at is None:
                found.append(f"missing: {expected}")
                continue
            place = at
            del open_calls[at]
    for call in open_calls.values():
        if any(unwanted.fits(call) for unwanted in must_not):
            found.append(f"must not be: {call}")
        elif call.changes and not call.error:
            found.append(f"not asked for: {call}")
    return found


def _is(expected: Expected, call: Call) -> bool:
    return expected.fits(call) and expected.fails is (call.error is not None)


def _equals(name: str, wanted: Any, given: Any) -> bool:
    if isinstance(wanted, Holding):
        return isinstance(given, str) and all(part in given for part in wanted.parts)
    return bool(_plain(name, wanted) == _plain(name, given))


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in ("channel", "person", "assignee"):
        return value.strip().lstrip("#@")
    return [" ".join(line.split()) for line in value.strip().splitlines() if line.strip()]


def _written(tool: str, arguments: Mapping[str, Any]) -> str:
    words = ", ".join(f"{name}={value!r}" for name, value in arguments.items() if value is not None)
    return f"{tool}({words})"
