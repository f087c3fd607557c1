"""The environment that settings belong to: that of a client, which need not be this process's.

Everything that is found by a variable or a user's home is found here, in the mapping that is given,
and nowhere by `os.environ`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from ..door.variables import chosen, is_safe

MACHINE_ID = Path("/etc/machine-id")


def home_of(environ: Mapping[str, str]) -> str:
    """Return the user's home: HOME, or else what the system knows."""
    import pwd

    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return home
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"


def expand_user(path: str | os.PathLike[str], environ: Mapping[str, str]) -> str:
    """Return *path* with the home of the user in place of a `~` at its beginning, and of another
    user for `~name`."""
    text = os.fspath(path)
    if text == "~" or text.startswith("~/"):
        return home_of(environ).rstrip("/") + text[1:] or "/"
    return os.path.expanduser(text)


def config_folder_of(environ: Mapping[str, str]) -> Path:
    """Return the folder of the user's own settings."""
    return _user_folder(environ, "XDG_CONFIG_HOME", ".config")


def state_folder_of(environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the folder for what Plait keeps over restarts."""
    named = environ.get("PLAIT_STATE_DIR")
    if named:
        return cwd / expand_user(named, environ)
    return _user_folder(environ, "XDG_STATE_HOME", ".local/state")


def _user_folder(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """Return the folder of Plait in the one that *variable* names, if its path is absolute (XDG
    Base Directory Specification), else in the system's *default*."""
    named = environ.get(variable, "")
    if os.path.isabs(named):
        return Path(named, "plait")
    system = "Library/Application Support" if sys.platform == "darwin" else default
    return Path(home_of(environ), system, "plait")


def mark_of(state_folder: Path | None) -> str:
    """Return a mark by which gateways of one state folder on one machine know one another; empty
    without a folder."""
    if state_folder is None:
        return ""
    try:
        machine = MACHINE_ID.read_text()
    except OSError:  # the name of the machine has to do
        machine = ""
    text = "\0".join((machine, os.uname().nodename, os.path.realpath(state_folder)))
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def inherited(environ: Mapping[str, str], path: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables of *environ* that every server gets, with the folders of *path* before
    those of its PATH. (A value that begins with `()` is a function of a shell.)"""
    found = {
        name: value
        for name, value in environ.items()
        if is_safe(name) and not value.startswith("()")
    }
    if path:
        found["PATH"] = os.pathsep.join([*path, found.get("PATH") or os.defpath])
    return found


def passed_on(environ: Mapping[str, str], patterns: Sequence[str]) -> dict[str, str]:
    """Return the variables of *environ* that *patterns* choose, without empty ones."""
    found = chosen(environ, patterns)
    return {name: value for name, value in found if value and not value.startswith("()")}
