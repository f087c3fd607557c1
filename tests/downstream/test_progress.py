"""Progress is told as it came, to who waits for its request."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.values.strict import JsonObject
from plait.downstream.progress import ProgressTokens


def told(**params: Any) -> list[JsonObject]:
    """What is heard of a request, the first that asks for progress, when the server says that."""
    heard: list[JsonObject] = []
    progress = ProgressTokens()
    with progress.requested({"name": "x", "_meta": {"mine": 1}}, heard.append) as sent:
        assert sent == {"name": "x", "_meta": {"mine": 1, "progressToken": 1}}
        progress.report(params)
    progress.report(params)
    return heard


@pytest.mark.parametrize("token", [1, "1"])
def test_progress_is_passed_on_as_it_came_until_the_answer(token: Any):
    said: Any = {
        "progressToken": token,
        "progress": -1,
        "total": 2.0,
        "message": 5,
        "x-odd": [None],
        "_meta": {"a": 1},
    }
    assert repr(told(**said)) == repr([said])


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"progressToken": 1},
        {"progressToken": 1, "progress": True},
        {"progressToken": 1, "progress": "1"},
        {"progressToken": 1, "progress": float("nan")},
        {"progressToken": 1, "progress": 1, "message": "\ud800"},
        {"progressToken": True, "progress": 1},
        {"progressToken": [1], "progress": 1},
        {"progressToken": 2, "progress": 1},
    ],
)
def test_anything_but_progress_of_an_open_request_is_dropped(params: JsonObject):
    assert told(**params) == []


def test_no_token_is_sent_if_no_progress_is_wanted():
    params: JsonObject = {"name": "x"}
    with ProgressTokens().requested(params, None) as sent:
        assert sent is params
