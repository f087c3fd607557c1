"""Where settings are found, and how a file and the environment become settings or problems."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from plait.config import Config, Untrusted
from plait.config.models import GatewaySettings
from plait.config.read import load_config, without_servers
from plait.errors import ConfigError
from plait.redaction import Secrets

from .conftest import Load


def found(folder: Path, cwd: Path | None = None) -> Config:
    """The settings that are found from *cwd*; the state folder is *folder*'s."""
    return load_config(None, {"PLAIT_STATE_DIR": str(folder / "state")}, cwd or folder)


def trusted(folder: Path, cwd: Path | None = None) -> Config:
    """The same, once the user has said yes."""
    with pytest.raises(Untrusted) as refused:
        found(folder, cwd)
    refused.value.decisions.trust(refused.value.file)
    return found(folder, cwd)


def test_a_file_in_a_parent_folder_is_found_and_used_once_it_is_trusted(tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[servers.a]\ncommand = "x"\n')
    below = tmp_path / "deep" / "er"
    below.mkdir(parents=True)
    with pytest.raises(Untrusted, match=rf"plait trust {tmp_path / 'servers.toml'}$"):
        found(tmp_path, below)
    assert list(trusted(tmp_path, below).servers) == ["a"]


def test_a_change_of_a_found_file_asks_again_and_the_old_content_does_not(tmp_path: Path):
    file = tmp_path / "servers.toml"
    file.write_text('[servers.a]\ncommand = "x"\n')
    trusted(tmp_path)
    file.write_text('[servers.a]\ncommand = "y"\n')
    with pytest.raises(Untrusted):
        found(tmp_path)
    file.write_text('[servers.a]\ncommand = "x"\n')
    assert list(found(tmp_path).servers) == ["a"]


def test_no_variable_and_no_file_is_read_before_the_answer(tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[servers.a]\ncommand = "${file:none} ${NONE}"\n')
    with pytest.raises(Untrusted):
        found(tmp_path)


def test_a_nearer_file_is_not_passed_over_because_one_above_it_is_trusted(tmp_path: Path):
    (tmp_path / "servers.toml").write_text("")
    trusted(tmp_path)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "servers.toml").write_text("")
    with pytest.raises(Untrusted, match="below"):
        found(tmp_path, tmp_path / "below")


def test_a_found_file_that_others_may_write_is_refused_also_if_it_is_trusted(tmp_path: Path):
    (tmp_path / "servers.toml").write_text("")
    trusted(tmp_path)
    (tmp_path / "servers.toml").chmod(0o666)
    with pytest.raises(ConfigError, match="others may write it"):
        found(tmp_path)


def test_in_the_place_of_refused_settings_there_are_none_and_a_notice(tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[servers.a]\ncommand = "x"\n[gateway]\nwait_s = 1\n')
    environ = {"PLAIT_STATE_DIR": str(tmp_path / "state"), "PLAIT_MAX_CONCURRENCY": "3"}
    with pytest.raises(Untrusted) as refused:
        load_config(None, environ, tmp_path)
    config = without_servers(refused.value, environ, tmp_path)
    assert (dict(config.servers), config.gateway.wait_s) == ({}, None)
    assert config.gateway.max_concurrency == 3
    assert config.state_folder == tmp_path / "state"
    assert config.notice.endswith(f"plait trust {tmp_path / 'servers.toml'}")


def test_a_missing_file_is_refused(load: Load, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read: No such file or directory"):
        load_config(tmp_path / "no.toml", {}, tmp_path)


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


def test_the_users_own_folder_is_searched_last_and_trusted(tmp_path: Path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "home")}
    (tmp_path / "home" / "plait").mkdir(parents=True)
    (tmp_path / "home" / "plait" / "servers.toml").write_text('[servers.mine]\ncommand = "x"\n')
    (tmp_path / "empty").mkdir()
    assert list(load_config(None, environ, tmp_path / "empty").servers) == ["mine"]
    assert list(load_config(None, environ, tmp_path / "home" / "plait").servers) == ["mine"]


def test_without_a_file_the_workspace_server_serves_this_folder(tmp_path: Path):
    config = load_config(None, {"XDG_CONFIG_HOME": str(tmp_path / "none")}, tmp_path)
    assert config.servers["workspace"].builtin == "workspace"
    assert config.servers["workspace"].root == tmp_path


def test_nothing_is_taken_from_the_environment_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "PLAIT_STATE_DIR", "HTTPS_PROXY"):
        monkeypatch.setenv(name, str(tmp_path / "ours"))
    monkeypatch.setenv("PLAIT_MAX_CONCURRENCY", "7")
    theirs = tmp_path / "theirs"
    (theirs / "plait").mkdir(parents=True)
    (theirs / "secret").write_text("s3cret-of-theirs")
    (theirs / "plait" / "servers.toml").write_text(
        '[servers.a]\ncommand = "~/x"\ncwd = "~/c"\nenv = { A = "${file:~/secret}" }\n'
    )
    (tmp_path / "empty").mkdir()
    environ = {"HOME": str(theirs), "XDG_CONFIG_HOME": str(theirs), "XDG_STATE_HOME": str(theirs)}
    config = load_config(None, environ, tmp_path / "empty")
    assert config.servers["a"].cwd == theirs / "c"
    assert config.servers["a"].env == {"A": "s3cret-of-theirs"}
    assert (config.state_folder, config.folder) == (theirs / "plait", tmp_path / "empty")
    assert config.environment == environ
    assert config.gateway.max_concurrency == 32


def test_the_password_of_a_proxy_is_secret(load: Load):
    config = load("", HTTPS_PROXY="http://ada:passw0rd1@proxy:1")
    assert config.secrets.redact("no passw0rd1 here") == "no *** here"
    assert "passw0rd1" not in repr(config)


def test_relative_folders_are_relative_to_the_file(load: Load, tmp_path: Path):
    config = load(
        '[servers.a]\nbuiltin = "workspace"\nroot = "sub"\n[servers.b]\ncommand = "x"\ncwd = "c"\n'
    )
    assert config.servers["a"].root == tmp_path / "sub"
    assert config.servers["b"].cwd == tmp_path / "c"


@pytest.mark.parametrize("folder", [".vscode", ".cursor", ".gemini"])
def test_paths_in_a_hidden_folder_start_from_the_folder_around_it(
    load: Load, tmp_path: Path, folder: str
):
    settings = {"command": "x", "args": ["${workspaceFolder}"], "cwd": "sub"}
    config = load(json.dumps({"servers": {"a": settings}}), f"{folder}/mcp.json")
    assert config.servers["a"].args == (str(tmp_path),)
    assert config.servers["a"].cwd == tmp_path / "sub"


def test_a_number_may_come_from_a_variable(load: Load):
    assert load('[gateway]\nmax_concurrency = "${N}"\n', N="7").gateway.max_concurrency == 7


def test_gateway_keys_come_from_the_environment_too(load: Load):
    config = load(
        "[gateway]\nmax_concurrency = 4\n", PLAIT_MAX_CONCURRENCY="8", PLAIT_MAX_TASKS="9"
    )
    assert config.gateway.max_concurrency == 8
    assert config.gateway.limits.max_tasks == 9


def test_a_wrong_variable_is_reported_by_its_own_name(load: Load):
    with pytest.raises(ConfigError) as error:
        load("[gateway]\nmax_concurrency = 4\n", PLAIT_MAX_CONCURRENCY="many", PLAIT_MAX_TASKS="0")
    assert sorted(str(error.value).splitlines()) == [
        (
            "the variable PLAIT_MAX_CONCURRENCY: must be a valid integer, unable to parse string "
            "as an integer"
        ),
        "the variable PLAIT_MAX_TASKS: must be greater than or equal to 1",
    ]


def test_a_misspelt_variable_of_ours_is_reported(load: Load):
    with pytest.raises(
        ConfigError, match=r'PLAIT_MAX_CONCURENCY: .* Did you mean "PLAIT_MAX_CONCURRENCY"\?$'
    ):
        load("", PLAIT_MAX_CONCURENCY="3")


def test_an_empty_variable_and_one_that_resembles_no_setting_are_ignored(load: Load):
    assert load("", PLAIT_TIMEOUT_S="", PLAIT_BANNER="1").gateway == GatewaySettings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gateway\n", "SOURCE: is not TOML: "),
        ("[gatway]\n", 'gatway: unknown key. Did you mean "gateway"? (SOURCE)'),
        (
            '[servers.a]\ncommand = "x"\nargs = ["-", "${file:no}"]\n',
            "servers.a.args[1]: the file no cannot be read: No such file or directory (SOURCE)",
        ),
        ("gateway = 3\n", "gateway: must be a table of keys and values (SOURCE)"),
        ('source = "x"\n', "source: unknown key."),
    ],
)
def test_a_problem_names_its_key_and_its_file(load: Load, tmp_path: Path, text: str, said: str):
    with pytest.raises(ConfigError) as refused:
        load(text)
    assert str(refused.value).startswith(said.replace("SOURCE", str(tmp_path / "servers.toml")))


