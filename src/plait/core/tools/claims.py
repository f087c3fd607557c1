"""Which resources a call reads and which it changes, told from its arguments.

The operator says it with templates (`writes = ["file:{path}"]`). Without them it is told from the tool's annotations
and the usual names of arguments that hold paths. A resource is a key such as `file:/repo/README.md`: a scheme and
steps between slashes, so that one can hold another. `docs/dag.md`, "Conflicts", says it for users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from posixpath import normpath
from typing import NamedTuple, TypeAlias

from ..values.strict import Json, JsonObject
from .catalog import Tool
from .policy import ToolPolicy


class ResourceName(NamedTuple):
    """A resource as one server names it: which file `file:src/x` is depends on the folder that it works in."""

    server: str
    key: str


Places: TypeAlias = Mapping[ResourceName, str]
"""Where files are: for each name the one key of the file, to be compared step by step between slashes."""

MAX_KEY = 4_096
"""Characters of a key, and steps of a path. A longer key stands for everything of its scheme."""
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


@dataclass(frozen=True, slots=True)
class Accesses:
    """The resources that one call accesses, as its server names them."""

    server: str
    keys: tuple[tuple[str, bool], ...]
    """Each key once, and whether the call writes it."""

    @property
    def files(self) -> tuple[ResourceName, ...]:
        """The names that a file system has to be asked about, because links and folders decide what they mean."""
        return tuple(ResourceName(self.server, key) for key, _ in self.keys if key[:5].lower() == "file:")

    def claims(self, places: Places) -> tuple[ResourceClaim, ...]:
        """The claims of the call, where *places* has each of `files`."""
        claims = (self._claim(key, writes, places) for key, writes in self.keys)
        if len(self.keys) <= MAX_CLAIMS:
            return tuple(claims)
        common: dict[str, tuple[str, ...]] = {}
        written: set[str] = set()
        for claim in claims:  # so many: of each scheme, what holds all of it
            scheme = claim.steps[0]
            common[scheme] = tuple(_common(common.get(scheme, claim.steps), claim.steps))
            if claim.writes:
                written.add(scheme)
        return tuple(
            ResourceClaim(f"{scheme}/{'/'.join(steps[1:])}", scheme in written, steps)
            for scheme, steps in common.items()
        )

    def _claim(self, key: str, writes: bool, places: Places) -> ResourceClaim:
        place = places.get(ResourceName(self.server, key)) or as_written(key)
        scheme, _, path = place.partition(":")
        return ResourceClaim(place, writes, (f"{scheme}:", *filter(None, path.split("/"))))


@dataclass(frozen=True)
class AccessRules:
    """Which resources the calls of one task access."""

    server: str
    reads: tuple[KeyTemplate, ...] = ()
    writes: tuple[KeyTemplate, ...] = ()
    paths: tuple[tuple[str, Json], ...] = ()
    """Arguments that are taken to hold paths, for want of templates, each with its default."""
    paths_write: bool = False
    task_reads: Sequence[str] = ()
    task_writes: Sequence[str] = ()

    @cached_property
    def argument_names(self) -> frozenset[str]:
        """The arguments that decide which resources a call accesses."""
        named = (template.names for template in (*self.reads, *self.writes))
        return frozenset(name for name, _ in self.paths).union(*named)

    def accesses(self, arguments: JsonObject) -> Accesses | None:
        """The resources that a call with these arguments accesses; None if it accesses none."""
        keys = list(islice(self._keys(arguments), MAX_LOOKED_AT + 1))
        if len(keys) > MAX_LOOKED_AT:
            keys = list(self._roots())
        found: dict[str, bool] = {}
        for key, writes in keys:
            found[key] = found.get(key, False) or writes
        return Accesses(self.server, tuple(found.items())) if found else None

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
                elif _snake(name) not in _URIS:
                    yield f"file:{text}", self.paths_write

    def _roots(self) -> Iterator[tuple[str, bool]]:
        """Of each scheme that there may be a key of, what holds all of it."""
        for templates, writes in ((self.reads, False), (self.writes, True)):
            yield from ((_root(template.pieces[0]), writes) for template in templates)
        for keys, writes in ((self.task_reads, False), (self.task_writes, True)):
            yield from ((_root(key), writes) for key in keys)
        if self.paths:
            yield "file:/", self.paths_write


def as_written(key: str) -> str:
    """The key of a resource that needs no file system: scheme in lower case, `.` and `..` taken out."""
    scheme, _, path = key[: MAX_KEY + 1].partition(":")
    return key_of(scheme.lower(), plain(path) if len(key) <= MAX_KEY else "")


def plain(path: str) -> str:
    """*path* without `.`, `..` and double slashes; empty for the folder it starts from."""
    normal = normpath(path) if path else ""
    return "" if normal == "." else normal


def key_of(scheme: str, path: str) -> str:
    """The key of that *path*, as text that can be sent: names of files need not be UTF-8."""
    if not path.isascii():
        path = path.encode("utf-8", "backslashreplace").decode()
    return f"{scheme}:{path}" if len(path) <= MAX_KEY else f"{scheme}:"


def access_rules_of(tool: Tool, policy: ToolPolicy) -> AccessRules | None:
    """The access rules for calls of *tool*; None if nothing says that it accesses a resource."""
    if policy.reads is not None or policy.writes is not None:
        reads, writes = _parsed(policy.reads or ()), _parsed(policy.writes or ())
        return AccessRules(tool.server, reads, writes) if reads or writes else None
    named = tool.input.properties.items()
    paths = tuple((name, _default(schema)) for name, schema in named if _holds_paths(name, schema))
    return AccessRules(tool.server, paths=paths, paths_write=not _only_reads(tool)) if paths else None


def _parsed(templates: Iterable[str]) -> tuple[KeyTemplate, ...]:
    return tuple(map(KeyTemplate.parse, templates))


def _default(schema: Json) -> Json:
    return schema.get("default") if isinstance(schema, dict) else None


def _holds_paths(name: str, schema: Json) -> bool:
    if isinstance(schema, dict) and schema.get("type") in _NO_TEXT:
        return False
    snake = _snake(name)
    singular = snake.removesuffix("s").replace("directorie", "directory")
    return snake in _URIS or singular in _PATHS or singular.endswith(_PATH_ENDS)


def _snake(name: str) -> str:
    """`filePath` and `file-path` as `file_path`."""
    return _HUMP.sub("_", name).replace("-", "_").lower()


def _only_reads(tool: Tool) -> bool:
    if "readOnlyHint" in tool.hints:
        return tool.is_read_only
    words = frozenset(_snake(tool.name).split("_"))
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
