"""find_files and grep: ripgrep in a bounded process, or `scan` where it is not installed.

Both engines print the same: `--files` gives names that end in NUL, a search gives ripgrep's JSON
lines. Neither follows symlinks, reads a configuration file, or takes an argument of the model for
an option. They get no path to follow, which could be replaced by a link before they do: a search
starts in the folder that was opened on the way from the root, and a file is their input.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
from pydantic import Field

from .errors import WorkspaceError
from .folders import HEAVY_FOLDERS
from .paths import Kind, Place, Root, WorkspacePath, explained, kind_of, opened_entry, shown
from .processes import Command, Outcome, program, run
from .scan import Keep, filtered
from .schema import Arguments, Output

TIMEOUT_S = 20.0
MEMORY_BYTES = 2 * 2**30
MAX_FILE_BYTES = 8 * 2**20
MAX_LINE_CHARACTERS = 500
MAX_LISTED_BYTES = 8 * 2**20
MAX_JSON_LINE_BYTES = 32 * 2**20

Glob = Annotated[
    str,
    Field(
        max_length=1000,
        description='Glob: "*.py" matches at any depth, "src/**/*.py" from the workspace root; '
        "also {a,b}, [x-z], ?.",
    ),
]
Ignored = Annotated[
    bool,
    Field(description="Also search what .gitignore excludes, and heavy folders like node_modules."),
]


class FindFiles(Arguments):
    """Find files of the workspace by a glob pattern, sorted by path.

    What .gitignore excludes is left out, and so are .git, node_modules, .venv and caches; hidden
    files are not. Symlinks are not followed.
    """

    pattern: Glob
    path: WorkspacePath = "."
    include_ignored: Ignored = False
    max_files: Annotated[int, Field(ge=1, le=10_000, description="Most paths to return.")] = 1000


class Found(Output):
    paths: Annotated[list[str], Field(description="The files, from the workspace root.")]
    truncated: Annotated[
        bool, Field(description="Whether there are more, or the search ran out of time.")
    ]


class Grep(Arguments):
    """Search the text files of the workspace for a regular expression, line by line, sorted by
    path.

    The syntax has no look-around and no back-references. Binary files, files over 8 MiB, and what
    .gitignore excludes are left out, and so are .git, node_modules, .venv and caches; symlinks are
    not followed.
    """

    pattern: Annotated[
        str, Field(min_length=1, max_length=10_000, description="The regular expression.")
    ]
    path: WorkspacePath = "."
    glob: Annotated[
        Glob | None, Field(description='Only files that match this glob, like "*.py".')
    ] = None
    ignore_case: Annotated[bool, Field(description="Match upper and lower case alike.")] = False
    context: Annotated[
        int, Field(ge=0, le=10, description="Lines to show before and after each match.")
    ] = 0
    include_ignored: Ignored = False
    max_matches: Annotated[
        int, Field(ge=1, le=2000, description="Most matching lines to return.")
    ] = 200


class Line(Output):
    path: Annotated[str, Field(description="The file, from the workspace root.")]
    line: Annotated[int, Field(description="Number of the line, counted from 1.")]
    text: Annotated[str, Field(description="The line, cut after 500 characters.")]
    is_match: Annotated[bool, Field(description="False for a line of context.")]


class Matches(Output):
    lines: list[Line]
    matches: Annotated[int, Field(description="Number of matching lines.")]
    truncated: Annotated[
        bool, Field(description="Whether there may be more: max_matches, or time ran out.")
    ]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a search starts: an open folder, or an open file."""

    place: Place
    descriptor: int
    kind: Kind
    size_bytes: int

    def command(self, glob: str | None, options: list[str]) -> Command:
        globs = [f"--glob={glob}"] if glob is not None and self._takes(glob) else []
        # A file is on the standard input, which engines call "-".
        operand, folder, stdin = (
            ("./", self.descriptor, None) if self.kind == "folder" else ("-", None, self.descriptor)
        )
        return Command(
            argv=(*engine(), "--no-config", "--hidden", "--sort=path", *globs, *options, operand),
            cwd=self.place.root,
            timeout_s=TIMEOUT_S,
            folder=folder,
            stdin=stdin,
            kept_bytes=MAX_LISTED_BYTES,
            memory_bytes=MEMORY_BYTES,
        )

    def filter(self, glob: str | None) -> Keep | None:
        """Return the test for a glob that an engine cannot apply: one that begins at the root of
        the workspace, when the search begins deeper."""
        return None if glob is None or self.kind == "file" or self._takes(glob) else filtered(glob)

    def name(self, path: str) -> str:
        """Return the path from the root of what an engine found."""
        if self.kind == "file":
            return self.place.name
        inner = shown(path.removeprefix("./"))
        return f"{self.place.name}/{inner}" if self.place.parts else inner

    def _takes(self, glob: str) -> bool:
        return not self.place.parts or "/" not in glob.rstrip("/")


@contextmanager
def started(place: Place) -> Iterator[Start]:
    """Open the place of a search, without following a symlink.

    Raises:
        WorkspaceError: it has disappeared, or was replaced by a symlink or by a special file.
    """
    with explained(place.name), opened_entry(place) as (descriptor, status):
        kind = kind_of(status.st_mode)
        _require_searchable(place, kind)
        yield Start(place, descriptor, kind, status.st_size)


