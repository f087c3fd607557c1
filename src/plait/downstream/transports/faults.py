"""Faults on the way to a server: reported by the transports, translated once into errors of ours.

A transport answers a request that met a fault in the server's place, with a JSON-RPC error from
`made_error`. `translated` recognises it by its data, not by its code, because servers use every
code for errors of their own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import anyio
import httpx2
import mcp_types as types
from mcp import MCPError

from ...core.values.printable import printable
from ...core.values.strict import Json, TooManyValues, dumps
from ...errors import (
    CallError,
    ConnectionLost,
    InvalidOutput,
    OutputTooLarge,
    ProtocolError,
    RpcError,
    ServerUnavailable,
)

MAX_MESSAGE_CHARS = 2_000
MOST_PAGES = 3
"""Most web pages that the hint of an error names."""
UNKNOWN_EFFECT = "The call may have taken effect: check before you send it again."
SAFE_TO_REPEAT = "It can safely be sent again."
"""In its place, for tools that change nothing or that may be called twice."""

LONGEST_WAIT_S = 3_600
"""Longest pause that a server can ask for."""

_PAGE = re.compile(r"https?://\S+")
_MARK = "plait.fault"
_CODE = -32003
_CLOSED = "Connection closed"
_BROKEN_STREAM = "SSE stream"
_REDIRECT = "Redirect to "
"""Messages of the SDK's own errors, or their beginnings."""

REDIRECTED = (
    "it redirects to another address, which is not followed: in the settings, url is to be the "
    "address that it leads to"
)
"""In place of the address: a server must not advise where to send the credentials."""

TRY_LATER = frozenset({408, 425, 429, 503})
"""HTTP statuses of a server that did not take the request, but may take it later."""
_EFFECT_UNKNOWN = frozenset({502, 504})
"""HTTP statuses of a proxy whose server gave no answer."""


class Fault(StrEnum):
    UNSENT = "unsent"  # the server was not reached
    BROKEN = "broken"  # it was reached, but the answer is missing or incomplete
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    STATUS = "status"  # an HTTP status instead of an answer
    SESSION_LOST = "session_lost"  # the server forgot our session and did not run the call
    SESSION_BROKEN = "session_broken"  # it forgot our session, perhaps while it ran the call


DID_NOT_ANSWER = "it did not answer"
_NO_ANSWER: Mapping[str, str] = {
    Fault.UNSENT: "it cannot be reached",
    Fault.BROKEN: DID_NOT_ANSWER,
}


class Unsent(CallError):
    """Nothing of the call reached the server: it may be sent again."""


class SessionLost(Unsent):
    """The server no longer knows our session, so it did not run the call."""


def made_error(
    fault: Fault, message: str, *, status: int | None = None, retry_after: str | None = None
) -> types.ErrorData:
    """Make the error that answers a request in the server's place."""
    details = {"fault": fault.value, "status": status, "retryAfter": retry_after}
    return types.ErrorData(code=_CODE, message=message[:500], data={_MARK: details})


def unreadable(reason: str, error: ValueError) -> types.ErrorData:
    """Make the error for an answer that cannot be read, by *reason*; *error* was raised for it."""
    fault = Fault.TOO_LARGE if isinstance(error, TooManyValues) else Fault.UNREADABLE
    return made_error(fault, f"the server's answer cannot be read: {reason}")


def translated(server: str, error: types.ErrorData, exit_reason: str) -> CallError:
    """Translate *error*, which answered a call of *server*, into an error of ours. *exit_reason*
    says how the connection ended, if it has."""
    if details := _fault_details(error):
        return _of_transport(f"{server}: {error.message}", details)
    message = f"{server}: {error.message[:MAX_MESSAGE_CHARS]}"
    if error.code == types.CONNECTION_CLOSED and error.message == _CLOSED:
        return lost(server, exit_reason)
    if error.code == types.CONNECTION_CLOSED and error.message.startswith(_BROKEN_STREAM):
        return (
            OutputTooLarge(message)
            if "exceeded" in error.message
            else ConnectionLost(message, hint=UNKNOWN_EFFECT)
        )
    if error.code == types.INVALID_REQUEST and error.message.startswith(_REDIRECT):
        return ProtocolError(f"{server}: {REDIRECTED}")
    pages = _pages_to_open(error)
    return ProtocolError(
        message,
        hint=f"Ask the user to open {' and '.join(pages)}, then send the task again."
        if pages
        else None,
        rpc_code=error.code,
        rpc_error=RpcError(error.code, error.message, error.data),
    )


def _pages_to_open(error: types.ErrorData) -> list[str]:
    """The addresses of web pages that the user has to open before a call can be carried out."""
    if error.code != types.URL_ELICITATION_REQUIRED or not isinstance(error.data, dict):
        return []
    pages: list[str] = []
    asked = error.data.get("elicitations")
    for one in asked[:MOST_PAGES] if isinstance(asked, list) else ():
        match one:
            case {"url": str(url)} if len(url) <= MAX_MESSAGE_CHARS and _PAGE.fullmatch(url):
                pages.append(printable(url))
    return pages


def status_of(error: types.ErrorData) -> int | None:
    """The HTTP status that came instead of an answer; None for any other error."""
    details = _fault_details(error)
    status = details.get("status") if details.get("fault") == Fault.STATUS else None
    return status if isinstance(status, int) else None


def is_session_lost(error: types.ErrorData) -> bool:
    """Whether *error* is that of a transport whose server has forgotten the session."""
    return _fault_details(error).get("fault") in {Fault.SESSION_LOST, Fault.SESSION_BROKEN}


