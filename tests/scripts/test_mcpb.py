"""The bundle that `scripts/mcpb` makes: its manifest, its files, and that it serves."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from plait.upstream.schemas import TOOLS

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "mcpb.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bundle") / "dist" / "plait.mcpb"
    SCRIPT["write"](file)
    return file


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> dict[str, Any]:
    with ZipFile(bundle) as opened:
        read: dict[str, Any] = json.loads(opened.read("manifest.json"))
    return read


def test_the_manifest_has_what_the_format_requires(manifest: dict[str, Any]):
    """Of MANIFEST.md of the format, version 0.4: no other members are allowed."""
    assert manifest["manifest_version"] == "0.4"
    assert manifest.keys() >= {"name", "version", "description", "author", "server"}
    optional = {
        "manifest_version",
        "display_name",
        "license",
        "keywords",
        "tools",
        "tools_generated",
        "compatibility",
    }
    assert manifest.keys() - optional == {"name", "version", "description", "author", "server"}
    assert manifest["author"].keys() == {"name"}
    assert (manifest["name"], manifest["version"]) == (PROJECT["name"], PROJECT["version"])
    assert manifest["compatibility"]["runtimes"] == {"python": PROJECT["requires-python"]}
    assert {*manifest["compatibility"]["platforms"]} <= {"darwin", "linux", "win32"}


def test_the_server_is_one_of_uv_whose_entry_point_is_in_the_bundle(
    bundle: Path, manifest: dict[str, Any]
):
    server = manifest["server"]
    assert server["type"] == "uv"
    command = server["mcp_config"]
    assert command.keys() == {"command", "args"}
    assert command["command"] == "uv"
    assert command["args"][-3:] == ["--directory", "${__dirname}", server["entry_point"]]
    with ZipFile(bundle) as opened:
        names = opened.namelist()
    assert server["entry_point"] in names
    assert {"pyproject.toml", "README.md", "LICENSE", "src/plait/tour/jobs/bugs.json"} <= {*names}
    assert [name for name in names if "__pycache__" in name] == []


def test_the_manifest_names_our_tools(manifest: dict[str, Any]):
    assert {tool["name"] for tool in manifest["tools"]} == {tool.name for tool in TOOLS}


def test_the_same_sources_give_the_same_bytes(bundle: Path, tmp_path: Path):
    SCRIPT["write"](tmp_path / "again.mcpb")
    assert (tmp_path / "again.mcpb").read_bytes() == bundle.read_bytes()


def test_what_is_in_it_serves(bundle: Path, manifest: dict[str, Any], tmp_path: Path):
    """With the packages of this environment in place of those that uv would bring."""
    with ZipFile(bundle) as opened:
        opened.extractall(tmp_path)
    ran = subprocess.run(
        [sys.executable, manifest["server"]["entry_point"]],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path / "src"),
            "PLAIT_ISOLATED": "1",
            "PLAIT_STATE_DIR": str(tmp_path / "state"),
        },
        input=json.dumps(INITIALIZE) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(ran.stdout.splitlines()[0])
    assert answer["result"]["serverInfo"]["name"] == "plait"
