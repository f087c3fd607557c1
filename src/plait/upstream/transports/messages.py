"""JSON-RPC messages as they come in: strict JSON or none, whatever the SDK's own decoders would
take."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TypeAlias

import mcp_types as types
from pydantic import ValidationError

from ...core.values.strict import RESULT_DEPTH, JsonObject, NotStrict, encode, loads

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    id: types.RequestId
    method: str
    params: JsonObject | None


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification."""

    method: str
    params: JsonObject | None


@dataclass(frozen=True, slots=True)
class Reply:
    """The client's answer to a request of ours."""

    id: types.RequestId | None
    answer: JsonObject | types.ErrorData


Incoming: TypeAlias = "Request | Notice | Reply"

_OF_A_REQUEST = frozenset({"jsonrpc", "id", "method", "params"})


class Unreadable(Exception):
    """The text is not a message. `error` is the answer to it, under its id where that could be
    found."""

    def __init__(self, code: int, message: str, id: str | int | None) -> None:
        super().__init__(message)
        error = types.ErrorData(code=code, message=message)
        self.error = types.JSONRPCError(jsonrpc="2.0", id=id, error=error)

    def as_json(self) -> bytes:
        return self.error.model_dump_json(by_alias=True, exclude_unset=True).encode()


def read_message(text: bytes) -> Incoming:
    """The message in *text*. Raises `Unreadable`."""
    return as_message(read_json(text))


def as_message(value: object) -> Incoming:
    """The message that *value* is. Raises `Unreadable`."""
    return _request(value) or _validated(value)


def _request(value: object) -> Request | None:
    """The most common message there is, known by its form without a model."""
    if not isinstance(value, dict) or not value.keys() <= _OF_A_REQUEST:
        return None
    match value:
        case {"jsonrpc": "2.0", "id": bool()}:
            return None
        case {"jsonrpc": "2.0", "id": int() | str() as id, "method": str(method)}:
            params = value.get("params")
            return (
                Request(id, method, params) if params is None or isinstance(params, dict) else None
            )
    return None


def _validated(value: object) -> Incoming:
    try:
        message = types.jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        wrong = "This is not a JSON-RPC message: it has no jsonrpc, method or id of the right type."
        raise Unreadable(types.INVALID_REQUEST, wrong, _id_in(value)) from None
    match message:
        case types.JSONRPCRequest():
            return Request(message.id, message.method, message.params)
        case types.JSONRPCNotification():
            return Notice(message.method, message.params)
        case types.JSONRPCResponse():
            return Reply(message.id, message.result)
    return Reply(message.id, message.error)


def read_json(text: bytes) -> object:
    """The strict JSON value in *text*. Raises `Unreadable`, naming the place."""
    try:
        return loads(text, RESULT_DEPTH)
    except NotStrict as error:
        raise Unreadable(
            types.PARSE_ERROR, f"The message is not strict JSON: {error}", _id_of(text)
        ) from None


def _id_of(text: bytes) -> str | int | None:
    """The id of a message that is JSON, if not strict JSON: whoever sent it waits for an answer
    under that id."""
    try:
        return _id_in(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _id_in(value: object) -> str | int | None:
    match value:
        case {"id": bool()}:
            return None
        case {"id": int() as id}:
            return id
        case {"id": str() as id} if id.isascii():
            return id
    return None


def written(message: JsonObject) -> bytes:
    """*message* as JSON; in the place of one that cannot be written, the error that says so."""
    try:
        return encode(message)
    except (ValueError, TypeError):
        log.exception("message.unwritable")
        error: JsonObject = {
            "code": types.INTERNAL_ERROR,
            "message": "The answer could not be written as JSON.",
        }
        return encode({"jsonrpc": "2.0", "id": message.get("id"), "error": error})
