"""Commands and what they need, beyond what `test_examination.py` plants."""

from __future__ import annotations

import sys

from plait.config import Config, load_config
from plait.doctor import servers
from plait.doctor.commands import check, without_command
from plait.doctor.findings import Finding, Mark
from plait.doctor.mending import AddFolder

from .homes import SERVER, Home, server


def config_of(home: Home) -> Config:
    return load_config(None, home.environ, home.folder)


async def rows(home: Home) -> list[Finding]:
    return await check(home.case, config_of(home))


async def test_what_brings_a_known_program_is_named(home: Home):
    home.environ["PATH"] = str(home.bin)
    home.set(a={"command": "npx"}, b={"command": "npx"}, c={"command": "uvx"})
    fixes = {one.about: (one.says, one.fix) for one in await rows(home)}
    assert fixes["npx"] == (
        "not on your PATH; [servers.a], [servers.b] cannot start",
        "install Node.js: https://nodejs.org, or name its folder in [gateway] path",
    )
    assert "https://docs.astral.sh/uv" in fixes["uvx"][1]
    assert without_command(config_of(home)) == {"a", "b", "c"}


async def test_a_command_that_is_found_in_a_folder_of_the_settings_is_there(home: Home):
    (home.root / "more").mkdir()
    home.script("frob", "exit 0").rename(home.root / "more" / "frob")
    home.set(f'[gateway]\npath = ["{home.root / "more"}"]\n', a={"command": "frob"})
    assert [one.mark for one in await rows(home)] == [Mark.WELL]
    assert without_command(config_of(home)) == frozenset()


async def test_a_folder_is_offered_for_what_only_a_shell_finds(home: Home):
    home.script("frob", "exit 0")
    home.set(a={"command": "frob"})
    [row] = [one for one in await rows(home) if one.mark is Mark.LOOK]
    assert row.mend == AddFolder(home.file, str(home.bin))
    row.mend.make()
    assert [one.mark for one in await rows(home)] == [Mark.WELL]


async def test_without_a_client_that_has_no_shell_its_path_does_not_matter(home: Home):
    home.cursor({})
    home.script("frob", "exit 0")
    home.set(a={"command": "frob"})
    assert [one.mark for one in await rows(home)] == [Mark.WELL]


async def test_a_command_that_cannot_be_run_is_told_from_one_that_is_not_there(home: Home):
    home.script("frob", "exit 0").chmod(0o644)
    home.set(a={"command": str(home.bin / "frob")})
    [row] = [one for one in await rows(home) if one.mark is Mark.WRONG]
    assert "is there and cannot be run" in row.says
    assert row.fix == f"chmod +x {home.bin / 'frob'}"


async def test_servers_that_are_off_need_no_command(home: Home):
    home.set(
        a={"command": "none", "enabled": False}, b={"command": "none", "args": ["${NO_VARIABLE}"]}
    )
    assert [one.mark for one in await rows(home)] == [Mark.WELL]


async def test_a_daemon_that_answers_is_well(home: Home):
    home.script("docker", "exit 0")
    home.set(a={"command": "docker"})
    assert not [one for one in await rows(home) if one.mark is Mark.WRONG]


async def test_the_interpreter_of_a_script_is_found_through_env_and_by_its_path(home: Home):
    home.script("by-path", "", interpreter="/opt/none/python")
    home.script("by-env", "", interpreter="/usr/bin/env -S FOO=1 frobpython -u")
    home.set(files=server(), a={"command": "by-path"}, b={"command": "by-env"})
    names = {one.about for one in await rows(home) if one.mark is Mark.WRONG}
    assert names == {"python", "frobpython"}
    assert without_command(config_of(home)) == {"a", "b"}
    assert sys.executable


async def test_a_variable_that_a_server_of_a_known_kind_does_not_get_is_named(home: Home):
    home.environ |= {"AWS_PROFILE": "work", "AWS_REGION": "x", "KUBECONFIG": "", "GIT_EDITOR": "vi"}
    aws = {"command": str(home.script("aws-mcp", "exit 0")), "args": ["kube", "git"]}
    home.set(aws=aws, passing={**aws, "env_pass": ["AWS_*"]}, plain=server())
    looked = [one for one in await rows(home) if one.mark is Mark.LOOK]
    assert [(one.about, one.says, one.fix) for one in looked] == [
        (
            "aws",
            "does not get what is set here: AWS_PROFILE, AWS_REGION",
            'env_pass = ["AWS_*"]',
        )
    ]


async def test_a_server_starts_from_a_folder_of_the_settings(home: Home):
    more = home.root / "more"
    more.mkdir()
    home.script("planted", "", interpreter="/usr/bin/env frobpy").rename(more / "planted")
    text = f'exec {sys.executable} {SERVER} "$2"'
    home.script("frobpy", text).rename(more / "frobpy")
    home.set(f'[gateway]\npath = ["{more}"]\n', a={"command": "planted", "args": ["[]"]})
    found = await servers.check(home.case, config_of(home))
    assert [one.says.partition(" s, ")[2] for one in found] == ["1 tool", "with no tools"]
