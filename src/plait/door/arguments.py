"""The command lines of `plait serve` that a door takes. All others go to the ordinary command line,
which serves in this process or explains what is wrong."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEVELS = frozenset({"debug", "info", "warning", "error"})
NO = frozenset({"", "0", "false", "f", "no", "n", "off"})
YES = frozenset({"1", "true", "t", "yes", "y", "on"})
FLAGS = frozenset({"--watch", "--debug"})
WITH_VALUE = frozenset({"--config", "--log-level", "--profile"})
PLATFORMS = frozenset({"linux", "darwin"})


def is_for_door(
    words: Sequence[str], environ: Mapping[str, str], platform: str = sys.platform
) -> bool:
    """Return whether a door serves `plait serve` with these *words* and variables."""
    level, debug = environ.get("PLAIT_LOG_LEVEL", ""), environ.get("PLAIT_DEBUG", "")
    return (
        platform in PLATFORMS
        and environ.get("PLAIT_ISOLATED", "").strip().lower() in NO
        and (not level or level.lower() in LEVELS)
        and debug.strip().lower() in NO | YES
        and _are_known(words)
    )


def _are_known(words: Sequence[str]) -> bool:
    rest = iter(words)
    for word in rest:
        name, sign, value = word.partition("=")
        if word in FLAGS:
            continue
        if name not in WITH_VALUE:
            return False
        if not sign:
            value = next(rest, "")
        if not value or (name == "--log-level" and value.lower() not in LEVELS):
            return False
    return True
