"""Responses of HTTP servers, as far as they are not the answers that were asked for: why a body
cannot be used, what a status means, and how servers say that they have forgotten a session."""

from __future__ import annotations

import re

import httpx2
import mcp_types as types

from ...core.values.printable import printable
from ...core.values.strict import Json, NotStrict, decode
from .events import Unreadable, read_message
from .faults import Fault, made_error

MAX_DETAIL = 300
"""Most characters of a server's own words in an error."""
SESSION_HEADER = "mcp-session-id"
SENDABLE = re.compile(rb"[\t\x20-\x7e]*")
"""Session ids and ids of events that a header can hold, in which they are sent back."""
_PLAIN = frozenset({"", "identity"})
_COMPRESSIONS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress"})
_LOST_STATUSES = frozenset({404, 410})
_PERHAPS_LOST = frozenset({400, 422})
"""Statuses of a request that was not carried out; its body says whether that is for the session."""
_LOST_CODES = frozenset({types.INVALID_REQUEST, -32000, -32001, -32002})
"""Codes of errors about a request as such. A tool's own error about a session of its own has
others."""
_LOST_WORDS = re.compile(
    r"\bsession\b.{0,80}\b(not found|terminated|expired|invalid|unknown|closed|ended|gone|lost"
    r"|does(n't| not) exist|no longer|not (exist|valid|active|initiali[sz]ed))\b"
    r"|\b(no|invalid|unknown|expired|missing|without a)( valid| active| such)? (mcp[- ])?session\b",
    re.IGNORECASE | re.DOTALL,
)
_MEMBERS = ("message", "error_description", "detail", "error", "title")
"""Members of a JSON body that hold the reason of a status, the best first."""


def kind_of(response: httpx2.Response) -> str:
    """The media type of *response* without its parameters; empty without one."""
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()


def compression_of(response: httpx2.Response) -> str | None:
    """A complaint if *response* is compressed, which was not asked for; else None."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in _PLAIN:
        return None
    name = f" ({encoding})" if encoding in _COMPRESSIONS else ""  # others may be any text
    return f"the answer is compressed{name}, which was not asked for"


def bad_session_id(response: httpx2.Response) -> str | None:
    """A complaint if *response* names a session by an id that no later request can hold; else
    None. Clients fail in sending it, and close the connection."""
    for name, value in response.headers.raw:
        if name.lower() == SESSION_HEADER.encode() and not SENDABLE.fullmatch(value):
            return "the server named its session by an id with other characters than ASCII's"
    return None


def read_answer(
    response: httpx2.Response, body: bytes
) -> types.JSONRPCResponse | types.JSONRPCError | types.ErrorData:
    """Read the answer in *body*; the error for its request if it holds none."""
    match read_message(body) if body.strip() else None:
        case types.JSONRPCResponse() | types.JSONRPCError() as answer:
            return answer
        case Unreadable(error=error) if kind_of(response) in {"", "application/json"}:
            return error
        case None:
            reason = f"it is empty (HTTP {response.status_code})"
        case Unreadable():
            kind = printable(kind_of(response))[:80]
            page = ", a page for people, such as a login" if kind == "text/html" else ""
            reason = f"it is {kind}{page}, not JSON (HTTP {response.status_code})"
        case _:
            reason = "it is a message, but no JSON-RPC answer"
    return made_error(Fault.UNREADABLE, f"the server's answer cannot be read: {reason}")


def other_answer(id: types.RequestId | None, other: types.RequestId) -> types.ErrorData | None:
    """The error for the request *id* whose own response holds the result of a request *other*; None
    if that is the same one, also as text, or *id* is unknown. It may be the answer to somebody
    else, such as one that a proxy has kept."""
    if id is None or str(other) == str(id):
        return None
    named = printable(str(other))[:80]
    reason = f"it is the answer to another request, with the id {named} instead of {id}"
    return made_error(Fault.UNREADABLE, f"the server's answer cannot be read: {reason}")


def status_error(
    response: httpx2.Response, fault: Fault = Fault.STATUS, body: bytes = b""
) -> types.ErrorData:
    """The error for a status that came instead of an answer, with the reason in *body*."""
    retry_after = response.headers.get("retry-after")
    status, detail = response.status_code, _reason_in(response, body)
    said = f"HTTP {status}: authorization required" if status == 401 else f"HTTP {status}"
    return made_error(
        fault,
        f"{said}: {detail}" if detail else said,
        status=status,
        retry_after=retry_after[:100] if retry_after is not None else None,
    )


def session_fault(response: httpx2.Response, body: bytes) -> Fault | None:
    """How a server says by *response* to a request of a session that it has forgotten the session;
    None if it does not. The protocol asks for 404, and servers answer in many other ways. After a
    status of 500 or above the request may have been carried out all the same."""
    status = response.status_code
    if status in _LOST_STATUSES:
        return Fault.SESSION_LOST
    if status in _PERHAPS_LOST and b"session" in body[:1000].lower():
        return Fault.SESSION_LOST
    if status in {401, 403}:  # about credentials, whatever it says
        return None
    match read_message(body) if b"session" in body[:4000].lower() else None:
        case types.JSONRPCError(error=error) if says_session_lost(error):
            return Fault.SESSION_LOST
    if status >= 500 and _LOST_WORDS.search(body[:1000].decode("utf-8", "replace")):
        return Fault.SESSION_BROKEN
    return None


def says_session_lost(error: types.ErrorData) -> bool:
    """Whether *error* of a server, which answers a request of a session, says that the server has
    forgotten the session. Such a request was not carried out."""
    return error.code in _LOST_CODES and _LOST_WORDS.search(error.message[:500]) is not None


def _reason_in(response: httpx2.Response, body: bytes) -> str:
    """The server's words about the status of *response*, on one line; empty if *body* has none."""
    text = body[: 4 * MAX_DETAIL].decode("utf-8", "replace")
    if kind_of(response) != "text/plain":
        try:
            text = _reason_of(decode(body))
        except NotStrict:
            if text.lstrip()[:1] in {"<", "{", "["} or "\0" in text:
                text = ""
    return printable(" ".join(text.split())[:MAX_DETAIL])


def _reason_of(value: Json) -> str:
    """The reason in a JSON body; empty without one."""
    match value:
        case {"error": dict(error)} | {"errors": [dict(error) | str(error), *_]}:
            value = error
    if isinstance(value, str):
        return value
    texts = (value.get(name) for name in _MEMBERS) if isinstance(value, dict) else ()
    return next((text for text in texts if isinstance(text, str)), "")
