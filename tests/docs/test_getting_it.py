"""The files and links with which Plait is found and installed: they name this very package."""

from __future__ import annotations

import base64
import json
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from plait.config.read import PREFIX

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVER: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
STARTS = {"command": "uvx", "args": ["plait", "serve"]}


def test_the_entry_of_the_registry_has_the_form_of_its_schema():
    """Of the schema of 2025-12-11 and the requirements of the official registry."""
    assert SERVER["$schema"].endswith("/schemas/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", SERVER["name"])
    assert 1 <= len(SERVER["description"]) <= 100
    assert 1 <= len(SERVER["title"]) <= 100
    assert SERVER.keys() == {"$schema", "name", "title", "description", "version", "packages"}
    [package] = SERVER["packages"]
    assert package["transport"] == {"type": "stdio"}
    assert package["registryType"] == "pypi"


def test_the_entry_of_the_registry_starts_this_package():
    [package] = SERVER["packages"]
    assert (package["identifier"], package["version"]) == (PROJECT["name"], PROJECT["version"])
    assert SERVER["version"] == PROJECT["version"]
    arguments = [argument["value"] for argument in package["packageArguments"]]
    assert [package["runtimeHint"], package["identifier"], *arguments] == [
        STARTS["command"],
        *STARTS["args"],
    ]
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for variable in package["environmentVariables"]:
        assert variable["name"].startswith(PREFIX)
        assert f"`{variable['name']}`" in page


def test_the_package_and_the_image_say_that_they_belong_to_the_entry():
    assert f"<!-- mcp-name: {SERVER['name']} -->" in README
    assert f'io.modelcontextprotocol.server.name="{SERVER["name"]}"' in (
        ROOT / "Dockerfile"
    ).read_text(encoding="utf-8")


def test_each_badge_registers_the_same_command():
    links = re.findall(r"\((https://[^)]*install[^)]*)\)", README)
    queries = [parse_qs(urlsplit(link).query) for link in links]
    assert [urlsplit(link).hostname for link in links] == ["cursor.com", "insiders.vscode.dev"]
    cursor, vscode = [query["config"][0] for query in queries]
    assert json.loads(base64.b64decode(cursor)) == json.loads(vscode) == STARTS
    assert {query["name"][0] for query in queries} == {PROJECT["name"]}


def test_the_readme_begins_with_the_tour_and_with_install():
    commands = README.partition("```sh\n")[2].partition("\n```")[0].splitlines()
    assert [command.partition("  ")[0] for command in commands] == [
        "uvx --from . plait try",
        "uv tool install . && plait install",
    ]
    assert README.index("docs/tour.svg") < README.index("## ")
