"""plait serve: where it listens, and which command lines it refuses. What it serves is shown in
`test_processes.py`."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import typer

from plait.cli.serving import Address, read_address

from .conftest import Plait


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8420", Address("127.0.0.1", 8420)),
        (":8420", Address("127.0.0.1", 8420)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("[::1]:8420", Address("::1", 8420)),
        ("localhost:65535", Address("localhost", 65535)),
    ],
)
def test_an_address_is_a_port_or_host_and_port(text: str, address: Address):
    assert read_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "x", "x:", "-1", "1.5", "65536", "\u0663", "::1:8420", "[::1:8420", "h:80:90"]
)
def test_any_other_address_is_refused_with_examples(text: str):
    with pytest.raises(typer.BadParameter, match="write it as PORT or HOST:PORT, such as 8420"):
        read_address(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--http", "x:y:1"), "write it as PORT or HOST:PORT"),
        (("--allow-host", "a"), "--allow-host, --allow-origin and --no-auth need it"),
        (("--allow-origin", "https://a"), "--allow-origin and --no-auth need it"),
        (("--http", "0", "--allow-origin", "foo"), "foo: write a host as name or name:port"),
        (("--http", "0", "--allow-host", "a b"), "a b: write a host as name or name:port"),
        (("--no-auth",), "--allow-origin and --no-auth need it"),
    ],
)
def test_a_server_that_cannot_be_as_asked_is_not_started(
    plait: Plait, words: tuple[str, ...], said: str
):
    result = plait("serve", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


def test_an_address_that_another_program_listens_on_is_refused(plait: Plait, tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        result = plait("serve", "--http", address, "--config", str(file))
    assert result.exit_code == 2
    assert f"{address}: " in result.stderr
    assert "ddress already in use" in " ".join(result.stderr.split())


def test_settings_that_cannot_be_used_are_refused_with_4(plait: Plait, tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text("[gatway]\n")
    result = plait("serve", "--config", str(file))
    assert (result.exit_code, result.stdout) == (4, "")
    assert "gatway: unknown key" in result.stderr


def test_an_address_that_others_reach_is_not_served_without_a_token(plait: Plait, tmp_path: Path):
    for address in ("0.0.0.0:0", "[::]:0"):
        result = plait("serve", "--http", address, PLAIT_STATE_DIR=str(tmp_path / "state"))
        assert (result.exit_code, result.stdout) == (4, "")
        said = " ".join(result.stderr.split())
        assert "others reach this address" in said
        assert "Set the variable PLAIT_TOKEN" in said
        assert "--no-auth" in said


def test_a_token_that_is_too_short_is_refused_with_4(plait: Plait):
    result = plait("serve", "--http", "0", PLAIT_TOKEN="secret-short")
    assert result.exit_code == 4
    assert "PLAIT_TOKEN: a token is at least 16" in result.stderr
    assert "secret-short" not in result.stderr
