"""The file of the settings: which one it is, and the lines on which its rules stand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .environment import config_folder_of, expand_user, state_folder_of
from .lines import lines_of
from .parse import is_clients
from .places import Steps
from .trust import Decisions, SettingsFile, Untrusted, check_writers

FILE_NAME = "servers.toml"


def settings_file(
    path: Path | None, environ: Mapping[str, str], cwd: Path
) -> tuple[SettingsFile | None, bool]:
    """Read the file of the settings, which is *path* or has to be found; None without one. Returns
    with it whether it was found in *cwd* or its parents, rather than named or the user's own.
    Raises `ConfigError`, and `Untrusted`."""
    named = _named(environ, cwd) if path is None else cwd / path
    places = candidates(path, environ, cwd)
    found = named or next((file for file in places if os.path.isfile(file)), None)
    if found is None:  # a folder that cannot be read has none
        return None, False
    file = SettingsFile.read(found)
    is_found = named is None and not _is_users_own(found, environ)
    if is_found:
        check_writers(file)
        if not (decisions := Decisions(state_folder_of(environ, cwd))).trusts(file):
            raise Untrusted(file, decisions)
    return file, is_found


def candidates(path: Path | None, environ: Mapping[str, str], cwd: Path) -> list[Path]:
    """Return the files in whose place `settings_file` looks, the first one that exists wins."""
    named = _named(environ, cwd) if path is None else cwd / path
    if named is not None:
        return [named]
    return [folder / FILE_NAME for folder in (cwd, *cwd.parents, config_folder_of(environ))]


def lines_of_rules(file: SettingsFile) -> dict[Steps, int]:
    """Return the lines of the rules in *file*, by place."""
    if is_clients(file.path):
        return {}  # a client's: it has none
    values = file.values()
    profiles = values.get("profiles", {})
    tables = {("policy",): values.get("policy", {})} | {
        ("profiles", name, "policy"): profile.get("policy", {})
        for name, profile in profiles.items()
    }
    texts: dict[Steps, str] = {}
    for steps, table in tables.items():
        for key, value in table.items():
            if isinstance(value, list):
                named = ((at, one) for at, one in enumerate(value) if isinstance(one, str) and one)
                texts |= {(*steps, key, at): one for at, one in named}
            elif isinstance(value, str):
                texts[*steps, key] = value
    return lines_of(file.data.decode("utf-8-sig"), texts) if texts else {}


def _named(environ: Mapping[str, str], cwd: Path) -> Path | None:
    named = environ.get("PLAIT_CONFIG")
    return cwd / expand_user(named, environ) if named else None


def _is_users_own(file: Path, environ: Mapping[str, str]) -> bool:
    """Return whether *file* is in the user's own configuration folder."""
    return file.parent.resolve() == config_folder_of(environ).resolve()
