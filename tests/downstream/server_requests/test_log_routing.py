"""What a server logs is told to the client of the request that it belongs to, as far as that can be told."""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import Any

import pytest

from plait.core.ports import OnLog
from plait.core.values.strict import JsonObject
from plait.downstream.server_requests.log_routing import LogRouting
from plait.downstream.server_requests.origin import RequestOrigin, correlated

MESSAGE: JsonObject = {"level": "info", "data": {"n": 1}, "x-odd": [None, 1.0]}


class Room:
    """Clients by their names, and the log messages that each has heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, JsonObject]] = []
        self.hearers = LogRouting(self.client("everybody"))

    def client(self, name: str) -> OnLog:
        return lambda params: self.heard.append((name, params))

    def names(self, params: JsonObject = MESSAGE) -> list[str]:
        """Who hears what the server logs now."""
        self.heard.clear()
        self.hearers.hear(params)
        assert all(heard is params for _, heard in self.heard)
        return [name for name, _ in self.heard]


def on_the_stream_of(asker: RequestOrigin) -> Context:
    context = copy_context()
    context.run(correlated.set, asker)
    return context


def test_what_belongs_to_no_request_is_for_everybody():
    room = Room()
    assert room.names() == ["everybody"]
    room.hearers.begin(None)
    assert room.names() == ["everybody"]


def test_what_cannot_be_told_apart_is_for_all_who_have_a_request_open_each_once():
    room = Room()
    a, b = room.client("a"), room.client("b")
    keys = [room.hearers.begin(on_log) for on_log in (a, b, a)]
    assert room.names() == ["a", "b"]
    room.hearers.end(keys[0])
    assert room.names() == ["b", "a"]
    for key in keys:
        room.hearers.end(key)
    assert room.names() == ["everybody"]


@pytest.mark.parametrize("others", [[], ["b"]])
def test_what_comes_on_the_stream_of_a_request_is_for_its_client_alone(others: list[str]):
    room = Room()
    for name in others:
        room.hearers.begin(room.client(name))
    stream = on_the_stream_of(RequestOrigin(None, on_log=room.client("a")))
    room.hearers.context = lambda: stream
    assert room.names() == ["a"]


def test_what_comes_on_the_stream_of_a_request_of_ours_is_for_everybody():
    room = Room()
    room.hearers.begin(room.client("a"))
    stream = on_the_stream_of(RequestOrigin(None))
    room.hearers.context = lambda: stream
    assert room.names() == ["everybody"]


@pytest.mark.parametrize("data", [float("nan"), "\ud800"])
def test_what_cannot_be_passed_on_is_dropped(data: Any):
    assert Room().names({"level": "info", "data": data}) == []


def test_a_client_that_fails_keeps_the_others_from_nothing(caplog: pytest.LogCaptureFixture):
    room = Room()

    def broken(params: JsonObject) -> None:
        raise RuntimeError("gone")

    room.hearers.begin(broken)
    room.hearers.begin(room.client("b"))
    assert room.names() == ["b"]
    assert "log.failed" in caplog.text
