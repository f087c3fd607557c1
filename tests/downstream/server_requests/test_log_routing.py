"""What a server logs is told to the client of the request that it belongs to, as far as that can be
told."""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import Any

import pytest

from plait.core.ports import NO_CLIENT
from plait.core.values.strict import JsonObject
from plait.downstream.server_requests.log_routing import LogRouting
from plait.downstream.server_requests.origin import RequestOrigin, correlated

from ...fakes import FakeCaller

MESSAGE: JsonObject = {"level": "info", "data": {"n": 1}, "x-odd": [None, 1.0]}


class Room:
    """Clients by their names, and the log messages that each has heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, JsonObject]] = []
        self.hearers = LogRouting(lambda params: self.heard.append(("everybody", params)))

    def caller(self, client: str, *, name: str = "") -> FakeCaller:
        return FakeCaller(
            client=client, on_log=lambda params: self.heard.append((name or client, params))
        )

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
    room.hearers.begin(NO_CLIENT)
    assert room.names() == ["everybody"]


def test_what_cannot_be_told_apart_is_for_all_who_have_a_request_open_each_once():
    room = Room()
    callers = [room.caller(client) for client in "aba"]
    for caller in callers:
        room.hearers.begin(caller)
    assert room.names() == ["a", "b"]
    room.hearers.end(callers[0])
    assert room.names() == ["a", "b"]
    for caller in callers[1:]:
        room.hearers.end(caller)
    assert room.names() == ["everybody"]


def test_of_one_clients_requests_one_that_wants_the_message_takes_it():
    room = Room()
    for caller in (
        FakeCaller(client="a"),
        room.caller("a", name="loud"),
        room.caller("a", name="late"),
    ):
        room.hearers.begin(caller)
    assert room.names() == ["loud"]


@pytest.mark.parametrize("others", [[], ["b"]])
def test_what_comes_on_the_stream_of_a_request_is_for_its_client_alone(others: list[str]):
    room = Room()
    for name in others:
        room.hearers.begin(room.caller(name))
    stream = on_the_stream_of(RequestOrigin(room.caller("a")))
    room.hearers.context = lambda: stream
    assert room.names() == ["a"]


def test_what_comes_on_the_stream_of_a_request_of_ours_is_for_everybody():
    room = Room()
    room.hearers.begin(room.caller("a"))
    stream = on_the_stream_of(RequestOrigin(NO_CLIENT))
    room.hearers.context = lambda: stream
    assert room.names() == ["everybody"]


@pytest.mark.parametrize("data", [float("nan"), "\ud800"])
def test_what_cannot_be_passed_on_is_dropped(data: Any):
    assert Room().names({"level": "info", "data": data}) == []


def test_a_client_that_fails_keeps_the_others_from_nothing(caplog: pytest.LogCaptureFixture):
    room = Room()

    def broken(params: JsonObject) -> None:
        raise RuntimeError("gone")

    room.hearers.begin(FakeCaller(client="a", on_log=broken))
    room.hearers.begin(room.caller("b"))
    assert room.names() == ["b"]
    assert "log.failed" in caplog.text
