"""The first servers.toml of a folder, made of what is there, with comments that teach.

Only names that are plain go from the folder into the text, and no value of a variable does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigError
from .named_files import Unreadable, read_named
from .parse import parse

MAX_BYTES = 2**20
DATABASES = frozenset({"postgres", "postgresql", "mysql", "mariadb", "sqlserver", "sqlite"})
DATABASE_VARIABLES = ("DATABASE_URL", "DATABASE_URI", "POSTGRES_URL", "MYSQL_URL", "DB_URL", "DSN")
SCRIPTS = ("test", "lint", "typecheck", "check", "build", "format")
"""The scripts of a package that models may be of use with."""
MOST_COMMANDS = 4
RUNNERS = (("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun"), ("", "npm"))
CLIENTS = (".mcp.json", ".cursor/mcp.json", ".vscode/mcp.json", ".gemini/settings.json")
"""The files of clients in a project."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_-]{0,60}")
_GITHUB = re.compile(r"^\s*url\s*=\s*\S*\bgithub\.com[:/]", re.MULTILINE)

HEAD = """\
# The MCP servers of this folder, behind one server: plait serve.
# Every key: docs/configuration.md of Plait. Check it with: plait doctor
"""
WORKSPACE = """\
# The bundled server: files, search, git, formatting and tests inside of root.
[servers.workspace]
builtin = "workspace"
root = "."
"""
GITHUB = """\
# Issues, pull requests and code of GitHub. ${GITHUB_TOKEN} is looked for in the
# environment, then in secrets.env in your configuration folder. Until it is
# set, this server alone is off.
[servers.github]
url = "https://api.githubcopilot.com/mcp/"
headers = { Authorization = "Bearer ${GITHUB_TOKEN}" }
# include = ["list_*", "get_*", "search_*"]   # only these of its tools
"""
BROWSER = """\
# A browser, since this project tests with one. Each client has its own.
[servers.browser]
command = "npx"
args = ["-y", "@playwright/mcp"]
lazy = true                                 # starts with its first call
"""
POLICY = """\
# A person says yes before a call changes something. Others: "destructive",
# "open_world", or globs such as "github:create_*"; deny = [...] takes tools away.
[policy]
ask = ["write"]
"""


@dataclass(frozen=True, slots=True)
class FirstFile:
    """The text of a servers.toml, and the reason of each of its parts."""

    text: str
    reasons: tuple[str, ...]


def first_file(folder: Path, environ: Mapping[str, str]) -> FirstFile:
    """Return the first settings of *folder* for a user with these variables."""
    package = _package(folder)
    commands = [*_commands(folder, package)]
    parts = [("workspace: this folder", _workspace(commands))]
    if _GITHUB.search(_git_config(folder)):
        parts.append(("github: the remote of this git repository", GITHUB))
    if (variable := _database(environ)) is not None:
        parts.append((f"db: the variable {variable}", _database_part(variable)))
    if _tests_with_a_browser(package):
        parts.append(("browser: package.json has Playwright", BROWSER))
    parts.append(("policy: a person says yes before anything changes", POLICY))
    text = "\n".join([HEAD + _of_clients(folder), *(part for _, part in parts)])
    return FirstFile(text, tuple(reason for reason, _ in parts))


def _workspace(commands: Sequence[str]) -> str:
    shown = ", ".join(f'"{command}"' for command in commands[:MOST_COMMANDS]) or '"make test"'
    return f"{WORKSPACE}# What its tool run_command may start:\n# allow_commands = [{shown}]\n"


def _database_part(variable: str) -> str:
    return f"""\
# The database of {variable}: its value stays in the variable.
[servers.db]
command = "npx"
args = ["-y", "@bytebase/dbhub", "--transport", "stdio"]
env = {{ DSN = "${{{variable}}}" }}
"""


def _of_clients(folder: Path) -> str:
    """Return a comment on servers that clients have in the folder."""
    there = [name for name in CLIENTS if (folder / name).is_file()]
    if not there:
        return ""
    return f"# Servers of {', '.join(there)} are not here; plait install --project moves them.\n"


def _package(folder: Path) -> Mapping[str, Any]:
    """Return what package.json says; nothing if there is none that can be read."""
    file = folder / "package.json"
    try:
        return parse(file, read_named(file, MAX_BYTES)[0])
    except (Unreadable, ConfigError):
        return {}


def _commands(folder: Path, package: Mapping[str, Any]) -> Iterator[str]:
    """Yield the commands of the project that models may be of use with."""
    scripts = package.get("scripts")
    runner = next(name for lock, name in RUNNERS if not lock or (folder / lock).is_file())
    for script in SCRIPTS:
        if isinstance(scripts, dict) and script in scripts and _PLAIN.fullmatch(script):
            yield f"{runner} run {script}"
    if (folder / "pyproject.toml").is_file():
        yield "uv run pytest" if (folder / "uv.lock").is_file() else "pytest"
    if (folder / "Cargo.toml").is_file():
        yield "cargo test"
    if (folder / "go.mod").is_file():
        yield "go test ./..."


def _git_config(folder: Path) -> str:
    """Return the configuration of the repository that *folder* is in; empty without one."""
    root = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)
    try:
        return (
            "" if root is None else read_named(_git_folder(root) / "config", MAX_BYTES)[0].decode()
        )
    except (Unreadable, UnicodeDecodeError):
        return ""


def _git_folder(root: Path) -> Path:
    """Return the folder of git of the repository at *root*, which a worktree shares."""
    git = root / ".git"
    if git.is_dir():
        return git
    try:
        named = read_named(git, MAX_BYTES)[0].decode().removeprefix("gitdir:").strip()
    except (Unreadable, UnicodeDecodeError):
        return git
    folder = Path(os.path.normpath(root / named))
    return folder.parent.parent if folder.parent.name == "worktrees" else folder


def _database(environ: Mapping[str, str]) -> str | None:
    """Return the variable that has the address of a database."""
    for name in DATABASE_VARIABLES:
        try:
            scheme = urlsplit(environ.get(name, "")).scheme
        except ValueError:
            continue
        if scheme.partition("+")[0] in DATABASES:
            return name
    return None


def _tests_with_a_browser(package: Mapping[str, Any]) -> bool:
    tables = (package.get(key) for key in ("dependencies", "devDependencies"))
    return any(
        isinstance(table, dict) and bool({"playwright", "@playwright/test"} & table.keys())
        for table in tables
    )
