"""Binary content in the results of tools: named and counted on a terminal, saved in files."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.values.strict import Json, JsonObject
from .exits import Misused

OPTION = "-o"
SEE = "The call was made, and plait history shows its result."


class Unsaved(Exception):
    """The result of a call that was made cannot be saved: exit code 1. The message says why, and
    where the result is."""


def check_place(path: Path, so: str = "so nothing was called") -> None:
    """Check that a file can be written at *path*, before a call is made for it. Raises `Misused`
    if not."""
    folder = path.parent
    if path.is_dir():
        why = "it is a folder"
    elif not folder.is_dir():
        why = f"there is no folder {folder}"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        why = "it may not be written"
    else:
        return
    raise Misused(f"{path}: {why}, {so}.", hint=OPTION)


class Binary(NamedTuple):
    """Binary content of one block: its MIME type, and its bytes as base64."""

    mime: str
    data: str

    def __str__(self) -> str:
        return f"{self.mime}, {len(self.data) * 3 // 4 - self.data[-2:].count('='):,} bytes"


def binaries(value: Json) -> Iterator[Binary]:
    """Find the binary contents of the content blocks that *value* is or lists."""
    for block in value if isinstance(value, list) else [value]:
        if (found := _binary(block)) is not None:
            yield found


def without_binary(value: Json) -> Json:
    """Replace binary content in *value* by its type and size."""
    if isinstance(value, list):
        return [without_binary(block) for block in value] if any(binaries(value)) else value
    if not isinstance(value, dict) or (found := _binary(value)) is None:
        return value
    said = f"({found}: not shown)"
    resource = value.get("resource")
    if isinstance(resource, dict):
        return {**value, "resource": {**resource, "blob": said}}
    return {**value, "data": said}


def files_of(
    value: Json, attachments: Sequence[JsonObject], text: str, path: Path
) -> list[tuple[Path, bytes]]:
    """Return the files that hold an output: its binary contents in *path*, the second one in
    `NAME-2`; without any, its *text*. Raises `Unsaved`."""
    found = [*binaries(value)] or [*binaries([*attachments])]
    paths = [path, *(path.with_stem(f"{path.stem}-{at}") for at in range(2, len(found) + 1))]
    try:
        contents = [base64.b64decode(each.data) for each in found] or [text.encode()]
    except binascii.Error as error:
        raise Unsaved(f"{path}: the base64 of the result is broken: {error}. {SEE}") from None
    return list(zip(paths, contents, strict=True))


def write_files(files: Iterable[tuple[Path, bytes]], see: str = SEE) -> None:
    """Write *files*, each a path and its content. Raises `Unsaved`, which *see* ends: where the
    result is."""
    for path, content in files:
        try:
            path.write_bytes(content)
        except OSError as error:
            raise Unsaved(f"{path} cannot be written: {error.strerror}. {see}".rstrip()) from None


def _binary(block: Json) -> Binary | None:
    if not isinstance(block, dict):
        return None
    match block:
        case {"type": "image" | "audio" as kind, "data": str(data)} if data:
            return Binary(str(block.get("mimeType", kind)), data)
        case {"type": "resource", "resource": {"blob": str(data)} as resource} if data:
            mime = resource.get("mimeType") if isinstance(resource, dict) else None
            return Binary(str(mime or "binary data"), data)
    return None
