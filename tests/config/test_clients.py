"""The files of clients are read as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from plait.config import Config, load_config
from plait.config.clients import RENAMED, ROOTS, is_this_gateway
from plait.config.desk import desk_key
from plait.config.models import TRANSPORT_NAMES, ServerSettings
from plait.errors import ConfigError

from .conftest import Load


def load_json(load: Load, servers: Any, name: str = "mcp.json", **environ: str) -> Config:
    return load(json.dumps({"mcpServers": servers}), name, **environ)


@pytest.mark.parametrize("root", ["mcpServers", "servers", "context_servers"])
def test_a_clients_own_file_is_read(load: Load, root: str):
    servers = {
        "gh": {"type": "http", "url": "https://h/mcp", "headers": {"Authorization": "Bearer ${T}"}},
        "fs": {
            "command": "npx",
            "args": ["-y", "fs"],
            "disabled": True,
            "timeout": 5000,
            "env": {"A": "b"},
        },
    }
    config = load(
        json.dumps({"inputs": [], root: servers, "theme": {"a": "${UNSET}"}}), "mcp.json", T="tok"
    )
    assert config.servers["gh"].headers == {"Authorization": "Bearer tok"}
    assert config.servers["gh"].kind == "http"
    assert (config.servers["fs"].command, config.servers["fs"].args) == ("npx", ("-y", "fs"))
    assert (config.servers["fs"].enabled, config.servers["fs"].timeout_s) == (False, 5)
    assert config.servers["fs"].env == {"A": "b"}


@pytest.mark.parametrize(("given", "seconds"), [(60, 60), (0.5, 0.5), (1000, 1), (600_000, 600)])
def test_a_small_timeout_is_taken_as_seconds(load: Load, given: float, seconds: float):
    config = load_json(load, {"a": {"command": "x", "timeout": given}})
    assert config.servers["a"].timeout_s == seconds
    assert config.notes == (
        (f"mcpServers.a.timeout: {given:g} was taken as seconds",) if given == seconds else ()
    )


def test_other_names_of_the_address_are_understood(load: Load):
    config = load_json(
        load, {"g": {"httpUrl": "https://h/mcp"}, "s": {"type": "sse", "url": "https://h/sse"}}
    )
    assert config.servers["g"].url == "https://h/mcp"
    assert [server.kind for server in config.servers.values()] == ["http", "sse"]


def test_names_are_made_to_fit_and_the_change_is_noted(load: Load):
    config = load_json(
        load, {"Git Hub": {"command": "x"}, "a.b/c": {"command": "x"}, "x" * 40: {"command": "x"}}
    )
    assert list(config.servers) == ["git-hub", "a-b-c", "x" * 32]
    assert 'mcpServers."Git Hub": is called git-hub here' in config.notes


def test_names_that_would_be_one_are_told_apart_by_a_hash(load: Load):
    config = load_json(
        load,
        {name: {"command": name} for name in ("a", "A", "файлы", "データ", "x" * 40, "X" * 32)},
    )
    assert [server.command for server in config.servers.values()] == [
        "a",
        "A",
        "файлы",
        "データ",
        "x" * 40,
        "X" * 32,
    ]
    assert list(config.servers)[:2] == ["a", "a-559aead0"]
    assert all(re.fullmatch(r"server-[0-9a-f]{8}", name) for name in list(config.servers)[2:4])
    assert all(len(name) <= 32 for name in config.servers)


@pytest.mark.parametrize("key", ["type", "transport", "transportType"])
@pytest.mark.parametrize(
    ("spelled", "kind"),
    [
        ("streamable-http", "http"),
        ("streamable_http", "http"),
        ("streamableHttp", "http"),
        ("Streamable HTTP", "http"),
        ("SSE", "sse"),
    ],
)
def test_the_transport_may_be_spelled_in_many_ways(load: Load, key: str, spelled: str, kind: str):
    config = load_json(load, {"a": {"url": "https://h/mcp", key: spelled}})
    assert config.servers["a"].transport == kind


def test_numbers_and_truths_are_taken_as_text_and_null_as_missing(load: Load):
    env = {"PORT": 8080, "DEBUG": True, "RATE": 0.5, "NONE": None, "T": "t"}
    config = load_json(
        load,
        {
            "a": {"command": "x", "env": env, "args": ["--port", 8080]},
            "b": {"url": "https://h/mcp", "headers": {"X-Version": 2, "X-None": None}},
        },
    )
    server = config.servers["a"]
    assert server.env == {"PORT": "8080", "DEBUG": "true", "RATE": "0.5", "T": "t"}
    assert server.args == ("--port", "8080")
    assert config.servers["b"].headers == {"X-Version": "2"}


@pytest.mark.parametrize("off", [{"disabled": True}, {"enabled": False}])
def test_no_variables_are_looked_up_for_a_server_that_is_off(load: Load, off: Any):
    servers = {
        "a": {"url": "${NOWHERE}", **off},
        "b": {"command": "x"},
        "c": {"command": "x", **off},
    }
    config = load_json(load, servers)
    assert list(config.servers) == ["a", "b", "c"]
    assert [server.enabled for server in config.servers.values()] == [False, True, False]
    assert config.notes == ()


def test_keys_that_mean_nothing_here_are_noted(load: Load):
    config = load_json(load, {"a": {"command": "x", "alwaysLoad": True, "trust": False}})
    assert config.notes == (
        "mcpServers.a.alwaysLoad: means nothing here, and was ignored",
        "mcpServers.a.trust: means nothing here, and was ignored",
    )


def test_the_gateway_itself_is_ignored(load: Load):
    config = load_json(
        load,
        {
            "plait": {"command": "/usr/bin/plait", "args": ["serve"]},
            "by-uvx": {"command": "uvx", "args": ["plait", "serve", "--config", "x"]},
            "other": {"command": "x", "args": ["serve"]},
        },
    )
    assert list(config.servers) == ["other"]
    assert "mcpServers.plait: is this gateway, and was ignored" in config.notes


def test_a_codex_file_is_read(load: Load):
    config = load(
        'model = "x"\n[tools]\nweb_search = true\n'
        '[mcp_servers.gh]\nurl = "https://h/mcp"\nbearer_token_env_var = "TOKEN"\nhttp_headers = '
        '{ A = "b" }\n'
        'tool_timeout_sec = 9\nenabled_tools = ["x"]\n[mcp_servers.p]\ncommand = "p"\nenv_vars = '
        '["TOKEN"]\n',
        "config.toml",
        TOKEN="tok",
    )
    assert config.servers["gh"].headers == {"Authorization": "Bearer tok", "A": "b"}
    assert (config.servers["gh"].timeout_s, config.servers["gh"].include) == (9, ("x",))
    assert config.servers["p"].env == {"TOKEN": "tok"}
    assert "model: means nothing here, and was ignored" in config.notes


def test_a_block_of_codex_may_stand_in_servers_toml(load: Load):
    config = load(
        '[servers.a]\ncommand = "x"\n[mcp_servers.B]\ncommand = "y"\ntool_timeout_sec = 3\n'
    )
    assert [server.command for server in config.servers.values()] == ["x", "y"]
    with pytest.raises(ConfigError, match=r"servers\.a\.tool_timeout_sec: unknown key"):
        load('[servers.a]\ncommand = "x"\ntool_timeout_sec = 3\n[mcp_servers.B]\ncommand = "y"\n')


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        (
            {"a": {"command": "x", "envFile": ".env"}},
            "mcpServers.a.envFile: is not read; put its variables into",
        ),
        (
            {"a": {"command": "x", "type": "ws"}},
            "mcpServers.a.type: must be one of stdio, http, streamable-http",
        ),
        ({"a": {"command": "x", "disabled": "no"}}, "mcpServers.a.disabled: must be true or false"),
        (
            {"Git Hub": {"command": "${TOKEN"}},
            'mcpServers."Git Hub".command: a variable is not closed by }; for the text',
        ),
        (
            {"Git Hub": {"url": "h"}},
            'mcpServers."Git Hub".url: an address starts with http:// or https://',
        ),
        ({"a": {}}, "mcpServers.a: set exactly one of command, url and builtin"),
        ({"a": 1}, "mcpServers.a: must be a table of keys and values"),
        ({"a": {"command": "x", "timeout": 1e9}}, "mcpServers.a.timeout_s: must be less than"),
        ({"a": {"command": "x", "args": ["\0"]}}, "mcpServers.a.args[0]: must not contain"),
    ],
)
def test_a_server_that_cannot_be_taken_over_is_named_and_left_out(
    load: Load, servers: Any, said: str
):
    config = load_json(load, {**servers, "good": {"command": "y"}})
    assert list(config.servers) == ["good"]
    [note] = [note for note in config.notes if note.startswith(said)]
    assert note.endswith("; this server is left out")


def test_servers_that_are_no_object_are_refused(load: Load, tmp_path: Path):
    with pytest.raises(ConfigError) as error:
        load_json(load, 5)
    said = f"mcpServers: must map names to servers ({tmp_path / 'mcp.json'})"
    assert str(error.value) == said


def test_a_file_without_servers_is_refused(load: Load):
    said = "it has no servers: one of mcpServers, servers, context_servers, mcp"
    with pytest.raises(ConfigError, match=said):
        load("{}", "mcp.json")


def test_files_of_opencode_are_read(load: Load):
    here = {"type": "local", "command": ["npx", "-y", "fs"], "environment": {"A": "b"}}
    there = {"type": "remote", "url": "https://h/mcp", "enabled": False}
    ourselves = {"type": "local", "command": ["/opt/plait", "serve", "--config", "x"]}
    servers = {"fs": here, "gh": there, "plait": ourselves}
    for values in ({"mcp": servers}, {"mcp": {"servers": servers}}):
        config = load(json.dumps(values), "opencode.json")
        assert list(config.servers) == ["fs", "gh"]
        assert (config.servers["fs"].command, config.servers["fs"].args) == ("npx", ("-y", "fs"))
        assert config.servers["fs"].env == {"A": "b"}
        assert (config.servers["gh"].kind, config.servers["gh"].enabled) == ("http", False)


def test_the_older_form_of_a_command_of_zed_is_read(load: Load):
    command = {"path": "npx", "args": ["-y", "fs"], "env": {"A": "b"}}
    config = load(json.dumps({"context_servers": {"fs": {"command": command}}}), "settings.json")
    assert (config.servers["fs"].command, config.servers["fs"].args) == ("npx", ("-y", "fs"))
    assert config.servers["fs"].env == {"A": "b"}


def test_an_input_that_is_not_set_is_named_as_the_file_writes_it(load: Load):
    config = load_json(load, {"a": {"command": "x", "env": {"T": "${input:my-key}"}}})
    said = "the variable MY_KEY (for ${input:my-key}, which the client asks for) is not set"
    assert said in config.needs["a"].reason
    assert config.needs["a"].names == ("MY_KEY",)


@pytest.mark.parametrize(
    "values",
    [{"mcp": {"servers": {"a": {"command": "x"}}}}, {"mcp.servers": {"a": {"command": "x"}}}],
)
def test_settings_of_vs_code_are_read(load: Load, values: dict[str, Any]):
    config = load(json.dumps({"editor.fontSize": 12, **values}), "settings.json")
    assert list(config.servers) == ["a"]


def test_an_empty_place_for_servers_does_not_hide_a_full_one(load: Load):
    server = {"command": "x"}
    config = load(json.dumps({"mcpServers": {}, "servers": {"a": server}}), "mcp.json")
    assert (list(config.servers), config.notes) == (["a"], ())
    config = load(json.dumps({"mcpServers": {"b": server}, "servers": {"a": server}}), "mcp.json")
    assert list(config.servers) == ["b"]
    assert config.notes == ("servers: was ignored, because mcpServers has servers",)


def test_of_the_folders_of_claude_code_the_own_one_counts(tmp_path: Path):
    inner = tmp_path / "here" / "deep"
    inner.mkdir(parents=True)
    file = tmp_path / "claude.json"
    servers = {"mcpServers": {"a": {"command": "local"}}}
    projects = {str(tmp_path / "here"): servers, "/elsewhere": {"mcpServers": {"z": {}}}, "/c": {}}
    file.write_text(json.dumps({"numStartups": 3, "projects": projects}))
    config = load_config(file, {}, inner)
    assert config.servers["a"].command == "local"
    assert config.notes == ("projects: servers of other folders (1) were ignored",)
    elsewhere = load_config(file, {}, tmp_path)
    assert elsewhere.servers == {}
    assert desk_key(config) != desk_key(elsewhere)


def test_of_the_folders_of_claude_code_servers_of_all_folders_come_second(tmp_path: Path):
    file = tmp_path / "claude.json"
    everywhere = {"a": {"url": "https://h/everywhere"}, "b": {"url": "https://h/b"}}
    projects = {str(tmp_path): {"mcpServers": {"a": {"url": "https://h/local"}}}}
    file.write_text(json.dumps({"projects": projects, "mcpServers": everywhere}))
    config = load_config(file, {}, tmp_path)
    assert config.servers["a"].url == "https://h/local"
    assert len(config.servers) == 3  # both of one name, one of them with a hash


GOOSE = """GOOSE_MODEL: x
extensions:
  GitHub:
    type: stdio
    name: GitHub
    cmd: npx
    args: [-y, gh]
    envs: {DEBUG: on}
    env_keys: [TOKEN]
    timeout: 3600
    enabled: true
    available_tools: []
  far:
    type: streamable_http
    uri: https://h/mcp
    headers: {A: b}
    available_tools: [one]
  developer: {type: builtin, enabled: true, name: developer}
  off: {type: stdio, cmd: x, enabled: false}
  plait: {type: stdio, cmd: plait, args: [serve]}
