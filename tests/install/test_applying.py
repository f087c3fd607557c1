"""A plan carried out, killed anywhere, and taken back."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plait.config import load_config
from plait.install import applying
from plait.install.applying import Busy, alone, apply, take_back, undoing
from plait.install.clients import Format
from plait.install.entries import servers_in, values_of
from plait.install.machine import Machine, System
from plait.install.plan import Options, Plan
from plait.install.replacing import Changed

from .homes import FILES, MOVED, machine, planned, targets, user_place, with_clients, write
from .killing import killed_at

NOW = datetime(2026, 11, 29, 14, 12, tzinfo=UTC)


def contents(home: Path) -> dict[str, bytes]:
    """The files of a home, without our state."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and "state" not in path.relative_to(home).parts
    }


def state(here: Machine) -> Path:
    return here.home / "state"


def undo(here: Machine) -> applying.Outcome:
    found = undoing(state(here))
    assert found is not None
    return take_back(found)


@pytest.mark.parametrize("system", list(System))
@pytest.mark.parametrize("with_marks", [False, True], ids=["plain", "CRLF and marks"])
def test_all_clients_go_in_and_out_byte_for_byte(system: System, with_marks: bool, tmp_path: Path):
    here = machine(tmp_path, system)
    for name, path in with_clients(here).items():
        if with_marks:
            text = FILES[name].replace("\n", "\r\n").encode()
            path.write_bytes(b"\xef\xbb\xbf" + text)
    before = contents(tmp_path)
    outcome = apply(planned(here).changes, state(here), NOW)
    assert outcome.left == []
    assert len(outcome.written) == len(FILES) + 3  # ours, and what Claude Code need not ask for
    after = contents(tmp_path)
    for name in FILES:
        file = str(user_place(name, here).path.relative_to(tmp_path))
        assert after[file] != before[file]
        assert after[file].count(b"\r\n") == (after[file].count(b"\n") if with_marks else 0)
    assert undo(here).left == []
    assert contents(tmp_path) == before
    assert undoing(state(here)) is None


def everything(here: Machine, names: Iterable[str] = FILES) -> dict[str, set[str]]:
    """The servers that each client can reach: those in its file, and those of its profile if Plait
    is registered there."""
    settings = targets(here).settings
    ours: dict[str, Any] = {}
    if settings.exists():
        ours = values_of(settings.read_bytes(), Format.TOML)
        assert load_config(settings, here.environ, here.folder).needs == {}
    reached: dict[str, set[str]] = {}
    for name in names:
        place = user_place(name, here)
        servers = servers_in(place, values_of(place.path.read_bytes(), place.format))
        found = set(servers) - {"plait"}
        if "plait" in servers:
            profile = ours["profiles"][name]["servers"]
            assert set(profile) <= ours["servers"].keys()
            found |= {server.removesuffix("-2") for server in profile}
        reached[name] = found
    return reached


GROUPS = [
    ("claude-code", "codex", "goose", "continue"),
    ("claude-desktop", "cursor", "vscode", "gemini"),
    ("zed", "windsurf", "cline", "opencode", "lm-studio"),
]


@pytest.mark.parametrize("names", GROUPS, ids="-".join)
def test_killed_at_any_step_nothing_is_lost_and_doing_it_again_goes_on(
    names: tuple[str, ...], tmp_path: Path
):
    here = machine(tmp_path)
    with_clients(here, *names)
    had, before = everything(here, names), contents(tmp_path)
    changes = planned(here).changes
    for step in range(10_000):
        was_killed = killed_at(step, partial(apply, changes, state(here), NOW))
        assert everything(here, names) == had
        if not was_killed:
            break
        if step % 2:
            apply(planned(here).changes, state(here), NOW)
            assert everything(here, names) == had
            for name in names:
                place = user_place(name, here)
                servers = servers_in(place, values_of(place.path.read_bytes(), place.format))
                assert "plait" in servers
                assert not servers.keys() & {*MOVED[name]}
        while undoing(state(here)) is not None:
            assert undo(here).left == []
        left = contents(tmp_path)
        assert {name: left[name] for name in before} == before
        extra = left.keys() - before
        assert all(".plait-" in Path(name).name for name in extra)
        assert len(extra) <= 1
        clear(tmp_path)
        with_clients(here, *names)
    assert step > 20


