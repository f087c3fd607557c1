"""The soak of processes that die, for some seconds, and what it would find."""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random

import pytest

from .clients import Machine
from .deaths import Story

ROOT = Path(__file__).parents[2]


def test_some_clients_live_through_some_deaths():
    words = ("--clients", "3", "--deaths", "1", "--every", "2", "--seed", "1")
    soak = subprocess.run(
        [str(ROOT / "scripts" / "soak"), "deaths", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert "'gateways': 1" in soak.stdout
    assert "'wrote': " in soak.stdout


@pytest.mark.parametrize(
    ("how", "effects", "problems"),
    [
        ("wrote", 1, []),
        ("wrote", 0, ["a: wrote, but written 0 times"]),
        ("no", 1, ["a: no, but written 1 times"]),
        ("unknown", 2, ["a was written 2 times", "a: unknown, but written 2 times"]),
    ],
)
def test_an_answer_that_is_not_true_is_found(
    short_path: Path, how: str, effects: int, problems: list[str]
):
    story = Story(Machine(short_path), Random(0), answers={"a": how})
    (short_path / "effects").write_text("a\n" * effects)
    story.judge()
    assert story.problems == problems
