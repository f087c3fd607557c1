"""`plait init`: a first servers.toml for this folder, shown before it is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .exits import Exit, Misused
from .style import Look, Styled
from .trusting import answer_at_terminal

if TYPE_CHECKING:
    from .session import Session


def initialize(session: Session, *, yes: bool) -> int:
    """Show the first settings of this folder and write them once a person says so; then they are
    trusted. Raises `ConfigError`, and `Misused` where there is no one to ask."""
    from ..config.environment import state_folder_of
    from ..config.first_file import first_file
    from ..config.settings_file import FILE_NAME
    from ..config.trust import Decisions, SettingsFile

    folder, out, err = Path.cwd(), session.console.out, session.console.err
    file = folder / FILE_NAME
    if os.path.lexists(file):
        session.console.complain(f"{file} is there, and stays as it is. plait doctor examines it.")
        return Exit.TASK_FAILED
    first = first_file(folder, os.environ)
    if session.as_json:
        out.json({"file": str(file), "text": first.text, "reasons": [*first.reasons]})
    else:
        out.line(Styled(f"{file} (new)", Look.BOLD))
        out.lines((Styled(f"+ {line}".rstrip(), Look.GREEN),) for line in first.text.splitlines())
        err.lines((f"  {reason}",) for reason in first.reasons)
    answer = True if yes else answer_at_terminal(session.console, f"Write {FILE_NAME}? [y/N]")
    if answer is None:
        raise Misused("say --yes: it can ask at a terminal alone.", hint="--yes")
    if not answer:
        err.line("Nothing was written.")
        return Exit.TASK_FAILED
    if (trouble := _trouble_writing(file, first.text)) is not None:
        session.console.complain(f"{file} cannot be written: {trouble}")
        return Exit.TASK_FAILED
    Decisions(state_folder_of(os.environ, folder)).trust(SettingsFile.read(file))
    err.line("Written, and trusted as it is now. Next: plait doctor, then plait install.")
    return Exit.SUCCESS


def _trouble_writing(file: Path, text: str) -> str | None:
    """Write a new file, never over one that was made meanwhile. Returns why it was not written."""
    try:
        with open(file, "x", encoding="utf-8", opener=_for_others_to_read) as target:
            target.write(text)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _for_others_to_read(path: str, flags: int) -> int:
    """Open a file that goes into a repository: others may read it, and never write it."""
    return os.open(path, flags, 0o644)
