"""Text becomes a message, or an error with the id that its sender waits for."""

from __future__ import annotations

from typing import Any

import mcp_types as types
import pytest

from plait.core.values.strict import MAX_VALUES, RESULT_DEPTH
from plait.upstream.requests import FLAW
from plait.upstream.transports.messages import (
    Incoming,
    Notice,
    Reply,
    Request,
    Unreadable,
    as_message,
    id_at_start,
    is_flawed,
    read_json,
    written,
)


def message(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", **members}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (message(id=1, method="m", params={"x": 1}), Request(1, "m", {"x": 1})),
        (message(id="a", method="m"), Request("a", "m", None)),
        (message(id=1, method="m", extra=1), Request(1, "m", None)),
        (message(id=1.0, method="m"), Request(1, "m", None)),
        (message(method="m"), Notice("m", None)),
        (message(method="m", params={"x": 1}), Notice("m", {"x": 1})),
        (message(id=1, result={"x": 1}), Reply(1, {"x": 1})),
        (
            message(id=1, error={"code": 5, "message": "no"}),
            Reply(1, types.ErrorData(code=5, message="no")),
        ),
    ],
)
def test_a_message_is_a_request_a_notification_or_a_reply(value: object, read: Incoming):
    assert as_message(value) == read


@pytest.mark.parametrize(
    ("value", "id"),
    [
        ({"id": 1, "method": "m"}, 1),
        (message(id=1, method=5), 1),
        (message(id=None, method="m"), None),
        (message(id=True, method="m"), None),
        (message(id=1.5, method="m"), None),
        (message(id={}, method="m"), None),
        (message(id=[1], method="m"), None),
        (message(id="a", method="m", params=[1]), "a"),
        (message(id=True, result={}), None),
        (message(id="é", method=5), None),
        ([message(id=1, method="m")], None),
        ("text", None),
        (None, None),
    ],
)
def test_anything_else_is_refused_with_its_id_if_that_can_be_read(value: object, id: object):
    with pytest.raises(Unreadable) as caught:
        as_message(value)
    assert caught.value.error.id == id
    assert caught.value.error.error.code == types.INVALID_REQUEST


@pytest.mark.parametrize(
    ("text", "id", "says"),
    [
        (b'{"id":7,"params":{"name":"\\ud800"}}', 7, "params.name holds a lone surrogate"),
        (b'{"id":"a","params":NaN}', "a", "NaN"),
        (b'{"id":8,"x":1,"x":2}', 8, "twice"),
        (b'{"id":true,"x":NaN}', None, "NaN"),
        (b'{"id":9', None, "not strict JSON"),
        (b"\xff\xfe", None, "UTF-8"),
        (b"[" * 90_000, None, "not strict JSON"),
    ],
)
def test_text_that_is_not_strict_json_is_refused_with_the_place(text: bytes, id: object, says: str):
    with pytest.raises(Unreadable, match=says) as caught:
        read_json(text)
    assert caught.value.error.id == id
    assert caught.value.error.error.code == types.PARSE_ERROR


def called(arguments: str, name: str = "execute_dag", more: str = "") -> bytes:
    params = f'{{"name":"{name}","arguments":{arguments}}}'
    return f'{{"jsonrpc":"2.0","id":7,{more}"method":"tools/call","params":{params}}}'.encode()


@pytest.mark.parametrize(
    ("arguments", "path", "complaint"),
    [
        ('{"tasks":[{"id":"a","id":"b"}]}', "tasks[0].id", "appears twice in one object"),
        ('{"a b":{"x":NaN}}', '["a b"].x', "is NaN, which is not a JSON number"),
        ('{"id":"\\ud800"}', "id", "holds a lone surrogate (\\ud800)"),
        ("[" * 200 + "]" * 200, "[0]" * 16, "is nested deeper than 180 levels"),
        ("[" * 20_000 + "]" * 20_000, "$", "is nested too deeply"),
        ('{"x":' * 5_000 + '"]}"' + "}" * 5_000, "$", "is nested too deeply"),
    ],
)
def test_a_flaw_in_the_arguments_of_our_own_tools_is_left_to_their_answer(
    arguments: str, path: str, complaint: str
):
    message = read_json(called(arguments))
    assert is_flawed(message)
    request = as_message(message)
    assert isinstance(request, Request)
    assert (request.id, request.method) == (7, "tools/call")
    assert request.params == {"name": "execute_dag", "arguments": {FLAW: [path, complaint]}}


@pytest.mark.parametrize(
    "text",
    [
        called('{"id":"a","id":"b"}', name="files__read"),
        called('{"id":"a"}', more='"x":1,"x":2,'),
        called('{"id":"a","id":"b"}', more='"x":NaN,'),
        called("[" * 100_000 + "]" * 100_000),
        called("[" * 20_000 + "]" * 19_000),
    ],
)
def test_a_flaw_anywhere_else_is_refused_with_the_id(text: bytes):
    with pytest.raises(Unreadable) as caught:
        read_json(text)
    assert caught.value.error.id == 7
    assert caught.value.error.error.code == types.PARSE_ERROR


def test_messages_may_be_as_deep_as_results():
    nested = b"[" * RESULT_DEPTH + b"]" * RESULT_DEPTH
    assert read_json(nested)
    with pytest.raises(Unreadable, match="levels"):
        read_json(b"[[" + nested + b"]]")


def test_a_refusal_is_written_as_an_error_of_json_rpc():
    refusal = Unreadable(types.PARSE_ERROR, "no", None)
    assert read_json(refusal.as_json()) == message(id=None, error={"code": -32700, "message": "no"})


def test_an_answer_that_is_not_json_is_written_as_an_error_with_its_id():
    assert read_json(written(message(id=3, result={"n": 1}))) == message(id=3, result={"n": 1})
    failed: Any = read_json(written(message(id=3, result={"x": {1, 2}})))
    assert (failed["id"], failed["error"]["code"]) == (3, types.INTERNAL_ERROR)


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ('{"jsonrpc":"2.0","id":7,"method":"m","params":{"x":[BOMB]}}', 7),
        ('{"id": "seven", "jsonrpc": "2.0", "method": "m", "params": {"x": [BOMB]}}', "seven"),
        ('{"method":"m","params":{"x":[BOMB]},"jsonrpc":"2.0","id":7}\n', 7),
        ('{"method":"m","params":{"id":7,"x":[BOMB]}}', None),
        ('{"jsonrpc":"2.0","id":null,"method":"m","params":{"x":[BOMB]}}', None),
    ],
)
def test_a_message_of_too_many_values_is_refused_with_its_id_before_it_is_read(text: str, id: Any):
    with pytest.raises(Unreadable) as refused:
        read_json(text.replace("BOMB", "{}," * MAX_VALUES + "{}").encode())
    assert refused.value.error.id == id
    assert refused.value.error.error.code == -32600
    assert "it holds more than 250,000 values" in refused.value.error.error.message


@pytest.mark.parametrize(
    ("text", "id"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"x":"', 7),
        (b'{"id":"a","method":"x"', "a"),
        (b'{"method":"x","params":{"id":8}', None),
        (b'{"method":"x","params":{"id":8}}', None),
        (b"", None),
    ],
)
def test_the_id_at_the_beginning_of_a_message_is_found(text: bytes, id: object):
    assert id_at_start(text) == id
