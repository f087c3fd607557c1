"""The facts about a client's messages that its door needs if this gateway dies: which may be sent
to the next one, and which make the state of the session. Method and parameters decide it alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ...core.values.strict import Json, JsonObject, encode
from .raw_session import Params

IsReadOnly: TypeAlias = Callable[[str], bool]
"""Whether the tool that clients know by this name changes nothing."""

INITIALIZED = "notifications/initialized"


def effects_of(method: str, params: Params, is_read_only: IsReadOnly) -> str | None:
    """Return the tool whose call may change something, None for a request that changes nothing:
    that may be sent again."""
    if method != "tools/call" or params is None:
        return None
    name, arguments = params.get("name"), params.get("arguments")
    if not isinstance(name, str):
        return None  # it is refused
    is_dry = name == "execute_dag" and isinstance(arguments, dict) and arguments.get("dry_run")
    return None if is_dry is True or is_read_only(name) else name


def kept_by(method: str, params: Params, result: JsonObject) -> tuple[bytes, bytes] | None:
    """Return the key under which a message that had this *result* belongs to the state of its
    session, and a note for the next gateway. A later one takes the place of an earlier one."""
    match method:
        case "initialize":
            return b"initialize", str(result.get("protocolVersion", "")).encode()
        case "notifications/initialized":
            return b"initialized", b""
        case "logging/setLevel":
            return b"level", b""
        case "resources/subscribe":
            return _subscription((params or {}).get("uri")), b""
    return None


def dropped_by(method: str, params: Params) -> bytes | None:
    """Return the key whose message this one ends."""
    if method == "resources/unsubscribe":
        return _subscription((params or {}).get("uri"))
    return None


def _subscription(uri: Json) -> bytes:
    return b"subscription " + encode(uri)  # as JSON it holds no NUL
