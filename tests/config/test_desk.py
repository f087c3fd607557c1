"""Which clients are at one desk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from plait.config.desk import DeskKey, desk_key, digest, place_of
from plait.config.read import load_config
from plait.config.trust import Decisions, SettingsFile

FILE = """
[servers.a]
command = "x"
cwd = "/"
env = { TOKEN = "${TOKEN}", MODE = "${MODE:-fast}" }
[servers.off]
command = "x"
enabled = false
[servers.web]
url = "http://h/mcp"
[servers.here]
builtin = "workspace"
[profiles.some]
servers = ["web"]
"""
ENVIRON = {"TOKEN": "s3cr3t-token", "HOME": "/home/ada", "PATH": "/bin"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "servers.toml"
    file.write_text(FILE)
    return file


def key_of(
    file: Path | None, environ: Mapping[str, str], cwd: Path, profile: str | None = None
) -> DeskKey:
    return desk_key(load_config(file, environ, cwd, profile=profile))


def test_a_file_that_was_found_is_another_desk_than_the_same_file_by_name(tmp_path: Path):
    file = tmp_path / "servers.toml"
    file.write_text('[servers.a]\nurl = "http://h/mcp"\n')
    file.chmod(0o600)
    environ = {**ENVIRON, "PLAIT_STATE_DIR": str(tmp_path / "state")}
    Decisions(tmp_path / "state").trust(SettingsFile.read(file))
    found, named = key_of(None, environ, tmp_path), key_of(file, environ, tmp_path)
    assert found.file == named.file
    assert found != named  # the hints of its servers count in one of them alone


def test_clients_in_two_folders_are_at_one_desk_if_nothing_depends_on_the_folder(
    file: Path, tmp_path: Path
):
    others = {**ENVIRON, "EDITOR": "vi", "PLAIT_LOG_LEVEL": "debug", "PLAIT_TOKEN": "0" * 16}
    assert key_of(file, ENVIRON, tmp_path) == key_of(file, others, tmp_path / "other")


@pytest.mark.parametrize(
    "change",
    [
        {"TOKEN": "another"},
        {"MODE": "slow"},
        {"PATH": "/usr/bin"},
        {"PLAIT_MAX_CONCURRENCY": "3"},
        {"PLAIT_PROFILE": "some"},
    ],
)
def test_what_the_settings_depend_on_parts_desks(
    file: Path, tmp_path: Path, change: dict[str, str]
):
    assert key_of(file, ENVIRON, tmp_path) != key_of(file, ENVIRON | change, tmp_path)


@pytest.mark.parametrize(
    "server", ['[servers.b]\ncommand = "x"\n', '[servers.a2]\ncommand = "x"\nargs = ["."]\n']
)
def test_a_process_without_a_folder_depends_on_the_clients(file: Path, tmp_path: Path, server: str):
    file.write_text(FILE + server)
    assert key_of(file, ENVIRON, tmp_path) != key_of(file, ENVIRON, tmp_path / "other")
    in_profile = [key_of(file, ENVIRON, tmp_path / name, "some") for name in ("a", "b")]
    assert in_profile[0] == in_profile[1]


def test_without_a_file_each_folder_has_a_desk(tmp_path: Path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    assert key_of(None, environ, tmp_path) != key_of(None, environ, tmp_path / "other")
    assert key_of(None, environ, tmp_path) == key_of(None, environ, tmp_path)


def test_two_files_are_two_desks(file: Path, tmp_path: Path):
    (tmp_path / "other.toml").write_text(FILE)
    other = key_of(tmp_path / "other.toml", ENVIRON, tmp_path)
    assert key_of(file, ENVIRON, tmp_path) != other


def test_a_relative_file_is_the_clients(file: Path, tmp_path: Path):
    assert key_of(Path(file.name), ENVIRON, tmp_path) == key_of(file, ENVIRON, tmp_path)


def test_it_shows_no_value(file: Path, tmp_path: Path):
    key = key_of(file, ENVIRON, tmp_path)
    assert "s3cr3t" not in repr(key)
    assert {key: 1}[key] == 1


def test_a_digest_does_not_depend_on_the_order():
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": "1"}) != digest({"a": 1})


@pytest.mark.parametrize(("scope", "are_apart"), [("machine", False), ("client", True)])
def test_a_client_with_a_server_of_its_own_has_a_desk_of_its_own(
    file: Path, tmp_path: Path, scope: str, are_apart: bool
):
    file.write_text(FILE.replace('"http://h/mcp"', f'"http://h/mcp"\nscope = "{scope}"'))
    config = load_config(file, ENVIRON, tmp_path)
    one, other = (config.model_copy(update={"client": client}) for client in ("one", "other"))
    assert (desk_key(one) != desk_key(other)) is are_apart


def test_clients_are_in_one_place_if_they_share_a_folder_or_settings_that_depend_on_none(
    file: Path, tmp_path: Path
):
    def place(text: str | None, folder: Path) -> str:
        if text is not None:
            file.write_text(text)
        return place_of(load_config(file if text is not None else None, ENVIRON, folder))

    here, there = tmp_path, tmp_path / "other"
    assert place(FILE, here) == place(FILE, there) == str(file)
    of_folder = '[servers.a]\ncommand = "x"\n'
    assert (place(of_folder, here), place(of_folder, there)) == (str(here), str(there))
    file.unlink()
    assert place(None, there) == str(there)
