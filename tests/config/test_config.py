"""Settings: where they are found, what they may hold, and how what is wrong with them is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from plait.config import (
    Config,
    GatewaySettings,
    LimitSettings,
    PolicySettings,
    ServerSettings,
    ToolSettings,
    load_config,
)
from plait.errors import ConfigError

ROOT = Path(__file__).parents[2]
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a file of that text, with those variables."""

    def load(text: str, name: str = "servers.toml", **environ: str) -> Config:
        file = tmp_path / name
        file.write_text(text)
        return load_config(file, environ, tmp_path)

    return load


def test_a_file_in_a_parent_folder_is_found(tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[servers.a]\ncommand = "x"\n')
    below = tmp_path / "deep" / "er"
    below.mkdir(parents=True)
    assert list(load_config(None, {}, below).servers) == ["a"]


def test_the_variable_names_the_file_before_any_folder_does(tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[servers.a]\ncommand = "x"\n')
    (tmp_path / "other.toml").write_text('[servers.b]\ncommand = "x"\n')
    assert list(load_config(None, {"PLAIT_CONFIG": str(tmp_path / "other.toml")}, tmp_path).servers) == ["b"]


def test_without_a_file_the_workspace_server_serves_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("plait.config.read.user_config_path", lambda name: tmp_path / "none")
    config = load_config(None, {}, tmp_path)
    assert config.servers["workspace"].builtin == "workspace"
    assert config.servers["workspace"].root == tmp_path


def test_variables_defaults_files_and_literals_are_expanded(load: Load, tmp_path: Path):
    (tmp_path / "token").write_text("s3cret\n")
    config = load(
        '[servers.a]\ncommand = "${BIN}/x"\nargs = ["${WHERE:-here}", "$${literal}", "${file:token}", "$PATH"]\n',
        BIN="/bin",
    )
    assert config.servers["a"].command == "/bin/x"
    assert config.servers["a"].args == ("here", "${literal}", "s3cret", "$PATH")


def test_relative_folders_are_relative_to_the_file(load: Load, tmp_path: Path):
    config = load('[servers.a]\nbuiltin = "workspace"\nroot = "sub"\n[servers.b]\ncommand = "x"\ncwd = "c"\n')
    assert config.servers["a"].root == tmp_path / "sub"
    assert config.servers["b"].cwd == tmp_path / "c"


def test_gateway_keys_come_from_the_environment_too(load: Load):
    config = load("[gateway]\nmax_concurrency = 4\n", PLAIT_MAX_CONCURRENCY="8", PLAIT_MAX_TASKS="9")
    assert config.gateway.max_concurrency == 8
    assert config.gateway.limits.max_tasks == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[servers.a]\ncomand = "x"\n', 'servers.a.comand: unknown key. Did you mean "command"?'),
        ("[gatway]\n", 'gatway: unknown key. Did you mean "gateway"?'),
        ("[gateway]\nzzz = 1\n", "gateway.zzz: unknown key. Known keys: max_concurrency"),
        ('[tools."a:b"]\nwait = 1\n', '"a:b".wait: unknown key'),
        ('[servers.a]\ncommand = "${NOPE}"\n', "servers.a.command: the variable NOPE is not set"),
        ('[servers.a]\ncommand = "${file:no}"\n', "servers.a.command: the file no cannot be read: No such file"),
        ('[servers.a]\ncommand = "${1x}"\n', "servers.a.command: ${1x} is no variable"),
        ("[servers.a]\n", "servers.a: set exactly one of command, url and builtin; there is none of them"),
        ('[servers.a]\ncommand = "x"\nurl = "http://h"\n', "there is command and url"),
        ('[servers.a]\nurl = "ftp://h"\n', "servers.a.url: an address starts with http:// or https://"),
        ('[servers.a]\ncommand = "x"\ntransport = "sse"\n', 'transport = "sse" does not go with command'),
        ('[servers.a]\ncommand = "x"\nprotocol = "new"\n', "servers.a.protocol: input should be 'auto', 'legacy' or"),
        ('[servers."A b"]\ncommand = "x"\n', "servers.A b: a server's name is"),
        ("[gateway]\nmax_concurrency = 0\n", "gateway.max_concurrency: input should be greater than or equal to 1"),
        ('[gateway]\ntimeout_s = "soon"\n', "gateway.timeout_s: input should be a valid number"),
        ("[gateway\n", "is no TOML: "),
        ("a = 1\na = 2\n", "is no TOML: Cannot overwrite a value (at line 2, column 6)"),
    ],
)
def test_what_is_wrong_is_told_with_its_key_and_mend(load: Load, text: str, said: str, tmp_path: Path):
    with pytest.raises(ConfigError) as error:
        load(text)
    assert said in str(error.value)
    assert str(tmp_path / "servers.toml") in str(error.value)


