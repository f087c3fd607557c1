"""Which resources a call reads and which it changes, told from its arguments.

The operator says it with templates (`writes = ["file:{path}"]`). Without them it is told from the tool's annotations
and the usual names of arguments that hold paths. A resource is a key such as `file:/repo/README.md`: a scheme and
steps between slashes, so that one can hold another. `docs/dag.md`, "Conflicts", says it for users.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from posixpath import normpath
from typing import TypeAlias

from ..values.strict import Json, JsonObject
from .catalog import Tool
from .policy import ToolPolicy

Locate: TypeAlias = Callable[[str, str], str]
"""Gives the one key that a resource has, for a server's name and a key as that server means it."""

MAX_CLAIMS = 64
"""Of one call. A call that touches more is taken to touch what holds them all."""
MAX_LOOKED_AT = 1_000
"""Keys that are looked at one by one. A call that names more is taken to touch all there is."""

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):")  # one letter is a drive
_HOLE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[^\W\d][\w-]*(\.[^\W\d][\w-]*)*")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_PATHS = frozenset(
    {"path", "file", "filename", "filepath", "directory", "dir", "folder", "source", "destination", "src", "dst"}
    | {"dest", "notebook", "repository"}
)
"""Arguments of these names hold paths; in the plural they hold lists of them."""
_PATH_ENDS = ("_path", "_file", "_dir", "_directory", "_folder", "_filename", "_filepath")
_NO_TEXT = ("integer", "number", "boolean", "object", "null")
_URIS = frozenset({"uri", "url", "file_uri", "file_url"})
"""Arguments that hold a path only where they begin with `file:`."""
_READING = frozenset(
    {"read", "get", "list", "search", "find", "grep", "glob", "view", "show", "cat", "head", "tail", "stat", "tree"}
    | {"describe", "diff", "log", "status", "blame", "count", "exists", "open", "fetch", "query", "inspect", "info"}
)
_WRITING = frozenset(
    {"write", "create", "make", "delete", "remove", "update", "set", "add", "edit", "move", "rename", "copy", "put"}
    | {"insert", "append", "replace", "patch", "apply", "save", "store", "upload", "commit", "push", "pull", "merge"}
    | {"reset", "checkout", "restore", "format", "run", "execute", "build", "install", "post", "send"}
)
"""A tool without annotations is taken to read only if its name has a word of the first kind and none of the second."""


@dataclass(frozen=True, slots=True)
class ResourceClaim:
    """One resource that a call touches. `steps` lead to it: the steps of what holds it are the first of them."""

    key: str
    writes: bool
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """`file:{path}`: what stands in braces is filled in from the arguments."""

    pieces: tuple[str, ...]
    """Literal text, and the names of arguments at the odd places."""

    @classmethod
    def parse(cls, text: str) -> KeyTemplate:
        """Raises `ValueError`, saying what would be right."""
        pieces = _HOLE.split(text)
        wrong = any("{" in piece or "}" in piece for piece in pieces[::2])
        if wrong or not all(_NAME.fullmatch(name) for name in pieces[1::2]) or not _SCHEME.match(pieces[0]):
            raise ValueError('a resource is written as scheme:path, arguments in braces: "file:{path}", "db:users"')
        return cls(tuple(pieces))

    @property
    def names(self) -> frozenset[str]:
        """The arguments that it is filled from."""
        return frozenset(name.partition(".")[0] for name in self.pieces[1::2])

    def keys(self, arguments: Mapping[str, Json]) -> Iterator[str]:
        """The keys for these arguments, one for each element of a list. What is absent leaves its place empty."""
        parts: list[list[str]] = [[piece] for piece in self.pieces]
        parts[1::2] = [_texts(_argument(arguments, name)) or [""] for name in self.pieces[1::2]]
        for chosen in product(*parts):
            yield "".join(chosen)


