"""Log messages of a server go to the client of the request that they belong to, as far as that is
known."""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import Any

import pytest

from plait.core.ports import NO_CLIENT, Caller
from plait.core.values.strict import JsonObject
from plait.downstream.server_requests.log_routing import LogRouting
from plait.downstream.server_requests.origin import OpenRequests, RequestOrigin, stream_origin

from ...fakes import FakeCaller

MESSAGE: JsonObject = {"level": "info", "data": {"n": 1}, "x-odd": [None, 1.0]}


class Room:
    """Clients by their names, and the log messages that each has received."""

    def __init__(self) -> None:
        self.received: list[tuple[str, JsonObject]] = []
        self.open_requests: OpenRequests = {}
        self.stream: Context | None = None
        self.logs = LogRouting(
            self.open_requests,
            lambda params: self.received.append(("everybody", params)),
            lambda: self.stream,
        )

    def caller(self, client: str, *, name: str = "") -> FakeCaller:
        return FakeCaller(
            client=client, on_log=lambda params: self.received.append((name or client, params))
        )

    def begin(self, caller: Caller) -> RequestOrigin:
        """Open a request of *caller*."""
        origin = RequestOrigin(caller)
        self.open_requests.setdefault(caller.client, {})[origin] = None
        return origin

    def end(self, origin: RequestOrigin) -> None:
        requests = self.open_requests[origin.caller.client]
        del requests[origin]
        if not requests:
            del self.open_requests[origin.caller.client]

    def names(self, params: JsonObject = MESSAGE) -> list[str]:
        """Log *params*, and return who received it."""
        self.received.clear()
        self.logs.route(params)
        assert all(received is params for _, received in self.received)
        return [name for name, _ in self.received]


def on_the_stream_of(origin: RequestOrigin) -> Context:
    context = copy_context()
    context.run(stream_origin.set, origin)
    return context


def test_a_message_with_no_request_open_goes_to_everybody():
    room = Room()
    assert room.names() == ["everybody"]
    room.begin(NO_CLIENT)
    assert room.names() == ["everybody"]


def test_a_message_without_a_known_request_goes_once_to_each_client_with_an_open_one():
    room = Room()
    first, *others = [room.begin(room.caller(client)) for client in "aba"]
    assert room.names() == ["a", "b"]
    room.end(first)
    assert sorted(room.names()) == ["a", "b"]
    for origin in others:
        room.end(origin)
    assert room.names() == ["everybody"]


def test_the_first_request_of_a_client_that_wants_the_message_takes_it():
    room = Room()
    for caller in (
        FakeCaller(client="a"),
        room.caller("a", name="loud"),
        room.caller("a", name="late"),
    ):
        room.begin(caller)
    assert room.names() == ["loud"]


@pytest.mark.parametrize("others", [[], ["b"]])
def test_a_message_on_the_stream_of_a_request_goes_to_its_client_alone(others: list[str]):
    room = Room()
    for name in others:
        room.begin(room.caller(name))
    room.stream = on_the_stream_of(RequestOrigin(room.caller("a")))
    assert room.names() == ["a"]


def test_a_message_on_the_stream_of_our_own_request_goes_to_everybody():
    room = Room()
    room.begin(room.caller("a"))
    room.stream = on_the_stream_of(RequestOrigin(NO_CLIENT))
    assert room.names() == ["everybody"]


@pytest.mark.parametrize("data", [float("nan"), "\ud800"])
def test_a_message_that_is_not_strict_json_is_dropped(data: Any):
    assert Room().names({"level": "info", "data": data}) == []


def test_a_client_that_fails_does_not_keep_the_message_from_others(
    caplog: pytest.LogCaptureFixture,
):
    room = Room()

    def broken(params: JsonObject) -> None:
        raise RuntimeError("gone")

    room.begin(FakeCaller(client="a", on_log=broken))
    room.begin(room.caller("b"))
    assert room.names() == ["b"]
    assert "log.failed" in caplog.text