async def find_files(place: Place, call: FindFiles) -> Found:
    """Find files by a glob. Raises WorkspaceError if it cannot be understood."""
    with started(place) as start:
        if start.kind == "file":
            return Found(paths=[place.name], truncated=False)
        options = ["--files", "--null", *_ignoring(call.include_ignored)]
        outcome = await run(start.command(call.pattern, options))
    _require_understood(outcome)
    keep = start.filter(call.pattern)
    found = (start.name(os.fsdecode(name)) for name in outcome.output.split(b"\0")[:-1])
    names = [name for name in found if keep is None or keep(name, False)]
    paths = names[: call.max_files]
    return Found(
        paths=paths, truncated=outcome.truncated or outcome.timed_out or len(names) > len(paths)
    )


async def listed(place: Place) -> list[str]:
    """List the files at or below a place, as find_files would, by their paths from the root.

    Raises:
        WorkspaceError: there are too many.
    """
    with started(place) as start:
        if start.kind == "file":
            return ["/".join(place.parts)]
        outcome = await run(start.command(None, ["--files", "--null", *_ignoring(False)]))
    if outcome.truncated or outcome.timed_out:
        raise WorkspaceError(f"{place.name} holds too many files to list. Name folders in it.")
    names = (os.fsdecode(name).removeprefix("./") for name in outcome.output.split(b"\0")[:-1])
    return ["/".join((*place.parts, name)) for name in names]


async def grep(place: Place, call: Grep) -> Matches:
    """Search files for an expression. Raises WorkspaceError if it or the glob is invalid."""
    options = ["--json", f"--max-filesize={MAX_FILE_BYTES}", f"--context={call.context}"]
    options += ["--ignore-case"] if call.ignore_case else ["--case-sensitive"]
    options += [*_ignoring(call.include_ignored), "-e", call.pattern]
    with started(place) as start, anyio.CancelScope() as enough:
        collected = Collected(call.max_matches, start, start.filter(call.glob))
        collected.enough = enough
        if start.kind == "file" and start.size_bytes > MAX_FILE_BYTES:
            return Matches(lines=[], matches=0, truncated=False)
        outcome = await run(start.command(call.glob, options), collected.receive)
        if not outcome.timed_out:
            _require_understood(outcome)
        collected.truncated |= outcome.timed_out
    return Matches(lines=collected.lines, matches=collected.matches, truncated=collected.truncated)


class Collected:
    """The matches so far, from JSON lines in pieces. It ends the search when it has enough."""

    def __init__(self, most: int, start: Start, keep: Keep | None) -> None:
        self.lines: list[Line] = []
        self.matches = 0
        self.truncated = False
        self.enough = anyio.CancelScope()
        self._most = most
        self._start = start
        self._keep = keep
        self._rest = bytearray()

    def __repr__(self) -> str:
        return f"<Collected {self.matches} of at most {self._most} matches>"

    async def receive(self, chunk: bytes) -> None:
        self._rest += chunk
        if len(self._rest) > MAX_JSON_LINE_BYTES:
            self._stop()
        if b"\n" not in chunk or self.truncated:
            return
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            if not self.truncated:
                self._add(json.loads(line))

    def _add(self, message: dict[str, Any]) -> None:
        kind, data = message["type"], message["data"]
        if kind not in ("match", "context"):
            return
        name = self._start.name(_text(data["path"]))
        if self._keep is not None and not self._keep(name, False):
            return
        if kind == "match" and self.matches == self._most:
            self._stop()
            return
        self.matches += kind == "match"
        self.lines.append(
            Line(
                path=name,
                line=data["line_number"],
                text=_text(data["lines"]).rstrip("\r\n")[:MAX_LINE_CHARACTERS],
                is_match=kind == "match",
            )
        )

    def _stop(self) -> None:
        self.truncated = True
        self.enough.cancel()


def engine() -> tuple[str, ...]:
    """Return the program that searches, with the options that only ripgrep has."""
    ripgrep = program("rg")
    if ripgrep is None:
        return (sys.executable, "-I", str(Path(__file__).with_name("scan.py")))
    return (
        ripgrep,
        "--no-follow",
        "--no-mmap",
        "--no-messages",
        "--no-ignore-parent",
        "--no-ignore-global",
    )


def searchable(root: Root, given: str) -> Place:
    """Locate a folder or a regular file to search, before a process opens it.

    Raises:
        WorkspaceError: it is outside of the root, missing, or a special file.
    """
    place = root.locate(given)
    with explained(place.name):
        kind = kind_of(os.lstat(place.path).st_mode)
    _require_searchable(place, kind)
    return place


def _require_searchable(place: Place, kind: Kind) -> None:
    if kind not in ("file", "folder"):
        raise WorkspaceError(f"{place.name} is a {kind}; only files and folders can be searched.")


def _ignoring(include_ignored: bool) -> list[str]:
    """Return the options on ignored files. They follow the model's glob: the last match decides."""
    folders = (".git",) if include_ignored else HEAVY_FOLDERS
    return [
        *(["--no-ignore"] if include_ignored else []),
        *(f"--glob=!{folder}" for folder in folders),
    ]


def _require_understood(outcome: Outcome) -> None:
    """Raise if the expression or glob was refused: exit code 2 with a text. 1 means no match."""
    if outcome.exit_code == 2 and outcome.errors.strip():
        reason = outcome.errors.decode("utf-8", "replace").strip()
        raise WorkspaceError(f"the pattern or glob was not understood. {reason[:2000]}")


def _text(field: dict[str, str]) -> str:
    """Decode a text of ripgrep, which is in base64 if it is not UTF-8."""
    if "text" in field:
        return field["text"]
    return base64.b64decode(field["bytes"]).decode("utf-8", "replace")
