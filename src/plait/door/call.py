"""`plait call` in the way that people and scripts mostly type it: with the names of a tool and its
arguments, and a gateway that runs. All other command lines go to the ordinary command line."""

from __future__ import annotations

import os
from _json import encode_basestring_ascii as quoted  # `json` takes longer than all the rest

from . import commands
from .arguments import NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ELSEWHERE = frozenset({"PLAIT_LOG_LEVEL", "_PLAIT_COMPLETE"})
"""Variables with which a command line means something else: with the first, one that does all by
itself, because it shows its own log."""


def call(words: Sequence[str]) -> int | None:
    """Call a tool as `plait call` with *words*, and return the exit code; None if nothing was done.
    Raises `Lost`."""
    if (order := order_of(words, os.environ)) is None:
        return None
    try:
        return commands.carry_out("call", order)
    except commands.Misused:  # the ordinary command line says how it is used
        return None


def order_of(words: Sequence[str], environ: Mapping[str, str]) -> bytes | None:
    """Return the order for a gateway; None for a command line that is not a plain one."""
    named = [word for word in words if word != "--json"]
    if not named or not _are_plain(named) or not ELSEWHERE.isdisjoint(environ):
        return None
    if any(environ.get(n, "").strip().lower() not in NO for n in ("PLAIT_ISOLATED", "PLAIT_DEBUG")):
        return None
    tool, *arguments = map(quoted, named)
    command = f'{{"name":"call","tool":{tool},"words":[{",".join(arguments)}]}}'
    return commands.order(command, as_json=len(named) < len(words))


def _are_plain(words: Sequence[str]) -> bool:
    """Whether *words* are text, and neither options nor files."""
    try:
        return not any(word.startswith(("-", "@")) or not word.encode() for word in words)
    except UnicodeEncodeError:
        return False
