"""`plait trust`, and the question on a terminal whether a settings file may be used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .exits import Exit

if TYPE_CHECKING:
    from ..config import Untrusted
    from ..config.trust import SettingsFile
    from .console import Console, Stream

TERMINAL = "/dev/tty"


class Declined(Exception):
    """A person was asked, and said no."""


def trust(console: Console, file: Path) -> int:
    """Keep that *file* may be used as it is now. Raises `ConfigError`."""
    from ..config.environment import state_folder_of
    from ..config.trust import Decisions, SettingsFile, check_writers

    read = SettingsFile.read(file.absolute())
    check_writers(read)
    _show(read, console.out)
    Decisions(state_folder_of(os.environ, Path.cwd())).trust(read)
    _write_down(read)
    console.err.line(f"{read.path} is used from now on, until it changes.")
    return Exit.SUCCESS


def ask(console: Console, found: Untrusted) -> bool:
    """Ask at the terminal whether the file that was *found* may be used, and keep a yes. Returns
    whether there is a terminal to ask at. Raises `ConfigError`, and `Declined` for a no."""
    question = "It was found here, and is used only if you trust it. Use it? [y/N]"
    answer = answer_at_terminal(console, question, lambda: _show(found.file, console.err))
    if answer is None:
        return False
    if not answer:
        raise Declined
    found.decisions.trust(found.file)
    _write_down(found.file)
    return True


def answer_at_terminal(
    console: Console, question: str, show: Callable[[], None] = lambda: None
) -> bool | None:
    """Ask a *question* at the terminal, after what *show* shows there. Returns whether a person
    said yes; None without a terminal to ask at."""
    if not console.err.is_terminal:
        return None
    try:
        with open(TERMINAL, encoding="utf-8", errors="replace") as terminal:
            show()
            console.err.line(question)
            return terminal.readline().strip().lower() in {"y", "yes"}
    except OSError:
        return None


def _write_down(file: SettingsFile) -> None:
    """Put into the audit that *file* is trusted, where its settings, if they can be read, keep
    that."""
    import anyio

    from ..app.audit import write_down
    from ..config import Config, load_config
    from ..config.environment import state_folder_of

    try:
        config = load_config(file.path)
    except ConfigError:
        folder = state_folder_of(os.environ, Path.cwd())
        config = Config().model_copy(update={"state_folder": folder})
    digest = hashlib.sha256(file.data).hexdigest()
    anyio.run(write_down, config, lambda trail: trail.trusted(str(file.path), digest))


def _show(file: SettingsFile, stream: Stream) -> None:
    from ..config.trust import effects

    lines = [f"  {line}" for line in effects(file)]
    stream.lines((line,) for line in (f"{file.path}:", *lines))
