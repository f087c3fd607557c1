"""Locks are installed with --no-deps, so each has to be complete.

The environments that scripts/test makes of the locks say what each locked package requires. The
test follows that from what a lock is made for, with extras and markers, for each Python and system
that is supported.
"""

from __future__ import annotations

import sys
import sysconfig
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN = PROJECT["project"]["dependencies"]
OURS = {
    "requirements.lock": RUN,
    "requirements-dev.lock": [*RUN, *PROJECT["dependency-groups"]["dev"]],
    # Hatchling asks for editables when it makes an editable installation.
    "requirements-build.lock": [*PROJECT["build-system"]["requires"], "editables"],
}
NODE = "tests/interop/node.lock"
VENVS = {
    "tests/interop/requirements.lock": "interop",
    "tests/interop/fastmcp.lock": "fastmcp",
    "tests/interop/servers.lock": "servers",
    "scripts/benches/mcp_proxy.lock": "mcp-proxy",
    NODE: "node",
}
LOCKS = [*OURS, *VENVS]
PYTHONS = ["3.11.0", "3.11.14", "3.12.0", "3.13.0", "3.14.0"]
SYSTEMS = [("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt")]
HERE: dict[str, Any] = {**default_environment(), "extra": ""}
SUPPORTED = [
    HERE
    | {"python_version": python.rpartition(".")[0], "python_full_version": python}
    | {"sys_platform": platform, "platform_system": system, "os_name": os}
    for python in PYTHONS
    for platform, system, os in SYSTEMS
]


def parse(lines: list[str]) -> list[Requirement]:
    return [Requirement(line.removesuffix("\\")) for line in lines if line[:1] not in " #"]


def applies(requirement: Requirement, environment: dict[str, Any]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def pins_of(lock: str, environment: dict[str, Any]) -> dict[str, str]:
    """Return the versions that *lock* names, by package."""
    pins = parse((ROOT / lock).read_text().splitlines())
    return {
        pin.name: str(pin.specifier).removeprefix("==") for pin in pins if applies(pin, environment)
    }


def roots_of(lock: str) -> list[Requirement]:
    """Return what *lock* is made for."""
    return parse(OURS.get(lock) or (ROOT / lock).with_suffix(".in").read_text().splitlines())


def metadata_of(lock: str) -> dict[tuple[str, str], list[Requirement]]:
    """Return what each package in the environment of *lock* requires, by name and version."""
    if lock in OURS:
        folder = Path(sysconfig.get_path("purelib"))
    else:
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        folder = ROOT / ".venvs" / VENVS[lock] / "lib" / python / "site-packages"
    return {
        (canonicalize_name(found.name), found.version): parse(found.requires or [])
        for found in distributions(path=[str(folder)])
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_all_that_is_required_and_nothing_else(lock: str):
    metadata = metadata_of(lock)
    for environment in SUPPORTED:
        pins = pins_of(lock, environment)
        required: dict[str, SpecifierSet] = {}
        followed: set[tuple[str, str]] = set()
        waiting = [root for root in roots_of(lock) if applies(root, environment)]
        while waiting:
            need = waiting.pop()
            name = canonicalize_name(need.name)
            required[name] = required.get(name, SpecifierSet()) & need.specifier
            for extra in {"", *need.extras} - {extra for known, extra in followed if known == name}:
                followed.add((name, extra))
                needs = metadata.get((name, pins.get(name, "")), [])
                waiting += [each for each in needs if applies(each, environment | {"extra": extra})]
        assert set(pins) == set(required), environment
        for package, version in pins.items():
            assert required[package].contains(version, prereleases=True), package


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock != NODE])
def test_what_a_lock_names_is_installed(lock: str):
    """Except node.lock, which is for machines without Node; node.in names both of its packages."""
    assert pins_of(lock, HERE).items() <= metadata_of(lock).keys(), "scripts/test installs it"


def test_every_lock_is_known():
    patterns = ("*.lock", "tests/*/*.lock", "scripts/*/*.lock")
    files = [file for pattern in patterns for file in ROOT.glob(pattern)]
    assert {str(file.relative_to(ROOT)) for file in files} == set(LOCKS)
