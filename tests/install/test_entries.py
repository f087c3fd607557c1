"""The servers in clients' files, and which of them are Plait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plait.install.clients import Format, Place
from plait.install.entries import (
    MAX_BYTES,
    Unreadable,
    is_plait,
    root_in,
    servers_in,
    values_of,
    words_of,
)

JSON, TOML, YAML = Format.JSON, Format.TOML, Format.YAML


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (JSON, b'{"a": {"b": 1}}'),
        (JSON, b'\xef\xbb\xbf{// a\r\n"a": {"b": 1,},\r\n}'),
        (TOML, b"[a]\r\nb = 1\r\n"),
        (TOML, b"\xef\xbb\xbfa.b = 1"),
        (YAML, b"a:\n  b: 1\n"),
        (YAML, b"base: &x {b: 1}\na:\n  <<: *x\n"),
    ],
)
def test_values_are_read_from_each_format(kind: Format, data: bytes):
    assert values_of(data, kind)["a"] == {"b": 1}


@pytest.mark.parametrize("kind", list(Format))
@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf"])
def test_an_empty_file_holds_nothing(kind: Format, data: bytes):
    assert values_of(data, kind) == {}


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (JSON, b'{"a": 1, "a": 2}', 'the key "a" is twice'),
        (JSON, b'{"x": {"a": {}, "b": 1, "a": {}}}', 'the key "a" is twice'),
        (YAML, b"x:\n  a: 1\n  a: 2\n", 'the key "a" is twice'),
        (TOML, b"a = 1\na = 2\n", "it is not TOML"),
        (JSON, b'{"a": ', "line 1, column 7"),
        (TOML, b"a = ", "it is not TOML"),
        (YAML, b"a: [", "it is not YAML"),
        (YAML, b"a: !!python/object/apply:os.getcwd []", "it is not YAML"),
        (JSON, b"[1]", "not an object"),
        (YAML, b"- 1", "not a mapping"),
        (JSON, "{}".encode("utf-16"), "save it as UTF-8"),
        (JSON, "{}".encode("utf-16-le"), "save it as UTF-8"),
        (JSON, b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (JSON, b"[" * 100_000, "nested too deeply"),
        (YAML, b"[" * 2_000, "nested too deeply"),
        (JSON, b" " * (MAX_BYTES + 1), "more than 32 MiB"),
    ],
)
def test_a_file_that_is_not_certain_is_refused_with_the_reason(
    kind: Format, data: bytes, said: str
):
    with pytest.raises(Unreadable, match=said):
        values_of(data, kind)


def place(*root: str, is_list: bool = False) -> Place:
    return Place(Path("x"), root, is_list=is_list)


@pytest.mark.parametrize(
    ("where", "values", "names"),
    [
        (place("mcpServers"), {"mcpServers": {"a": {}, "b": {}}}, ["a", "b"]),
        (place("mcpServers"), {"other": 1}, []),
        (place("mcpServers"), {"mcpServers": None}, []),
        (place("mcp", "servers"), {"mcp": {"servers": {"a": {}}}}, ["a"]),
        (place("mcp"), {"mcp": {"servers": {"a": {"command": ["x"]}}}}, ["a"]),
        (place("mcp"), {"mcp": {"servers": {"command": ["x"]}}}, ["servers"]),
        (place("mcpServers", is_list=True), {"mcpServers": [{"name": "a"}]}, ["a"]),
    ],
)
def test_servers_are_found_where_the_client_has_them(
    where: Place, values: dict[str, Any], names: list[str]
):
    assert [*servers_in(where, values)] == names


@pytest.mark.parametrize(
    ("where", "values", "said"),
    [
        (place("mcpServers"), {"mcpServers": []}, "must map names to servers"),
        (place("mcpServers", is_list=True), {"mcpServers": {}}, "must be a list"),
        (place("mcpServers", is_list=True), {"mcpServers": [1]}, "must be a list"),
        (place("m", is_list=True), {"m": [{"name": "a"}, {"name": "a"}]}, "two servers of one"),
    ],
)
def test_other_values_there_are_refused(where: Place, values: dict[str, Any], said: str):
    with pytest.raises(Unreadable, match=said):
        servers_in(where, values)


def test_opencode_2_has_its_servers_a_level_deeper():
    deeper = {"mcp": {"servers": {"a": {"type": "local"}}}}
    assert root_in(place("mcp"), deeper) == ("mcp", "servers")
    assert root_in(place("mcp"), {"mcp": {"a": {}}}) == ("mcp",)


@pytest.mark.parametrize(
    "settings",
    [
        {"command": "plait", "args": ["serve"]},
        {"command": "/old/venv/bin/plait", "args": ["serve", "--config", "x"]},
        {"command": "C:\\tools\\plait.exe", "args": ["serve"]},
        {"command": ["/bin/plait", "serve"]},
        {"command": {"path": "plait", "args": ["serve"]}},
        {"cmd": "plait", "args": ["serve"]},
        {"command": "uvx", "args": ["plait@1.0", "serve"]},
        {"command": "uvx", "args": ["--from", "plait==1.0", "plait", "serve"]},
        {"command": "uv", "args": ["tool", "run", "plait", "serve"]},
        {"command": "pipx", "args": ["run", "plait", "serve"]},
        {"command": "python3", "args": ["-m", "plait", "serve"]},
        {"command": "wsl", "args": ["plait", "serve"]},
        {"command": "sh", "args": ["-lc", "plait serve"]},
        {"command": "/bin/bash", "args": ["-c", "exec /opt/bin/plait --debug serve"]},
        {"url": "http://127.0.0.1:8420/mcp"},
        {"httpUrl": "http://localhost:8420/mcp"},
    ],
)
def test_plait_is_recognised_however_it_is_started(settings: Any):
    assert is_plait(settings)


@pytest.mark.parametrize(
    "settings",
    [
        None,
        "plait serve",
        {},
        {"command": "npx", "args": ["serve", "plait"]},
        {"command": "git", "args": ["plait", "x"]},
        {"command": "braid-plait", "args": ["serve"]},
        {"command": "sh", "args": ["-c", "cd ~/plait && npx server"]},
        {"command": "python3", "args": ["-m", "other", "serve"]},
        {"url": "http://127.0.0.1:9000/mcp"},
        {"url": "https://plait.example/mcp"},
        {"url": "http://127.0.0.1:70000/mcp"},
        {"url": 7},
    ],
)
def test_other_servers_are_not_taken_for_plait(settings: Any):
    assert not is_plait(settings)


def test_an_address_on_this_machine_is_ours_under_our_name():
    assert is_plait({"url": "http://127.0.0.1:9000/mcp"}, "plait")


def test_words_that_are_no_text_are_left_out():
    assert words_of({"command": "a", "args": ["b", 1, None]}) == ["a", "b"]
    assert words_of({"command": None}) == []
