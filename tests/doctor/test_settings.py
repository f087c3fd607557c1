"""What is found in the settings, beyond what `test_examination.py` plants."""

from __future__ import annotations

from plait.doctor.findings import Finding, Mark
from plait.doctor.mending import TakeAway
from plait.doctor.settings import check

from .homes import Home, server


def rows(home: Home) -> list[Finding]:
    return check(home.case)[0]


def test_settings_that_can_be_used_are_returned(home: Home):
    found, config = check(home.case)
    assert config is not None
    assert [one.says for one in found] == [f"{home.file}: 1 server"]
    home.file.write_text("[gatway]\n")
    assert check(home.case)[1] is None


def test_each_problem_of_the_settings_has_a_row(home: Home):
    home.set("[gatway]\n[polcy]\n")
    found = rows(home)
    assert [one.says.partition(":")[0] for one in found] == ["gatway", "polcy"]
    assert {(one.mark, one.fix) for one in found} == {(Mark.WRONG, f"correct it in {home.file}")}


def test_a_problem_of_a_variable_has_no_file_to_correct(home: Home):
    home.environ["PLAIT_MAX_CONCURRENCY"] = "many"
    [row] = rows(home)
    assert row.says.startswith("the variable PLAIT_MAX_CONCURRENCY: ")
    assert row.fix == "correct it"


def test_a_variable_is_named_once_with_all_servers_that_are_off(home: Home):
    need = {"url": "https://h/${TOKEN}"}
    home.set(a=need, b=need, off={**need, "enabled": False})
    [row] = [one for one in rows(home) if one.about == "TOKEN"]
    assert row.says == "not set; [servers.a], [servers.b] are off"
    assert row.fix == f"set it in {home.config / 'secrets.env'}"
    home.secrets("TOKEN=t\n")
    assert [one.says for one in rows(home)][1:] == [f"{home.config / 'secrets.env'}: 1 variable"]


def test_a_variable_may_be_in_secrets_that_are_refused(home: Home):
    home.set(a={"url": "https://h/${TOKEN}"})
    home.secrets("TOKEN=t\n", 0o644)
    [row] = [one for one in rows(home) if one.about == "TOKEN"]
    assert row.says == "not set, and secrets.env is not used; [servers.a] is off"
    assert row.fix == "fix secrets.env first"


def test_what_a_file_of_a_client_says_that_means_nothing_is_noted(home: Home):
    home.set("[mcp_servers.X]\ncommand = 'x'\nalways = 1\n")
    said = [one.says for one in rows(home) if one.mark is Mark.LOOK]
    assert said == [
        "mcp_servers.X: is called x here",
        "mcp_servers.X.always: means nothing here, and was ignored",
    ]


def test_secrets_are_found_in_arguments_and_addresses_but_not_in_variables(home: Home):
    home.set(
        a=server(env={"PLAIN": "a long plain text", "A_KEY": "${KEY:-something}"}),
        b={"command": "x", "args": ["--token", "0123456789"]},
        c={"url": "https://user:0123456789@h/mcp"},
        d={"url": "https://h/mcp", "headers": {"Authorization": "Bearer 0123456789"}},
    )
    said = [one.says.partition(" has ")[0] for one in rows(home) if "written out" in one.says]
    assert said == ["[servers.b]", "[servers.c]", "[servers.d]"]


def test_modes_are_fixed_where_others_could_read_secrets_or_write_settings(home: Home):
    home.set(a=server(env={"A_TOKEN": "0123456789"}))
    home.file.chmod(0o664)
    assert [one.mend for one in rows(home) if one.mend] == [
        TakeAway(home.file, 0o022),
        TakeAway(home.file, 0o077),
    ]


def test_settings_without_a_server_that_is_on_are_named(home: Home):
    home.set(files=server(enabled=False))
    assert f"{home.file} has no server that is on" in [one.says for one in rows(home)]
