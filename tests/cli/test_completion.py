"""Completion of names, as a shell asks for it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import anyio
import pytest

from plait.cli.completion import BASH
from plait.config import load_config
from plait.core.values.strict import Json
from plait.door.completion import answer
from plait.downstream.listings.identity import identity_of
from plait.stores.listing_cache import ListingCache

from .conftest import Plait

SETTINGS = """\
[servers.files]
command = "no-such-program"
[servers.quiet]
command = "no-such-program"
exclude = ["hidden"]
[servers.never]
command = "no-such-program"
[servers.off]
command = "no-such-program"
env = { TOKEN = "${A_TOKEN_THAT_IS_NOT_SET}" }
[policy]
deny = ["files:delete"]
"""
LISTED = {
    "files": ["read", "read_all", "write", "delete", "$(touch x)", "a;b", "a'b"],
    "quiet": ["look", "hidden"],
    "off": ["ask"],
}


@pytest.fixture
def remembered(plait: Plait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, and the tools that their servers listed at an earlier start."""
    (tmp_path / "servers.toml").write_text(SETTINGS)
    monkeypatch.setenv("PLAIT_CONFIG", str(tmp_path / "servers.toml"))
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    config = load_config()
    listings = ListingCache(config.state_folder)
    for server, names in LISTED.items():
        tools: list[Json] = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
        listings.of(identity_of(server, config.servers[server])).put("tools", tools)
    anyio.run(listings.save)


def asked(line: str) -> dict[str, str]:
    """The variables in which a shell asks for what may follow *line*."""
    return {
        "_PLAIT_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": line,
    }


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("call files:r", ["files:read", "files:read_all"]),
        ("call ", ["files:read", "files:read_all", "files:write", "quiet:look"]),
        ("call --config servers.toml q", ["quiet:look"]),
        ("call files:read x", []),
        ("tools --server ", ["files", "never", "off", "quiet"]),
        ("tools --server q", ["quiet"]),
        ("serv", ["serve", "servers"]),
    ],
)
@pytest.mark.usefixtures("remembered")
def test_a_word_is_completed_with_what_is_remembered(plait: Plait, line: str, names: list[str]):
    shown = plait(**asked(f"plait {line}")).stdout.splitlines()
    assert [name for line in shown if (name := line.partition("\t")[0])] == names


@pytest.mark.usefixtures("remembered")
def test_what_was_worked_out_is_answered_from_a_file_until_something_changes(
    plait: Plait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir(exist_ok=True)

    def kept(line: str) -> str | None:
        return answer({**os.environ, **asked(f"plait {line}")}, os.getcwd())

    assert kept("call ") is None
    first = plait(**asked("plait call ")).stdout
    assert kept("call ") == first == "files:read\nfiles:read_all\nfiles:write\nquiet:look\n"
    assert kept("tools --server q") == "quiet\n"
    (tmp_path / "servers.toml").write_text(SETTINGS.replace('"files:delete"', '"files:*"'))
    assert kept("call ") is None
    assert plait(**asked("plait call ")).stdout == kept("call ") == "quiet:look\n"
    os.utime(tmp_path / "state" / "servers", ns=(1, 1))  # as if a server had listed others
    assert kept("call ") is None


@pytest.mark.usefixtures("remembered")
def test_settings_that_cannot_be_used_give_no_names_and_no_words(plait: Plait, tmp_path: Path):
    (tmp_path / "servers.toml").write_text("[servers.files]\nno = 1\n")
    result = plait(**asked("plait call "))
    assert (result.stdout.strip(), result.stderr) == ("", "")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("plait call fi", ["files:read", "files:write"]),
        ("plait call files:", ["read", "write"]),
        ("plait call files:w", ["write"]),
        ("plait call --config 'a b' files:w", ["write"]),
    ],
)
def test_bash_completes_a_name_after_its_colon(line: str, names: list[str], tmp_path: Path):
    """With a program in the place of ours, which answers as it does."""
    program = tmp_path / "plait"
    program.write_text(
        "#!/usr/bin/env bash\n"
        "for name in files:read files:write; do\n"
        '  [[ $name == "${_TYPER_COMPLETE_ARGS##* }"* ]] && printf "%s\\twhat it does\\n" "$name"\n'
        "done\n"
    )
    program.chmod(0o755)
    asking = (
        f"COMP_WORDBREAKS=$' \\t\\n:'; COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}\n"
        f'_plait_completion {shlex.quote(str(program))}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    script = f"{BASH}\n{asking}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines(), done.stderr) == (names, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(plait: Plait, shell: str):
    assert "_PLAIT_COMPLETE=complete_" in plait("completion", shell).stdout


def test_an_unknown_shell_is_a_wrong_command_line(plait: Plait):
    assert plait("completion", "tcsh").exit_code == 2
