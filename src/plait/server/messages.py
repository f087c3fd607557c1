"""JSON-RPC messages as they come in: strict JSON or none, whatever the SDK's own decoders would take."""

from __future__ import annotations

import json

import mcp_types as types
from pydantic import ValidationError

from ..core.strict import RESULT_DEPTH, NotStrict, loads


class Unreadable(Exception):
    """The text is no message. `error` is the answer to it, under its id where that could be found."""

    def __init__(self, code: int, message: str, id: str | int | None) -> None:
        super().__init__(message)
        error = types.ErrorData(code=code, message=message)
        self.error = types.JSONRPCError(jsonrpc="2.0", id=id, error=error)

    def as_json(self) -> bytes:
        return self.error.model_dump_json(by_alias=True, exclude_unset=True).encode()


def read_message(text: bytes) -> types.JSONRPCMessage:
    """The message in *text*. Raises `Unreadable`."""
    value = read_json(text)
    try:
        return types.jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        message = "This is no JSON-RPC message: it has no jsonrpc, method or id of the right type."
        raise Unreadable(types.INVALID_REQUEST, message, _id_in(value)) from None


def read_json(text: bytes) -> object:
    """The strict JSON value in *text*. Raises `Unreadable`, naming the place."""
    try:
        return loads(text, RESULT_DEPTH)
    except NotStrict as error:
        raise Unreadable(types.PARSE_ERROR, f"The message is no strict JSON: {error}", _id_of(text)) from None


def _id_of(text: bytes) -> str | int | None:
    """The id of a message that is JSON, if not strict JSON: whoever sent it waits for an answer under that id."""
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
