"""The resources that a call reads and writes, derived from its arguments.

The operator declares them with templates (`writes = ["file:{path}"]`). Without templates they are
inferred from the tool's annotations and from the usual names of arguments that hold paths. A
resource is a key such as `file:/repo/README.md`: a scheme, and steps between slashes, so that one
can contain another. `docs/dag.md`, "Conflicts", explains it to users.
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
    """A resource as one server names it: `file:src/x` depends on the folder of the server."""

    server: str
    key: str


Places: TypeAlias = Mapping[ResourceName, str]
"""The places of files: one key for all names of a file, compared step by step."""

MAX_KEY = 4_096
"""Most characters of a key, and steps of a path. A longer key stands for all of its scheme."""
MAX_CLAIMS = 64
"""Most claims of one call. A call with more keys claims what contains them all."""
MAX_LOOKED_AT = 1_000
"""Most keys of a call that are examined one by one. A call with more claims all of its schemes."""

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):")  # one letter is a drive
_HOLE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[^\W\d][\w-]*(\.[^\W\d][\w-]*)*")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_PATHS = frozenset(
    {
        "path",
        "file",
        "filename",
        "filepath",
        "directory",
        "dir",
        "folder",
        "source",
        "destination",
        "src",
        "dst",
    }
    | {"dest", "notebook", "repository"}
)
"""Names of arguments that hold paths; plurals hold lists of paths."""
_PATH_ENDS = ("_path", "_file", "_dir", "_directory", "_folder", "_filename", "_filepath")
_NO_TEXT = ("integer", "number", "boolean", "object", "null")
_URIS = frozenset({"uri", "url", "file_uri", "file_url"})
"""Names of arguments that hold a path only if they begin with `file:`."""
_READING = frozenset(
    {
        "read",
        "get",
        "list",
        "search",
        "find",
        "grep",
        "glob",
        "view",
        "show",
        "cat",
        "head",
        "tail",
        "stat",
        "tree",
    }
    | {
        "describe",
        "diff",
        "log",
        "status",
        "blame",
        "count",
        "exists",
        "open",
        "fetch",
        "query",
        "inspect",
        "info",
    }
)
_WRITING = frozenset(
    {
        "write",
        "create",
        "make",
        "delete",
        "remove",
        "update",
        "set",
        "add",
        "edit",
        "move",
        "rename",
        "copy",
        "put",
    }
    | {
        "insert",
        "append",
        "replace",
        "patch",
        "apply",
        "save",
        "store",
        "upload",
        "commit",
        "push",
        "pull",
        "merge",
    }
    | {
        "reset",
        "checkout",
        "restore",
        "format",
        "run",
        "execute",
        "build",
        "install",
        "post",
        "send",
    }
)
"""A tool without annotations counts as reading only if its name has words of the first kind and
none of the second."""


@dataclass(frozen=True, slots=True)
class ResourceClaim:
    """One resource that a call accesses. `steps` lead to it from what contains it."""

    key: str
    writes: bool
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """A template of keys, such as `file:{path}`: arguments replace the names in braces."""

    pieces: tuple[str, ...]
    """Literal text, with the names of arguments at the odd indices."""

    @classmethod
    def parse(cls, text: str) -> KeyTemplate:
        """Parse *text*. Raises `ValueError`, whose message says what would be right."""
        pieces = _HOLE.split(text)
        wrong = any("{" in piece or "}" in piece for piece in pieces[::2])
        if (
            wrong
            or not all(_NAME.fullmatch(name) for name in pieces[1::2])
            or not _SCHEME.match(pieces[0])
        ):
            raise ValueError(
                'a resource is written as scheme:path, arguments in braces: "file:{path}", '
                '"db:users"'
            )
        return cls(tuple(pieces))

    @property
    def names(self) -> frozenset[str]:
        """The arguments that fill it in."""
        return frozenset(name.partition(".")[0] for name in self.pieces[1::2])

    def keys(self, arguments: Mapping[str, Json]) -> Iterator[str]:
        """Yield the keys for *arguments*, one per element of a list. An absent one is empty."""
        parts: list[list[str]] = [[piece] for piece in self.pieces]
        parts[1::2] = [_texts(_argument(arguments, name)) or [""] for name in self.pieces[1::2]]
        for chosen in product(*parts):
            yield "".join(chosen)


@dataclass(frozen=True, slots=True)
class Accesses:
    """The resources that one call accesses, as its server names them."""

    server: str
    """Its `server_key`."""
    keys: tuple[tuple[str, bool], ...]
    """Each key once, and whether the call writes it."""
    realm: str = ""
    """As `Policy.realm`."""

    @property
    def files(self) -> tuple[ResourceName, ...]:
        """The names to look up in a file system: links and folders decide what they mean."""
        return tuple(
            ResourceName(self.server, key) for key, _ in self.keys if key[:5].lower() == "file:"
        )

    def claims(self, places: Places) -> tuple[ResourceClaim, ...]:
        """Return the claims of the call; *places* has each of `files`."""
        claims = (self._claim(key, writes, places) for key, writes in self.keys)
        if len(self.keys) <= MAX_CLAIMS:
            return tuple(claims)
        common: dict[str, tuple[str, ...]] = {}
        written: set[str] = set()
        for claim in claims:  # too many: for each scheme, what contains them all
            scheme = claim.key.partition(":")[0] + ":"
            common[scheme] = tuple(_common(common.get(scheme, claim.steps), claim.steps))
            if claim.writes:
                written.add(scheme)
        return tuple(
            ResourceClaim(
                f"{scheme}/{'/'.join(steps[steps.index(scheme) + 1 :])}", scheme in written, steps
            )
            for scheme, steps in common.items()
        )

    def _claim(self, key: str, writes: bool, places: Places) -> ResourceClaim:
        place = places.get(ResourceName(self.server, key)) or as_written(key)
        scheme, _, path = place.partition(":")
        steps = (f"{scheme}:", *filter(None, path.split("/")))
        is_file = scheme == "file" or scheme.startswith("file@")
        return ResourceClaim(
            place, writes, steps if is_file or not self.realm else (self.realm, *steps)
        )


@dataclass(frozen=True)
class AccessRules:
    """Rules that give the resources which the calls of one task access."""

    server: str
    reads: tuple[KeyTemplate, ...] = ()
    writes: tuple[KeyTemplate, ...] = ()
    paths: tuple[tuple[str, Json], ...] = ()
    """Arguments that are assumed to hold paths, for lack of templates, each with its default."""
    paths_write: bool = False
    task_reads: Sequence[str] = ()
    task_writes: Sequence[str] = ()
    realm: str = ""
    """As `Policy.realm`."""

    @cached_property
    def argument_names(self) -> frozenset[str]:
        """The arguments that decide which resources a call accesses."""
        named = (template.names for template in (*self.reads, *self.writes))
        return frozenset(name for name, _ in self.paths).union(*named)

    def accesses(self, arguments: JsonObject) -> Accesses | None:
        """Return the resources that a call with *arguments* accesses; None if it accesses none."""
        keys = list(islice(self._keys(arguments), MAX_LOOKED_AT + 1))
        if len(keys) > MAX_LOOKED_AT:
            keys = list(self._roots())
        found: dict[str, bool] = {}
        for key, writes in keys:
            found[key] = found.get(key, False) or writes
        return Accesses(self.server, tuple(found.items()), self.realm) if found else None

    def whole_schemes(self) -> Accesses:
        """Return what contains all resources that a call may access."""
        found: dict[str, bool] = {}
        for key, writes in self._roots():
            found[key] = found.get(key, False) or writes
        return Accesses(self.server, tuple(found.items()), self.realm)

    def described(self, arguments: JsonObject) -> list[tuple[str, bool]]:
        """List the keys known before references are filled in, and whether each is written."""
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
                elif snake(name) not in _URIS:
                    yield f"file:{text}", self.paths_write

    def _roots(self) -> Iterator[tuple[str, bool]]:
        """Yield the root of each scheme that a key may have, and whether it is written."""
        for templates, writes in ((self.reads, False), (self.writes, True)):
            yield from ((_root(template.pieces[0]), writes) for template in templates)
        for keys, writes in ((self.task_reads, False), (self.task_writes, True)):
            yield from ((_root(key), writes) for key in keys)
        if self.paths:
            yield "file:/", self.paths_write


def as_written(key: str) -> str:
    """Return the key of a resource without a file system: scheme in lower case, no `.` and `..`."""
    scheme, _, path = key[: MAX_KEY + 1].partition(":")
    return key_of(scheme.lower(), plain(path) if len(key) <= MAX_KEY else "")


def plain(path: str) -> str:
    """Return *path* without `.`, `..` and double slashes; empty for the starting folder."""
    normal = normpath(path) if path else ""
    return "" if normal == "." else normal


def key_of(scheme: str, path: str) -> str:
    """Return the key of *path*, as text that can be sent: names of files need not be UTF-8."""
    if not path.isascii():
        path = path.encode("utf-8", "backslashreplace").decode()
    return f"{scheme}:{path}" if len(path) <= MAX_KEY else f"{scheme}:"


def access_rules_of(tool: Tool, policy: ToolPolicy) -> AccessRules | None:
    """Return the access rules for calls of *tool*; None if no resource of it is known."""
    if policy.reads is not None or policy.writes is not None:
        reads, writes = _parsed(policy.reads or ()), _parsed(policy.writes or ())
        if not reads and not writes:
            return None
        return AccessRules(tool.server_key, reads, writes, realm=policy.realm)
    named = tool.input.properties.items()
    paths = tuple((name, _default(schema)) for name, schema in named if _holds_paths(name, schema))
    if not paths:
        return None
    return AccessRules(
        tool.server_key, paths=paths, paths_write=not _only_reads(tool), realm=policy.realm
    )


def _parsed(templates: Iterable[str]) -> tuple[KeyTemplate, ...]:
    return tuple(map(KeyTemplate.parse, templates))


def _default(schema: Json) -> Json:
    return schema.get("default") if isinstance(schema, dict) else None


def _holds_paths(name: str, schema: Json) -> bool:
    if isinstance(schema, dict) and schema.get("type") in _NO_TEXT:
        return False
    words = snake(name)
    singular = words.removesuffix("s").replace("directorie", "directory")
    return words in _URIS or singular in _PATHS or singular.endswith(_PATH_ENDS)


def snake(name: str) -> str:
    """Turn `filePath` and `file-path` into `file_path`."""
    return _HUMP.sub("_", name).replace("-", "_").lower()


def _only_reads(tool: Tool) -> bool:
    if tool.word.read_only is not None or "readOnlyHint" in tool.hints:
        return tool.is_read_only
    words = frozenset(snake(tool.name).split("_"))
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
