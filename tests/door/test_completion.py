"""Completion as the small process does it: from files alone, and only where nothing has changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.main import get_command

from plait.cli.commands import program
from plait.door.completion import (
    FILE,
    FIRST,
    MAX_ENTRIES,
    OF_HISTORY,
    POSITIONAL,
    VALUES,
    Entry,
    answer,
    dags,
    is_fresh,
    is_plain,
    keep,
    key_of,
    read,
    runs,
    stamps,
)

from ..stores.history.worlds import SqliteWorld


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PLAIT_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)}


@pytest.fixture
def kept(tmp_path: Path, environ: dict[str, str]) -> Path:
    """Settings, whose names are kept."""
    settings = tmp_path / "servers.toml"
    settings.write_text("")
    (tmp_path / "state").mkdir()
    entry = Entry(
        stamps([str(settings), str(tmp_path / "absent")]),
        ["files:read", "files:write", "web:get", "x:$(touch x)"],
        ["files", "web"],
    )
    keep(str(tmp_path / "state"), key_of(str(tmp_path), None, None, environ), entry)
    return settings


def asked(environ: dict[str, str], line: str, form: str = "complete_fish") -> dict[str, str]:
    return {
        **environ,
        "_PLAIT_COMPLETE": form,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"plait {line}",
    }


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("call ", ["files:read", "files:write", "web:get"]),
        ("call files:", ["files:read", "files:write"]),
        ("call --json w", ["web:get"]),
        ("tools --server ", ["files", "web"]),
        ("tools --server w", ["web"]),
        ("history --tool web", ["web:get"]),
        ("servers accept f", ["files"]),
        ("history a", ["audit"]),
    ],
)
def test_a_word_is_completed_with_the_names_that_are_kept(
    environ: dict[str, str], kept: Path, line: str, names: list[str]
):
    found = answer(asked(environ, line), str(kept.parent))
    assert found is not None
    assert found.splitlines() == names


@pytest.mark.parametrize(
    "line",
    [
        "ca",
        "",
        "call --",
        "call files:read ",
        "call 'files",
        "call --config other.toml ",
        "call --profile work ",
        "call --config ",
        "tools ",
        "serve ",
    ],
)
def test_the_rest_is_left_to_the_ordinary_command_line(
    environ: dict[str, str], kept: Path, line: str
):
    assert answer(asked(environ, line), str(kept.parent)) is None


@pytest.mark.parametrize("form", ["complete_bash", "source_fish", ""])
def test_other_questions_of_a_shell_are_left_to_it_too(
    environ: dict[str, str], kept: Path, form: str
):
    assert answer(asked(environ, "call ", form), str(kept.parent)) is None
    is_args = asked(environ, "call ") | {"_TYPER_COMPLETE_FISH_ACTION": "is-args"}
    assert answer(is_args, str(kept.parent)) is None


def test_zsh_gets_its_own_form(environ: dict[str, str], kept: Path):
    found = answer(asked(environ, "call files:", "complete_zsh"), str(kept.parent))
    assert found == '_arguments \'*: :(("files\\\\:read"\n"files\\\\:write"))\'\n'
    assert answer(asked(environ, "call none", "complete_zsh"), str(kept.parent)) == "_files\n"


@pytest.mark.parametrize("change", ["written", "gone", "appears"])
def test_names_are_worked_out_again_where_a_file_has_changed(
    environ: dict[str, str], kept: Path, change: str
):
    match change:
        case "written":
            kept.write_text("# more\n")
        case "gone":
            kept.unlink()
        case "appears":
            (kept.parent / "absent").touch()
    assert answer(asked(environ, "call "), str(kept.parent)) is None


def test_another_folder_has_names_of_its_own(environ: dict[str, str], kept: Path):
    assert answer(asked(environ, "call "), "/") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "names of plait, 0\nkey\tk\n",
        f"{FIRST}\nkey\tk\nfile\ta\tb\tc\n",
        f"{FIRST}\ntools\ta\n",
        f"{FIRST}\nkey\tk\nrest of a path\n",
        "\0",
    ],
)
def test_a_file_that_is_not_ours_holds_nothing(tmp_path: Path, text: str):
    (tmp_path / FILE).write_text(text)
    assert read(str(tmp_path)) == {}


def test_only_the_latest_entries_are_kept_and_only_the_owner_reads_them(tmp_path: Path):
    for number in range(MAX_ENTRIES + 2):
        keep(str(tmp_path), str(number), Entry({}, [], []))
    assert [*read(str(tmp_path))] == [str(number) for number in range(2, MAX_ENTRIES + 2)]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path):
    keep(str(tmp_path / "absent"), "key", Entry({}, [], []))
    assert [*tmp_path.iterdir()] == []


def test_a_stamp_is_fresh_until_the_file_changes(tmp_path: Path):
    file = tmp_path / "file"
    taken = stamps([str(file)])
    assert taken == {str(file): None}
    assert is_fresh(taken)
    file.touch()
    assert not is_fresh(taken)
    assert is_fresh(stamps([str(file)]))


def test_what_is_kept_is_read_as_it_was(tmp_path: Path):
    files = stamps([str(tmp_path), str(tmp_path / "absent")])
    keep(str(tmp_path), "one", Entry({}, [], ["s"]))
    keep(str(tmp_path), "two", Entry(files, ["s:a", "s:b"], []))
    one, two = read(str(tmp_path)).values()
    assert (one.files, one.tools, one.servers) == ({}, [], ["s"])
    assert (two.files, two.tools, two.servers) == (files, ["s:a", "s:b"], [])


def test_a_path_with_a_line_break_costs_the_file_and_nothing_else(tmp_path: Path):
    keep(str(tmp_path), "key", Entry({"a\nb": None}, [], []))
    assert read(str(tmp_path)) == {}
    keep(str(tmp_path), "key", Entry({"a": None}, [], []))
    assert [*read(str(tmp_path))] == ["key"]


def test_runs_are_those_of_the_history_the_latest_first(tmp_path: Path):
    async def write() -> None:
        world = SqliteWorld(tmp_path)
        history = await world.open()
        for _ in range(2):
            await world.begin(history).committed()
        await history.close()

    anyio.run(write)
    state = str(tmp_path / "state")
    assert runs(state, "") == ["r_2", "r_1"]
    assert runs(state, "r_1") == ["r_1"]
    assert runs(state, "r_none") == []
    assert runs(state, "'; --") == []
    environ = asked({"PLAIT_STATE_DIR": state}, "resume r_")
    assert answer(environ, "/") == "r_2\nr_1\n"
    (tmp_path / "r_0.json").touch()
    environ = asked({"PLAIT_STATE_DIR": state}, "graph --format svg r_")
    assert answer(environ, str(tmp_path)) == "r_0.json\nr_2\nr_1\n"


def test_without_a_history_there_are_no_runs(tmp_path: Path):
    assert runs(str(tmp_path), "") == []
    (tmp_path / "history.db").write_text("not a database, but as long as one" * 100)
    assert runs(str(tmp_path), "") == []


def test_dags_are_files_and_folders(tmp_path: Path):
    for name in ("one.json", "two.toml", "notes.md", ".hidden.json"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "three.json").touch()
    assert dags(str(tmp_path), "") == ["more/", "one.json", "two.toml"]
    assert dags(str(tmp_path), "o") == ["one.json"]
    assert dags(str(tmp_path), "more/") == ["more/three.json"]
    assert dags(str(tmp_path), ".h") == [".hidden.json"]
    assert dags(str(tmp_path), "none/") == []
    environ = asked({}, "run o")
    assert answer(environ, str(tmp_path)) == "one.json\n"


@pytest.mark.parametrize("name", ["a b", "$(x)", "a;b", "a'b", "ä", "a\nb", "a`b`"])
def test_a_name_that_a_shell_would_evaluate_is_not_plain(name: str):
    assert not is_plain(name)
    assert is_plain("files:read_all-2./x")


def parameters() -> dict[str, Any]:
    return dict(get_command(program).commands)  # type: ignore[attr-defined]


def test_the_tables_are_those_of_the_command_line():
    commands = parameters()
    assert POSITIONAL.keys() <= commands.keys()
    assert {*OF_HISTORY} == {
        name for name, command in commands["history"].commands.items() if not command.hidden
    }
    nested = [*commands.values(), *commands["history"].commands.values()]
    takes = {
        option
        for command in nested
        if command.name in {*POSITIONAL, *OF_HISTORY, "tools", "servers"}
        for one in command.params
        if one.param_type_name == "option" and not one.is_flag
        for option in one.opts
        if option not in {"--since", "--limit"}  # of the history alone, and no names follow
    }
    assert takes <= VALUES.keys() | {"--help"}


def test_the_environment_decides_the_key():
    one = key_of("/a", None, None, {"HOME": "/h"})
    assert one == key_of("/a", None, None, {"HOME": "/h", "PATH": "/bin"})
    others = [
        key_of("/b", None, None, {"HOME": "/h"}),
        key_of("/a", "x.toml", None, {"HOME": "/h"}),
        key_of("/a", None, "work", {"HOME": "/h"}),
        key_of("/a", None, None, {"HOME": "/h", "PLAIT_CONFIG": "x"}),
    ]
    assert len({one, *others}) == 5
    assert os.sep in one