def test_all_problems_are_reported_at_once(load: Load):
    with pytest.raises(ConfigError) as error:
        load('[gateway]\nx = 1\n[servers.a]\ncommand = "${A}"\nargs = ["${B}"]\nenvv = {}\n')
    assert len(str(error.value).splitlines()) == 4


def test_a_missing_variable_is_reported_once(load: Load):
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


def test_a_secret_is_shown_in_no_problem_and_no_note_wherever_the_file_repeats_it(load: Load):
    with pytest.raises(ConfigError) as refused:
        load('[servers.a]\ncommand = "${V}"\nvalue-of-v = 1\n', V="value-of-v")
    assert str(refused.value).startswith("servers.a.***: unknown key.")
    [note] = load('[policy]\ndeny = ["${V}:*"]\n', V="value-of-v").notes
    assert note == 'policy.deny[0]: "***:*" matches no server'


def test_a_refused_file_still_gives_its_secrets(load: Load, tmp_path: Path):
    secrets = Secrets()
    (tmp_path / "servers.toml").write_text(
        '[servers.a]\ncommand = "${V}"\n[tools."${V}"]\nreads = ["${V}"]\n'
    )
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "servers.toml", {"V": "value-of-v"}, tmp_path, secrets=secrets)
    assert "value-of-v" not in str(error.value)
    assert secrets.redact("value-of-v") == "***"


def test_a_pattern_that_matches_no_server_is_noted(load: Load):
    text = '[servers.time]\ncommand = "x"\n[tools."zzz:a"]\nweight = 2\n[policy]\n'
    text += 'deny = ["tiem:*", "*:delete_*", "t*:x"]\n'
    assert load(text).notes == (
        'policy.deny[0]: "tiem:*" matches no server. Did you mean "time:*"?',
        'tools: "zzz:a" matches no server',
    )


def test_the_settings_are_read_without_the_sdk():
    script = "import sys, plait.config; sys.exit('mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0