def asked_pause_s(error: BaseException) -> float:
    """The pause in seconds that a server asked for with *error*; 0 if it did not."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    seconds = translated("", error.error, "").retry_after_s if isinstance(error, MCPError) else None
    return seconds or 0.0


def explained(
    error: BaseException,
    exit_reason: str,
    startup_timeout_s: float,
    delay_reason: str = DID_NOT_ANSWER,
) -> str:
    """Explain to people why a connection failed, or ended with *error*; *delay_reason* says what
    the server has not done, if it took too long."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case Unsent():  # the exit reason is newer than its message
            return exit_reason
        case CallError():
            return error.message + (f" ({error.hint})" if error.hint else "")
        case TimeoutError():
            return f"{delay_reason} within {startup_timeout_s:g} s"
        case MCPError() if (fault := str(_fault_details(error.error).get("fault"))) in _NO_ANSWER:
            return f"{_NO_ANSWER[fault]}: {error.message[:300]}"
        case MCPError() if error.code != types.CONNECTION_CLOSED or not error.message.startswith(
            (_CLOSED, _BROKEN_STREAM)
        ):  # servers take that code for errors of their own
            if error.code == types.INVALID_REQUEST and error.message.startswith(_REDIRECT):
                return REDIRECTED
            return f"it answered with an error: {error.message[:300]}"
        case MCPError() | anyio.BrokenResourceError() | anyio.ClosedResourceError():
            return exit_reason
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return f"{_NO_ANSWER[Fault.UNSENT]}: {described(error)}"
        case httpx2.HTTPError():
            return f"{_NO_ANSWER[Fault.BROKEN]}: {described(error)}"
    return f"{type(error).__name__}: {error}"[:300]


def described(error: httpx2.HTTPError) -> str:
    """Say in plain words what went wrong on the way to a server."""
    match error:
        case httpx2.ConnectError():
            return _system_reason(error) or "no connection could be made"
        case httpx2.ConnectTimeout():
            return "no connection could be made in time"
        case httpx2.TimeoutException():
            return "the time for it was over"
        case httpx2.ReadError() | httpx2.WriteError() | httpx2.CloseError():
            return _system_reason(error) or "the connection broke"
        case httpx2.ProxyError():
            return f"the proxy refused: {error}"[:300]
        case httpx2.RemoteProtocolError():
            return f"it does not keep to HTTP: {error}"[:300]
    return f"{type(error).__name__}: {error}"[:300]


def _system_reason(error: BaseException) -> str:
    """The reason that the operating system gave for *error*; empty if it gave none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            code = cause.errno or 0  # for the name of a host it is not one of the system's
            return os.strerror(code) if code > 0 else cause.strerror
        inner = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else None
        cause = inner or cause.__cause__ or cause.__context__
    return ""


def retry_after_s(text: str) -> float | None:
    """The seconds to wait that an HTTP `Retry-After` asks for (RFC 9110, 10.2.3: a number or a
    date), at most an hour; None if it is malformed."""
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
    """Explain why *command* could not be started in the folder *cwd*."""
    if cwd is not None and not os.path.isdir(cwd):
        message = f"cannot start {command}: the folder {str(cwd)[:300]} does not exist"
        return ServerUnavailable(message, hint="Check `cwd` in the server's settings.")
    message = f"cannot start {command}: {error.strerror or error}"
    program, *words = command.split()
    if words and isinstance(error, FileNotFoundError):
        hint = f"Is it a command with its arguments? Write command = {dumps(program)}, args = "
        return ServerUnavailable(message, hint=f"{hint}{dumps(list[Json](words))}.")
    if isinstance(error, PermissionError):
        return ServerUnavailable(message, hint="Is it a program that you may run?")
    return ServerUnavailable(message, hint="Is the command installed and on PATH?")


def lost(server: str, exit_reason: str) -> ConnectionLost:
    """The error of a call whose server ended during it, by *exit_reason*."""
    return ConnectionLost(f"{server} went away during the call: {exit_reason}", hint=UNKNOWN_EFFECT)


def _fault_details(error: types.ErrorData) -> Mapping[str, Any]:
    """The data that `made_error` put into *error*; empty for an error of the server."""
    details = error.data.get(_MARK) if isinstance(error.data, dict) else None
    return details if isinstance(details, dict) else {}


def _of_transport(message: str, details: Mapping[str, Any]) -> CallError:
    """The error for a fault that a transport reported with `made_error`."""
    match details.get("fault"):
        case Fault.SESSION_LOST:
            return SessionLost(message)
        case Fault.UNREADABLE:
            return InvalidOutput(message)
        case Fault.TOO_LARGE:
            return OutputTooLarge(message)
        case Fault.UNSENT:
            return ServerUnavailable(message, hint="Try again later.")
        case Fault.STATUS:
            status, after = details.get("status"), details.get("retryAfter")
            if status in TRY_LATER:
                seconds = retry_after_s(after) if isinstance(after, str) else None
                hint = "Try again later."
                if seconds is not None:
                    hint += f" It asks to wait {seconds:g} s."
                return ServerUnavailable(message, hint=hint, retry_after_s=seconds)
            if status in {401, 403}:
                return ProtocolError(
                    message, hint="Check the credentials in the server's settings."
                )
            if status not in _EFFECT_UNKNOWN:
                return ProtocolError(message)
    return ConnectionLost(message, hint=UNKNOWN_EFFECT)
