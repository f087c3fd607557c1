"""Roots that servers ask for outside of any request are those of the client that is connected
alone."""

from __future__ import annotations

import anyio
import mcp_types as types
import pytest

from plait.core.ports import Ask
from plait.core.values.strict import JsonObject
from plait.downstream.server_requests.roots import TIMEOUTS_S, OnlyClient, Roots
from plait.errors import RpcError

pytestmark = pytest.mark.virtual_time


def client(name: str) -> Ask:
    async def ask(method: str, params: JsonObject) -> JsonObject:
        return {"roots": [{"uri": f"file:///{name}"}], "method": method, "params": params}

    return ask


async def ask(*all_roots: Roots, server: str = "s") -> JsonObject:
    return await OnlyClient(server, lambda: all_roots).ask("roots/list", {"x": 1})


async def refusal(*all_roots: Roots) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await ask(*all_roots)
    return caught.value


async def test_the_only_connected_client_is_asked():
    roots = Roots()
    roots.join(client("a"))
    expected = {"roots": [{"uri": "file:///a"}], "method": "roots/list", "params": {"x": 1}}
    assert await ask(roots) == expected


async def test_the_only_client_of_all_configurations_is_asked():
    one, other = Roots(), Roots()
    other.join(client("b"))
    assert (await ask(one, other))["roots"] == [{"uri": "file:///b"}]
    assert other.askers() == ["s"]
    one.join(client("a"))
    assert (await refusal(one, other)).code == types.METHOD_NOT_FOUND


@pytest.mark.parametrize("clients", [[], [None], [client("a"), client("b")], [client("a"), None]])
async def test_without_a_single_client_with_roots_the_question_is_refused_at_once(
    clients: list[Ask | None],
):
    roots, began = Roots(), anyio.current_time()
    for ask in clients:
        roots.join(ask)
    assert (await refusal(roots)).code == types.METHOD_NOT_FOUND
    assert anyio.current_time() == began
    assert roots.askers() == []


async def test_servers_that_have_asked_are_listed_while_a_client_can_answer():
    roots = Roots()
    for server in ("s", "t", "s"):
        with pytest.raises(RpcError):
            await ask(roots, server=server)
    leave = roots.join(client("a"))
    assert roots.askers() == ["s", "t"]
    leave_too = roots.join(client("b"))
    assert roots.askers() == []
    leave()
    assert roots.askers() == ["s", "t"]
    assert (await ask(roots))["roots"] == [{"uri": "file:///b"}]
    leave_too()
    leave_too()
    assert roots.askers() == []


async def test_a_client_that_never_answers_is_asked_twice():
    roots, asked, began = Roots(), list[float](), anyio.current_time()

    async def silent(method: str, params: JsonObject) -> JsonObject:
        asked.append(anyio.current_time() - began)
        await anyio.sleep_forever()
        raise AssertionError

    roots.join(silent)
    assert (await refusal(roots)).code == types.REQUEST_TIMEOUT
    assert asked == [0, TIMEOUTS_S[0]]
    assert anyio.current_time() - began == sum(TIMEOUTS_S)


async def test_a_question_is_refused_if_another_client_joins_meanwhile():
    roots = Roots()

    async def silent(method: str, params: JsonObject) -> JsonObject:
        roots.join(client("b"))
        await anyio.sleep_forever()
        raise AssertionError

    roots.join(silent)
    assert (await refusal(roots)).code == types.METHOD_NOT_FOUND
    assert repr(roots) == "<Roots of 2 clients for 1 servers>"
