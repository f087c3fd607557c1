"""The commands that need a gateway, as values: carried out here, or written down for a gateway in
another process (`door/commands.py` adds the form of the person's streams)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from .documents import Changes, Source
from .reporting import Report

if TYPE_CHECKING:
    from ..config import Config
    from ..engine.gateway import Gateway
    from .invocation import Invocation


@dataclass(frozen=True, slots=True)
class Run:
    """`plait run`"""

    source: Source
    changes: Changes
    is_whole: bool = False
    says_yes: bool = False
    reports: tuple[Report, ...] = ()
    name: Literal["run"] = "run"

    async def __call__(self, gateway: Gateway, invocation: Invocation, config: Config) -> int:
        from .running import run_dag

        return await run_dag(
            gateway,
            invocation,
            self.source,
            self.changes,
            is_whole=self.is_whole,
            says_yes=self.says_yes,
            reports=self.reports,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """`plait plan`"""

    source: Source
    name: Literal["plan"] = "plan"

    async def __call__(self, gateway: Gateway, invocation: Invocation, config: Config) -> int:
        from .looking import plan_dag

        return await plan_dag(gateway, invocation, self.source)


@dataclass(frozen=True, slots=True)
class Explain:
    """`plait explain`"""

    source: Source
    name: Literal["explain"] = "explain"

    async def __call__(self, gateway: Gateway, invocation: Invocation, config: Config) -> int:
        from .looking import explain_dag

        return await explain_dag(gateway, invocation, self.source)


@dataclass(frozen=True, slots=True)
class Graph:
    """`plait graph` of a DAG"""

    source: Source
    format: str | None = None
    output: Path | None = None
    name: Literal["graph"] = "graph"

    async def __call__(self, gateway: Gateway, invocation: Invocation, config: Config) -> int:
        from .drawing import draw_dag

        return await draw_dag(gateway, invocation, self.source, self.format, self.output)


@dataclass(frozen=True, slots=True)
class Tools:
    """`plait tools`"""

    words: str = ""
    server: str | None = None
    name: Literal["tools"] = "tools"

    async def __call__(self, gateway: Gateway, invocation: Invocation, config: Config) -> int:
        from .looking import list_tools

        return await list_tools(gateway, invocation, config, self.words, self.server)


@dataclass(frozen=True, slots=True)
class Call:
    """`plait call`"""

    tool: str
    words: tuple[str, ...] = ()
    output: Path | None = None
    again: bool = False
    name: Literal["call"] = "call"

    async def __call__(self, gateway: Gateway, invocation: Invocation, config: Config) -> int:
        from .calling import call_tool

        return await call_tool(
            gateway, invocation, self.tool, self.words, self.output, again=self.again
        )


@dataclass(frozen=True, slots=True)
class Approve:
    """`plait approve`"""

    run: str
    is_whole: bool = False
    name: Literal["approve"] = "approve"

    async def __call__(self, gateway: Gateway, invocation: Invocation, config: Config) -> int:
        from .approving import approve_run

        return await approve_run(gateway, invocation, self.run, is_whole=self.is_whole)


@dataclass(frozen=True, slots=True)
class Deny:
    """`plait deny`"""

    run: str
    is_whole: bool = False
    name: Literal["deny"] = "deny"

    async def __call__(self, gateway: Gateway, invocation: Invocation, config: Config) -> int:
        from .approving import deny_run

        return await deny_run(gateway, invocation, self.run, is_whole=self.is_whole)


@dataclass(frozen=True, slots=True)
class Servers:
    """`plait servers`"""

    name: Literal["servers"] = "servers"

    async def __call__(self, gateway: Gateway, invocation: Invocation, config: Config) -> int:
        from .looking import list_servers

        return await list_servers(gateway, invocation, config)


AnyCommand: TypeAlias = Run | Plan | Explain | Graph | Tools | Call | Approve | Deny | Servers


@dataclass(frozen=True, slots=True)
class StreamForm:
    """The form of a stream of the person."""

    encoding: str
    is_terminal: bool


@dataclass(frozen=True, slots=True)
class Order:
    """A command, and where its results go."""

    command: Annotated[AnyCommand, Field(discriminator="name")]
    as_json: bool
    debug: bool
    out: StreamForm
    err: StreamForm
    columns: int
    environ: Mapping[str, str]


def written(command: AnyCommand) -> str:
    """Return *command* as JSON. Raises `ValueError` for one that is not text."""
    return _commands().dump_json(command).decode()


def read_order(data: bytes) -> Order:
    """Read an order. Raises `ValueError`."""
    return _orders().validate_json(data)


@cache
def _commands() -> TypeAdapter[AnyCommand]:
    return TypeAdapter(Annotated[AnyCommand, Field(discriminator="name")])


@cache
def _orders() -> TypeAdapter[Order]:
    return TypeAdapter(Order)
