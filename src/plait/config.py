"""The settings: servers.toml as models. The only reader of settings from files and the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitSettings(_Section):
    """`[gateway.limits]`: what a document, a result and a line on the wire may hold at most."""

    max_tasks: Count = 10_000
    max_items: Count = 1_000
    max_document_bytes: Count | int = 4 * 2**20
    max_output_bytes: int = Field(10 * 2**20, ge=1)
    max_run_bytes: int = Field(256 * 2**20, ge=1)
    max_message_bytes: int = Field(16 * 2**20, ge=1024)
    """One line on a pipe, one HTTP body after decompression, one SSE event."""
    max_runs: Count = 200
    """Finished runs kept in memory; the oldest go first."""


class GatewaySettings(_Section):
    """`[gateway]`"""

    max_concurrency: Count = 32
    wait_s: Seconds | None = None
    """Answer with `status: "running"` after so long. Without it: by client, else 50."""
    timeout_s: Seconds = 3600
    max_result_chars: int = Field(24_000, ge=1_000)
    limits: LimitSettings = LimitSettings()


class ServerSettings(_Section):
    """`[servers.NAME]`: exactly one of `command`, `url` and `builtin`."""

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    cwd: Path | None = None

    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    transport: Literal["stdio", "http", "sse"] | None = None

    builtin: Literal["workspace"] | None = None
    root: Path = Path()
    allow_commands: tuple[str, ...] = ()

    protocol: Literal["auto", "legacy", "modern"] = "auto"
    enabled: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_concurrency: Count | None = None
    timeout_s: Seconds | None = None
    startup_timeout_s: Seconds = 30
    probe_timeout_s: Seconds = 5

    @property
    def kind(self) -> Literal["stdio", "http", "sse"]:
        """The transport: as set, else by what leads to the server."""
        return self.transport or ("http" if self.url is not None else "stdio")


class ToolSettings(_Section):
    """`[tools."GLOB"]`: what the gateway knows of a tool beyond its annotations."""

    timeout_s: Seconds | None = None
    weight: Count | None = None
    idempotent: bool | None = None


class PolicySettings(_Section):
    """`[policy]`"""

    deny: tuple[str, ...] = ()


class Config(_Section):
    gateway: GatewaySettings = GatewaySettings()
    servers: dict[str, ServerSettings] = Field(default_factory=dict)
    tools: dict[str, ToolSettings] = Field(default_factory=dict)
    policy: PolicySettings = PolicySettings()
    source: str = "built-in defaults"
    """The file the settings came from, for messages."""
