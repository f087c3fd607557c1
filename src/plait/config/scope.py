"""Servers that are known to keep something between calls, of which each client gets its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Literal, TypeAlias

Scope: TypeAlias = Literal["machine", "client"]

KEEPERS = (
    # browsers: pages, cookies, the page that is in front
    "*playwright*",
    "*puppeteer*",
    "*chrome-devtools*",
    "*browser*",
    "*selenium*",
    "*webdriver*",
    "*stagehand*",
    # interpreters, terminals, debuggers: variables, a folder, a stopped program
    "*jupyter*",
    "*ipython*",
    "*interpreter*",
    "repl-*",
    "*-repl",
    "*-repl-*",
    "*terminal*",
    "*tmux*",
    "*desktop-commander*",
    "*debugger*",
    "*gdb*",
    # thinking, and the project that is worked on
    "*sequential*thinking*",
    "serena*",
)
"""Globs of programs, packages and images. A server whose memory is meant to be shared, such as a
knowledge graph in a file, is not one of them: two of it would overwrite each other."""

_RUNNERS = frozenset(
    {"npx", "bunx", "npm", "pnpm", "yarn", "bun", "deno", "node", "uvx", "uv", "pipx"}
)
_CONTAINERS = frozenset({"docker", "podman", "nerdctl", "container"})
_PYTHON = re.compile(r"python[\d.]*")
_SUBCOMMANDS = frozenset({"run", "exec", "x", "dlx", "tool"})
_VERSION = re.compile(r"(?<=.)(@|==|:)[\w.^~*-]*$")


def default_scope(command: str | None, args: Sequence[str]) -> Scope:
    """Return the scope of the server that *command* with *args* starts, if its settings name
    none."""
    names = () if command is None else _names(command, args)
    return (
        "client" if any(fnmatchcase(name, one) for name in names for one in KEEPERS) else "machine"
    )


def _names(command: str, args: Sequence[str]) -> Iterator[str]:
    """Yield the names of what is run: the program; and if that only runs another one, the package,
    module, script or image."""
    program = PurePath(command).name.removesuffix(".cmd").removesuffix(".exe")
    yield program
    words = [word for word in args if not word.startswith("-") and word not in _SUBCOMMANDS]
    if program in _CONTAINERS:
        yield from (_plain(word) for word in words if "/" in word and word[0] not in "/.~")
    elif program in _RUNNERS or _PYTHON.fullmatch(program):
        packages = [word for word in words if word and word[0] not in "/.~"]
        yield from map(_plain, (packages or words)[:1])


def _plain(word: str) -> str:
    """Return the name in *word*: without a version, and of an address or a file that is not in an
    installed package the last part."""
    _, _, package = word.rpartition("node_modules/")
    if package == word and (word[:1] in "/.~" or "://" in word):
        return PurePath(word).name
    return _VERSION.sub("", package)
