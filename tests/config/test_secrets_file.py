"""The file of the user's variables: how it is read, and when it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait.config.secrets_file import (
    MAX_BYTES,
    SecretsRefused,
    Variables,
    read_secrets,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "secrets.env", "A=1\n")


def written(file: Path, text: str | bytes, mode: int = 0o600) -> Path:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def test_a_variable_a_line_is_read(file: Path):
    text = "\ufeff# mine\n\nA=one\nexport B='two # words'\r\nC=\"a\\nb\"\nD=x # why\nE=\nF=$A${B}\n"
    values = {"A": "one", "B": "two # words", "C": "a\nb", "D": "x", "E": "", "F": "$A${B}"}
    assert read_secrets(written(file, text)) == values


def test_a_missing_file_has_no_variables(tmp_path: Path):
    assert read_secrets(tmp_path / "secrets.env") == {}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o601])
def test_a_file_that_others_may_use_is_refused_with_the_fix(file: Path, mode: int):
    file.chmod(mode)
    with pytest.raises(SecretsRefused, match=f"others may read or write it.* chmod 600 {file}"):
        read_secrets(file)


def test_a_file_of_somebody_else_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch):
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    with pytest.raises(SecretsRefused, match=r"belongs to another user .*chown"):
        read_secrets(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=hunter2x\n\n\nB hunter3x\n", "line 4 is not a variable; write NAME=value"),
        ("A=1\nTOKEN\n", "line 2 is not a variable"),
        ("=hunter2x\n", "line 1 is not a variable"),
        ("A='hunter2x\n", "line 1 is not a variable"),
        ("A=hunter2x\nB=1\nA=hunter3x\n", "A is there twice (lines 1 and 3); remove one"),
        (b"A=\xff\n", "it is not UTF-8"),
        (b"#" * (MAX_BYTES + 1), "it cannot be read: it has more than"),
    ],
)
def test_what_cannot_be_read_is_refused_whole_without_its_values(
    file: Path, text: str | bytes, said: str
):
    with pytest.raises(SecretsRefused) as refused:
        read_secrets(written(file, text))
    assert str(refused.value).startswith(f"{file} is not used: ")
    assert said in str(refused.value)
    assert "hunter" not in str(refused.value)


def test_a_folder_in_its_place_is_refused(tmp_path: Path):
    (tmp_path / "secrets.env").mkdir()
    with pytest.raises(SecretsRefused, match="it cannot be read"):
        read_secrets(tmp_path / "secrets.env")


def test_the_environment_comes_before_the_file(file: Path):
    variables = Variables({"A": "of the client", "EMPTY": ""}, written(file, "A=1\nB=2\nEMPTY=3\n"))
    assert (variables["A"], variables["B"], variables["EMPTY"]) == ("of the client", "2", "")
    assert variables.get("C") is None
    assert dict(variables) == {"A": "of the client", "B": "2", "EMPTY": ""}
    assert len(variables) == 3
    assert repr(variables) == f"<Variables of the environment and {file}>"


def test_the_file_is_not_read_before_it_is_needed(file: Path):
    variables = Variables({"A": "x"}, file)
    assert variables["A"] == "x"
    file.chmod(0o644)
    assert variables.get("B") is None
    assert variables.refusal.startswith(f"{file} is not used: others may read")
