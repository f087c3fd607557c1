"""The changes that are safe to make: shown as they are made, and nothing else is touched."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from plait.config import load_config
from plait.doctor.mending import AddFolder, PutBack, TakeAway
from plait.errors import ConfigError
from plait.install.clients import Format
from plait.install.entries import values_of


def test_bits_of_a_mode_are_taken_away(tmp_path: Path):
    file = tmp_path / "secrets.env"
    file.touch()
    file.chmod(0o666)
    mend = TakeAway(file, 0o077)
    assert [*mend.difference()] == [f"mode of {file}", "-0666", "+0600"]
    mend.make()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ["/opt/bin"]),
        ('# mine\n[servers.a] # first\ncommand = "x"\n', ["/opt/bin"]),
        ("[gateway]\nmax_concurrency = 3 # few\n", ["/opt/bin"]),
        ('[gateway]\npath = ["/a"]\n[servers.a]\ncommand = "x"\n', ["/a", "/opt/bin"]),
        ('[gateway]\npath = ["/opt/bin"]\n', ["/opt/bin"]),
    ],
)
def test_a_folder_is_added_to_those_of_commands(tmp_path: Path, text: str, path: list[str]):
    file = tmp_path / "servers.toml"
    file.write_text(text)
    file.chmod(0o640)
    mend = AddFolder(file, "/opt/bin")
    first, *lines = mend.difference()
    assert first == str(file)
    assert file.read_text() == text
    mend.make()
    made = file.read_text()
    assert tomllib.loads(made)["gateway"]["path"] == path
    assert [line[1:] for line in lines if line[:1] == "+"] == [
        line for line in made.splitlines() if line not in text.splitlines()
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    load_config(file, {"HOME": str(tmp_path)}, tmp_path)


def test_a_link_stays_one(tmp_path: Path):
    (tmp_path / "real.toml").write_text("")
    (tmp_path / "servers.toml").symlink_to("real.toml")
    AddFolder(tmp_path / "servers.toml", "/opt/bin").make()
    assert (tmp_path / "servers.toml").is_symlink()
    assert "/opt/bin" in (tmp_path / "real.toml").read_text()


@pytest.mark.parametrize("text", ["[gateway\n", "gateway = 3\n", "[gateway]\npath = 3\n"])
def test_what_cannot_be_changed_is_left_with_the_line_to_write(tmp_path: Path, text: str):
    file = tmp_path / "servers.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r'is left as it is: .*write path = \["/opt/bin"\]'):
        AddFolder(file, "/opt/bin").make()
    assert file.read_text() == text


def put_back(file: Path) -> PutBack:
    return PutBack(file, Format.JSON, ("mcpServers",), False, '{"command": "plait"}')


def test_an_entry_is_put_back_without_showing_or_touching_what_is_around_it(tmp_path: Path):
    file = tmp_path / "mcp.json"
    file.write_text('{"mcpServers": {"a": {"env": {"TOKEN": "hunter2"}}}} // mine\n')
    shown = "\n".join(put_back(file).difference())
    assert "plait" in shown
    assert "hunter2" not in shown
    put_back(file).make()
    text = file.read_text()
    assert '"a": {"env": {"TOKEN": "hunter2"}}' in text
    assert text.endswith("// mine\n")
    assert values_of(text.encode(), Format.JSON)["mcpServers"]["plait"] == {"command": "plait"}


def test_a_file_that_cannot_be_read_is_not_written(tmp_path: Path):
    file = tmp_path / "mcp.json"
    file.write_text('{"mcpServers": ')
    with pytest.raises(ConfigError, match=r"is left as it is: it is not JSON"):
        put_back(file).make()
    assert file.read_text() == '{"mcpServers": '
