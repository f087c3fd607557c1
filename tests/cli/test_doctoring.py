"""plait doctor: the table at any width, the document, and the changes that it makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plait.cli.doctoring import foot, table
from plait.cli.style import Styled, length
from plait.core.values.strict import JsonObject
from plait.doctor.findings import look, well, wrong

from .conftest import Plait

FOUND = [
    well("settings", "/home/ada/.config/plait/servers.toml: 5 servers, profile work"),
    wrong("GITHUB_TOKEN", "not set; [servers.github] is off", "set it in secrets.env"),
    look("npx", "on your PATH, but not on that of Claude Desktop", "path = [...]"),
    wrong("a-name-that-is-long", "gone"),
]


def shown(width: int) -> list[str]:
    return [
        "".join(piece.text if isinstance(piece, Styled) else piece for piece in line).rstrip()
        for line in table(FOUND, width)
    ]


def test_a_row_has_its_mark_its_name_what_was_found_and_its_fix():
    assert shown(120) == [
        "✓ settings          /home/ada/.config/plait/servers.toml: 5 servers, profile work",
        "✗ GITHUB_TOKEN      not set; [servers.github] is off  → set it in secrets.env",
        "! npx               on your PATH, but not on that of Claude Desktop  → path = [...]",
        "✗ a-name-that-is-long",
        "                    gone",
    ]


def test_at_80_columns_a_fix_may_stand_below():
    assert shown(80)[3:5] == [
        "! npx               on your PATH, but not on that of Claude Desktop",
        "                    → path = [...]",
    ]


def test_at_40_columns_texts_stand_below_their_names():
    assert shown(40)[3:6] == [
        "✗ GITHUB_TOKEN",
        "    not set; [servers.github] is off",
        "    → set it in secrets.env",
    ]


@pytest.mark.parametrize("width", [40, 59, 60, 80, 120])
def test_no_row_is_wider_than_the_window(width: int):
    assert all(length(line) <= width for line in table(FOUND, width))


@pytest.mark.parametrize(
    ("counts", "fixes", "text"),
    [
        ((0, 0, 0), False, "Nothing to do."),
        ((1, 2, 0), False, "1 to do, 2 to look at"),
        ((1, 2, 1), False, "1 to do, 2 to look at; 1 can be done by plait doctor --fix"),
        ((1, 2, 1), True, "1 to do, 2 to look at"),
    ],
)
def test_the_foot_counts_what_is_to_do(counts: tuple[int, int, int], fixes: bool, text: str):
    to_do, to_look_at, can_be_fixed = counts
    named: JsonObject = {"to_do": to_do, "to_look_at": to_look_at, "can_be_fixed": can_be_fixed}
    assert [*foot(named, fixes=fixes)] == [(text,)]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings in a home without clients, which others may write."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "named.toml"
    made.write_text("[servers]\n")
    made.chmod(0o666)
    return made


def unfolded(text: str) -> str:
    """The words of *text*, wherever its lines end: that depends on the length of paths."""
    return " ".join(text.split())


def test_what_is_wrong_is_shown_and_is_the_exit_code(plait: Plait, file: Path):
    result = plait("doctor", "--config", str(file))
    assert result.exit_code == 1
    assert f"✗ settings {file}: others may write it" in unfolded(result.stdout)
    assert "1 to do, 1 to look at; 1 can be done by plait doctor --fix" in result.stdout
    file.chmod(0o600)
    assert plait("doctor", "--config", str(file)).exit_code == 0


def test_wrong_settings_are_a_finding_too(plait: Plait, file: Path):
    file.write_text("[gatway]\n")
    file.chmod(0o600)
    result = plait("doctor", "--config", str(file))
    assert result.exit_code == 1
    assert "gatway: unknown key." in result.stdout


def test_paths_of_the_user_are_shown_as_a_shell_takes_them(plait: Plait, file: Path):
    settings = Path.home() / ".config" / "plait" / "servers.toml"
    settings.parent.mkdir(parents=True)
    file.rename(settings)
    result = plait("doctor", "--config", str(settings))
    assert "✗ settings ~/.config/plait/servers.toml: others may" in unfolded(result.stdout)
    assert "→ chmod go-w ~/.config/plait/servers.toml" in result.stdout
    found = json.loads(plait("doctor", "--config", str(settings), "--json").stdout)["findings"]
    assert found[1]["fix"] == f"chmod go-w {settings}"


def test_as_json_it_is_one_document(plait: Plait, file: Path):
    result = plait("doctor", "--config", str(file), "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["to_do"], document["to_look_at"], document["can_be_fixed"]) == (1, 1, 1)
    [fixable] = [one for one in document["findings"] if one.get("can_be_fixed")]
    assert (fixable["mark"], fixable["about"]) == ("wrong", "settings")
    assert fixable["fix"] == f"chmod go-w {file}"


def test_with_yes_it_shows_and_makes_the_changes(plait: Plait, file: Path):
    result = plait("doctor", "--config", str(file), "--fix", "--yes")
    assert f"mode of {file}\n  -0666\n  +0644\n1 change made.\n" in result.stderr
    assert file.stat().st_mode & 0o777 == 0o644
    assert result.exit_code == 0


def test_without_a_terminal_it_changes_nothing_unasked(plait: Plait, file: Path):
    result = plait("doctor", "--config", str(file), "--fix")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert file.stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize(("answer", "mode", "code"), [(True, 0o644, 0), (False, 0o666, 1)])
def test_a_person_is_asked(
    plait: Plait,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: bool,
    mode: int,
    code: int,
):
    asked: list[str] = []

    def say(console: object, question: str) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr("plait.cli.doctoring.answer_at_terminal", say)
    result = plait("doctor", "--config", str(file), "--fix")
    assert asked == ["Make this change? [y/N]"]
    assert (result.exit_code, file.stat().st_mode & 0o777) == (code, mode)
