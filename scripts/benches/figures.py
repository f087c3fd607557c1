"""The results of a group of measurements: figures, some with a promised bound."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".bench"


@dataclass(frozen=True)
class Figure:
    """One measured value. `most` and `least` are its promised bounds; without them it is only
    reported."""

    group: str
    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    """The values that it is made of, or that were measured with it."""

    @property
    def is_missed(self) -> bool:
        above = self.most is not None and self.value > self.most
        return above or (self.least is not None and self.value < self.least)

    @property
    def bound(self) -> str:
        if self.most is not None:
            return f"<= {self.most:g}"
        return "" if self.least is None else f">= {self.least:g}"

    def line(self) -> str:
        parts = "  ".join(f"{name} {value:g}" for name, value in self.parts.items())
        missed = "MISSED" if self.is_missed else ""
        return (
            f"{self.name:52} {self.value:10.2f} {self.unit:11} {self.bound:9} {missed:6} {parts}"
        ).rstrip()


def table(figures: Iterable[Figure]) -> str:
    """Format the *figures* that have parts as a Markdown table for `docs/performance.md`."""
    shown = [figure for figure in figures if figure.parts]
    names = list(dict.fromkeys(name for figure in shown for name in figure.parts))
    lines = [
        f"| | measured | promised | {' | '.join(names)} |",
        "| --- |" + " ---: |" * (len(names) + 2),
    ]
    for figure in shown:
        parts = [f"{figure.parts[name]:,g}" if name in figure.parts else "" for name in names]
        lines.append(
            f"| {figure.name} | {figure.value:,g} {figure.unit} | {figure.bound} | "
            f"{' | '.join(parts)} |"
        )
    return "\n".join(lines)


def keep(figures: Sequence[Figure]) -> Path:
    """Write *figures* as JSON into `.bench`, in a file of their own."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{time.time_ns() // 10**6}.json"
    file.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    return file
