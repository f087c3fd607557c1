"""The downstream tools: what they are called, what they take and give, and how a name is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from .schema import Schema
from .strict import Json, JsonObject


class ServerState(StrEnum):
    """How a downstream server stands."""

    CONNECTING = "connecting"
    READY = "ready"
    RETRYING = "retrying"  # the last attempt failed, or the server went away; another follows
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """One downstream server as people and models see it."""

    name: str
    state: ServerState
    transport: str = "stdio"
    protocol: str | None = None
    """The protocol version agreed on, once connected."""
    title: str | None = None
    """The name and version the server gives itself."""
    tools: int = 0
    error: str | None = None
    """Why it is not ready, in words a person can act on."""
    warnings: tuple[str, ...] = ()
    """What was wrong with single tools of it, which were left out."""
    pid: int | None = None


@dataclass(frozen=True)
class Tool:
    """One downstream tool; `definition` is what its server sent, unchanged."""

    server: str
    name: str
    definition: JsonObject = field(default_factory=dict, repr=False, compare=False)
    listed: bool = True
    """False for a tool of a server that has not been reached: nothing is known of it, and nothing is refused."""

    @cached_property
    def full_name(self) -> str:
        return f"{self.server}:{self.name}"

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
    def hints(self) -> Mapping[str, Json]:
        """The annotations, as the server gave them. They are claims, not facts."""
        annotations = self.definition.get("annotations")
        return annotations if isinstance(annotations, dict) else {}

    @property
    def is_read_only(self) -> bool:
        return self.hints.get("readOnlyHint") is True

    @property
    def is_idempotent(self) -> bool:
        return self.is_read_only or self.hints.get("idempotentHint") is True

    @cached_property
    def signature(self) -> str:
        """One line: `server:tool(required: type, optional?: type) -> output`."""
        output = f" -> {self.output.shape()}" if self.output else ""
        return f"{self.full_name}({self.input.parameters()}){output}"


class Catalog:
    """All tools of all servers at one moment; never changed, only replaced."""

    def __init__(self, tools: Iterable[Tool] = (), servers: Iterable[ServerInfo] = ()) -> None:
        self.tools: dict[str, Tool] = {tool.full_name: tool for tool in tools}
        self.servers: dict[str, ServerInfo] = {server.name: server for server in servers}
