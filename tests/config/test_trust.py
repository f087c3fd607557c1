"""Which found files are used, and what a person sees before saying so."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plait.config.trust import Decisions, SettingsFile, Untrusted, check_writers, effects
from plait.errors import ConfigError

US, ANOTHER = os.geteuid(), os.geteuid() + 1


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    return Decisions(tmp_path / "state")


def written(folder: Path, text: str = "", name: str = "servers.toml") -> SettingsFile:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return SettingsFile.read(folder / name)


def with_status(tmp_path: Path, mode: int = 0o644, uid: int = US, gid: int = 7) -> SettingsFile:
    status: Any = SimpleNamespace(st_mode=0o100000 | mode, st_uid=uid, st_gid=gid)
    return SettingsFile(tmp_path / "servers.toml", b"", status)


def test_a_decision_is_for_one_content_at_one_place(tmp_path: Path, decisions: Decisions):
    file = written(tmp_path / "a", "# one")
    assert not decisions.trusts(file)
    decisions.trust(file)
    assert decisions.trusts(file)
    assert Decisions(tmp_path / "state").trusts(file)
    assert not decisions.trusts(written(tmp_path / "a", "# other"))
    assert not decisions.trusts(written(tmp_path / "b", "# one"))


def test_the_same_place_by_another_way_is_the_same(tmp_path: Path, decisions: Decisions):
    decisions.trust(written(tmp_path / "a", "# one"))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "below").mkdir()
    for way in (tmp_path / "link", tmp_path / "a" / "below" / ".."):
        assert decisions.trusts(SettingsFile.read(way / "servers.toml"))


def test_a_decision_that_somebody_else_could_have_left_does_not_count(
    tmp_path: Path, decisions: Decisions
):
    file = written(tmp_path / "a")
    decisions.trust(file)
    [decision] = decisions.folder.iterdir()
    assert decision.stat().st_mode & 0o777 == 0o600
    assert decision.read_text() == str(file.path)
    decision.rename(tmp_path / "moved")
    decision.symlink_to(tmp_path / "moved")
    assert not decisions.trusts(file)


def test_a_decision_that_cannot_be_kept_is_an_error(tmp_path: Path):
    (tmp_path / "state").write_text("")
    with pytest.raises(ConfigError, match="the decision cannot be kept there"):
        Decisions(tmp_path / "state").trust(written(tmp_path / "a"))


@pytest.mark.parametrize("uid", {US, 0})
def test_our_files_and_those_of_root_may_be_used(tmp_path: Path, uid: int):
    check_writers(with_status(tmp_path, uid=uid))


def test_a_file_of_another_user_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=f"it belongs to another user .number {ANOTHER}.; name"):
        check_writers(with_status(tmp_path, uid=ANOTHER))


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o602, 0o664, 0o620])
def test_a_file_that_others_may_write_is_refused(
    tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(grp, "getgrgid", lambda gid: SimpleNamespace(gr_name="staff", gr_mem=[]))
    with pytest.raises(ConfigError, match=rf"others may write it; .* chmod go-w {tmp_path}"):
        check_writers(with_status(tmp_path, mode))


@pytest.mark.parametrize(
    ("members", "is_alone"), [([], True), (["ada"], True), (["ada", "eve"], False)]
)
def test_the_group_of_one_user_is_not_others(
    tmp_path: Path, members: list[str], is_alone: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="ada"))
    group = SimpleNamespace(gr_name="ada", gr_mem=members)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: group)
    file = with_status(tmp_path, 0o664)
    if is_alone:
        check_writers(file)
    else:
        with pytest.raises(ConfigError, match="others may write it"):
            check_writers(file)


def test_an_unknown_group_is_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(gid: int) -> Any:
        raise KeyError(gid)

    monkeypatch.setattr(grp, "getgrgid", unknown)
    with pytest.raises(ConfigError, match="others may write it"):
        check_writers(with_status(tmp_path, 0o664))


def test_a_person_sees_each_command_address_and_variable_as_it_is_written(tmp_path: Path):
    text = """
[servers.files]
command = "npx"
args = ["-y", "a package", "${HOME}/projects", "--api-key", "literal-secret-1"]
env = { DEBUG = "1", TOKEN = "${GITHUB_TOKEN}", PASSWORD = "literal-secret-2" }
cwd = "below"
[servers.far]
url = "https://api.example/mcp?key=literal-secret-3"
headers = { X-A = "${file:~/.ssh/id_ed25519}", Authorization = "Bearer literal-secret-4" }
[servers.w]
builtin = "workspace"
root = "src"
allow_commands = ["make test"]
[servers.off]
command = "off"
enabled = false
[servers.said]
url = "https://said.example/mcp"
annotations = "trusted"
[servers.not_said]
url = "https://other.example/mcp"
annotations = "ignored"
[servers.aws]
command = "aws-mcp"
env_pass = ["AWS_*"]
[gateway]
path = ["tools"]
[tools."far:get_*"]
read_only = true
[tools."far:put_*"]
read_only = false
"""
    assert list(effects(written(tmp_path, text))) == [
        "commands are looked for in tools first",
        'files: runs npx -y "a package" ${HOME}/projects --api-key ***',
        "  env DEBUG = 1",
        "  env TOKEN = ${GITHUB_TOKEN}",
        "  env PASSWORD = ***",
        "  cwd = below",
        "far: reaches https://api.example/mcp?key=***",
        "  headers X-A = ${file:~/.ssh/id_ed25519}",
        "  headers Authorization = Bearer ***",
        "w: the bundled workspace server",
        "  root = src",
        "  may run: make test",
        "said: reaches https://said.example/mcp",
        "  what it says of its tools' effects is believed",
        "not_said: reaches https://other.example/mcp",
        "aws: runs aws-mcp",
        "  passes on AWS_*",
        "far:get_*: is taken for a tool that changes nothing",
    ]


@pytest.mark.parametrize(
    "text",
    ["servers = 3", "[servers]\na = 3", "[servers.a]\ncommand = 3\nargs = 3\nenv = 3", ""],
)
def test_what_is_not_well_formed_is_left_to_the_reader_of_settings(tmp_path: Path, text: str):
    assert list(effects(written(tmp_path, text))) in ([], ["a: neither a command nor a url"])


def test_the_message_of_an_untrusted_file_ends_with_a_command_that_can_be_copied(
    tmp_path: Path, decisions: Decisions
):
    folder = tmp_path / "a b\n'"
    message = str(Untrusted(written(folder), decisions))
    assert "\n" not in message
    assert message.partition("plait trust ")[2].startswith(f"'{tmp_path}/a b\\n")
