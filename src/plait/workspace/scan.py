"""A search in plain Python that prints what ripgrep would, for `search` where that is not
installed.

It runs as a program: an expression that would take forever ends with its process. It knows the
options that `search` passes, and does not read .gitignore. It follows no symlink, also where a
folder is replaced by one while it searches: each is opened from the one that holds it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

SNIFFED_BYTES = 8192

Keep = Callable[[str, bool], bool]


def main() -> int:
    options = _options()
    try:
        keep = _filter(options.glob)
        expression = re.compile(options.e, re.IGNORECASE if options.ignore_case else 0)
    except re.error as error:
        sys.stderr.write(f"{error}\n")
        return 2
    found = False
    for file in _files(options.path, keep):
        if options.files:
            found = True
            sys.stdout.write(file.path + "\0")
        else:
            found |= _search(file, expression, options)
    return 0 if found else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in (
        "files",
        "null",
        "json",
        "no-config",
        "hidden",
        "no-ignore",
        "ignore-case",
        "case-sensitive",
    ):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("--sort")
    parser.add_argument("--glob", action="append", default=[])
    parser.add_argument("--max-filesize", type=int)
    parser.add_argument("--context", type=int, default=0)
    parser.add_argument("path")
    # argparse would take an expression that starts with "-" for an option.
    words, expression = sys.argv[1:], ""
    if "-e" in words:
        place = words.index("-e")
        expression = words[place + 1]
        del words[place : place + 2]
    return parser.parse_args(words, argparse.Namespace(e=expression))


def _filter(globs: list[str]) -> Keep:
    """Return the test of whether a path is wanted. As in ripgrep, the last matching glob
    decides."""
    rules = [(not glob.startswith("!"), translated(glob.removeprefix("!"))) for glob in globs]
    wanted_by_default = not any(wanted for wanted, _ in rules)

    def keep(path: str, is_folder: bool) -> bool:
        for wanted, rule in reversed(rules):
            if rule.fullmatch(path):
                return wanted
        return is_folder or wanted_by_default

    return keep


def filtered(glob: str) -> Keep:
    """Return the test of whether one glob wants a path, and every folder on the way to it."""
    keep = _filter([glob])

    def wanted(path: str, is_folder: bool) -> bool:
        parts = path.split("/")
        folders = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return all(keep(folder, True) for folder in folders) and keep(path, is_folder)

    return wanted


def translated(glob: str) -> re.Pattern[str]:
    """Translate a glob to an expression over paths. Without a slash, it matches at any depth."""
    anchored = glob if "/" in glob.rstrip("/") else f"**/{glob}"
    parts = re.findall(
        r"\*\*/|\*\*|\*+|\?|\[[!^]?\]?[^\]]*\]|\{|\}|,|.", anchored.strip("/"), re.DOTALL
    )
    depth = 0
    words: list[str] = []
    for part in parts:
        depth += (part == "{") - (part == "}")
        words.append(_translated_part(part, in_braces=depth > 0))
    return re.compile("".join(words), re.DOTALL)


def _translated_part(part: str, *, in_braces: bool) -> str:
    match part:
        case "**/":
            return "(?:.*/)?"
        case "**":
            return ".*"
        case "?":
            return "[^/]"
        case "{":
            return "(?:"
        case "}":
            return ")"
        case "," if in_braces:
            return "|"
        case _ if part.startswith("*"):
            return "[^/]*"
        case _ if len(part) > 2 and part.startswith("["):
            inner = part[1:-1].replace("\\", "\\\\")
            return f"[^{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]"
        case _:
            return re.escape(part)


class File(NamedTuple):
    """A file to search: its path to show, and its name in an open folder."""

    path: str
    name: str
    folder: int | None = None


def _files(path: str, keep: Keep) -> Iterator[File]:
    """Yield the regular files at or below a path, sorted; symlinks and special files are left
    out."""
    if os.path.isdir(path) and not os.path.islink(path):
        yield from _below(File(path, path), keep)
    else:
        yield File(path, path)


def _below(folder: File, keep: Keep) -> Iterator[File]:
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        descriptor = os.open(folder.name, flags, dir_fd=folder.folder)
    except OSError:
        return
    try:
        with os.scandir(descriptor) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            inner = File(os.path.join(folder.path, entry.name), entry.name, descriptor)
            is_folder = entry.is_dir(follow_symlinks=False)
            if not keep(os.path.normpath(inner.path), is_folder):
                continue
            if is_folder:
                yield from _below(inner, keep)
            elif entry.is_file(follow_symlinks=False):
                yield inner
    except OSError:
        return
    finally:
        os.close(descriptor)


def _search(file: File, expression: re.Pattern[str], options: argparse.Namespace) -> bool:
    lines = _lines(file, options.max_filesize)
    matching = [
        number for number, line in enumerate(lines) if expression.search(line.rstrip("\r\n"))
    ]
    shown: dict[int, str] = {}
    for number in matching:
        for near in range(
            max(0, number - options.context), min(len(lines), number + options.context + 1)
        ):
            shown.setdefault(near, "context")
        shown[number] = "match"
    for number, kind in sorted(shown.items()):
        data = {
            "path": {"text": file.path},
            "lines": {"text": lines[number]},
            "line_number": number + 1,
        }
        sys.stdout.write(json.dumps({"type": kind, "data": data}) + "\n")
    return bool(matching)


def _lines(file: File, most_bytes: int | None) -> list[str]:
    """Return the lines of a text file (`-` is the standard input); an empty list if it is binary,
    too large, special or cannot be read."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = (
            os.dup(0) if file.path == "-" else os.open(file.name, flags, dir_fd=file.folder)
        )
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > (most_bytes or status.st_size):
                return []
            data = stream.read()
    except OSError:
        return []
    if b"\0" in data[:SNIFFED_BYTES]:
        return []
    return data.decode("utf-8", "replace").splitlines(keepends=True)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]  # it is a file here
    raise SystemExit(main())