def clear(home: Path) -> None:
    for path in home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    machine(home)


def test_undoing_that_is_killed_at_any_step_goes_on(tmp_path: Path):
    here = machine(tmp_path)
    for step in range(10_000):
        clear(tmp_path)
        with_clients(here, "cursor", "codex", "goose", "claude-code")
        before = contents(tmp_path)
        apply(planned(here).changes, state(here), NOW)
        was_killed = killed_at(step, partial(undo, here))
        if undoing(state(here)) is not None:
            assert undo(here).left == []
        left = contents(tmp_path)
        assert {name: left[name] for name in before} == before
        if not was_killed:
            break
    assert step > 10


def test_what_a_client_wrote_in_between_stays(tmp_path: Path):
    here = machine(tmp_path)
    files = with_clients(here, "claude-code", "codex", "continue")
    apply(planned(here).changes, state(here), NOW)
    claude = json.loads(files["claude-code"].read_text())
    claude["numStartups"] = 43
    claude["projects"]["/new"] = {"history": ["x"]}
    claude["mcpServers"]["later"] = {"command": "later"}
    files["claude-code"].write_text(json.dumps(claude))
    files["codex"].write_text(files["codex"].read_text() + '\n[new]\nx = "y"\n')
    files["continue"].write_text("# edited\n" + files["continue"].read_text())
    found = undoing(state(here))
    assert found is not None
    assert sorted(one.is_exact for one in found.files) == [False, False, False, True, True, True]
    assert take_back(found).left == []
    after = json.loads(files["claude-code"].read_text())
    original = json.loads(FILES["claude-code"])
    assert (after["numStartups"], [*after["projects"]]) == (43, ["/somewhere", "/new"])
    assert after["mcpServers"] == {**original["mcpServers"], "later": {"command": "later"}}
    for name in ("codex", "continue"):
        place = user_place(name, here)
        values = values_of(files[name].read_bytes(), place.format)
        known = values_of(FILES[name].encode(), place.format)
        assert servers_in(place, values) == servers_in(place, known)
    assert "[new]" in files["codex"].read_text()
    assert files["continue"].read_text().startswith("# edited\n")


def test_our_own_files_stay_if_somebody_has_edited_them(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "cursor")
    apply(planned(here).changes, state(here), NOW)
    settings = targets(here).settings
    settings.write_text(settings.read_text() + "# mine\n")
    found = undoing(state(here))
    assert found is not None
    assert found.kept == [f"{settings} has been edited since, and stays"]
    assert take_back(found).left == []
    assert settings.exists()
    assert not targets(here).secrets.exists()


def test_a_file_that_cannot_be_taken_back_is_left_with_its_backup(tmp_path: Path):
    here = machine(tmp_path)
    file = with_clients(here, "cursor")["cursor"]
    apply(planned(here).changes, state(here), NOW)
    file.write_text("{broken")
    found = undoing(state(here))
    assert found is not None
    outcome = take_back(found)
    assert [left.path for left in outcome.left] == [file]
    assert str(found.folder) in outcome.left[0].lines[-1]
    assert file.read_text() == "{broken"
    assert undoing(state(here)) is not None


def test_two_installations_are_undone_the_last_one_first(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "cursor")
    first = contents(tmp_path)
    apply(planned(here).changes, state(here), NOW)
    with_clients(here, "zed")
    second = contents(tmp_path)
    apply(planned(here).changes, state(here), NOW + timedelta(seconds=1))
    undo(here)
    assert contents(tmp_path) == second
    undo(here)
    assert {name: contents(tmp_path)[name] for name in first} == first


def test_a_plan_of_files_that_have_changed_is_not_begun(tmp_path: Path):
    here = machine(tmp_path)
    file = with_clients(here, "cursor")["cursor"]
    plan = planned(here)
    write(file, "{}")
    with pytest.raises(Changed, match=r"mcp\.json"):
        apply(plan.changes, state(here), NOW)
    assert contents(tmp_path) == {".cursor/mcp.json": b"{}"}
    assert undoing(state(here)) is None


