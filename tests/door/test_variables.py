"""Which variables leave a client without being asked for."""

from __future__ import annotations

import pytest

from plait.door.variables import chosen, is_for_settings, is_safe, to_send


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "LC_ALL",
        "TZ",
        "TMPDIR",
        "XDG_CONFIG_HOME",
        "DBUS_SESSION_BUS_ADDRESS",
        "HTTPS_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
    ],
)
def test_what_programs_need_is_safe(name: str):
    assert is_safe(name)


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN",
        "AWS_PROFILE",
        "PLAIT_TOKEN",
        "Path",
        "LC",
        "SSH_AUTH_SOCK",
        "PYTHONPATH",
        "TERM",
        "XDG_SESSION_ID",
        "XDG_VTNR",
    ],
)
def test_everything_else_has_to_be_named(name: str):
    assert not is_safe(name)


@pytest.mark.parametrize(
    ("name", "is_needed"),
    [("PLAIT_CONFIG", True), ("HOME", True), ("XDG_CONFIG_HOME", True), ("PATH", False)],
)
def test_what_finds_the_settings_goes_with_the_hello(name: str, is_needed: bool):
    assert is_for_settings(name) is is_needed


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["A", "B"], ["A"]),
        (["AWS_*"], ["AWS_A", "AWS_B"]),
        (["AWS_*", "AWS_A"], ["AWS_A", "AWS_B"]),
        ([], []),
    ],
)
def test_variables_are_chosen_by_name_or_by_its_beginning(wanted: list[str], names: list[str]):
    environ = {"A": "1", "AWS_A": "2", "AWS_B": "", "AWSX": "3"}
    assert list(chosen(environ, wanted)) == [(name, environ[name]) for name in names]


def test_a_gateway_gets_what_it_asks_for_and_the_safe_set():
    environ = {"PATH": "/bin", "AWS_A": "2", "TOKEN": "t", "OTHER": "o"}
    assert dict(to_send(environ, ["AWS_*", "TOKEN"])) == {
        "PATH": "/bin",
        "AWS_A": "2",
        "TOKEN": "t",
    }
