"""The text of `secrets.env`: read, and with variables appended."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

from .changes import Impossible
from .entries import Unreadable
from .positions import line_end_of

HEADER = b"# Values of variables in servers.toml. Nobody else may read this file.\n"


def secrets_in(data: bytes) -> dict[str, str]:
    """Return the variables in *data*. Raises `Unreadable`."""
    from dotenv.parser import parse_stream

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            raise Unreadable(f"line {binding.original.line} is not NAME=value")
        if binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values


def with_secrets(data: bytes, made: Mapping[str, str]) -> bytes:
    """Return *data* with the variables *made* appended. Raises `Impossible` if they would not be
    read as they are."""
    end = line_end_of(data)
    lines = [f"{name}={_quoted(value)}".encode() + end for name, value in made.items()]
    start = data or HEADER
    text = start + (b"" if start.endswith(b"\n") else end) + b"".join(lines)
    if secrets_in(text) != {**secrets_in(data), **made}:
        raise Impossible("the values cannot be written to secrets.env as they are")
    return text


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
