"""read_file and write_file: plain functions that block, run by the server in its threads."""

from __future__ import annotations

import codecs
import os
import secrets
import stat
from typing import Annotated, BinaryIO, Literal

from pydantic import Field

from .errors import WorkspaceError
from .paths import (
    Place,
    Root,
    WorkspacePath,
    explained,
    opened_file,
    opened_parent,
    require_regular,
)
from .schema import Arguments, Output

LONGEST_SCAN_BYTES = 64 * 2**20
"""Most bytes of a file in which lines are counted."""
SNIFFED_BYTES = 8192
MAX_TEXT_BYTES = 8 * 2**20


class ReadFile(Arguments):
    """Read a UTF-8 text file of the workspace, whole or by a range of lines.

    Long files are cut at a line's end where possible: then `truncated` is true and `next_line` is
    the `start_line` to go on with. Binary files, devices and files outside of the workspace are
    refused.
    """

    path: WorkspacePath
    start_line: Annotated[int, Field(ge=1, description="First line to return, counted from 1.")] = 1
    end_line: Annotated[
        int | None, Field(ge=1, description="Last line to return; without it, to the end.")
    ] = None
    max_bytes: Annotated[
        int, Field(ge=1, le=2**20, description="Most bytes of text to return.")
    ] = 256 * 1024


class FileText(Output):
    path: Annotated[str, Field(description="The file, from the workspace root.")]
    text: Annotated[str, Field(description="The text, line ends as they are in the file.")]
    start_line: Annotated[int, Field(description="Number of the first line in text.")]
    lines: Annotated[int, Field(description="Number of lines in text.")]
    size_bytes: Annotated[int, Field(description="Size of the whole file.")]
    truncated: Annotated[
        bool, Field(description="Whether max_bytes cut off a part of what was asked for.")
    ]
    next_line: Annotated[int | None, Field(description="The line to go on with, if truncated.")] = (
        None
    )


class WriteFile(Arguments):
    """Write a UTF-8 text file in the workspace.

    The file is replaced as a whole or not at all, and keeps its permissions. Nothing is written
    outside of the workspace, through a symlink that leaves it, or where other programs would run it
    by themselves: git's own files, .envrc, .mcp.json, .vscode, virtual environments.
    """

    path: WorkspacePath
    text: Annotated[
        str, Field(description="The text to write, exactly as it should be in the file.")
    ]
    mode: Annotated[
        Literal["overwrite", "append", "create"],
        Field(
            description="overwrite replaces the file or makes it; append adds to its end; create "
            "refuses to replace"
        ),
    ] = "overwrite"
    create_parents: Annotated[bool, Field(description="Make missing folders.")] = False


MISSING_PARENT = "its folder does not exist. Set create_parents to make it."


class Written(Output):
    path: Annotated[str, Field(description="The file, from the workspace root.")]
    size_bytes: Annotated[int, Field(description="Size of the whole file now.")]
    created: Annotated[bool, Field(description="Whether the file is new.")]


def read_file(root: Root, call: ReadFile) -> FileText:
    """Read a file, or a range of its lines.

    Raises:
        WorkspaceError: it is outside of the root, missing, not a file, not UTF-8, or shorter than
        `start_line`.
    """
    place = root.locate(call.path)
    if call.end_line is not None and call.end_line < call.start_line:
        raise WorkspaceError(f"end_line {call.end_line} is before start_line {call.start_line}.")
    with explained(place.name), opened_file(place) as (descriptor, status):
        if b"\0" in os.pread(descriptor, SNIFFED_BYTES, 0):
            raise WorkspaceError(f"{place.name} is a binary file; only UTF-8 text can be read.")
        with open(descriptor, "rb", closefd=False) as stream:
            _skip_lines(stream, call.start_line - 1, place)
            data, truncated = _lines(stream, call)
    whole_lines = data.count(b"\n")
    return FileText(
        path=place.name,
        text=_decoded(data, place, is_cut=truncated),
        start_line=call.start_line,
        lines=whole_lines + (bool(data) and not data.endswith(b"\n")),
        size_bytes=status.st_size,
        truncated=truncated,
        next_line=call.start_line + whole_lines if truncated and whole_lines else None,
    )


