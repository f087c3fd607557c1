"""The text of secrets.env."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config.secrets_file import read_secrets
from plait.install.changes import Impossible
from plait.install.entries import Unreadable
from plait.install.secrets_text import secrets_in, with_secrets
from tests.profiles import CHARACTERS


@given(st.text(CHARACTERS, max_size=20))
def test_a_value_is_read_as_it_was_written(value: str):
    try:
        text = with_secrets(b"", {"KEY": value})
    except Impossible:
        assert "\r" in value
    else:
        assert secrets_in(text) == {"KEY": value}


def test_what_is_there_stays(tmp_path: Path):
    text = with_secrets(b"# mine\r\nA=1\r\nB = 'two'", {"C": "it's \\ #3"})
    assert text == b"# mine\r\nA=1\r\nB = 'two'\r\nC='it\\'s \\\\ #3'\r\n"
    file = tmp_path / "secrets.env"
    file.write_bytes(text)
    file.chmod(0o600)
    assert read_secrets(file) == {"A": "1", "B": "two", "C": "it's \\ #3"}


@pytest.mark.parametrize(
    ("data", "said"), [(b"A='x", "line 1 is not NAME=value"), (b"\xff", "not UTF-8 at byte 0")]
)
def test_a_broken_file_is_refused(data: bytes, said: str):
    with pytest.raises(Unreadable, match=said):
        secrets_in(data)