@dataclass(frozen=True)
class AccessRules:
    """What the calls of one task touch."""

    server: str
    locate: Locate
    reads: tuple[KeyTemplate, ...] = ()
    writes: tuple[KeyTemplate, ...] = ()
    paths: tuple[tuple[str, Json], ...] = ()
    """Arguments that are taken to hold paths, for want of templates, each with its default."""
    paths_write: bool = False
    task_reads: Sequence[str] = ()
    task_writes: Sequence[str] = ()

    @cached_property
    def names(self) -> frozenset[str]:
        """The arguments that tell what is touched."""
        named = (template.names for template in (*self.reads, *self.writes))
        return frozenset(name for name, _ in self.paths).union(*named)

    def claims(self, arguments: JsonObject) -> tuple[ResourceClaim, ...]:
        """What a call with these arguments touches, no resource twice."""
        keys = list(islice(self._keys(arguments), MAX_LOOKED_AT + 1))
        if len(keys) > MAX_LOOKED_AT:
            keys = list(self._roots())
        found: dict[str, bool] = {}
        for key, writes in keys:
            found[key] = found.get(key, False) or writes
        if len(found) > MAX_CLAIMS:
            return self._all_at_once(keys)
        return tuple(self._claim(self.locate(self.server, key), writes) for key, writes in found.items())

    def described(self, arguments: JsonObject) -> list[tuple[str, bool]]:
        """The keys as they can be told before references are filled in, and whether each is written."""
        return list(dict.fromkeys(islice(self._keys(arguments), MAX_LOOKED_AT)))[:MAX_CLAIMS]

    def _keys(self, arguments: JsonObject) -> Iterator[tuple[str, bool]]:
        for keys, writes in ((self.task_reads, False), (self.task_writes, True)):
            yield from ((key if _SCHEME.match(key) else f"file:{key}", writes) for key in keys)
        for templates, writes in ((self.reads, False), (self.writes, True)):
            yield from ((key, writes) for template in templates for key in template.keys(arguments))
        for name, default in self.paths:
            for text in _texts(arguments.get(name, default)):
                if text.startswith("file:"):
                    yield text, self.paths_write
                elif _plain(name) not in _URIS:
                    yield f"file:{text}", self.paths_write

    def _roots(self) -> Iterator[tuple[str, bool]]:
        """Of each scheme that there may be a key of, what holds all of it."""
        for templates, writes in ((self.reads, False), (self.writes, True)):
            yield from ((_root(template.pieces[0]), writes) for template in templates)
        for keys, writes in ((self.task_reads, False), (self.task_writes, True)):
            yield from ((_root(key), writes) for key in keys)
        if self.paths:
            yield "file:/", self.paths_write

    def _all_at_once(self, keys: Iterable[tuple[str, bool]]) -> tuple[ResourceClaim, ...]:
        """For a call that touches very much: of each scheme, what holds all of it."""
        common: dict[str, tuple[str, ...]] = {}
        written: set[str] = set()
        for key, writes in keys:
            claim = self._claim(self.locate(self.server, key), writes)
            scheme = claim.steps[0]
            common[scheme] = tuple(_common(common.get(scheme, claim.steps), claim.steps))
            if writes:
                written.add(scheme)
        return tuple(
            ResourceClaim(f"{scheme}/{'/'.join(steps[1:])}", scheme in written, steps)
            for scheme, steps in common.items()
        )

    def _claim(self, key: str, writes: bool) -> ResourceClaim:
        scheme, _, path = key.partition(":")
        return ResourceClaim(key, writes, (f"{scheme}:", *filter(None, path.split("/"))))


def as_written(server: str, key: str) -> str:
    """A `Locate` that knows of no file system: equal keys are equal resources, `.` and `..` taken out."""
    scheme, _, path = key.partition(":")
    plain = normpath(path) if path else ""
    return f"{scheme}:{'' if plain == '.' else plain}"


def touch_of(tool: Tool, policy: ToolPolicy, locate: Locate) -> AccessRules | None:
    """What calls of *tool* touch; None where nothing is known of it."""
    if policy.reads is not None or policy.writes is not None:
        reads, writes = _parsed(policy.reads or ()), _parsed(policy.writes or ())
        return AccessRules(tool.server, locate, reads, writes) if reads or writes else None
    named = tool.input.properties.items()
    paths = tuple((name, _default(schema)) for name, schema in named if _holds_paths(name, schema))
    return AccessRules(tool.server, locate, paths=paths, paths_write=not _only_reads(tool)) if paths else None


def _parsed(templates: Iterable[str]) -> tuple[KeyTemplate, ...]:
    return tuple(map(KeyTemplate.parse, templates))


def _default(schema: Json) -> Json:
    return schema.get("default") if isinstance(schema, dict) else None


def _holds_paths(name: str, schema: Json) -> bool:
    if isinstance(schema, dict) and schema.get("type") in _NO_TEXT:
        return False
    plain = _plain(name)
    singular = plain.removesuffix("s").replace("directorie", "directory")
    return plain in _URIS or singular in _PATHS or singular.endswith(_PATH_ENDS)


def _plain(name: str) -> str:
    """`filePath` and `file-path` as `file_path`."""
    return _HUMP.sub("_", name).replace("-", "_").lower()


def _only_reads(tool: Tool) -> bool:
    if "readOnlyHint" in tool.hints:
        return tool.is_read_only
    words = frozenset(_plain(tool.name).split("_"))
    return not words.isdisjoint(_READING) and words.isdisjoint(_WRITING)


def _argument(arguments: Mapping[str, Json], name: str) -> Json:
    value: Json = dict(arguments)
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _root(key: str) -> str:
    scheme = _SCHEME.match(key)
    return f"{scheme['scheme']}:/" if scheme else "file:/"


def _texts(value: Json) -> list[str]:
    match value:
        case str():
            return [value]
        case bool() | None:
            return []
        case int() | float():
            return [str(value)]
        case list():
            return [text for element in value for text in _texts(element)]
    return []


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> Iterator[str]:
    for mine, its in zip(one, other, strict=False):
        if mine != its:
            return
        yield mine
