"""Incoming JSON-RPC messages. Only strict JSON is accepted; the SDK's own decoders take more."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TypeAlias

import mcp_types as types
from pydantic import ValidationError

from ...core.values.problems import written as written_place
from ...core.values.strict import (
    RESULT_DEPTH,
    JsonObject,
    NotStrict,
    TooManyValues,
    encode,
    loads,
    measure,
    short,
)
from ..requests import FLAW
from ..schemas import TOOLS

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

_END_BYTES = 200
_ID_FIRST = re.compile(
    rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15}|"[^"\\]{1,100}")\s*,'
)
_ID_LAST = re.compile(rb'"id"\s*:\s*(\d{1,15}|"[^"\\]{1,100}")\s*\}\s*\Z')
MOST_CUT_BYTES = 128 * 1024
"""Most bytes of a message in which deep nesting is cut away to learn what it was for."""
MOST_STEPS = 16
"""Most steps of the place of a flaw that are shown."""
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_ARGUMENTS = ("params", "arguments")
_OURS = frozenset(tool.name for tool in TOOLS)
_OF_A_REQUEST = frozenset({"jsonrpc", "id", "method", "params"})


class Unreadable(Exception):
    """The text is not a message. `error` is the answer to it, with its id if that can be read."""

    def __init__(self, code: int, message: str, id: str | int | None) -> None:
        super().__init__(message)
        error = types.ErrorData(code=code, message=message)
        self.error = types.JSONRPCError(jsonrpc="2.0", id=id, error=error)

    def as_json(self) -> bytes:
        return self.error.model_dump_json(by_alias=True, exclude_unset=True).encode()


def as_message(value: object) -> Incoming:
    """Read *value* as a message. Raises `Unreadable`."""
    if isinstance(value, dict) and value.keys() <= _OF_A_REQUEST:
        match value:  # a request, the most common message, needs no model
            case {"jsonrpc": "2.0", "id": bool()}:
                pass
            case {"jsonrpc": "2.0", "id": int() | str() as id, "method": str(method)}:
                params = value.get("params")
                if params is None or isinstance(params, dict):
                    return Request(id, method, params)
    match value:  # the model would take these for notifications, which get no answer
        case {"id": float() as number, "method": str() as method, **rest} if number.is_integer():
            value = {**rest, "method": method, "id": int(number)}
        case {"id": None | bool() | float() | dict() | list() as other, "method": str()}:
            wrong = f"The id of a request is a text or an integer; it is {short(other)}."
            raise Unreadable(types.INVALID_REQUEST, wrong, None)
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
    """Decode the strict JSON in *text*. Raises `Unreadable`, which names the place."""
    try:
        return loads(text, RESULT_DEPTH)
    except TooManyValues as error:
        message = f"The message is refused: {error}"
        raise Unreadable(types.INVALID_REQUEST, message, id_at_an_end(text)) from None
    except NotStrict as error:
        whole = _leniently(text)
        if (flawed := _with_flaw(whole, error)) is not None:
            return flawed
        id = id_at_an_end(text) if whole is None else _id_in(whole)
        message = f"The message is not strict JSON: {error}"
        raise Unreadable(types.PARSE_ERROR, message, id) from None


def is_flawed(message: object) -> bool:
    """Return whether `read_json` put the flaw of its arguments in their place."""
    match message:
        case {"params": {"arguments": {**arguments}}}:
            return FLAW in arguments
    return False


def _leniently(text: bytes) -> object:
    """Decode *text*, which is not strict JSON; None if it is not JSON at all. What is nested too
    deeply for any decoder is null."""
    for form in (text, _without_depths(text)):
        try:
            return json.loads(form)
        except RecursionError:
            continue
        except ValueError:
            break
    return None


def _without_depths(text: bytes) -> bytes:
    """Replace what is nested deeper than `RESULT_DEPTH` levels in *text* by null."""
    if len(text) > MOST_CUT_BYTES:
        return b""
    pieces: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        if token[0] in b"[{":
            depth += 1
            if depth == RESULT_DEPTH + 1:
                pieces += [text[start : token.start()], b"null"]
        elif token[0] in b"]}":
            if depth == RESULT_DEPTH + 1:
                start = token.end()
            depth -= 1
    return b"".join(pieces) + text[start:]


def _with_flaw(message: object, error: NotStrict) -> object:
    """Return *message* with *error* in place of its arguments, if it calls one of our tools and the
    flaw is in these: the answer of the tool says what is wrong. None otherwise."""
    match message:
        case {"method": "tools/call", "params": {"name": str(name), "arguments": _} as params}:
            if name not in _OURS or (error.place or _ARGUMENTS)[:2] != _ARGUMENTS:
                return None
        case _:
            return None
    place = (error.place or ())[2:][:MOST_STEPS]
    path = written_place(place).lstrip(".") or "$"
    flaw = [path, error.complaint or f"is {error}"]
    assert isinstance(message, dict)
    flawed = {**message, "params": {**params, "arguments": {FLAW: flaw}}}
    try:
        measure(flawed)
    except NotStrict:
        return None
    return flawed


def id_at_an_end(text: bytes) -> str | int | None:
    """Find the id of the request *text* where clients write it, without parsing the rest."""
    found = _ID_FIRST.match(text) or _ID_LAST.search(text[-_END_BYTES:])
    return None if found is None else _id_in({"id": json.loads(found[1])})


def id_at_start(text: bytes) -> str | int | None:
    """Find the id of a request of which *text* is the beginning, where clients write it."""
    found = _ID_FIRST.match(text)
    return None if found is None else _id_in({"id": json.loads(found[1])})


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
    """Encode *message* as JSON; if that fails, an error that says so."""
    try:
        return encode(message)
    except (ValueError, TypeError):
        log.exception("message.unwritable")
        error: JsonObject = {
            "code": types.INTERNAL_ERROR,
            "message": "The answer could not be written as JSON.",
        }
        return encode({"jsonrpc": "2.0", "id": message.get("id"), "error": error})
