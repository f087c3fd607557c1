"""Homes, folders and variables of a client, whatever this process has."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from plait.config.environment import (
    config_folder_of,
    expand_user,
    home_of,
    inherited,
    mark_of,
    passed_on,
    state_folder_of,
)

OUR_HOME = pwd.getpwuid(os.getuid()).pw_dir


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"HOME": "/home/ada"}, "/home/ada"),
        ({"HOME": ""}, OUR_HOME),
        ({"HOME": "ada"}, OUR_HOME),
        ({}, OUR_HOME),
    ],
)
def test_the_home_is_the_variables_or_else_the_systems(environ: dict[str, str], home: str):
    assert home_of(environ) == home


@pytest.mark.parametrize(
    ("path", "expanded"),
    [
        ("~", "/home/ada"),
        ("~/x/y", "/home/ada/x/y"),
        ("x/~", "x/~"),
        ("/x", "/x"),
        ("~root", os.path.expanduser("~root")),
    ],
)
def test_a_tilde_is_the_clients_home(path: str, expanded: str):
    assert expand_user(path, {"HOME": "/home/ada"}) == expanded


def test_below_a_home_that_is_the_root_there_is_one_slash():
    assert (expand_user("~", {"HOME": "/"}), expand_user("~/x", {"HOME": "/"})) == ("/", "/x")


@pytest.mark.parametrize("named", ["/etc/xdg", "relative", "", None])
@pytest.mark.parametrize(
    ("variable", "ours", "theirs"),
    [
        ("XDG_CONFIG_HOME", config_folder_of, platformdirs.user_config_path),
        (
            "XDG_STATE_HOME",
            lambda environ: state_folder_of(environ, Path("/work")),
            platformdirs.user_state_path,
        ),
    ],
)
def test_the_users_folders_are_where_other_programs_have_theirs(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    named: str | None,
    variable: str,
    ours: Callable[[dict[str, str]], Path],
    theirs: Callable[[str], Path],
):
    environ = {"HOME": str(tmp_path)} | ({} if named is None else {variable: named})
    monkeypatch.delenv(variable, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert ours(environ) == theirs("plait")


def test_a_variable_names_the_folder_for_what_is_kept():
    for named, folder in [("mine", "/work/mine"), ("/x", "/x"), ("~/s", "/home/ada/s")]:
        environ = {"PLAIT_STATE_DIR": named, "HOME": "/home/ada"}
        assert state_folder_of(environ, Path("/work")) == Path(folder)


def test_on_macos_the_folders_are_those_of_macos(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    folder = Path("/Users/ada/Library/Application Support/plait")
    assert config_folder_of({"HOME": "/Users/ada"}) == folder
    assert state_folder_of({"HOME": "/Users/ada"}, Path("/")) == folder


def test_a_server_inherits_what_is_safe_and_does_not_number_a_login():
    safe = {"PATH": "/bin", "LC_ALL": "C", "HTTPS_PROXY": "http://proxy", "XDG_RUNTIME_DIR": "/run"}
    others = {"GITHUB_TOKEN": "t", "XDG_SESSION_ID": "3", "SHELL": "() { :; }"}
    assert inherited({**safe, **others}) == safe


def test_further_folders_come_before_those_of_the_path():
    assert inherited({"PATH": "/bin"}, ["/a", "/b"])["PATH"] == "/a:/b:/bin"
    assert inherited({}, ["/a"])["PATH"] == f"/a:{os.defpath}"
    assert inherited({"PATH": "/bin"})["PATH"] == "/bin"


def test_what_is_passed_on_has_a_value():
    environ = {"AWS_A": "1", "AWS_B": "", "AWS_F": "() { :; }", "OTHER": "x"}
    assert passed_on(environ, ["AWS_*"]) == {"AWS_A": "1"}


def test_gateways_of_one_state_folder_have_one_mark(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a").mkdir()
    marks = [mark_of(tmp_path / name) for name in ("a", "link", "b")]
    assert marks[0] == marks[1] != marks[2]
    assert mark_of(None) == ""
    assert str(tmp_path) not in marks[0]
