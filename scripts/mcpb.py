"""Makes an MCP bundle (`.mcpb`): an archive with a manifest that Claude Desktop and other clients
install with a click.

It is of the type `uv` (manifest 0.4): the client brings uv, which brings Python and the packages
that pyproject.toml names. So one bundle serves each system. The same sources give the same bytes.

    scripts/mcpb [FILE]
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

ROOT = Path(__file__).resolve().parents[1]
ENTRY = "serve.py"
ENTRY_TEXT = '''\
"""The entry point of the bundle: `plait serve`."""

import sys

from plait.__main__ import main

sys.argv[1:] = ["serve", *sys.argv[1:]]
main()
'''
FILES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of all files: the earliest that an archive can hold."""
OURS = {
    "search_tools": "Finds tools of all servers by what they should do.",
    "describe_tools": "Shows whole definitions of tools.",
    "execute_dag": "Runs a DAG of tool calls: checked whole, then in parallel.",
    "query_dag": "Runs a DAG of calls that change nothing.",
    "get_run": "Shows a run: its state, outputs and errors.",
    "cancel_run": "Ends a run.",
}


def manifest(project: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest for *project*, the table of pyproject.toml."""
    return {
        "manifest_version": "0.4",
        "name": project["name"],
        "display_name": "Plait",
        "version": project["version"],
        "description": project["description"],
        "author": {"name": "The authors of Plait"},
        "license": project["license"],
        "keywords": project["keywords"],
        "server": {
            "type": "uv",
            "entry_point": ENTRY,
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--no-dev", "--directory", "${__dirname}", ENTRY],
            },
        },
        "tools": [{"name": name, "description": text} for name, text in OURS.items()],
        "tools_generated": True,
        "compatibility": {
            "platforms": ["darwin", "linux"],
            "runtimes": {"python": project["requires-python"]},
        },
    }


def contents() -> Iterator[tuple[str, bytes]]:
    """Yield the names and the bytes of all files of the bundle."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield "manifest.json", json.dumps(manifest(project), indent=2).encode() + b"\n"
    yield ENTRY, ENTRY_TEXT.encode()
    for name in FILES:
        yield name, (ROOT / name).read_bytes()
    for file in sorted((ROOT / "src").rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts and ".egg-info" not in str(file):
            yield file.relative_to(ROOT).as_posix(), file.read_bytes()


def write(target: Path) -> None:
    """Write the bundle to *target*."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(target, "w", ZIP_DEFLATED) as bundle:
        for name, data in contents():
            info = ZipInfo(name, EPOCH)
            info.compress_type = ZIP_DEFLATED
            info.external_attr = 0o100644 << 16
            bundle.writestr(info, data)


if __name__ == "__main__":
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    file = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "dist" / f"plait-{version}.mcpb"
    write(file)
    print(file)
