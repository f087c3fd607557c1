"""`plait doctor`: what is or may be wrong, as a table, and the changes that fix it safely."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from .. import __version__
from ..core.values.strict import Json, JsonObject
from ..doctor.case import Case
from ..doctor.examination import examine
from ..doctor.findings import Finding, Mark, documents, mends_of, summary
from ..errors import ConfigError
from .exits import Exit, Misused
from .machine import Running
from .style import Line, Look, Styled, counted, fold
from .trusting import answer_at_terminal
from .widths import padded, width_of

if TYPE_CHECKING:
    from ..doctor.mending import Mend
    from .session import Session

MARKS = {
    Mark.WELL: Styled("✓", Look.GREEN),
    Mark.LOOK: Styled("!", Look.YELLOW),
    Mark.WRONG: Styled("✗", Look.RED),
}
WIDEST_NAME = 16
NARROW = 60
"""Below this width, texts stand below the names."""
_LOOKS = {"+": Look.GREEN, "-": Look.RED}


def doctor(session: Session, *, fixes: bool, yes: bool) -> int:
    """Examine everything and show it; with *fixes*, make the changes that are safe once a person
    says so. Raises `Misused` where there is no one to ask."""
    case = _case(session)
    findings = anyio.run(examine, case)
    out = session.console.out
    if session.as_json:
        found: list[Json] = [*documents(findings)]
        out.json({"version": __version__, "findings": found, **summary(findings)})
    else:
        home = os.environ.get("HOME", "")
        out.lines(table([_at_home(one, home) for one in findings], out.width))
        out.lines(foot(summary(findings), fixes=fixes))
    mends = mends_of(findings)
    made = _made(session, mends, yes=yes) if fixes and mends else []
    left = [one for one in findings if one.mark is Mark.WRONG and one.mend not in made]
    is_declined = fixes and len(made) < len(mends)
    return Exit.TASK_FAILED if left or is_declined else Exit.SUCCESS


def _case(session: Session) -> Case:
    return Case(
        os.environ,
        Path.cwd(),
        Path(sys.argv[0]),
        _status,
        session.config_file,
        session.profile,
        session.secrets,
    )


def _status() -> JsonObject | None:
    running = Running.find()
    if running is None:
        return None
    with running:
        return running.ask("ps")


def _at_home(finding: Finding, home: str) -> Finding:
    """Return *finding* with `~` for the folder of the user, where a shell would understand it."""
    if len(home) < 2:
        return finding
    shown = partial(re.compile(rf"(?<!\S){re.escape(home)}/").sub, "~/")
    return replace(finding, says=shown(finding.says), fix=shown(finding.fix))


def table(findings: Sequence[Finding], width: int) -> Iterator[Line]:
    """Show *findings* as rows of at most *width*: a mark, a name, what was found, and its fix."""
    longest = max((width_of(one.about) for one in findings), default=0)
    column = min(longest, WIDEST_NAME)
    for finding in findings:
        name = Styled(padded(finding.about, column), Look.BOLD)
        fix = f"→ {finding.fix}" if finding.fix else ""
        if width < NARROW:
            yield (MARKS[finding.mark], " ", Styled(finding.about, Look.BOLD))
            yield from (("    ", line) for line in _wrapped(finding.says, width - 5))
            yield from (("    ", Styled(line, Look.DIM)) for line in _wrapped(fix, width - 5))
            continue
        indent = " " * (column + 4)
        room = max(width - len(indent) - 1, 20)
        says, fixes = _wrapped(finding.says, room), _wrapped(fix, room)
        if width_of(finding.about) > column:
            yield (MARKS[finding.mark], " ", name)
        else:
            first = says.pop(0) if says else ""
            if fixes and not says and width_of(first) + width_of(fix) + 2 <= room:
                yield (MARKS[finding.mark], " ", name, "  ", first, "  ", Styled(fix, Look.DIM))
                continue
            yield (MARKS[finding.mark], " ", name, "  ", first)
        yield from ((indent, line) for line in says)
        yield from ((indent, Styled(line, Look.DIM)) for line in fixes)


def foot(counts: JsonObject, *, fixes: bool) -> Iterator[Line]:
    """Show how much there is to do."""
    if not counts["to_do"] and not counts["to_look_at"]:
        yield ("Nothing to do.",)
        return
    text = f"{counts['to_do']} to do, {counts['to_look_at']} to look at"
    if counts["can_be_fixed"] and not fixes:
        text += f"; {counts['can_be_fixed']} can be done by plait doctor --fix"
    yield (text,)


def _wrapped(text: str, width: int) -> list[str]:
    """Break *text* between words into lines of at most *width*."""
    lines = fold((text,), max(width, 10)) if text else ()
    return ["".join(map(str, line)) for line in lines]


def _made(session: Session, mends: Sequence[Mend], *, yes: bool) -> list[Mend]:
    """Show the changes and make them once a person says yes. Returns those that were made."""
    err = session.console.err
    able: list[Mend] = []
    for mend in mends:
        try:
            lines = [*mend.difference()]
        except (OSError, ConfigError) as error:
            session.console.complain(str(error))
            continue
        able.append(mend)
        first, *more = lines
        err.line(Styled(first, Look.BOLD))
        err.lines((_shown(line),) for line in more)
    if not able:
        return []
    question = f"Make {'this change' if len(able) == 1 else f'these {len(able)} changes'}? [y/N]"
    answer = True if yes else answer_at_terminal(session.console, question)
    if answer is None:
        raise Misused("say --yes: it can ask at a terminal alone.", hint="--fix")
    made: list[Mend] = []
    for mend in able if answer else ():
        try:
            mend.make()
        except (OSError, ConfigError) as error:
            session.console.complain(str(error))
        else:
            made.append(mend)
    err.line(f"{counted(len(made), 'change')} made." if answer else "Nothing was changed.")
    return made


def _shown(line: str) -> str | Styled:
    look = _LOOKS.get(line[:1])
    return f"  {line}" if look is None else Styled(f"  {line}", look)
