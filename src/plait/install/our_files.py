"""Our own files with what is moved: `servers.toml` and `secrets.env`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from .carrying import folder_of_command
from .changes import Change, Extend, Put
from .clients import Format
from .entries import value_at
from .literals import Literals
from .machine import Machine
from .plan import FileChange, Plan, Server
from .secrets_text import with_secrets
from .splice import spliced

SYSTEM_FOLDERS = frozenset({"/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"})
"""Where programs without a shell look for commands."""
HEADER = b"# Made by plait install; plait install --undo takes it back.\n"


def add_ours(
    plan: Plan,
    contents: tuple[bytes | None, bytes | None],
    existing: Mapping[str, Any],
    profiles: Mapping[str, list[str]],
    machine: Machine,
) -> None:
    """Add the changes of our files to *plan*. *contents* are those of the settings and the secrets,
    None for a file that is missing; *existing* are the settings that there are, and *profiles* what
    is to be in each."""
    in_project, targets = plan.options.in_project, plan.targets
    before, kept = contents
    literals = Literals(plan.secrets, machine.environ)
    new = [server for server in plan.servers if server.is_new]
    for server in new:
        known = {*literals.made}
        if not in_project:
            server.settings = literals.replaced(server.name, server.meaning)
        server.secrets = tuple(name for name in literals.made if name not in known)
    changes = _changes(plan, new, existing, profiles, machine, is_new=before is None)
    data = before if before is not None else HEADER if changes else b""
    plan.settings = spliced(data, Format.TOML, changes) if changes else data
    plan.secrets = {**plan.secrets, **literals.made}
    if literals.made:
        text = with_secrets(kept or b"", literals.made)
        plan.changes.append(FileChange(targets.secrets, "secrets.env", kept, text, is_private=True))
    if changes:
        plan.changes.append(
            FileChange(
                targets.settings,
                "servers.toml",
                before,
                plan.settings,
                Format.TOML,
                is_private=before is None and not in_project,
            )
        )


def _changes(
    plan: Plan,
    new: list[Server],
    existing: Mapping[str, Any],
    profiles: Mapping[str, list[str]],
    machine: Machine,
    *,
    is_new: bool,
) -> list[Change]:
    """Return the changes of our settings, in the order in which a person would write them."""
    changes: list[Change] = []
    if not plan.servers:
        return changes

    def missing(names: list[str], *steps: str) -> tuple[str, ...]:
        held = value_at(existing, steps)
        return tuple(name for name in names if not isinstance(held, list) or name not in held)

    if not plan.options.in_project and (
        folders := missing(_folders(new, machine), "gateway", "path")
    ):
        changes.append(Extend(("gateway", "path"), folders))
    for answer in ("deny", "ask"):
        given = ["write"] if is_new and answer == "ask" else []
        given += [rule for about, rule, _ in plan.policy if about == answer]
        if rules := missing(given, "policy", answer):
            changes.append(Extend(("policy", answer), rules))
    changes += [Put(("servers",), server.name, server.settings) for server in new]
    for profile, names in profiles.items():
        known = value_at(existing, ("profiles", profile))
        place = ("profiles", profile, "servers")
        if known is None:
            changes.append(Put(("profiles",), profile, {"servers": names}))
        elif "servers" in known and (absent := missing(names, *place)):
            changes.append(Extend(place, absent))
    return changes


def _folders(new: list[Server], machine: Machine) -> list[str]:
    """Return the folders in which this shell finds the commands of *new* servers, where a client
    without one would not."""
    commands = [str(server.meaning.get("command", "")) for server in new]
    commands += [name for command in commands if (name := _interpreter(command))]
    path = machine.environ.get("PATH", "")
    found = [folder_of_command(command, path) for command in commands]
    names = dict.fromkeys(str(folder) for folder in found if folder is not None)
    return [name for name in names if name not in SYSTEM_FOLDERS]


def _interpreter(command: str) -> str:
    """Return the program that a script at an absolute path names in its first line (`#!/usr/bin/env
    node`), empty for others."""
    if not os.path.isabs(command):
        return ""
    try:
        with open(command, "rb") as file:
            first = file.read(200).split(b"\n", 1)[0]
    except OSError:
        return ""
    found = re.match(rb"#!\s*/usr/bin/env\s+(?:-S\s+)?([\w.-]+)", first)
    return found[1].decode() if found else ""
