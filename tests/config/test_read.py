"""Where settings are found, and how a file and the environment become settings or problems."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plait.config import Config, Untrusted
from plait.config.desk import desk_key
from plait.config.models import GatewaySettings
from plait.config.read import load_config, names_of_variables, without_servers
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
        '[audit]\nfile = "logs/audit.jsonl"\n'
    )
    assert config.audit.file == tmp_path / "logs" / "audit.jsonl"
    assert config.audit.file in config.servers["a"].protect  # the bundled server never writes it
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
            '[policy]\ndeny = ["a:x", "${file:no}"]\n',
            "policy.deny[1]: the file no cannot be read: No such file or directory (SOURCE)",
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
        load('[gateway]\nx = 1\nexpose = "${A}"\nwait_s = "${B}"\n[servers.a]\nenvv = {}\n')
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


def test_the_variables_that_settings_name_are_known_without_their_values(tmp_path: Path):
    file = tmp_path / "servers.toml"
    file.write_text(
        '[servers.a]\ncommand = "${A}"\nargs = ["${B:-x}", "$${C}", "$D", "${file:${E}}"]\n'
        '[servers.off]\ncommand = "${F}"\nenabled = false\n'
    )
    assert names_of_variables(file, {}, tmp_path) == {"A", "B", "F"}


def test_a_clients_file_names_variables_in_more_ways(tmp_path: Path):
    file = tmp_path / "mcp.json"
    server = {"command": "$A", "args": ["${env:B}", "${input:my-key}", "${userHome}"]}
    server |= {"env_vars": ["C"], "bearer_token_env_var": "D", "url": "${workspaceFolder}"}
    file.write_text(json.dumps({"mcpServers": {"a": server}}))
    names = {"A", "B", "MY_KEY", "HOME", "C", "D"}
    assert names_of_variables(file, {}, tmp_path) == names


def test_no_file_is_read_for_the_names_of_variables(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    file = tmp_path / "servers.toml"
    file.write_text('[servers.a]\ncommand = "${file:pipe} ${A}"\n')
    pipe = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(pipe, b"value")
        assert names_of_variables(file, {}, tmp_path) == {"A"}
        assert os.read(pipe, 10) == b"value"
    finally:
        os.close(pipe)


def test_settings_that_cannot_be_used_name_no_variables(tmp_path: Path):
    assert names_of_variables(tmp_path / "none.toml", {}, tmp_path) == frozenset()
    (tmp_path / "servers.toml").write_text('[servers.a]\ncommand = "${A:-x}"\n')
    environ = {"PLAIT_STATE_DIR": str(tmp_path / "state")}
    assert names_of_variables(None, environ, tmp_path) == frozenset()
    trusted(tmp_path)
    assert names_of_variables(None, environ, tmp_path) == {"A"}
    (tmp_path / "broken.toml").write_text('a = "${A}\n')
    environ["PLAIT_CONFIG"] = "broken.toml"
    assert names_of_variables(None, environ, tmp_path) == frozenset()


def test_what_is_named_is_all_that_is_asked_for(load: Load, tmp_path: Path):
    text = '[servers.a]\ncommand = "${A} ${B:-x} ${file:~/none.txt}"\n'
    (tmp_path / "none.txt").write_text("x")
    config = load(text, A="1", HOME=str(tmp_path), PLAIT_MAX_CONCURRENCY="3", PLAIT_DEBUG="1")
    variables = {"A": "1", "B": None, "HOME": str(tmp_path), "PLAIT_MAX_CONCURRENCY": "3"}
    assert config.variables == variables
    named = names_of_variables(tmp_path / "servers.toml", {}, tmp_path)
    assert named == {"A", "B", "HOME"}


PROFILES = """
[gateway]
expose = "dag"
[servers.files]
command = "x"
[servers.web]
url = "http://h/mcp"
[policy]
deny = ["*:delete_*"]
[profiles.reading]
servers = ["web"]
expose = "all"
policy = { deny = ["web:write_*"] }
[profiles.whole]
"""


def test_a_profile_is_a_part_of_the_settings(load: Load):
    load(PROFILES)
    config = load(PROFILES, PLAIT_PROFILE="reading", PLAIT_EXPOSE="tools")
    assert (list(config.servers), config.gateway.expose) == (["web"], "all")
    assert [table.deny for table in config.rules()] == [("*:delete_*",), ("web:write_*",)]
    assert config.profile == "reading"
    whole = load(PROFILES, PLAIT_PROFILE="whole")
    assert (list(whole.servers), whole.gateway.expose) == (["files", "web"], "dag")
    assert [table.deny for table in whole.rules()] == [("*:delete_*",), ()]


def test_a_profile_within_another_can_only_narrow_it_down(load: Load):
    reading = load(PROFILES, PLAIT_PROFILE="reading").in_profile("whole")
    assert list(reading.servers) == ["web"]
    denied = [table.deny for table in reading.rules()]
    assert denied == [("*:delete_*",), ("web:write_*",), ()]


def test_a_profile_that_is_asked_for_comes_before_the_variables(load: Load, tmp_path: Path):
    load(PROFILES)
    config = load_config(
        tmp_path / "servers.toml", {"PLAIT_PROFILE": "none"}, tmp_path, profile="whole"
    )
    assert config.profile == "whole"


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        (PROFILES, "readin", r'unknown profile "readin" \(.*toml\)\. Did you mean "reading"\?'),
        (PROFILES, "x", r"\. Its profiles: reading, whole\.$"),
        ("", "x", r"\. It has no profiles\.$"),
    ],
)
def test_an_unknown_profile_is_refused(load: Load, text: str, name: str, reason: str):
    with pytest.raises(ConfigError, match=reason):
        load(text, PLAIT_PROFILE=name)


def test_the_servers_of_a_profile_exist(load: Load):
    wrong = PROFILES.replace('["web"]', '["wbe", "file", "web"]')
    with pytest.raises(ConfigError) as refused:
        load(wrong)
    first, second = str(refused.value).splitlines()
    assert first.startswith(
        'profiles.reading.servers[0]: unknown server "wbe". Did you mean "web"?'
    )
    assert second.startswith('profiles.reading.servers[1]: unknown server "file". Did you mean "fi')


def test_a_server_that_is_left_out_may_be_in_a_profile(load: Load):
    text = '[mcp_servers.a]\ncommand = ""\n[gateway]\n[profiles.p]\nservers = ["a"]\n'
    config = load(text, PLAIT_PROFILE="p")
    assert (dict(config.servers), len(config.notes)) == ({}, 1)


NEEDY = """[servers.good]
command = "x"
[servers.github]
url = "https://h/mcp"
headers = { Authorization = "Bearer ${GITHUB_TOKEN}" }
[servers.db]
command = "${DB}"
timeout_s = "${DB_TIMEOUT}"
[servers.far]
url = "${URL}"
[servers.key]
command = "x"
args = ["${file:/run/secrets/none}"]
[servers.off]
command = "${DB}"
enabled = false
"""


def secrets_of(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / ".config" / "plait" / "secrets.env"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_variable_that_is_not_set_switches_off_its_server_alone(load: Load, tmp_path: Path):
    config = load(NEEDY, HOME=str(tmp_path))
    assert list(config.servers) == ["good", "github", "db", "far", "key", "off"]
    where = f"set it in the environment or in {tmp_path / '.config/plait/secrets.env'}"
    needs = {name: (need.names, need.reason) for name, need in config.needs.items()}
    assert needs == {
        "github": (("GITHUB_TOKEN",), f"the variable GITHUB_TOKEN is not set; {where}"),
        "db": (
            ("DB", "DB_TIMEOUT"),
            f"the variable DB is not set; the variable DB_TIMEOUT is not set; {where}",
        ),
        "far": (("URL",), f"the variable URL is not set; {where}"),
        "key": (
            ("/run/secrets/none",),
            "the file /run/secrets/none cannot be read: No such file or directory",
        ),
        "off": (("DB",), f"the variable DB is not set; {where}"),
    }
    assert config.notes == tuple(
        f"servers.{name}: is off: {needs[name][1]}" for name in ("github", "db", "far", "key")
    )


def test_a_server_that_is_off_is_checked_all_the_same(load: Load):
    text = '[servers.a]\nurl = "${URL}"\ntimeout = 3\n[servers.b]\nurl = "${URL}"\ncommand = "x"\n'
    with pytest.raises(ConfigError) as refused:
        load(text)
    [unknown] = str(refused.value).splitlines()
    assert unknown.startswith('servers.a.timeout: unknown key. Did you mean "timeout_s"?')
    with pytest.raises(ConfigError, match=r"servers\.b: set exactly one of command, url"):
        load(text.replace("timeout =", "timeout_s ="))


@pytest.mark.parametrize(
    "text",
    [
        '[gateway]\nexpose = "${NO}"\n',
        '[policy]\ndeny = ["${NO}"]\n',
        '[audit]\nfile = "${NO}"\n',
        '[tools."a:b"]\ncache_stat = "${NO}"\n',
    ],
)
def test_a_variable_that_is_not_set_is_an_error_of_the_file_elsewhere(load: Load, text: str):
    with pytest.raises(ConfigError, match=r"the variable NO is not set; set it in the environment"):
        load(text)


def test_the_users_secrets_stand_in_for_variables_that_are_not_set(load: Load, tmp_path: Path):
    secrets_of(tmp_path, "GITHUB_TOKEN='t0ken of the file'\nDB=from-the-file\nURL=https://h/file\n")
    config = load(NEEDY, HOME=str(tmp_path), DB="from-the-environment", DB_TIMEOUT="3")
    assert config.servers["github"].headers == {"Authorization": "Bearer t0ken of the file"}
    assert config.servers["db"].command == "from-the-environment"
    assert config.servers["far"].url == "https://h/file"
    assert list(config.needs) == ["key"]
    assert config.secrets.redact("a t0ken of the file") == "a ***"
    assert config.variables["GITHUB_TOKEN"] == "t0ken of the file"


def test_all_values_of_the_users_secrets_are_secret(load: Load, tmp_path: Path):
    secrets_of(tmp_path, "GITHUB_TOKEN=t0ken-of-the-file\nOTHER='said by nobody'\n")
    config = load(NEEDY, HOME=str(tmp_path))
    assert config.secrets.redact("it is said by nobody") == "it is ***"


def test_secrets_beside_the_settings_of_a_project_are_not_read(load: Load, tmp_path: Path):
    (tmp_path / "secrets.env").write_text("GITHUB_TOKEN=of-the-project\n")
    (tmp_path / "secrets.env").chmod(0o600)
    config = load(NEEDY, HOME=str(tmp_path / "home"))
    assert "github" in config.needs


def test_secrets_of_two_values_make_two_desks(load: Load, tmp_path: Path):
    keys = []
    for value in ("one-value", "one-value", "another-value"):
        secrets_of(tmp_path, f"GITHUB_TOKEN={value}\n")
        keys.append(desk_key(load(NEEDY, HOME=str(tmp_path))))
    assert keys[0] == keys[1] != keys[2]


def test_a_file_of_secrets_that_is_refused_is_named_where_it_is_needed(load: Load, tmp_path: Path):
    file = secrets_of(tmp_path, "GITHUB_TOKEN=secret-of-the-file\n", 0o644)
    config = load(NEEDY, HOME=str(tmp_path))
    assert config.needs["github"].reason == (
        f"the variable GITHUB_TOKEN is not set; {file} is not used: others may read or write it; "
        f"take that from them: chmod 600 {file}"
    )
    with pytest.raises(ConfigError, match="chmod 600"):
        load('[policy]\ndeny = ["${NO}"]\n', HOME=str(tmp_path))
    assert load('[servers.a]\ncommand = "x"\n', HOME=str(tmp_path)).notes == ()


PASSING = (
    '[servers.a]\ncommand = "x"\nenv = { AWS_REGION = "own" }\nenv_pass = ["AWS_*", "KUBECONFIG"]\n'
)


def test_variables_are_passed_on_by_name(load: Load):
    environ = {
        "AWS_PROFILE": "work",
        "AWS_REGION": "x",
        "AWS_EMPTY": "",
        "AWS_TOKEN": "t0ken-of-aws",
    }
    config = load(PASSING, **environ, KUBECONFIG="/k", OTHER="no", AWSX="no")
    passed = {"AWS_PROFILE": "work", "AWS_TOKEN": "t0ken-of-aws", "KUBECONFIG": "/k"}
    assert config.servers["a"].env == {**passed, "AWS_REGION": "own"}
    assert config.secrets.redact("t0ken-of-aws") == "***"
    assert desk_key(config) != desk_key(load(PASSING, **{**environ, "AWS_PROFILE": "home"}))


def test_variables_that_are_passed_on_are_asked_for(tmp_path: Path):
    (tmp_path / "servers.toml").write_text(PASSING.replace('"own"', '"${REGION}"'))
    names = names_of_variables(tmp_path / "servers.toml", {}, tmp_path)
    assert names == {"AWS_*", "KUBECONFIG", "REGION"}


@pytest.mark.parametrize("pattern", ["*", "*_TOKEN", "A*B", "", "A=B"])
def test_what_is_passed_on_begins_with_a_name(load: Load, pattern: str):
    with pytest.raises(ConfigError, match=r"servers\.a\.env_pass\[0\]: "):
        load(f'[servers.a]\ncommand = "x"\nenv_pass = ["{pattern}"]\n')


def test_folders_of_commands_come_before_those_of_the_client(load: Load, tmp_path: Path):
    text = '[gateway]\npath = ["~/bin", "tools", "${MORE}"]\n'
    config = load(text, HOME="/home/ada", PATH="/usr/bin:/bin", MORE="/opt/bin")
    assert config.environment["PATH"] == f"/home/ada/bin:{tmp_path}/tools:/opt/bin:/usr/bin:/bin"
    found = load("", PLAIT_PATH="/a:/b", PATH="/usr/bin")
    assert found.environment["PATH"] == "/a:/b:/usr/bin"


@pytest.mark.parametrize("name", ["dag", "plait"])
def test_names_that_mean_something_else_are_no_names_of_servers(load: Load, name: str):
    with pytest.raises(ConfigError, match=rf"servers\.{name}: dag and plait cannot name a server"):
        load(f'[servers.{name}]\ncommand = "x"\n')
    assert load(f'[servers.a]\ncommand = "x"\n[profiles.{name}]\n').profiles


def test_a_pattern_of_a_profile_that_matches_no_server_is_noted(load: Load):
    [note] = load(PROFILES.replace("web:write", "wbe:write")).notes
    assert note.startswith('profiles.reading.policy.deny[0]: "wbe:write_*" matches no server.')