def test_a_file_that_cannot_be_written_is_left_and_the_rest_goes_on(tmp_path: Path):
    here = machine(tmp_path)
    files = with_clients(here, "cursor", "zed")
    files["cursor"].chmod(0o444)
    outcome = apply(planned(here).changes, state(here), NOW)
    assert [(left.path, left.reason) for left in outcome.left] == [
        (files["cursor"], "it is read-only")
    ]
    assert any("put into mcpServers" in line for line in outcome.left[0].lines)
    assert files["zed"] in outcome.written
    assert files["cursor"].read_text() == FILES["cursor"]


def test_links_stay_links_and_what_they_lead_to_is_changed_and_comes_back(tmp_path: Path):
    here = machine(tmp_path)
    target = write(tmp_path / "dotfiles/cursor.json", FILES["cursor"])
    link = user_place("cursor", here).path
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    apply(planned(here).changes, state(here), NOW)
    assert link.is_symlink()
    assert "plait" in target.read_text()
    undo(here)
    assert link.is_symlink()
    assert target.read_text() == FILES["cursor"]


def test_one_file_behind_two_clients_is_changed_for_one_of_them(tmp_path: Path):
    here = machine(tmp_path)
    target = write(tmp_path / "shared.json", FILES["cursor"])
    for name in ("cursor", "lm-studio"):
        path = user_place(name, here).path
        path.parent.mkdir(parents=True)
        path.symlink_to(target)
    plan = planned(here)
    assert [(left.title, left.reason) for left in plan.left] == [
        ("LM Studio", "it is the same file as that of Cursor")
    ]
    apply(plan.changes, state(here), NOW)
    assert "cursor" in target.read_text()
    undo(here)
    assert target.read_text() == FILES["cursor"]


def test_a_file_that_was_left_alone_is_not_taken_back(tmp_path: Path):
    here = machine(tmp_path)
    files = with_clients(here, "cursor", "zed")
    files["zed"].chmod(0o444)
    apply(planned(here).changes, state(here), NOW)
    files["zed"].chmod(0o644)
    files["zed"].write_text(FILES["zed"] + "// mine\n")
    assert undo(here).left == []
    assert files["zed"].read_text() == FILES["zed"] + "// mine\n"


def test_a_disk_that_fills_up_in_the_middle_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = machine(tmp_path)
    with_clients(here, "cursor", "codex", "zed")
    had = everything(here, ("cursor", "codex", "zed"))
    sync, left = os.fsync, [9]  # the backup takes six, our own files two each

    def fill_up(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fill_up)
    outcome = apply(planned(here).changes, state(here), NOW)
    assert {one.reason for one in outcome.left} == {"the disk is full"}
    assert everything(here, ("cursor", "codex", "zed")) == had
    monkeypatch.setattr(os, "fsync", sync)
    assert apply(planned(here).changes, state(here), NOW).left == []
    assert everything(here, ("cursor", "codex", "zed")) == had


def test_no_client_is_changed_if_our_settings_cannot_be_written(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "cursor", "zed")
    settings = write(targets(here).settings, "# mine\n")
    settings.chmod(0o444)
    before = contents(tmp_path)
    outcome = apply(planned(here, Options(clients=frozenset({"zed"}))).changes, state(here), NOW)
    assert [left.title for left in outcome.left] == ["servers.toml", "Zed"]
    assert contents(tmp_path) == before
    assert (outcome.backup, undoing(state(here))) == (None, None)


def test_only_one_installation_works_at_a_time(tmp_path: Path):
    with alone(tmp_path), pytest.raises(Busy, match="another plait install"), alone(tmp_path):
        pass
    with alone(tmp_path):
        assert os.listdir(tmp_path) == ["install.lock"]


def test_nothing_to_change_leaves_no_backup(tmp_path: Path):
    outcome = apply([], tmp_path, NOW)
    assert (outcome.backup, outcome.written, os.listdir(tmp_path)) == (None, [], [])
    assert isinstance(planned(machine(tmp_path)), Plan)
