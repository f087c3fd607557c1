"""Which servers are one: those that nothing distinguishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plait.config import Config, ServerSettings
from plait.downstream.identity import find_program, process_identity

PROCESS: dict[str, Any] = {"command": "sh", "args": ["-c", "x"], "env": {"A": "1"}}
BUNDLED: dict[str, Any] = {"builtin": "workspace", "root": "/work"}
WEB: dict[str, Any] = {"url": "https://h.example/mcp", "headers": {"A": "1"}}
ENVIRONMENT = {"PATH": "/bin", "HOME": "/home/ada"}


def identity(settings: dict[str, Any], name: str = "s", **client: Any) -> str:
    here: dict[str, Any] = {"environment": ENVIRONMENT, "folder": Path("/work"), **client}
    config = Config(**here)
    return process_identity(name, ServerSettings(**settings), config)


@pytest.mark.parametrize("settings", [PROCESS, BUNDLED, WEB])
def test_equal_servers_of_two_configurations_are_one(settings: dict[str, Any]):
    limited = settings | {"max_concurrency": 3, "timeout_s": 5, "include": ["a*"], "lazy": True}
    assert identity(settings) == identity(limited)


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        (PROCESS, {"command": "bash"}),
        (PROCESS, {"args": ["-c", "y"]}),
        (PROCESS, {"env": {"A": "2"}}),
        (PROCESS, {"cwd": "/other"}),
        (PROCESS, {"protocol": "legacy"}),
        (PROCESS, {"scope": "client"}),
        (BUNDLED, {"root": "/other"}),
        (BUNDLED, {"allow_commands": ["make test"]}),
        (BUNDLED, {"read_only": True}),
        (BUNDLED, {"tools": ["grep"]}),
        (BUNDLED, {"protect": ["/x"]}),
        (BUNDLED, {"env": {"A": "1"}}),
        (WEB, {"url": "https://h.example/mcp?a=1"}),
        (WEB, {"headers": {"A": "2"}}),
        (WEB, {"transport": "sse"}),
        (WEB, {"transport": "http"}),
        (WEB, {"protocol": "modern"}),
    ],
)
def test_whatever_reaches_a_server_makes_it_another(
    settings: dict[str, Any], change: dict[str, Any]
):
    assert identity(settings) != identity(settings | change)


@pytest.mark.parametrize("settings", [PROCESS, BUNDLED, WEB])
def test_servers_with_two_names_are_two(settings: dict[str, Any]):
    assert identity(settings) != identity(settings, "t")


@pytest.mark.parametrize(
    ("settings", "client", "is_one"),
    [
        (PROCESS, {"environment": ENVIRONMENT | {"LANG": "de"}}, False),
        (BUNDLED, {"environment": ENVIRONMENT | {"LANG": "de"}}, False),
        (WEB, {"environment": ENVIRONMENT | {"LANG": "de"}}, True),
        (WEB, {"environment": ENVIRONMENT | {"https_proxy": "http://p"}}, False),
        (WEB, {"environment": ENVIRONMENT | {"SSL_CERT_FILE": "/x"}}, False),
        (PROCESS, {"folder": Path("/other")}, False),
        (PROCESS | {"cwd": "/x"}, {"folder": Path("/other")}, True),
        (BUNDLED, {"folder": Path("/other")}, True),
        (WEB, {"folder": Path("/other")}, True),
    ],
)
def test_a_clients_environment_and_folder_count_where_they_reach_the_server(
    settings: dict[str, Any], client: dict[str, Any], is_one: bool
):
    assert (identity(settings) == identity(settings, **client)) is is_one


def test_a_command_is_another_where_the_path_finds_another(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (program := tmp_path / "two" / "run").write_text("")
    path = f"one:two:{tmp_path}/two"
    assert find_program("run", path, str(tmp_path)) == "run"
    program.chmod(0o700)
    assert find_program("run", path, str(tmp_path)) == str(program)
    assert find_program("run", path, "/") == str(program)
    assert find_program("./run", path, str(tmp_path)) == f"{tmp_path}/./run"
    environments = [{"PATH": str(tmp_path / name)} for name in ("one", "two")]
    settings = PROCESS | {"command": "run", "env": {"PATH": "/bin"}}
    assert len({identity(settings | {"env": each}) for each in environments}) == 2


def test_it_shows_no_value():
    assert "s3cr3t" not in identity(PROCESS | {"env": {"A": "s3cr3t"}})


@pytest.mark.parametrize("settings", [PROCESS, BUNDLED, WEB])
def test_a_server_that_each_client_has_for_itself_depends_on_the_client(settings: dict[str, Any]):
    own = settings | {"scope": "client"}
    assert identity(own, client="one") != identity(own, client="other")
    assert identity(settings, client="one") == identity(settings, client="other")
