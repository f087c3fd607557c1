"""servers.toml as models. Each field is explained in `docs/configuration.md`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from ..core.flows.rules import FlowPolicy
from ..core.tools.approving import Approving
from ..core.tools.policy import Pin
from ..core.tools.rules import Rules
from ..core.tools.traits import Words
from ..core.values.problems import nearest, some_of
from ..errors import ConfigError
from ..redaction import Secrets
from .credentials import credentials_of, in_address
from .environment import inherited
from .fields import (
    Bytes,
    CommandText,
    Count,
    Folders,
    HeaderName,
    HeaderValue,
    NewServerName,
    PassedVariable,
    RateText,
    ResourceTemplate,
    Seconds,
    Section,
    ServerName,
    ToolPattern,
    Variable,
    Word,
    has_no_nul,
    is_address,
)
from .places import Steps, place
from .policy import PolicySettings, approving_of, flows_of, strictest
from .scope import Scope, default_scope


class LimitSettings(Section):
    """`[gateway.limits]`: the most that documents, results and messages may hold."""

    max_tasks: Count = 10_000
    max_items: Count = 1_000
    max_calls: Count = 100_000
    max_document_bytes: Bytes = 4 * 2**20
    max_output_bytes: Bytes = 10 * 2**20
    max_run_bytes: Bytes = 256 * 2**20
    max_message_bytes: Bytes = 16 * 2**20
    """For one line on a pipe, one HTTP body, one server-sent event."""
    max_cache_bytes: Bytes = 64 * 2**20
    """For answers that may be used again."""
    max_runs: Count = 200
    """Runs kept in memory; the oldest finished ones are dropped first."""
    max_kept_bytes: Bytes = 512 * 2**20
    """For the outputs of all runs that are kept."""


Expose = Literal["dag", "all", "tools"]


class GatewaySettings(Section):
    """`[gateway]`"""

    expose: Expose = "dag"
    """The tools in `tools/list`: our own, all, or only those of the servers."""
    types: Literal["declared", "seen"] = "declared"
    """Whether the descriptions of the servers' tools also have shapes that were seen."""
    max_concurrency: Count = 32
    wait_s: Seconds | None = None
    """Seconds until an answer with `status: "running"`. None: as the client needs, else 50."""
    timeout_s: Seconds = 3600
    idle_exit_s: Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False)] = 900
    """Seconds without a client and a run after which a shared gateway closes these settings, and
    ends with the last ones."""
    detect_conflicts: bool = True
    """Whether calls on one resource are kept from overlapping, if one of them writes."""
    learn: bool = True
    """Whether to keep durations of calls, and shapes of outputs: keys and types, no values."""
    max_result_chars: Annotated[int, Field(ge=1_000, le=10_000_000)] = 24_000
    path: Folders = ()
    """Folders that come before those of the client's PATH, for finding and running commands."""
    limits: LimitSettings = Field(default_factory=LimitSettings)


Transport = Literal["stdio", "http", "sse"]
TRANSPORT_NAMES: Final[Mapping[str, Transport | None]] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "sse": "sse",
    "local": "stdio",
    "remote": None,
}
"""The transport that each name in a client's file means, None if it has to be found out. Case does
not count, nor how words are joined."""


class ServerSettings(Section):
    """`[servers.NAME]`: exactly one of `command`, `url` and `builtin`."""

    command: Annotated[str, Field(min_length=1), AfterValidator(has_no_nul)] | None = None
    args: tuple[Word, ...] = ()
    env: dict[Variable, Word] = Field(default_factory=dict, repr=False)
    env_pass: tuple[PassedVariable, ...] = ()
    """Variables of the client that go on to the process, unless they are empty. Once settings are
    loaded, they are in `env` too."""
    cwd: Path | None = None

    url: (
        Annotated[str, Field(pattern=r"^https?://[^\s/]\S*$"), AfterValidator(is_address)] | None
    ) = None
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, repr=False)
    transport: Transport | None = None

    builtin: Literal["workspace"] | None = None
    root: Path = Path()
    allow_commands: tuple[CommandText, ...] = ()
    read_only: bool = False
    """Whether the bundled server has only the tools that change nothing."""
    tools: tuple[Word, ...] = ()
    """The tools that the bundled server has; empty for all."""
    protect: tuple[Path, ...] = ()
    """Files that it never writes; the gateway's own settings are added to them."""

    protocol: Literal["auto", "legacy", "modern"] = "auto"
    annotations: Literal["trusted", "ignored"] | None = None
    """Whether what it says of its tools' effects counts. None: unless the file was found in a
    folder, or always for the bundled server."""
    scope: Scope | None = None
    """Whether all clients share it, or each has its own. None: as is known of its command."""
    enabled: bool = True
    required: bool = False
    """Whether the gateway is ready only while the server is up."""
    lazy: bool = False
    """Started at first use, stopped after `idle_timeout_s` without one."""
    idle_timeout_s: Seconds = 300
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefix: bool = True
    """Whether its tools are served as `server__tool`, or under their own names if unique."""
    max_concurrency: Count | Literal["auto"] | None = None
    """`auto` finds the number of calls at once that the server handles well."""
    rate_limit: RateText | None = None
    timeout_s: Seconds | None = None
    startup_timeout_s: Seconds = 30
    probe_timeout_s: Seconds = 5

    @property
    def kind(self) -> Transport:
        """The transport: as set, else http for a `url` and stdio for the others."""
        return self.transport or ("http" if self.url is not None else "stdio")

    @property
    def kept_for(self) -> Scope:
        """Who shares one process or session of it: as set, else by what it is known to keep."""
        return self.scope or default_scope(self.command, self.args)

    @property
    def idle_s(self) -> float | None:
        """Seconds that it may run unused; None if it always runs."""
        return self.idle_timeout_s if self.lazy else None

    def includes(self, tool: str) -> bool:
        """Return whether `include` and `exclude` choose a tool of the server."""
        is_named = not self.include or any(fnmatchcase(tool, glob) for glob in self.include)
        return is_named and not any(fnmatchcase(tool, glob) for glob in self.exclude)

    def runs_in(self, folder: Path | None) -> Path | None:
        """Return the folder in which its process runs for a client in *folder*: `cwd`, else that
        one; a bundled server depends on none."""
        return self.cwd or (folder if self.builtin is None else Path("/"))

    @model_validator(mode="after")
    def _leads_to_one_server(self) -> Self:
        ways = [name for name in ("command", "url", "builtin") if getattr(self, name) is not None]
        if len(ways) != 1:
            found = " and ".join(ways) or "none"
            raise ValueError(f"set exactly one of command, url and builtin; found {found}")
        if (self.url is not None) != (self.kind in {"http", "sse"}):
            raise ValueError(f'transport = "{self.transport}" does not go with {ways[0]}')
        return self


