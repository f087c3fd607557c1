"""`plait skill`: the skill for coding agents, printed or put where clients read it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..install.machine import Machine
from ..install.skill import Found, Place, place_of, skill_text
from .exits import Exit, Misused
from .style import Line, Look, Styled, Verbatim, counted
from .trusting import answer_at_terminal

if TYPE_CHECKING:
    from .console import Console

FOREIGN = (
    "is not a file that plait wrote, or was changed since, and stays as it is. Move it away to "
    "have the skill of plait there; plait skill prints that."
)


def show_skill(console: Console) -> int:
    console.out.lines((Verbatim(line),) for line in skill_text().splitlines())
    return Exit.SUCCESS


def install_skill(console: Console, clients: Sequence[str], *, yes: bool) -> int:
    """Put the skill where *clients* read it, once a person has said yes. A file that is not ours
    stays. Raises `Misused` without a terminal, unless *yes*."""
    machine = Machine.here(os.environ, Path.cwd())
    places = list(dict.fromkeys(place_of(client, machine) for client in clients))
    code = Exit.SUCCESS
    for place in places:
        if place.found is Found.FOREIGN:
            console.complain(f"{place.path} {FOREIGN}")
            code = Exit.TASK_FAILED
    changing = [place for place in places if place.found in {Found.NOTHING, Found.EARLIER}]
    console.out.lines(line for place in places for line in _shown(place))
    if not changing:
        return code
    if not yes:
        count = counted(len(changing), "file")
        answer = answer_at_terminal(console, f"Write {count}? [y/N]")
        if answer is None:
            raise Misused("say --yes: it can ask at a terminal alone.", hint="--yes")
        if not answer:
            return Exit.TASK_FAILED
    for place in changing:
        try:
            place.write()
        except OSError as error:
            console.complain(f"{place.path} was not written: {error}")
            code = Exit.TASK_FAILED
        else:
            console.out.line(f"{place.path} is written.")
    return code


def _shown(place: Place) -> Iterator[Line]:
    match place.found:
        case Found.SAME:
            yield (Styled("= ", Look.DIM), f"{place.path} is there already")
        case Found.NOTHING:
            lines = counted(skill_text().count("\n"), "line")
            yield (Styled("+ ", Look.GREEN), f"{place.path} (new, {lines}: plait skill shows them)")
        case Found.EARLIER:
            yield (Styled("~ ", Look.YELLOW), f"{place.path}")
            before, after = place.text.splitlines(), skill_text().splitlines()
            for line in list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]:
                yield (f"    {line}",)
