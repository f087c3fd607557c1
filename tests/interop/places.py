"""Where scripts/test puts what the interop tests run against; a missing one fails its tests, with the mend."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLAIT = [sys.executable, "-m", "plait"]


def _found(path: Path) -> str:
    assert path.exists(), f"{path.relative_to(ROOT)} is missing: scripts/test installs it"
    return str(path)


def node() -> str:
    """The Node that scripts/test installed, where it found none that is new enough; else that on PATH."""
    installed = ROOT / ".venvs" / "node" / "bin" / "node"
    return str(installed) if installed.exists() else shutil.which("node") or _found(installed)


def npm_server(name: str) -> str:
    return _found(
        ROOT / "tests" / "interop" / "node_modules" / "@modelcontextprotocol" / f"server-{name}" / "dist" / "index.js"
    )


def python_with_v1() -> str:
    """The Python that has SDK 1.30 and mcp-server-git."""
    return _found(ROOT / ".venvs" / "interop" / "bin" / "python")
