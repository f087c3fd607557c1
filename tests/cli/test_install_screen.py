"""A plan of an installation as a person sees it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from plait.cli.install_screen import (
    by_hand_lines,
    outcome_document,
    outcome_lines,
    plan_document,
    plan_lines,
    question,
    shown,
    undo_lines,
)
from plait.cli.style import Line, Styled
from plait.install.applying import Outcome, TakingBack, Undoing
from plait.install.plan import Left

from ..install.homes import machine, planned, with_clients, write


def texts(lines: Iterable[Line]) -> list[str]:
    return [
        "".join(piece.text if isinstance(piece, Styled) else piece for piece in line)
        for line in lines
    ]


def test_one_difference_over_all_files(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "claude-code", "cursor", "zed", "claude-desktop")
    write(tmp_path / ".gemini/settings.json", "{")
    plan = planned(here, running=("claude-desktop",))
    lines = texts(plan_lines(plan, tmp_path, tmp_path / "state", ["a note"]))
    assert lines == [
        "Found 5 clients with 5 servers.",
        "  servers.toml (new, ~/.config/plait)",
        (
            "+ [servers.github]          from Claude Code, Cursor (the same)  "
            "GITHUB_TOKEN → secrets.env"
        ),
        "+ [servers.files]           from Cursor",
        "+ [servers.notes]           from Zed",
        "= linear                    stays with Claude Code: the client logs in to it",
        "  policy                    deny notes:wipe (from Zed's rules), ask write",
        "  ~/.claude/settings.json   + the reading tools of plait need no yes",
        "  ~/.claude.json            - 1 server   + plait (profile claude-code)",
        "  ~/.cursor/mcp.json        - 2 servers   + plait (profile cursor)",
        "  ~/.config/zed/settings.json  - 1 server   + plait (profile zed)",
        (
            "! Claude Desktop (~/.config/Claude/claude_desktop_config.json): is running and would "
            "write its own copy back: end it first, or --anyway"
        ),
        (
            "! Gemini CLI (~/.gemini/settings.json): it is not JSON: Expecting property name "
            "enclosed in double quotes (at line 1, column 2)"
        ),
        (
            '    put into mcpServers: {"plait": {"command": "/opt/plait/bin/plait", '
            '"args": ["serve"], "timeout": 600000}}'
        ),
        "! a note",
        "Backups go to ~/state/backups. plait install --undo puts all of it back.",
    ]
    assert question(plan) == "Write these 5 files, and secrets.env? [y/N]"
    assert "~/.cursor/mcp.json" in texts(by_hand_lines(plan, tmp_path))


def test_a_plan_is_a_document_too(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "lm-studio")
    document = plan_document(planned(here), ["a note"])
    assert document["notes"] == ["a note"]
    assert document["servers"] == [
        {
            "name": "paint",
            "new": True,
            "from": [
                {
                    "client": "lm-studio",
                    "name": "paint",
                    "file": str(tmp_path / ".lmstudio/mcp.json"),
                }
            ],
            "secrets": [],
        }
    ]
    assert question(planned(here)) == "Write these 2 files? [y/N]"


def test_the_outcome_names_each_file(tmp_path: Path):
    left = Left("Cursor", tmp_path / "a", "it is read-only", ("remove x",))
    outcome = Outcome([tmp_path / "b"], [left], tmp_path / "backup")
    assert texts(outcome_lines(outcome, tmp_path)) == [
        "✓ ~/b",
        "! Cursor (~/a): it is read-only",
        "    remove x",
    ]
    assert outcome_document(outcome) == {
        "written": [str(tmp_path / "b")],
        "left": [
            {
                "title": "Cursor",
                "path": str(tmp_path / "a"),
                "reason": "it is read-only",
                "lines": ["remove x"],
            }
        ],
        "backup": str(tmp_path / "backup"),
    }


def test_the_way_back_says_how_each_file_comes_back(tmp_path: Path):
    files = [
        TakingBack(tmp_path / "a", "A", b"1", b"0", is_exact=True),
        TakingBack(tmp_path / "b", "B", b"1", b"0", is_exact=False, removed=("x", "y")),
        TakingBack(tmp_path / "c", "C", b"1", None, is_exact=True),
    ]
    undo = Undoing(tmp_path / "2026-11-29-141200-0-abc", files, [], ["~/d stays"])
    assert [" ".join(text.split()) for text in texts(undo_lines(undo, tmp_path))] == [
        "Back to the state before 2026-11-29-141200:",
        "~/a as it was, byte for byte",
        "~/b written by others since: our change alone is taken back (- plait, + x, y)",
        "~/c removed",
        "! ~/d stays",
    ]


def test_a_path_is_shown_from_the_home(tmp_path: Path):
    assert shown(tmp_path / "a/b", tmp_path) == "~/a/b"
    assert shown(Path("/etc/x"), tmp_path) == "/etc/x"