class ToolSettings(Section):
    """`[tools."GLOB"]`: facts about a tool beyond its annotations."""

    read_only: bool | None = None
    """Whether it changes nothing, whatever its server says."""

    timeout_s: Seconds | None = None
    weight: Count | None = None
    idempotent: bool | None = None
    max_concurrency: Count | None = None
    reads: tuple[ResourceTemplate, ...] | None = None
    writes: tuple[ResourceTemplate, ...] | None = None
    cache_ttl_s: Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False)] | None = None
    cache_stat: str | None = None

    @property
    def of_calls(self) -> dict[str, Any]:
        """The settings of its calls: all but those of what the tool is."""
        return {
            name: getattr(self, name) for name in type(self).model_fields if name != "read_only"
        }


class HistorySettings(Section):
    """`[history]`"""

    enabled: bool = True
    """Whether runs are written to the disk."""
    durable: Literal["process", "power", "off"] = "process"
    """The end of a gateway that its runs survive, where they do not say it themselves."""
    resume: Literal["never", "safe"] = "never"
    """Whether a gateway that starts goes on by itself with interrupted runs that have nothing in
    doubt."""
    outputs: bool = True
    """Whether arguments and outputs are kept. Runs cannot be resumed without."""
    keep_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] = 30
    keep_runs: Count = 10_000
    keep_calls: Annotated[int, Field(ge=0)] = 10_000
    """Calls by name."""
    keep_bytes: Annotated[int, Field(ge=2**20)] = 2 * 2**30
    keep_audit_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] = 365
    """Days for which the rows of the audit are kept, whatever becomes of the runs."""


class AuditSettings(Section):
    """`[audit]`"""

    file: Path | None = None
    """The file to which each row is appended as a line of JSON as well."""


class ProfileSettings(Section):
    """`[profiles.NAME]`: a part of the settings, for one kind of work."""

    servers: tuple[ServerName, ...] | None = None
    """The servers that there are; None for all."""
    expose: Expose | None = None
    """As in `[gateway]`, in its place."""
    policy: PolicySettings = Field(default_factory=PolicySettings)
    """In addition to `[policy]`: the stricter of both decides each tool, so it can deny and ask
    for more, and allow nothing."""