def test_all_problems_are_told_at_once(load: Load):
    with pytest.raises(ConfigError) as error:
        load('[gateway]\nx = 1\n[servers.a]\ncommand = "${A}"\nargs = ["${B}"]\nenvv = {}\n')
    assert len(str(error.value).splitlines()) == 4


def test_no_value_stands_in_an_error(load: Load):
    with pytest.raises(ConfigError) as error:
        load('[servers.a]\nurl = "s3cret"\nheaders = { Authorization = ["${TOKEN}"] }\nx = "s3cret"\n', TOKEN="s3cret")
    assert "s3cret" not in str(error.value)


def test_a_misspelt_variable_of_ours_is_told(load: Load):
    with pytest.raises(
        ConfigError, match=r'PLAIT_MAX_CONCURENCY: no such setting. Did you mean "PLAIT_MAX_CONCURRENCY"'
    ):
        load("", PLAIT_MAX_CONCURENCY="3")


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read: No such file or directory"):
        load_config(tmp_path / "no.toml", {}, tmp_path)


@pytest.mark.parametrize("root", ["mcpServers", "servers", "context_servers"])
def test_a_clients_own_file_is_read(load: Load, root: str, tmp_path: Path):
    servers = {
        "Git Hub": {"type": "http", "url": "https://h/mcp", "headers": {"Authorization": "Bearer ${env:T}"}},
        "fs": {"command": "npx", "args": ["${workspaceFolder}"], "disabled": True, "timeout": 5000, "alwaysLoad": True},
    }
    config = load(json.dumps({root: servers}), "mcp.json", T="tok")
    assert config.servers["git-hub"].headers == {"Authorization": "Bearer tok"}
    assert config.servers["git-hub"].kind == "http"
    assert config.servers["fs"].args == (str(tmp_path),)
    assert (config.servers["fs"].enabled, config.servers["fs"].timeout_s) == (False, 5)
    assert any("alwaysLoad" in note for note in config.notes)


def test_a_codex_file_is_read(load: Load):
    config = load(
        '[mcp_servers.gh]\nurl = "https://h/mcp"\nbearer_token_env_var = "TOKEN"\nhttp_headers = { A = "b" }\n'
        'tool_timeout_sec = 9\nenabled_tools = ["x"]\n[mcp_servers.p]\ncommand = "p"\nenv_vars = ["TOKEN"]\n',
        TOKEN="tok",
    )
    assert config.servers["gh"].headers == {"Authorization": "Bearer tok", "A": "b"}
    assert (config.servers["gh"].timeout_s, config.servers["gh"].include) == (9, ("x",))
    assert config.servers["p"].env == {"TOKEN": "tok"}


def test_what_a_client_file_means_and_we_cannot_do_is_refused(load: Load):
    with pytest.raises(ConfigError, match=r"mcpServers\.a\.envFile: is not read; put its variables"):
        load(json.dumps({"mcpServers": {"a": {"command": "x", "envFile": ".env"}}}), "mcp.json")
    with pytest.raises(ConfigError, match="there is another server of the name a"):
        load(json.dumps({"mcpServers": {"a": {"command": "x"}, "A": {"command": "x"}}}), "mcp.json")


def test_the_example_file_loads_and_names_every_key():
    config = load_config(ROOT / "servers.example.toml", {"HOME": "/home/ada", "GITHUB_TOKEN": "t"})
    text = (ROOT / "servers.example.toml").read_text()
    assert set(config.servers) == {"files", "github", "workspace"}
    for model in (GatewaySettings, LimitSettings, ServerSettings, ToolSettings, PolicySettings):
        missing = [name for name in model.model_fields if f"{name} =" not in text and f".{name}]" not in text]
        assert missing == []


def test_the_example_file_shows_the_defaults():
    config = load_config(ROOT / "servers.example.toml", {"HOME": "/home/ada", "GITHUB_TOKEN": "t"})
    assert config.gateway.limits == LimitSettings()
    assert config.gateway.model_copy(update={"wait_s": None}) == GatewaySettings()