def _skip_lines(stream: BinaryIO, count: int, place: Place) -> None:
    skipped = scanned = 0
    while skipped < count:
        piece = stream.readline(SNIFFED_BYTES)
        scanned += len(piece)
        if not piece:
            raise WorkspaceError(
                f"{place.name} has no line {count + 1}: it ends after {skipped} whole lines."
            )
        if scanned > LONGEST_SCAN_BYTES:
            raise WorkspaceError(
                f"{place.name}: line {count + 1} is more than {LONGEST_SCAN_BYTES} bytes in. Use "
                "grep."
            )
        skipped += piece.endswith(b"\n")


def _lines(stream: BinaryIO, call: ReadFile) -> tuple[bytes, bool]:
    """Return the lines asked for, and whether `max_bytes` cut them. Lines are whole if the first
    fits."""
    data = bytearray()
    line = call.start_line
    while call.end_line is None or line <= call.end_line:
        piece = stream.readline(call.max_bytes - len(data) + 1)
        if not piece:
            break
        if len(data) + len(piece) > call.max_bytes:
            return bytes(data) or piece[: call.max_bytes], True
        data += piece
        line += 1
    return bytes(data), False


def _decoded(data: bytes, place: Place, *, is_cut: bool) -> str:
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, final=not is_cut)
    except UnicodeDecodeError as error:
        raise WorkspaceError(
            f"{place.name} is not UTF-8 text: byte 0x{data[error.start]:02x} at offset "
            f"{error.start} of what was read."
        ) from error


def write_file(root: Root, call: WriteFile) -> Written:
    """Replace, make or extend a file.

    Raises:
        WorkspaceError: the place may not be written, a folder is missing, or the file exists and
        must not.
    """
    data = _encoded(call.text)
    place = root.locate_writable(call.path)
    missing = "" if call.create_parents else MISSING_PARENT
    with (
        explained(place.name, missing=missing),
        opened_parent(place, create=call.create_parents) as (folder, name),
    ):
        before = _status(folder, name)
        if before is not None:
            require_regular(before, place.name)
        if call.mode == "append":
            size_bytes = _append(folder, name, data)
        else:
            size_bytes = _replace(folder, name, data, before, may_exist=call.mode == "overwrite")
    return Written(path=place.name, size_bytes=size_bytes, created=before is None)


def _encoded(text: str) -> bytes:
    data = text.encode()
    if len(data) > MAX_TEXT_BYTES:
        raise WorkspaceError(
            f"the text has {len(data)} bytes, more than {MAX_TEXT_BYTES}. Append it in parts."
        )
    return data


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _append(folder: int, name: str, data: bytes) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(name, flags, 0o666, dir_fd=folder), "ab") as stream:
        status = os.fstat(stream.fileno())
        require_regular(status, name)
        if status.st_nlink > 1:
            raise WorkspaceError(
                f"{name} has another name (a hard link), maybe outside of the workspace, and would "
                'change there too. Use mode "overwrite", which replaces it here alone.'
            )
        stream.write(data)
        stream.flush()
        return os.fstat(stream.fileno()).st_size


def _replace(
    folder: int, name: str, data: bytes, before: os.stat_result | None, *, may_exist: bool
) -> int:
    """Write a file next to the old one and put it in its place in one step."""
    draft = f".plait-{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o666, dir_fd=folder)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            if before is not None:
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode) & 0o777)
            os.fsync(descriptor)
        if may_exist:
            os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.unlink(draft, dir_fd=folder)
    except BaseException:
        os.unlink(draft, dir_fd=folder)
        raise
    return len(data)
