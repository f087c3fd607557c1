"""Figures as people read them."""

from __future__ import annotations


def milliseconds(ms: float) -> str:
    """Format a duration for a person: `3.1 ms`, `412 ms`, `1.18 s`, `2 min 3 s`."""
    if ms < 10:
        return f"{ms:.1f} ms"
    if ms < 1_000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.2f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s"


def counted(number: int, noun: str) -> str:
    """Count things: `1 task`, `1,200 tasks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
