"""What can go wrong on the way to a server: told by the transports, translated once into errors of
ours.

A transport answers a request that met a fault in the server's stead, with a JSON-RPC error that
`made_error` makes. It is known again by its data and not by its code, because servers use every
code for errors of their own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import anyio
import httpx2
import mcp_types as types
from mcp import MCPError

from ...core.ports import RpcError
from ...errors import (
    CallError,
    ConnectionLost,
    InvalidOutput,
    OutputTooLarge,
    ProtocolError,
    ServerUnavailable,
)

MAX_MESSAGE_CHARS = 2_000
UNKNOWN_EFFECT = "Whether the call took effect is not known: look before you send it again."

LONGEST_WAIT_S = 3_600
"""A server that asks for more gets this."""

_MARK = "plait.fault"
_CODE = -32003
_CLOSED = "Connection closed"
_BROKEN_STREAM = "SSE stream"
_NOT_PARSED = "Failed to parse"
"""How the messages of the SDK's own errors are, or begin."""

TRY_LATER = frozenset({408, 425, 429, 503})
"""HTTP statuses by which a server says that it did not take the request, but may take it later."""
_EFFECT_UNKNOWN = frozenset({502, 504})
"""HTTP statuses by which a proxy says that the server behind it gave no answer."""


class Fault(StrEnum):
    UNSENT = "unsent"  # the server was not reached
    BROKEN = "broken"  # it was, and then the answer did not come whole
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    STATUS = "status"  # an HTTP status instead of an answer
    SESSION_LOST = "session_lost"  # the server does not know our session: it did not run the call


_NO_ANSWER: Mapping[str, str] = {
    Fault.UNSENT: "it cannot be reached",
    Fault.BROKEN: "it did not answer",
}


class Unsent(CallError):
    """Nothing of the call reached the server: it may be sent again."""


class SessionLost(Unsent):
    """The server no longer knows our session, so it did not run the call."""


def made_error(
    fault: Fault, message: str, *, status: int | None = None, retry_after: str | None = None
) -> types.ErrorData:
    """The error that answers a request in the server's stead."""
    told = {"fault": fault.value, "status": status, "retryAfter": retry_after}
    return types.ErrorData(code=_CODE, message=message[:500], data={_MARK: told})


def translated(server: str, error: types.ErrorData, last_words: str) -> CallError:
    """*error*, which answered a call of *server*, as an error of ours. *last_words* tell of the
    connection's end."""
    if told := _told(error):
        return _of_transport(f"{server}: {error.message}", told)
    said = f"{server}: {error.message[:MAX_MESSAGE_CHARS]}"
    if error.code == types.CONNECTION_CLOSED and error.message == _CLOSED:
        return lost(server, last_words)
    if error.code == types.CONNECTION_CLOSED and error.message.startswith(_BROKEN_STREAM):
        return (
            OutputTooLarge(said)
            if "exceeded" in error.message
            else ConnectionLost(said, hint=UNKNOWN_EFFECT)
        )
    if error.code == types.PARSE_ERROR and error.message.startswith(_NOT_PARSED):
        return InvalidOutput(f"{server}: the server's answer cannot be read: {error.message[:500]}")
    return ProtocolError(
        said, rpc_code=error.code, rpc_error=RpcError(error.code, error.message, error.data)
    )


def asked_pause_s(error: BaseException) -> float:
    """The seconds for which a server asked to be left alone in answering with *error*; 0 if it did
    not."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    seconds = translated("", error.error, "").retry_after_s if isinstance(error, MCPError) else None
    return seconds or 0.0


def explained(error: BaseException, last_words: str, startup_timeout_s: float) -> str:
    """Why a connection could not be made, or ended with *error*, for people."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case Unsent():  # what it says was known when it was sent, and more is by now
            return last_words
        case CallError():
            return error.message + (f" ({error.hint})" if error.hint else "")
        case TimeoutError():
            return f"it did not answer within {startup_timeout_s:g} s"
        case MCPError() if (fault := _fault(error.error)) in _NO_ANSWER:
            return f"{_NO_ANSWER[fault]}: {error.message[:300]}"
        case MCPError() if error.code != types.CONNECTION_CLOSED:
            return f"it answered with an error: {error.message[:300]}"
        case MCPError() | anyio.BrokenResourceError() | anyio.ClosedResourceError():
            return last_words
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return f"{_NO_ANSWER[Fault.UNSENT]}: {error}"[:300]
    return f"{type(error).__name__}: {error}"[:300]


def retry_after_s(text: str) -> float | None:
    """The seconds that an HTTP `Retry-After` asks to wait (RFC 9110, 10.2.3: a number, or a date),
    at most an hour."""
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return float(min(int(text[:9]), LONGEST_WAIT_S))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(0.0, (until - datetime.now(UTC)).total_seconds()), float(LONGEST_WAIT_S))


def cannot_start(
    command: str, cwd: str | os.PathLike[str] | None, error: OSError
) -> ServerUnavailable:
    """Why *command* was not started in the folder *cwd*, as the platform told by *error*."""
    if cwd is not None and not os.path.isdir(cwd):
        said = f"cannot start {command}: the folder {str(cwd)[:300]} is not there"
        return ServerUnavailable(said, hint="Check `cwd` in the server's settings.")
    said = f"cannot start {command}: {error.strerror or error}"
    return ServerUnavailable(said, hint="Is the command installed and on PATH?")


def lost(server: str, last_words: str) -> ConnectionLost:
    return ConnectionLost(f"{server} went away during the call: {last_words}", hint=UNKNOWN_EFFECT)


def _told(error: types.ErrorData) -> Mapping[str, Any]:
    """What `made_error` put into *error*; nothing for an error of the server's."""
    told = error.data.get(_MARK) if isinstance(error.data, dict) else None
    return told if isinstance(told, dict) else {}


def _fault(error: types.ErrorData) -> str:
    return str(_told(error).get("fault"))


def _of_transport(said: str, told: Mapping[str, Any]) -> CallError:
    match told.get("fault"):
        case Fault.SESSION_LOST:
            return SessionLost(said)
        case Fault.UNREADABLE:
            return InvalidOutput(said)
        case Fault.TOO_LARGE:
            return OutputTooLarge(said)
        case Fault.UNSENT:
            return ServerUnavailable(said, hint="Try again later.")
        case Fault.STATUS:
            return _of_status(said, told)
    return ConnectionLost(said, hint=UNKNOWN_EFFECT)


def _of_status(said: str, told: Mapping[str, Any]) -> CallError:
    status, after = told.get("status"), told.get("retryAfter")
    if status in TRY_LATER:
        seconds = retry_after_s(after) if isinstance(after, str) else None
        hint = "Try again later." + (
            f" It asks to wait {seconds:g} s." if seconds is not None else ""
        )
        return ServerUnavailable(said, hint=hint, retry_after_s=seconds)
    if status in _EFFECT_UNKNOWN:
        return ConnectionLost(said, hint=UNKNOWN_EFFECT)
    if status in {401, 403}:
        return ProtocolError(said, hint="Check the credentials in the server's settings.")
    return ProtocolError(said)