"""
CONTINUE = """name: mine
mcpServers:
  - name: SQLite MCP
    command: npx
    args: ["-y", "db", "${{ secrets.TOKEN }}"]
    env: {T: "${{ secrets.TOKEN }}"}
    connectionTimeout: 5000
  - name: far
    type: streamable-http
    url: https://h/mcp
    requestOptions: {headers: {Authorization: "Bearer ${{ secrets.TOKEN }}"}}
  - command: nameless
"""


def test_a_timeout_of_opencode_is_not_one_of_calls(load: Load):
    config = load('{"mcp": {"a": {"command": ["x"], "timeout": 5000}}}', "opencode.json")
    assert config.servers["a"].timeout_s == ServerSettings(command="x").timeout_s
    assert config.notes == ("mcp.a.timeout: is for its start in OpenCode, and was ignored",)


def test_the_extensions_of_goose_are_read(load: Load):
    config = load(GOOSE, "config.yaml", TOKEN="tok")
    assert list(config.servers) == ["github", "far", "off"]
    github, far, off = config.servers.values()
    assert (github.command, github.args, github.timeout_s) == ("npx", ("-y", "gh"), 3600)
    assert (github.env, github.include) == ({"DEBUG": "on", "TOKEN": "tok"}, ())
    assert (far.url, far.headers, far.include) == ("https://h/mcp", {"A": "b"}, ("one",))
    assert not off.enabled
    said = "extensions.developer.type: builtin is a part of its client, which alone can start it"
    assert f"{said}; this server is left out" in config.notes
    assert "extensions.plait: is this gateway, and was ignored" in config.notes


def test_the_servers_of_continue_are_read(load: Load):
    config = load(CONTINUE, "config.yaml", TOKEN="tok")
    assert list(config.servers)[:2] == ["sqlite-mcp", "far"]
    assert config.servers["sqlite-mcp"].args == ("-y", "db", "tok")
    assert config.servers["sqlite-mcp"].env == {"T": "tok"}
    assert config.servers["sqlite-mcp"].startup_timeout_s == 5
    assert config.servers["far"].headers == {"Authorization": "Bearer tok"}
    assert [server.command for server in config.servers.values()][2] == "nameless"


@pytest.mark.parametrize(
    "settings",
    [
        {"command": "plait", "args": ["serve"]},
        {"command": "uvx", "args": ["plait@1.0", "serve"]},
        {"command": "uvx", "args": ["--from", "plait==1.0", "plait", "serve"]},
        {"command": "uv", "args": ["tool", "run", "plait[otel]", "serve"]},
        {"command": "python", "args": ["-m", "plait", "serve"]},
        {"command": "sh", "args": ["-lc", "plait serve"]},
        {"command": "/bin/bash", "args": ["-c", "cd /x && exec '/opt/plait' serve"]},
        {"command": ["plait.exe", "serve"]},
        {"command": {"path": "plait", "args": ["serve"]}},
        {"cmd": "plait", "args": ["serve"]},
        {"url": "http://127.0.0.1:8420/mcp"},
        {"httpUrl": "http://localhost:8420/mcp/"},
        {"uri": "http://[::1]:8420/sse"},
    ],
)
def test_the_gateway_is_known_however_it_is_registered(settings: dict[str, Any]):
    assert is_this_gateway(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"command": "plait", "args": ["run"]},
        {"command": "npx", "args": ["serve", "plait"]},
        {"command": "sh", "args": ["-c", "it's plait"]},
        {"command": "x", "args": ["-c", "plait serve"]},
        {"url": "http://127.0.0.1:8421/mcp"},
        {"url": "http://h:8420/mcp"},
        {"url": "http://[::1:8420/mcp"},
        {"url": "http://127.0.0.1:8420/other"},
        "plait serve",
    ],
)
def test_other_servers_are_not_taken_for_the_gateway(settings: Any):
    assert not is_this_gateway(settings)


def test_a_name_that_is_taken_gets_another(load: Load):
    config = load_json(load, {"plait": {"command": "x"}, "DAG": {"command": "y"}})
    assert [server.command for server in config.servers.values()] == ["x", "y"]
    assert {"plait", "dag"}.isdisjoint(config.servers)


def test_every_key_of_clients_stands_in_the_table():
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for theirs, ours in RENAMED.items():
        row = next(row for row in rows if f"`{theirs}`" in row.split("|")[1])
        assert f"`{ours}`" in row.split("|")[2]
    for name in (*ROOTS, *TRANSPORT_NAMES):
        assert f"`{name}`" in page
