"""The first settings of a folder: made of what is there, and settings that load as they are."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path

import pytest

from plait.config import Config, load_config
from plait.config.first_file import CLIENTS, first_file

PACKAGE = {
    "scripts": {"test": "vitest", "lint": "eslint", "evil\nx": "x", "deploy": "x"},
    "devDependencies": {"@playwright/test": "1"},
}
REMOTE = '[remote "origin"]\n\turl = git@github.com:ada/engine.git\n'
DATABASE = "postgres://ada:hunter2hunter2@db/main"


def of(folder: Path, **environ: str) -> tuple[str, Config]:
    """The text for *folder*, and the settings that it is."""
    text = first_file(folder, environ).text
    file = folder / "servers.toml"
    file.write_text(text)
    config = load_config(file, {"HOME": str(folder / "home"), **environ}, folder)
    file.unlink()
    return text, config


def repository(folder: Path, config: str = REMOTE) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text(config)


def test_an_empty_folder_has_the_bundled_server_and_a_policy(tmp_path: Path):
    text, config = of(tmp_path)
    assert list(config.servers) == ["workspace"]
    assert config.servers["workspace"].root == tmp_path
    assert config.policy.ask == ("write",)
    assert (config.notes, dict(config.needs)) == ((), {})
    assert text.startswith("# The MCP servers of this folder")


@pytest.mark.parametrize(
    "url",
    [
        "git@github.com:ada/engine.git",
        "https://github.com/ada/engine",
        "ssh://git@github.com/ada/engine",
    ],
)
def test_a_remote_at_github_brings_its_server(tmp_path: Path, url: str):
    repository(tmp_path, f'[remote "origin"]\n\turl = {url}\n')
    (tmp_path / "inner").mkdir()
    _, config = of(tmp_path / "inner", GITHUB_TOKEN="t0ken")
    assert config.servers["github"].headers == {"Authorization": "Bearer t0ken"}
    _, config = of(tmp_path / "inner")
    assert list(config.needs) == ["github"]


@pytest.mark.parametrize(
    "url", ["git@gitlab.com:a/b", "https://notgithub.com/a", "/srv/github.com"]
)
def test_another_remote_brings_none(tmp_path: Path, url: str):
    repository(tmp_path, f'[remote "origin"]\n\turl = {url}\n')
    assert "github" not in of(tmp_path)[1].servers


def test_a_worktree_has_the_remotes_of_its_repository(tmp_path: Path):
    main, tree = tmp_path / "main", tmp_path / "tree"
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    name = ("-c", "user.name=a", "-c", "user.email=a@example.com")

    def git(*words: str) -> None:
        subprocess.run(["git", *name, *words], check=True, env=environ)

    git("init", "-q", str(main))
    git("-C", str(main), "commit", "-q", "--allow-empty", "-m", "first")
    git("-C", str(main), "remote", "add", "origin", "git@github.com:ada/engine.git")
    git("-C", str(main), "worktree", "add", "-q", str(tree))
    assert "github" in of(tree)[1].servers


@pytest.mark.parametrize(
    ("variable", "value", "is_found"),
    [
        ("DATABASE_URL", DATABASE, True),
        ("DATABASE_URL", "postgresql+asyncpg://h/db", True),
        ("MYSQL_URL", "mysql://h/db", True),
        ("DATABASE_URL", "https://h/db", False),
        ("DATABASE_URL", "", False),
        ("DATABASE_URL", "http://[", False),
        ("OTHER_URL", DATABASE, False),
    ],
)
def test_a_variable_of_a_database_brings_its_server_and_not_its_value(
    tmp_path: Path, variable: str, value: str, is_found: bool
):
    text, config = of(tmp_path, **{variable: value})
    assert ("db" in config.servers) is is_found
    assert "hunter2" not in text
    if is_found:
        assert config.servers["db"].env == {"DSN": value}


def test_commands_of_the_project_are_offered_and_not_allowed(tmp_path: Path):
    (tmp_path / "package.json").write_text(json.dumps(PACKAGE))
    (tmp_path / "pnpm-lock.yaml").touch()
    (tmp_path / "pyproject.toml").touch()
    text, config = of(tmp_path)
    assert '# allow_commands = ["pnpm run test", "pnpm run lint", "pytest"]' in text
    assert "evil" not in text
    assert config.servers["workspace"].allow_commands == ()
    allowed = text.replace("# allow_commands", "allow_commands")
    (tmp_path / "servers.toml").write_text(allowed)
    assert len(load_config(tmp_path / "servers.toml").servers["workspace"].allow_commands) == 3


@pytest.mark.parametrize("text", ["", "[]", "{", '{"scripts": 3}', '{"scripts": {"test": "x"}}'])
def test_a_package_that_cannot_be_read_is_none(tmp_path: Path, text: str):
    (tmp_path / "package.json").write_text(text)
    _, config = of(tmp_path)
    assert list(config.servers) == ["workspace"]


def test_a_project_that_tests_with_a_browser_gets_one(tmp_path: Path):
    (tmp_path / "package.json").write_text(json.dumps(PACKAGE))
    assert of(tmp_path)[1].servers["browser"].kept_for == "client"


def test_servers_that_clients_have_here_are_named(tmp_path: Path):
    for name in CLIENTS[:2]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert "# Servers of .mcp.json, .cursor/mcp.json are not here" in of(tmp_path)[0]


THINGS = (
    lambda folder: repository(folder),
    lambda folder: (folder / "package.json").write_text(json.dumps(PACKAGE)),
    lambda folder: (folder / ".mcp.json").touch(),
    lambda folder: (folder / "Cargo.toml").touch(),
    lambda folder: (folder / "go.mod").touch(),
)


@pytest.mark.parametrize("chosen", [*itertools.product([0, 1], repeat=len(THINGS))])
def test_whatever_is_there_the_settings_load(tmp_path: Path, chosen: tuple[int, ...]):
    for is_there, thing in zip(chosen, THINGS, strict=True):
        if is_there:
            thing(tmp_path)
    text, config = of(tmp_path, DATABASE_URL=DATABASE, GITHUB_TOKEN="t0ken-of-github")
    assert config.notes == ()
    assert max(map(len, text.splitlines())) <= 100
    reasons = first_file(tmp_path, {"DATABASE_URL": DATABASE}).reasons
    assert {reason.partition(":")[0] for reason in reasons} == {*config.servers, "policy"}
