"""The downstream tools: their names, inputs and outputs, and the lookup of a name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256

from ..values.printable import printable
from ..values.problems import Fix, Op, Problem, did_you_mean, nearest, slip_of, some_of
from ..values.schema import Schema
from ..values.strict import Json, JsonObject
from .traits import NO_WORD, Traits, Word, Words

_DEPRECATED = re.compile(
    r"\bDEPRECATED\b"
    r"|[(\[][Dd]eprecated\b"
    r"|^\W*(?i:deprecated)(?:\W*$|\W*[.:;,!)\]\-\u2013\u2014]|_)"
    r"|_deprecated$"
    r"|\b(?i:this|it|tool|function|method)(?: is| has been)(?: now)? deprecated\b"
)


class ServerState(StrEnum):
    """The state of a downstream server."""

    NOT_STARTED = "not started"  # it starts with the others of its settings, or when it is needed
    CONNECTING = "connecting"
    READY = "ready"
    RETRYING = "retrying"  # the last attempt failed, or the server went away; another follows
    IDLE = "idle"  # a lazy server: started when it is used
    STOPPED = "stopped"
    NEEDY = "needs a variable"  # it is off until a variable is set that its settings name
    REFUSED = "refused"  # it is this gateway, which must not start itself


DO_WITHOUT = "Do without it, or ask the operator."


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """One downstream server as people and models see it."""

    name: str
    state: ServerState
    transport: str = "stdio"
    protocol: str | None = None
    """The protocol version agreed on, once connected."""
    title: str | None = None
    """The name and version that the server reports."""
    tools: int = 0
    error: str | None = None
    """The reason why it is not ready, in words a person can act on."""
    warnings: tuple[str, ...] = ()
    """Problems of single tools, which were left out; and a warning if its tools have changed."""
    pid: int | None = None
    is_required: bool = False
    """Whether the gateway is ready only while it is up."""
    open_until: float | None = None
    """The time until which its circuit is open (`circuit.py`); None if it is closed."""
    shared_as: str = ""
    """Its unique name where several configurations share a process (`shown` gives the name in it);
    else empty."""
    needs: tuple[str, ...] = ()
    """The variables, or files, without which it is off."""

    @property
    def condition(self) -> str:
        """Its state for a reader, with the names of what it needs."""
        return f"needs {some_of(self.needs, 3)}" if self.needs else str(self.state)

    @property
    def is_known(self) -> bool:
        """Whether its tools are known, from now or from its last start."""
        return self.state is ServerState.READY or self.tools > 0


def shown(server_key: str) -> str:
    """Return the name of a server from its unique one, which is `name` or `name@…`."""
    return server_key.partition("@")[0]


@dataclass(frozen=True)
class Tool:
    """One downstream tool; `definition` is what its server sent, unchanged."""

    server: str
    name: str
    definition: JsonObject = field(default_factory=dict, repr=False, compare=False)
    listed: bool = True
    """False for a tool of a server that was not reached: any name and arguments are accepted."""
    shared_as: str = field(default="", compare=False)
    """As `ServerInfo.shared_as`."""
    word: Word = field(default=NO_WORD, compare=False)
    """The operator's word on it."""

    @cached_property
    def server_key(self) -> str:
        """The name of its server, or the unique one where several configurations share a process
        and may mean different servers by one name."""
        return self.shared_as or self.server

    @cached_property
    def full_name(self) -> str:
        return f"{self.server}:{self.name}" if self.server else self.name

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the name and the definition, as canonical JSON."""
        text = json.dumps(
            [self.full_name, self.definition],
            sort_keys=True,
            ensure_ascii=False,
            separators=(",", ":"),
        )
        return sha256(text.encode()).hexdigest()

    @cached_property
    def description(self) -> str:
        return str(self.definition.get("description") or self.definition.get("title") or "")

    @cached_property
    def input(self) -> Schema:
        return Schema(self.definition.get("inputSchema"))

    @cached_property
    def output(self) -> Schema | None:
        schema = self.definition.get("outputSchema")
        return Schema(schema) if isinstance(schema, dict) else None

    @cached_property
    def annotations(self) -> Mapping[str, Json]:
        """The annotations, as the server sent them. They are claims, not facts."""
        annotations = self.definition.get("annotations")
        return annotations if isinstance(annotations, dict) else {}

    @cached_property
    def hints(self) -> Mapping[str, Json]:
        """The annotations that count: none if the operator ignores those of its server."""
        return self.annotations if self.word.trusts_hints else {}

    @cached_property
    def traits(self) -> Traits:
        """All that counts as known of its effects."""
        return Traits.of(self.hints, self.word.read_only)

    @cached_property
    def is_for_models(self) -> bool:
        """Whether models are offered it; some are only for the page of an app (MCP Apps,
        `visibility`)."""
        meta = self.definition.get("_meta")
        ui = meta.get("ui") if isinstance(meta, dict) else None
        visibility = ui.get("visibility") if isinstance(ui, dict) else None
        return not isinstance(visibility, list) or "model" in visibility

    @cached_property
    def is_deprecated(self) -> bool:
        """Whether its server says that it should no longer be used, in an annotation or in words.
        A tool *about* what is deprecated does not count."""
        if self.annotations.get("deprecated") is True or self.definition.get("deprecated") is True:
            return True
        titles = (self.definition.get("title"), self.annotations.get("title"))
        texts = (self.name, *titles, self.definition.get("description"))
        return any(_DEPRECATED.search(text) for text in texts if isinstance(text, str))

    @property
    def is_read_only(self) -> bool:
        """Whether it is known to change nothing. What is shown as `[w]`, the cache and the history
        follow it. Which resources a call writes is decided in `claims.py`: if the server does not
        say whether the tool writes, by the name of the tool."""
        return self.traits.read_only

    @property
    def is_idempotent(self) -> bool:
        return self.is_read_only or self.hints.get("idempotentHint") is True

    @cached_property
    def signature(self) -> str:
        """One line: `server:tool(required: type, optional?: type) -> output`."""
        output = f" -> {self.output.shape()}" if self.output else ""
        return f"{self.full_name}({self.input.parameters()}){output}"

    def signature_with(self, seen: Schema | None) -> str:
        """Return the signature, with the shape *seen* if no output is declared: `-> {id}
        (seen)`."""
        return (
            self.signature
            if self.output or seen is None
            else f"{self.signature} -> {seen.shape()} (seen)"
        )


def digest_of(tools: Iterable[Tool]) -> str:
    """Return a digest of the definitions of *tools*, whatever their order."""
    return sha256("\n".join(sorted({tool.digest for tool in tools})).encode()).hexdigest()


class Catalog:
    """All tools of all servers at one moment; never changed, only replaced. The *excluded* tools
    are there too, and cannot be used: the settings exclude them. *words* are the operator's, for
    tools that are not listed."""

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        servers: Iterable[ServerInfo] = (),
        excluded: Iterable[Tool] = (),
        words: Words | None = None,
    ) -> None:
        self.tools: dict[str, Tool] = {tool.full_name: tool for tool in tools}
        self.servers: dict[str, ServerInfo] = {server.name: server for server in servers}
        self._excluded = tuple(excluded)
        self._words = words or Words()

    def __len__(self) -> int:
        return len(self.tools)

    def of(self, server: str) -> list[Tool]:
        return [tool for tool in self.tools.values() if tool.server == server]

    def left_out(self, server: str) -> int:
        """Count the tools of *server* that the settings exclude."""
        return sum(tool.server == server for tool in self._excluded)

    def offered(self, server: str | None = None) -> list[Tool]:
        """List the tools that models are offered, of all servers or of one."""
        return [
            tool
            for tool in self.tools.values()
            if server in {None, tool.server} and tool.is_for_models
        ]

    def find(self, name: str) -> Tool | None:
        """Find the tool that *name* means: its full name, or a unique one of the spellings that
        models use.

        Any tool of a configured server that has not been reached yet is found, as not `listed`.
        """
        if tool := self.tools.get(name):
            return tool
        if (full_name := self._aliases.get(name)) is not None:
            return self.tools.get(full_name)
        if name.startswith(
            "mcp__"
        ):  # as clients prefix it: mcp__server__tool, mcp__gateway__server__tool
            short = name.removeprefix("mcp__")
            return self.find(short) or self.find(short.partition("__")[2])
        return self._unlisted(name)

    def unlisted(self, server: str, name: str) -> Tool:
        """Make a tool that *server* has not listed: any arguments are accepted."""
        info = self.servers.get(server)
        shared_as = "" if info is None else info.shared_as
        return Tool(
            server, name, listed=False, shared_as=shared_as, word=self._words.of(server, name)
        )

    def unknown(
        self, path: str, name: str, id: str | None = None, *, may_guess: bool = True
    ) -> Problem:
        """Report the unknown *name*. The hint has the nearest names, if it *may_guess*."""
        server, colon, tool_name = name.partition(":")
        if colon and server not in self.servers:
            known = ", ".join(self.servers) or "none"
            hint = (
                did_you_mean(server, self.servers) if may_guess else None
            ) or f"Connected servers: {known}."
            meant = slip_of(server, self.servers) if may_guess else None
            fix = (
                Fix(Op.REPLACE, f"{meant}:{tool_name}")
                if meant is not None and f"{meant}:{tool_name}" in self.tools
                else None
            )
            return Problem(
                path, "unknown_server", f'Unknown server "{server[:80]}".', hint, id, fix
            )
        several = [tool.full_name for tool in self.tools.values() if tool.name == name]
        if several:
            hint = f"Use one of {some_of(several, 8)}."
            return Problem(
                path, "unknown_tool", f'"{name[:80]}" is a tool of several servers.', hint, id
            )
        if self._excluded and (excluded := Catalog(self._excluded).find(name)) is not None:
            message = f"The tool {excluded.full_name} cannot be used: the settings exclude it."
            return Problem(path, "unknown_tool", message, DO_WITHOUT, id)
        if colon and (why := self._left_out(server, tool_name)) is not None:
            message = f'The tool "{name[:120]}" cannot be used.'
            return Problem(path, "unknown_tool", message, f"Of {server}: {why}.", id)
        near = self._near(name) if may_guess else []
        meant = (
            slip_of(tool_name, [tool.name for tool in self.offered(server)])
            if near and colon
            else None
        )
        if near:
            hint = f"Did you mean {' or '.join(tool.signature for tool in near)}?"
        elif colon and (tools := self.offered(server)):
            hint = f"Tools of {server}: {some_of([tool.name for tool in tools], 12)}."
        else:
            hint = "Find tools with search_tools."
        fix = Fix(Op.REPLACE, f"{server}:{meant}") if meant is not None else None
        return Problem(path, "unknown_tool", f'Unknown tool "{name[:120]}".', hint, id, fix)

    def _left_out(self, server: str, tool: str) -> str | None:
        """Return the warning that *tool* of *server* was left out; None if it was not."""
        start = f"tool {printable(tool[:80])} was left out: "
        warnings = self.servers[server].warnings if server in self.servers else ()
        return next((warning for warning in warnings if warning.startswith(start)), None)

    def _near(self, name: str) -> list[Tool]:
        """Return the tools that *name* may have meant: those of its server, else any."""
        server, colon, tool_name = name.partition(":") if ":" in name else ("", "", name)
        for tools, alike in ((self.offered(server), 0.5), (self.offered(), 0.6)):
            by_name = {tool.name: tool for tool in reversed(tools)}
            if near := nearest(tool_name, by_name, 2, alike):
                return [by_name[match] for match in near]
        by_name = {tool.full_name: tool for tool in self.offered()}
        return [by_name[match] for match in nearest(name, by_name, 2)] if not colon else []

    @cached_property
    def _aliases(self) -> dict[str, str | None]:
        aliases: dict[str, str | None] = {}
        for full_name, tool in self.tools.items():
            spellings = (f"{tool.server}{mark}{tool.name}" for mark in ("__", ".", "/", "_"))
            for alias in (*spellings, tool.name):
                aliases[alias] = None if aliases.get(alias, full_name) != full_name else full_name
        return aliases

    def _unlisted(self, name: str) -> Tool | None:
        for mark in (":", "__", ".", "/"):
            server, found, tool = name.partition(mark)
            if found and tool and server in self.servers and not self.servers[server].is_known:
                return self.unlisted(server, tool)
        return None
