"""The end of a program that is interrupted while it starts."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from plait.cli.early import end_if_interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The codes with which the process would have ended."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    yield codes
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("words", [["plait", "call"], ["plait", "call", "--json"]])
def test_a_signal_ends_it_with_one_document_if_that_was_asked_for(
    ends: list[int],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("sys.argv", words)
    end_if_interrupted()
    for number in SIGNALS:
        signal.raise_signal(number)
    assert ends == [130, 143]
    documents = [json.loads(line)["status"] for line in capfd.readouterr().out.splitlines()]
    assert documents == (["cancelled"] * 2 if "--json" in words else [])


def test_signals_that_others_handle_or_ignore_are_left_alone(ends: list[int]):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_if_interrupted()
    signal.raise_signal(signal.SIGINT)
    assert ends == []
