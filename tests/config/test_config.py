"""Settings: where they are found, what they may hold, and how what is wrong with them is told."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from plait.config import (
    GatewaySettings,
    LimitSettings,
    PolicySettings,
    ServerSettings,
    ToolSettings,
    load_config,
)
from plait.config.models import Settings
from plait.errors import ConfigError
from plait.redaction import Secrets

from .conftest import Load

ROOT = Path(__file__).parents[2]


def test_a_file_in_a_parent_folder_is_found(tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[servers.a]\ncommand = "x"\n')
    below = tmp_path / "deep" / "er"
    below.mkdir(parents=True)
    assert list(load_config(None, {}, below).servers) == ["a"]


def test_the_variable_names_the_file_before_any_folder_does(tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[servers.a]\ncommand = "x"\n')
    (tmp_path / "other.toml").write_text('[servers.b]\ncommand = "x"\n')
    assert list(
        load_config(None, {"PLAIT_CONFIG": str(tmp_path / "other.toml")}, tmp_path).servers
    ) == ["b"]
    assert list(load_config(None, {"PLAIT_CONFIG": "other.toml"}, tmp_path).servers) == ["b"]


def test_the_file_that_is_asked_for_is_read_before_all_others(tmp_path: Path):
    for name in ("servers", "variable", "asked"):
        (tmp_path / f"{name}.toml").write_text(f'[servers.{name}]\ncommand = "x"\n')
    config = load_config(tmp_path / "asked.toml", {"PLAIT_CONFIG": "variable.toml"}, tmp_path)
    assert list(config.servers) == ["asked"]
    assert config.source == str(tmp_path / "asked.toml")


def test_the_users_own_folder_is_looked_into_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("plait.config.read.user_config_path", lambda name: tmp_path / "home" / name)
    (tmp_path / "home" / "plait").mkdir(parents=True)
    (tmp_path / "home" / "plait" / "servers.toml").write_text('[servers.mine]\ncommand = "x"\n')
    (tmp_path / "empty").mkdir()
    assert list(load_config(None, {}, tmp_path / "empty").servers) == ["mine"]


def test_the_variable_names_the_folder_of_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert (
        load_config(None, {"PLAIT_STATE_DIR": "mine"}, tmp_path).state_folder == tmp_path / "mine"
    )
    assert (
        load_config(None, {"PLAIT_STATE_DIR": str(tmp_path / "x")}, tmp_path).state_folder
        == tmp_path / "x"
    )
    assert load_config(None, {}, tmp_path).state_folder == tmp_path / "state" / "plait"


def test_without_a_file_the_workspace_server_serves_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("plait.config.read.user_config_path", lambda name: tmp_path / "none")
    config = load_config(None, {}, tmp_path)
    assert config.servers["workspace"].builtin == "workspace"
    assert config.servers["workspace"].root == tmp_path


def test_variables_defaults_files_and_literals_are_expanded(load: Load, tmp_path: Path):
    (tmp_path / "token").write_text("s3cret\n")
    config = load(
        '[servers.a]\ncommand = "${BIN}/x"\nargs = ["${WHERE:-here}", "$${literal}", '
        '"${file:token}", "$PATH"]\n',
        BIN="/bin",
    )
    assert config.servers["a"].command == "/bin/x"
    assert config.servers["a"].args == ("here", "${literal}", "s3cret", "$PATH")


BAD = "s3cr3t-value"


@pytest.mark.parametrize(
    ("settings", "where", "said"),
    [
        (
            'headers = { A = "Bearer ${X}" }',
            "headers.A",
            "must not begin or end with a blank or a line break",
        ),
        ('headers = { A = " ${Y}" }', "headers.A", "must not begin or end with a blank"),
        (
            'headers = { A = "${Y}\\n" }',
            "headers.A",
            "must not begin or end with a blank or a line break",
        ),
        ('headers = { A = "${Y}\\r\\nB: c" }', "headers.A", "must not contain a line break"),
        (
            'headers = { A = "${Y}\\u0000" }',
            "headers.A",
            "must not contain a line break or another control character",
        ),
        (
            'headers = { A = "${Y}\\u007f." }',
            "headers.A",
            "must not contain a line break or another control character",
        ),
        ('headers = { A = "${Y}\u00eb" }', "headers.A", "must be ASCII"),
        ('headers = { "A B" = "${Y}" }', 'headers."A B"', "the name of a header is"),
        ('headers = { "A:" = "${Y}" }', 'headers."A:"', "the name of a header is"),
        ('env = { A = "${Y}\\u0000" }', "env.A", "must not contain the character NUL"),
        (
            'env = { "A=B" = "${Y}" }',
            'env."A=B"',
            "the name of a variable must not be empty or contain =",
        ),
        ('args = ["${Y}\\u0000"]', "args[0]", "must not contain the character NUL"),
    ],
)
def test_what_no_server_can_be_given_is_refused_without_its_value(
    load: Load, settings: str, where: str, said: str
):
    way = 'url = "http://h/mcp"' if settings.startswith("headers") else 'command = "x"'
    with pytest.raises(ConfigError) as error:
        load(f"[servers.a]\n{way}\n{settings}\n", X=f"{BAD}\n", Y=BAD)
    (problem,) = str(error.value).splitlines()
    assert problem.startswith(f"servers.a.{where}: ")
    assert said in problem
    assert "servers.toml" in problem
    assert BAD not in problem


@pytest.mark.parametrize("value", ["", "a", "a\tb c", "!~"])
def test_a_header_that_can_be_sent_is_taken_as_it_is(load: Load, value: str):
    config = load('[servers.a]\nurl = "http://h/mcp"\nheaders = { A = "${V}" }\n', V=value)
    assert config.servers["a"].headers == {"A": value}


@pytest.mark.parametrize(
    "url", ["http://ada:${Y}/k@h/mcp", "http://h:${Y}/", "http://[${Y}/", "http://h/${Y}\\u0085"]
)
def test_an_address_that_a_library_would_show_parts_of_is_refused(load: Load, url: str):
    with pytest.raises(ConfigError, match=r"servers\.a\.url: ") as error:
        load(f'[servers.a]\nurl = "{url}"\n', Y=BAD)
    assert BAD not in str(error.value)


def test_what_comes_from_variables_and_files_is_secret_unless_it_is_a_place(
    load: Load, tmp_path: Path
):
    (tmp_path / "key").write_text("key-of-a-file\n")
    config = load(
        '[servers.a]\ncommand = "${DIR}/x"\nargs = ["${V}", "${W:-default-of-w}", "${file:key}", '
        '"literal-text"]\n',
        V="value-of-v",
        DIR=str(tmp_path),
    )
    text = f"value-of-v default-of-w key-of-a-file literal-text {tmp_path}"
    assert config.secrets.redact(text) == f"*** *** *** literal-text {tmp_path}"
    assert "value-of-v" not in repr(
        ServerSettings(command="x", env={"A": "value-of-v"}, headers={"B": "value-of-v"})
    )


def test_a_file_that_is_refused_still_says_what_is_secret(load: Load, tmp_path: Path):
    secrets = Secrets()
    (tmp_path / "servers.toml").write_text(
        '[servers.a]\ncommand = "${V}"\n[tools."${V}"]\nreads = ["${V}"]\n'
    )
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "servers.toml", {"V": "value-of-v"}, tmp_path, secrets=secrets)
    assert "value-of-v" not in str(error.value)
    assert secrets.redact("value-of-v") == "***"


def test_a_variable_that_is_set_and_empty_takes_the_default_only_where_there_is_one(load: Load):
    config = load('[servers.a]\ncommand = "x"\nargs = ["${E}", "${E:-d}", "${N:-}"]\n', E="")
    assert config.servers["a"].args == ("", "d", "")


def test_a_number_may_come_from_a_variable(load: Load):
    assert load('[gateway]\nmax_concurrency = "${N}"\n', N="7").gateway.max_concurrency == 7


def test_a_byte_order_mark_is_passed_over(load: Load):
    assert load("\ufeff[gateway]\nmax_concurrency = 4\n").gateway.max_concurrency == 4


def test_relative_folders_are_relative_to_the_file(load: Load, tmp_path: Path):
    config = load(
        '[servers.a]\nbuiltin = "workspace"\nroot = "sub"\n[servers.b]\ncommand = "x"\ncwd = "c"\n'
    )
    assert config.servers["a"].root == tmp_path / "sub"
    assert config.servers["b"].cwd == tmp_path / "c"


def test_gateway_keys_come_from_the_environment_too(load: Load):
    config = load(
        "[gateway]\nmax_concurrency = 4\n", PLAIT_MAX_CONCURRENCY="8", PLAIT_MAX_TASKS="9"
    )
    assert config.gateway.max_concurrency == 8
    assert config.gateway.limits.max_tasks == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[servers.a]\ncomand = "x"\n', 'servers.a.comand: unknown key. Did you mean "command"?'),
        ("[gatway]\n", 'gatway: unknown key. Did you mean "gateway"?'),
        ("[gateway]\nzzz = 1\n", "gateway.zzz: unknown key. Known keys: expose, max_concurrency"),
        ('[tools."a:b"]\nwait = 1\n', 'tools."a:b".wait: unknown key'),
        ('[servers.a]\ncommand = "${NOPE}"\n', "servers.a.command: the variable NOPE is not set"),
        (
            '[servers.a]\ncommand = "${file:no}"\n',
            "servers.a.command: the file no cannot be read: No such file",
        ),
        (
            '[servers.a]\ncommand = "${1x}"\n',
            "servers.a.command: a variable's name is letters, digits and _; for",
        ),
        ('[servers.a]\ncommand = "${X"\n', "servers.a.command: a variable is not closed by }"),
        (
            '[servers.a]\ncommand = "${X:-${Y}}"\n',
            "servers.a.command: the default of X contains a variable",
        ),
        (
            '[servers.a]\ncommand = "x"\nargs = ["-", "${X}"]\n',
            "servers.a.args[1]: the variable X is not set",
        ),
        ("[servers.a]\n", "servers.a: set exactly one of command, url and builtin; found none"),
        ('[servers.a]\ncommand = "x"\nurl = "http://h"\n', "found command and url"),
        (
            '[servers.a]\nurl = "ftp://h"\n',
            "servers.a.url: an address starts with http:// or https://",
        ),
        (
            '[servers.a]\ncommand = "x"\ntransport = "sse"\n',
            'transport = "sse" does not go with command',
        ),
        (
            '[servers.a]\ncommand = "x"\nprotocol = "new"\n',
            "servers.a.protocol: must be 'auto', 'legacy' or",
        ),
        ('[servers."A b"]\ncommand = "x"\n', 'servers."A b": a server\'s name is'),
        (
            "[gateway]\nmax_concurrency = 0\n",
            "gateway.max_concurrency: must be greater than or equal to 1",
        ),
        ('[gateway]\ntimeout_s = "soon"\n', "gateway.timeout_s: must be a valid number"),
        ("gateway = 3\n", "gateway: must be a table of keys and values"),
        ('[servers]\na = "x"\n', "servers.a: must be a table of keys and values"),
        ('[servers.a]\ncommand = "x"\nargs = "y"\n', "servers.a.args: must be a list, in [ ]"),
        (
            '[servers.a]\ncommand = "x"\nenv = { N = 1 }\n',
            "servers.a.env.N: must be text, in quotes",
        ),
        ('[servers.a]\ncommand = ""\n', "servers.a.command: must have at least 1 character"),
        ('source = "x"\n', "source: unknown key."),
        (
            '[policy]\ndeny = ["delete_*"]\n',
            'policy.deny[0]: a tool is named server:tool; write "*:tool" for any',
        ),
        ('[tools."read_*"]\nweight = 1\n', 'tools."read_*": a tool is named server:tool'),
        ("[gateway\n", "is not TOML: "),
        ("a = 1\na = 2\n", "is not TOML: Cannot overwrite a value (at line 2, column 6)"),
    ],
)
def test_what_is_wrong_is_told_with_its_key_and_mend(
    load: Load, text: str, said: str, tmp_path: Path
):
    with pytest.raises(ConfigError) as error:
        load(text)
    assert said in str(error.value)
    assert str(tmp_path / "servers.toml") in str(error.value)


def test_all_problems_are_told_at_once(load: Load):
    with pytest.raises(ConfigError) as error:
        load('[gateway]\nx = 1\n[servers.a]\ncommand = "${A}"\nargs = ["${B}"]\nenvv = {}\n')
    assert len(str(error.value).splitlines()) == 4


def test_a_missing_variable_is_told_once(load: Load):
    with pytest.raises(ConfigError) as error:
        load('[gateway]\nmax_concurrency = "${N}"\n')
    assert str(error.value).startswith("gateway.max_concurrency: the variable N is not set")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        '[servers.a]\nurl = "s3cret"\nheaders = { Authorization = ["${TOKEN}"] }\nx = "s3cret"\n',
        (
            '[servers.a]\ncommand = "x"\nenv = { A = "${s3cret!}", B = "${C D:-s3cret}", E = '
            '"${F:-s3cret${G}}" }\n'
        ),
        (
            '[servers.a]\ncommand = "x"\nprotocol = "${TOKEN}"\nenabled = "${TOKEN}"\ntimeout_s = '
            '"${TOKEN}"\n'
        ),
        '[servers.a]\ncommand = "x"\ncommand = "s3cret"\n',
    ],
)
def test_no_value_stands_in_an_error(load: Load, text: str):
    with pytest.raises(ConfigError) as error:
        load(text, TOKEN="s3cret")
    assert "s3cret" not in str(error.value)


def test_a_wrong_variable_is_told_by_its_own_name(load: Load):
    with pytest.raises(ConfigError) as error:
        load("[gateway]\nmax_concurrency = 4\n", PLAIT_MAX_CONCURRENCY="many", PLAIT_MAX_TASKS="0")
    assert sorted(str(error.value).splitlines()) == [
        (
            "the variable PLAIT_MAX_CONCURRENCY: must be a valid integer, unable to parse string "
            "as an integer"
        ),
        "the variable PLAIT_MAX_TASKS: must be greater than or equal to 1",
    ]


def test_a_misspelt_variable_of_ours_is_told(load: Load):
    with pytest.raises(
        ConfigError, match=r'PLAIT_MAX_CONCURENCY: .* Did you mean "PLAIT_MAX_CONCURRENCY"\?$'
    ):
        load("", PLAIT_MAX_CONCURENCY="3")


def test_an_empty_variable_and_one_that_is_like_none_are_passed_over(load: Load):
    assert load("", PLAIT_TIMEOUT_S="", PLAIT_BANNER="1").gateway == GatewaySettings()


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read: No such file or directory"):
        load_config(tmp_path / "no.toml", {}, tmp_path)


def test_the_example_file_holds_every_key_and_loads():
    example = tomllib.loads((ROOT / "servers.example.toml").read_text())
    assert set(example) == set(Settings.model_fields)
    assert set(example["gateway"]) == set(GatewaySettings.model_fields)
    assert set(example["gateway"]["limits"]) == set(LimitSettings.model_fields)
    assert {key for server in example["servers"].values() for key in server} == set(
        ServerSettings.model_fields
    )
    assert {key for tool in example["tools"].values() for key in tool} == set(
        ToolSettings.model_fields
    )
    assert set(example["policy"]) == set(PolicySettings.model_fields)
    config = load_config(ROOT / "servers.example.toml", {"HOME": "/home/ada", "GITHUB_TOKEN": "t"})
    assert config.servers["github"].headers == {"Authorization": "Bearer t"}


def test_the_example_file_shows_the_defaults():
    config = load_config(ROOT / "servers.example.toml", {"HOME": "/home/ada", "GITHUB_TOKEN": "t"})
    assert config.gateway.limits == LimitSettings()
    assert config.gateway.model_copy(update={"wait_s": None}) == GatewaySettings()


def test_the_settings_are_read_without_the_sdk():
    script = "import sys, plait.config; sys.exit('mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0


def test_a_pattern_that_is_for_no_server_is_noted(load: Load):
    text = '[servers.time]\ncommand = "x"\n[tools."zzz:a"]\nweight = 2\n[policy]\n'
    text += 'deny = ["tiem:*", "*:delete_*", "t*:x"]\n'
    assert load(text).notes == (
        'policy.deny[0]: "tiem:*" matches no server. Did you mean "time:*"?',
        'tools: "zzz:a" matches no server',
    )
