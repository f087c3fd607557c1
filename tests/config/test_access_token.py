"""The token for HTTP: the variable, or a private file of ours."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from plait.config.access_token import FILE_NAME, AccessToken, find_token, make_token
from plait.errors import ConfigError


def test_the_variable_comes_before_the_kept_token(tmp_path: Path):
    kept = make_token(tmp_path)
    given = find_token({"PLAIT_TOKEN": "0123456789abcdef"}, tmp_path)
    assert given == AccessToken("0123456789abcdef", "PLAIT_TOKEN")
    assert find_token({"PLAIT_TOKEN": ""}, tmp_path) == kept


def test_without_either_there_is_no_token(tmp_path: Path):
    assert find_token({}, tmp_path / "missing") is None


def test_a_made_token_is_private_found_again_and_another_one_each_time(tmp_path: Path):
    folder = tmp_path / "state"
    first = make_token(folder)
    file = folder / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert find_token({}, folder) == first
    assert len(first.value) >= 43
    assert make_token(folder).value != first.value


@pytest.mark.parametrize(
    "token", ["short", "x" * 15, "a token with blanks", "tokens-of-caf\u00e9-s"]
)
def test_a_token_that_cannot_be_sent_or_guessed_is_refused_without_showing_it(
    tmp_path: Path, token: str
):
    with pytest.raises(
        ConfigError, match="the variable PLAIT_TOKEN: a token is at least 16"
    ) as given:
        find_token({"PLAIT_TOKEN": token}, tmp_path)
    (tmp_path / FILE_NAME).write_text(token)
    with pytest.raises(ConfigError, match="http-token: a token is at least 16") as kept:
        find_token({}, tmp_path)
    assert token not in f"{given.value} {kept.value}"


def test_a_link_in_the_place_of_the_kept_token_is_not_followed(tmp_path: Path):
    (tmp_path / "elsewhere").write_text("0123456789abcdef")
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        find_token({}, tmp_path)


def test_a_token_that_cannot_be_kept_is_refused_with_what_to_do(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match="Set PLAIT_TOKEN, or another folder with PLAIT_STATE_DIR"
    ):
        make_token(tmp_path / "file" / "below")


def test_the_token_is_not_in_what_is_logged():
    assert "0123456789abcdef" not in repr(AccessToken("0123456789abcdef", "PLAIT_TOKEN"))
