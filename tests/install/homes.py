"""Made-up machines: homes with the files of clients, written from their documented formats."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plait.install.clients import CLIENTS, Client, Place, Scope
from plait.install.machine import Machine, System


def machine(
    home: Path, system: System = System.LINUX, environ: Mapping[str, str] | None = None
) -> Machine:
    """Return a machine whose user has *home*, with a project in it."""
    folder = home / "project"
    folder.mkdir(parents=True, exist_ok=True)
    given = {"HOME": str(home), "PATH": os.environ.get("PATH", ""), **(environ or {})}
    return Machine(system, home, folder, given)


def client(name: str) -> Client:
    return next(one for one in CLIENTS if one.name == name)


def user_place(name: str, machine: Machine) -> Place:
    """Return the place where Plait would be registered in the client *name*."""
    places = client(name).places(machine)
    return next(place for place in places if place.scope is Scope.USER)


def write(path: Path, content: str | bytes | dict[str, Any]) -> Path:
    """Write a file, with the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content, indent=2) + "\n"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