class Settings(Section):
    """The contents of a servers.toml."""

    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    servers: dict[NewServerName, ServerSettings] = Field(default_factory=dict)
    tools: dict[ToolPattern, ToolSettings] = Field(default_factory=dict)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    history: HistorySettings = Field(default_factory=HistorySettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    profiles: dict[ServerName, ProfileSettings] = Field(default_factory=dict)


RUN_CODE = ("run_tests", "format_code")
"""The tools of a bundled server that run code of the project without being set up for it."""


@dataclass(frozen=True, slots=True)
class Need:
    """Variables, or files of secrets, that a server needs and does not have."""

    names: tuple[str, ...]
    reason: str
    """Says what is missing, and where to set it."""


class Config(Settings):
    """The settings, and their source."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    source: str = Field(default="built-in defaults", exclude=True)
    """The file the settings came from, for messages."""
    notes: tuple[str, ...] = Field(default=(), exclude=True)
    """Notes on what was ignored or changed in a client's file, and on settings without effect."""
    notice: str = Field(default="", exclude=True)
    """A message to clients about these settings as a whole; empty if there is none."""
    state_folder: Path | None = Field(default=None, exclude=True)
    """The folder for what the gateway learns; None: it is forgotten at the end."""
    secrets: Secrets = Field(default_factory=Secrets, exclude=True, repr=False)
    """The values of the settings that must not be shown."""
    environment: Mapping[str, str] = Field(
        default_factory=lambda: inherited(os.environ), exclude=True, repr=False
    )
    """The variables that every server gets, and by which commands and proxies are found."""
    client: str = Field(default="", exclude=True)
    """The client that these settings were loaded for. Only servers that are kept for each client
    depend on it."""
    folder: Path = Field(default_factory=Path.cwd, exclude=True)
    """The folder of the client: where servers without `cwd` run."""
    profile: str | None = Field(default=None, exclude=True)
    """The profile that these settings are narrowed to."""
    narrowed_to: tuple[str, ...] = Field(default=(), exclude=True)
    """The profiles whose rules hold besides those of `[policy]`: *profile*, and those before it."""
    is_found: bool = Field(default=False, exclude=True)
    """Whether the file was found in the client's folder or its parents, rather than named or the
    user's own."""
    lines: Mapping[Steps, int] = Field(default_factory=dict, exclude=True, repr=False)
    """The lines of the rules of policies in the file, by place, as far as they are known."""
    file: Path | None = Field(default=None, exclude=True)
    """The file that the settings came from; None for the built-in defaults."""
    needs: Mapping[str, Need] = Field(default_factory=dict, exclude=True)
    """By name, the servers that are off because they name variables that are not set. Their
    settings are incomplete."""
    secrets_file: Path | None = Field(default=None, exclude=True)
    """The file of the user's variables, which may be missing."""
    varies_by_folder: bool = Field(default=False, exclude=True)
    """Whether the file has other servers for clients in other folders."""
    variables: Mapping[str, str | None] = Field(default_factory=dict, exclude=True, repr=False)
    """The variables that made these settings what they are, with their values; None for one that is
    not set."""

    def over_http(self) -> Config:
        """Return these settings as they apply over HTTP: a bundled server runs no code of the
        project, unless its `tools` are named."""
        servers = {
            name: server.model_copy(update={"exclude": (*server.exclude, *RUN_CODE)})
            if server.builtin is not None and not server.tools
            else server
            for name, server in self.servers.items()
        }
        return self.model_copy(update={"servers": servers})

    def in_profile(self, name: str) -> Config:
        """Return the part of these settings that the profile *name* is. Raises `ConfigError` for an
        unknown one."""
        if (chosen := self.profiles.get(name)) is None:
            near = nearest(name, self.profiles)
            known = f"Its profiles: {some_of(self.profiles, 20)}." if self.profiles else ""
            hint = f'Did you mean "{near[0]}"?' if near else known or "It has no profiles."
            raise ConfigError(f'unknown profile "{name[:80]}" ({self.source}). {hint}')
        wanted = self.servers if chosen.servers is None else chosen.servers
        servers = {name: server for name, server in self.servers.items() if name in wanted}
        expose = chosen.expose or self.gateway.expose
        gateway = self.gateway.model_copy(update={"expose": expose})
        narrowed = (*self.narrowed_to, name)
        parts = {"servers": servers, "gateway": gateway, "profile": name, "narrowed_to": narrowed}
        return self.model_copy(update=parts)

    def rules(self) -> tuple[Rules, ...]:
        """Return the tables of rules that hold: `[policy]`, and those of the profiles."""
        return tuple(policy.rules(section, self.lines) for section, policy in self._policies())

    def approving(self) -> Approving:
        """Return how a person is asked for calls."""
        return approving_of([policy for _, policy in self._policies()])

    def flows(self) -> FlowPolicy:
        """Return the rules for flows that hold."""
        return flows_of([policy for _, policy in self._policies()])

    def _policies(self) -> Iterator[tuple[str, PolicySettings]]:
        """Yield the policies that hold, each with its place."""
        yield "policy", self.policy
        for name in self.narrowed_to:
            yield place(("profiles", name, "policy")), self.profiles[name].policy

    def pin(self) -> Pin:
        """Return how much it matters that tools change: the strictest of what is set."""
        found = Pin(strictest([policy for _, policy in self._policies()], "pin", [*Pin]))
        return Pin.WARN if found is Pin.BLOCK and self.observes() else found

    def observes(self) -> bool:
        """Return whether the policy only observes, and so neither denies nor asks."""
        policies = [policy for _, policy in self._policies()]
        return strictest(policies, "mode", ("observe", "enforce")) == "observe"

    def words(self) -> Words:
        """Return the operator's word on tools: whose hints count, and which only read."""
        ignored = (
            name
            for name, server in self.servers.items()
            if server.annotations == "ignored"
            or (server.annotations is None and server.builtin is None and self.is_found)
        )
        marked = (
            (glob, tool.read_only)
            for glob, tool in self.tools.items()
            if tool.read_only is not None
        )
        return Words(frozenset(ignored), tuple(marked))

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        for server in self.servers.values():
            found = credentials_of(server.headers, server.env, server.args, server.url)
            self.secrets.add(found)
        for value in self.environment.values():  # proxies
            self.secrets.add(in_address(value))
        return self
