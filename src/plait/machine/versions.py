"""The order of versions of Plait: which of two is newer."""

from __future__ import annotations

import re

_FORM = re.compile(r"v?(\d+(?:\.\d+)*)[-_.]?(a|b|c|rc|alpha|beta|pre|preview)?[-_.]?(\d*)(.*)")
_FINAL = 3
_STAGES = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "": _FINAL}


def is_newer(version: str, other: str) -> bool:
    """Return whether *version* comes after *other* (PEP 440; local parts do not count)."""
    return _order(version) > _order(other)


def _order(version: str) -> tuple[tuple[int, ...], int, int, int]:
    found = _FORM.match(version.lower())
    if found is None:
        return (), 0, 0, 0
    numbers, stage, number, rest = found.groups(default="")
    parts = tuple(map(int, numbers.split(".")))
    while parts and not parts[-1]:
        parts = parts[:-1]  # 1.0 is 1
    dev = re.search(r"dev(\d*)", rest)
    after = 0 if dev is None else -1
    if dev is not None and not stage:
        return parts, -1, int(dev[1] or 0), 0
    return parts, _STAGES.get(stage, 2), int(number or 0) if stage else 0, after
