"""Values as they are kept: JSON, small ones in their row, larger ones compressed and once each.

zlib at its first level it is: zstd needs the same room at two to four times the speed, which is not
noticed away from the event loop, for one more dependency. Each value names its codec, so that this
can change.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any, NamedTuple

from ...core.history import CallKey
from ...core.scheduling.events import Failure
from ...core.tools.output import Output
from ...core.values.strict import Json, JsonObject, encode, encode_known
from ...errors import HistoryLost

INLINE_BYTES = 256
"""Values up to this size stand in their row: a digest and its index would take more than they
save."""
LARGE_BYTES = 128 * 1024
"""Larger outputs are packed before they reach the thread that writes, which never waits for
that."""
PLAIN, ZLIB = 0, 1
_WORTH_IT = 0.9
"""The share of its size below which a value is kept compressed."""


class Packed(NamedTuple):
    digest: bytes
    codec: int
    size: int
    data: bytes


def pack(text: bytes) -> Packed:
    small = zlib.compress(text, 1)
    codec, data = (ZLIB, small) if len(small) < _WORTH_IT * len(text) else (PLAIN, text)
    return Packed(hashlib.sha256(text).digest(), codec, len(text), data)


def unpack(text: str | None, codec: int | None, data: bytes | None) -> Json:
    """Read a value that stands in its row as *text*, or was packed; None if it is neither. Raises
    `HistoryLost` if it is damaged."""
    if text is None and data is None:
        return None
    try:
        plain = text if data is None else zlib.decompress(data) if codec == ZLIB else data
        value: Json = json.loads(plain or "null")  # `decode` of the core has a limit of values
    except (zlib.error, ValueError) as error:
        raise HistoryLost("A value that the history has of it is damaged.") from error
    return value


def checksum_of(*values: object) -> int:
    """Return the checksum of the values of an attempt, as they stand in its row: its arguments and
    their blob, its output and its blob, its error. Blobs have their digests."""
    return zlib.crc32(repr(values).encode())


def is_as_digested(digest: bytes | None, codec: int | None, data: bytes | None) -> bool:
    """Return whether what was packed has *digest*; True if nothing was."""
    if data is None:
        return digest is None
    try:
        text = zlib.decompress(data) if codec == ZLIB else data
    except zlib.error:
        return False
    return hashlib.sha256(text).digest() == digest


def text_of_output(output: Output) -> bytes:
    return encode_known(members_of_output(output))


def members_of_output(output: Output) -> JsonObject:
    """Return an output as JSON, without members that have their default."""
    members: JsonObject = {"value": output.value, "size_bytes": output.size_bytes}
    if output.overhead_bytes:
        members["overhead_bytes"] = output.overhead_bytes
    if output.is_wrapped:
        members["is_wrapped"] = True
    if output.attachments:
        members["attachments"] = list(output.attachments)
    if output.attachments_by_item:
        members["attachments_by_item"] = list(output.attachments_by_item)
    return members


def output_of(members: Json) -> Output | None:
    """Make the output of what was read."""
    if not isinstance(members, dict):
        return None
    fields: dict[str, Any] = dict(members)
    for name in ("attachments", "attachments_by_item"):
        if name in fields:
            fields[name] = tuple(fields[name])
    return Output(**fields)


def text_of_error(error: Failure | None) -> str | None:
    if error is None:
        return None
    return encode(error.document()).decode()


def error_of(text: str | None) -> Failure | None:
    return None if text is None else Failure(**json.loads(text))


def text_of_key(key: CallKey | None) -> str | None:
    return None if key is None else encode([key.task, key.item, list(key.at), key.round]).decode()


def key_of(text: str | None) -> CallKey | None:
    if text is None:
        return None
    task, item, at, round = json.loads(text)
    return CallKey(task, item, tuple(at), round)


def text_of_items(at: tuple[int, ...]) -> str:
    return ",".join(map(str, at))


def items_of(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()
