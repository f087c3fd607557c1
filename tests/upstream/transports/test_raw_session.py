"""The client at the other end: its requests answered once or not at all, ours asked, and the end of
both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import MCPError
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.transport_context import TransportContext
from mcp_types import InitializeRequestParams

from plait.upstream.leaving import once_it_left
from plait.upstream.transports import raw_session as module
from plait.upstream.transports.messages import Notice, Reply, Request, as_message, read_json
from plait.upstream.transports.raw_session import Inbound, Params, RawSession

pytestmark = pytest.mark.virtual_time

Handler = Callable[[Inbound, Params], Awaitable[dict[str, Any]]]


class Talk:
    """A peer, what it has sent, and what serves it: a handler for each method."""

    def __init__(self, *, answers_cancelled: bool = False) -> None:
        self.sent: list[Any] = []
        self.related: list[Any] = []
        self.handlers: dict[str, Handler] = {}
        self.heard: list[str] = []
        self.peer = RawSession(self.send, answers_cancelled=answers_cancelled)
        self.tasks = asyncio.TaskGroup()
        self.can_send_request = True

    async def send(self, message: Any, related: Any) -> None:
        self.sent.append(message)
        self.related.append(related)

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        return await self.handlers[method](inbound, params)

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        self.heard.append(method)
        if method in self.handlers:
            await self.handlers[method](inbound, params)

    def take(self, message: Request | Notice | Reply) -> None:
        transport = TransportContext(kind="test", can_send_request=self.can_send_request)
        self.peer.take(message, self, self.tasks, transport)

    def cancel(self, id: object) -> None:
        self.take(Notice("notifications/cancelled", {"requestId": id}))  # type: ignore[dict-item]  # whatever comes


@asynccontextmanager
async def talking(*, answers_cancelled: bool = False) -> AsyncIterator[Talk]:
    talk = Talk(answers_cancelled=answers_cancelled)
    async with talk.tasks:
        yield talk
        talk.peer.close()


async def turn() -> None:
    """Everything that can go on without waiting for time has gone on."""
    await anyio.sleep(0.001)


async def hang(inbound: Inbound, params: Params) -> dict[str, Any]:
    await anyio.sleep_forever()
    raise AssertionError


def failing(error: Exception) -> Handler:
    async def fail(inbound: Inbound, params: Params) -> dict[str, Any]:
        raise error

    return fail


async def test_each_request_is_answered_with_its_own_id_when_it_is_done():
    async def after(inbound: Inbound, params: Params) -> dict[str, Any]:
        await anyio.sleep(dict(params or {})["s"])
        return dict(params or {})

    async with talking() as talk:
        talk.handlers["wait"] = after
        talk.take(Request("a", "wait", {"s": 2}))
        talk.take(Request(7, "wait", {"s": 1}))
        await talk.peer.wait_idle()
    assert talk.sent == [
        {"jsonrpc": "2.0", "id": 7, "result": {"s": 1}},
        {"jsonrpc": "2.0", "id": "a", "result": {"s": 2}},
    ]
    assert talk.related == [7, "a"]


def _invalid() -> Exception:
    try:
        InitializeRequestParams.model_validate({})
    except ValueError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            MCPError(-32002, "gone", {"uri": "x"}),
            {"code": -32002, "message": "gone", "data": {"uri": "x"}},
        ),
        (_invalid(), {"code": -32602, "message": "Invalid request parameters", "data": ""}),
        (RuntimeError("a secret"), {"code": -32603, "message": "Internal server error"}),
    ],
)
async def test_an_unexpected_error_is_answered_without_its_message(
    error: Exception, said: dict[str, Any]
):
    async with talking() as talk:
        talk.handlers["x"] = failing(error)
        talk.take(Request(1, "x", None))
        await talk.peer.wait_idle()
    assert talk.sent == [{"jsonrpc": "2.0", "id": 1, "error": said}]


@pytest.mark.parametrize("id", [7, "7"])
async def test_a_cancelled_request_ends_its_handler_and_is_not_answered(id: int | str):
    async with talking() as talk:
        talk.handlers["x"] = hang
        talk.take(Request(7, "x", None))
        await turn()
        talk.cancel(id)
        await talk.peer.wait_idle()
    assert talk.sent == []


async def test_a_request_that_is_cancelled_at_once_never_reaches_its_handler():
    async with talking() as talk:
        talk.handlers["x"] = hang
        talk.take(Request(7, "x", None))
        talk.cancel(7)
        await talk.peer.wait_idle()
    assert talk.sent == []


async def test_over_http_a_cancelled_request_is_answered_with_an_error():
    async with talking(answers_cancelled=True) as talk:
        talk.handlers["x"] = hang
        talk.take(Request(7, "x", None))
        await turn()
        talk.cancel(7)
        await talk.peer.wait_idle()
    assert [message["error"]["code"] for message in talk.sent] == [-32800]


@pytest.mark.parametrize("id", [8, None, True, [7], "x"])
async def test_a_cancel_of_anything_else_cancels_nothing(id: object):
    async def soon(inbound: Inbound, params: Params) -> dict[str, Any]:
        await anyio.sleep(1)
        return {}

    async with talking() as talk:
        talk.handlers["x"] = soon
        talk.take(Request(7, "x", None))
        talk.cancel(id)
        await talk.peer.wait_idle()
    assert talk.sent == [{"jsonrpc": "2.0", "id": 7, "result": {}}]


async def test_the_client_is_asked_on_the_stream_of_its_request():
    async def ask(inbound: Inbound, params: Params) -> dict[str, Any]:
        return {"got": await inbound.send_raw_request("roots/list", None)}

    async with talking() as talk:
        talk.handlers["x"] = ask
        talk.take(Request(5, "x", None))
        await turn()
        talk.take(Reply("1", {"roots": []}))
        await talk.peer.wait_idle()
    assert talk.sent[0] == {"jsonrpc": "2.0", "method": "roots/list", "id": 1}
    assert talk.related == [5, 5]
    assert talk.sent[1]["result"] == {"got": {"roots": []}}


async def test_an_error_of_the_client_is_raised_unchanged():
    async with talking() as talk, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(_caught(talk.peer.send_raw_request("x", {"a": 1})))
        await turn()
        talk.take(
            as_message(
                read_json(b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no","data":[2]}}')
            )
        )
        error = await asking
    assert (error.error.code, error.error.message, error.error.data) == (-1, "no", [2])


async def test_a_question_that_is_not_answered_in_time_is_withdrawn():
    async with talking() as talk:
        error = await _caught(talk.peer.send_raw_request("x", None, {"timeout": 3}))
        assert asyncio.get_running_loop().time() == pytest.approx(3)
    assert error.error.code == -32001
    assert talk.sent[1]["method"] == "notifications/cancelled"
    assert talk.sent[1]["params"]["requestId"] == 1


async def test_a_question_whose_asker_is_cancelled_is_withdrawn():
    async with talking() as talk:
        with anyio.move_on_after(1):
            await talk.peer.send_raw_request("x", None)
    assert [message["method"] for message in talk.sent] == ["x", "notifications/cancelled"]


async def test_work_after_an_answer_is_done_once_that_is_written():
    async def answer(inbound: Inbound, params: Params) -> dict[str, Any]:
        once_it_left(lambda: written.append(len(talk.sent)))
        return {}

    written: list[int] = []
    async with talking() as talk:
        talk.handlers["x"] = answer
        talk.take(Request(1, "x", None))
        await talk.peer.wait_idle()
    assert written == [1]


async def test_closing_ends_questions_and_answers_open_requests_with_an_error():
    async with talking() as talk:
        talk.handlers |= {"x": hang, "heard": hang}
        talk.take(Request(7, "x", None))
        talk.take(Notice("heard", None))
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(_caught(talk.peer.send_raw_request("x", None)))
            await turn()
            talk.peer.close()
        again = await _caught(talk.peer.send_raw_request("x", None))
    assert (await asking).error.code == again.error.code == -32000
    assert talk.sent[1:] == [
        {"jsonrpc": "2.0", "id": 7, "error": {"code": -32000, "message": "Connection closed"}}
    ]


async def test_a_client_that_cannot_be_asked_is_sent_nothing():
    async def ask(inbound: Inbound, params: Params) -> dict[str, Any]:
        with pytest.raises(NoBackChannelError):
            await inbound.send_raw_request("x", None)
        return {}

    async with talking() as talk:
        talk.can_send_request = False
        talk.handlers["x"] = ask
        talk.take(Request(1, "x", None))
        await talk.peer.wait_idle()
    assert talk.sent == [{"jsonrpc": "2.0", "id": 1, "result": {}}]


async def test_progress_is_sent_only_if_requested_and_not_after_the_answer():
    kept: list[Inbound] = []

    async def report(inbound: Inbound, params: Params) -> dict[str, Any]:
        kept.append(inbound)
        await inbound.progress(1, None, "half")
        return {}

    async with talking() as talk:
        talk.handlers["x"] = report
        talk.take(Request(1, "x", {"_meta": {"progressToken": "t"}}))
        talk.take(Request(2, "x", {}))
        await talk.peer.wait_idle()
        await kept[0].progress(2)
    told = [message["params"] for message in talk.sent if "method" in message]
    assert told == [{"progressToken": "t", "progress": 1, "message": "half"}]


async def test_requests_above_the_bound_are_refused_and_room_comes_back(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "MOST_OPEN", 2)
    async with talking() as talk:
        talk.handlers["x"] = hang
        for id in (1, 2, 3):
            talk.take(Request(id, "x", None))
        await turn()
        assert [(message["id"], message["error"]["code"]) for message in talk.sent] == [(3, -32600)]
        talk.cancel(1)
        await turn()
        talk.take(Request(4, "x", None))
        await turn()
        assert len(talk.sent) == 1


async def test_sending_to_a_client_that_is_gone_raises_no_transport_error():
    async def gone(message: Any, related: Any) -> None:
        raise anyio.BrokenResourceError

    async with talking() as talk:
        talk.peer._send = gone
        talk.handlers["x"] = failing(RuntimeError("x"))
        talk.take(Request(1, "x", None))
        await talk.peer.wait_idle()
        await talk.peer.notify("x", None)
        assert (await _caught(talk.peer.send_raw_request("x", None))).error.code == -32000


async def _caught(asking: Awaitable[Any]) -> MCPError:
    with pytest.raises(MCPError) as caught:
        await asking
    return caught.value
