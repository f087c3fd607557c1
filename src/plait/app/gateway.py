"""A gateway made from settings: its servers, its policy and limits, and what changes when the
settings do."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import anyio
from anyio.abc import TaskGroup

from ..config import Config, load_config
from ..config.desk import place_of
from ..config.environment import mark_of
from ..config.reloading import lasting
from ..core.history import Durable
from ..core.ports import ResourceResolver
from ..core.scheduling.lanes import NO_DESK
from ..core.scheduling.limits import Limits
from ..core.scheduling.rates import Rate
from ..core.tools.policy import Policy, Rule
from ..core.tools.rules import Answer
from ..core.tools.server_notices import SettingsReloaded
from ..core.values.principal import Principal
from ..engine import gateway as verbs
from ..engine.writing import Kept
from .parts import Parts

if TYPE_CHECKING:
    from ..downstream.pool import Pool
    from ..upstream.relay.listings import RelayConfig


IN_PROFILE = "?profile="
"""Stands between the name of a desk and that of a profile in it."""


class Gateway(verbs.Gateway):
    """The gateway over the servers of a configuration. Use as `async with Gateway.from_config(...)
    as gateway:`."""

    _made: _Made | None = None
    _opened: _Opened | None = None
    """Set while it is open."""

    @classmethod
    def from_config(
        cls,
        config: Config | Path | str,
        *,
        first: anyio.Event | None = None,
        on_demand: bool = False,
        parts: Parts | None = None,
        desk: str = NO_DESK,
    ) -> Self:
        """Make the gateway that *config*, or the file of that path, describes. Raises
        `ConfigError`.

        With *first*, servers start once it is set, once they are needed, or after a second; if
        *on_demand*, not after a second. With *parts*, which must be open and are
        shared, it is the configuration *desk* among others.
        """
        from ..downstream.pool import HELD_S, Pool

        settings = config if isinstance(config, Config) else load_config(Path(config))
        own = Parts(settings.gateway, settings.state_folder) if parts is None else None
        parts = own or parts
        assert parts is not None
        first, hold_s = (first or anyio.Event(), math.inf) if on_demand else (first, HELD_S)
        pool = Pool(settings, parts.connections, first=first, hold_s=hold_s, keys=parts.keys)
        parts.adopt(settings, desk)
        made = cls(
            pool,
            parts.connections,
            parts.runs,
            policy=_policy(settings, parts),
            flows=settings.flows(),
            limits=_limits(settings, parts),
            resolver=_resolver(settings, parts),
            engine=parts.engine,
            desk=desk,
        )
        made.notice, made.origin = settings.notice, settings.source
        made.place = place_of(settings)
        made.mark = mark_of(settings.state_folder)
        made._made = _Made(settings, pool, parts, own)
        return made

    def relaying(self) -> RelayConfig | None:
        """Return the settings for serving what servers offer; None without settings."""
        from ..upstream.relay.listings import RelayConfig

        if self._made is None:
            return None
        config, pool = self._made.config, self._made.pool
        bare = frozenset(name for name, server in config.servers.items() if not server.prefix)
        relaying = RelayConfig(
            pool, config.gateway.expose, bare, self.known, self.denied_by, shown=self._show_source
        )
        return replace(relaying, seen=self._seen) if config.gateway.types == "seen" else relaying

    def _show_source(self, principal: Principal, source: str) -> None:
        self.see(principal, [source])

    def _seen(self, server: str, tool: str) -> str | None:
        """Return the shape in one line that outputs of *tool* had so far, if it declares none."""
        found = self.catalog().tools.get(f"{server}:{tool}")
        shape = None if found is None else self.learned.shape(found)
        return None if shape is None else shape.shape()

    async def reload(self, config: Config) -> None:
        """Apply *config*, also to the open gateways of profiles. Unchanged servers and active runs
        are not disturbed; settings that cannot change at run time are reported."""
        assert self._made is not None  # it was made from settings
        before, parts = self._made.config, self._made.parts
        changed = await self.apply(config)
        for name, gateway in [*self._opened.profiles.items()] if self._opened else []:
            await gateway.apply(_in_profile(config, name))
        later, now = tuple(lasting(before, config)), anyio.current_time()
        parts.notify(SettingsReloaded(config.source, tuple(sorted(changed)), later, now))

    async def apply(self, config: Config) -> set[str]:
        """Apply *config* to this gateway alone, unreported. Returns the names of the servers that
        started or stop."""
        assert self._made is not None
        before, pool, parts = self._made.config, self._made.pool, self._made.parts
        keys = {**parts.keys(before), **parts.keys(config)}
        self.notice = config.notice
        parts.adopt(config, self.desk)
        policy, limits = _policy(config, parts), _limits(config, parts)
        self.change(policy, limits, _resolver(config, parts), config.flows())
        changed = await pool.reload(config)
        parts.cache.forget(keys[name] for name in changed)
        parts.breaker.forget(keys[name] for name in changed)
        pool.announce_reload()
        self._made = replace(self._made, config=config)
        return changed

    def keep_seen(self) -> None:
        """Keep what clients see over the death of this process, which is theirs alone."""
        if self._made is not None and self._made.own is not None:
            self._made.own.keep_seen()

    def forget_seen(self) -> None:
        """Forget what clients have seen: they have left."""
        self.engine.flows.knowledge.forget(self.place)

    def profiles(self) -> Collection[str]:
        """List the profiles of the settings as they are now."""
        return () if self._made is None else self._made.config.profiles.keys()

    async def in_profile(self, name: str) -> Gateway:
        """Return the gateway of a profile. It is opened when it is first asked for, and stays open
        as long as this one, whose parts it shares. It has limits of its own, and gets the same new
        settings: if the profile is gone from them, it has no servers. Raises `ConfigError` for an
        unknown profile."""
        assert self._opened is not None
        if (known := self._opened.profiles.get(name)) is not None:
            return known
        return cast("Gateway", await self._opened.tasks.start(self._run_profile, name))

    async def _run_profile(self, name: str, *, task_status: anyio.abc.TaskStatus[Gateway]) -> None:
        assert self._made is not None
        assert self._opened is not None
        config, parts = self._made.config, self._made.parts
        desk = f"{self.desk}{IN_PROFILE}{name}"
        async with Gateway.from_config(config.in_profile(name), parts=parts, desk=desk) as gateway:
            if self._made.config is not config:  # they have changed meanwhile
                await gateway.apply(_in_profile(self._made.config, name))
            self._opened.profiles[name] = gateway
            task_status.started(gateway)
            await self._opened.closing.wait()

    async def __aenter__(self) -> Self:
        if self._made is not None:
            if self._made.own is not None:
                await self._made.own.__aenter__()
            await self._made.pool.__aenter__()
        await super().__aenter__()
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._opened = _Opened(tasks)
        return self

    async def __aexit__(self, *exc: object) -> None:
        made, opened = self._made, self._opened
        assert opened is not None
        if made is not None and made.own is not None:
            await made.own.engine.end_runs()  # their servers are still there
        opened.closing.set()
        await opened.tasks.__aexit__(None, None, None)
        try:
            await super().__aexit__(*exc)
        finally:
            if made is not None:
                await made.pool.__aexit__(None, None, None)
                made.parts.forget(self.desk)
                if made.own is not None:
                    await made.own.__aexit__(*exc)


@dataclass(frozen=True, slots=True)
class _Made:
    """The parts of a gateway that was made from settings; *own* are those that it must close."""

    config: Config
    pool: Pool
    parts: Parts
    own: Parts | None


@dataclass(frozen=True, slots=True)
class _Opened:
    """The open gateways of profiles, by name, each in a task of *tasks* until *closing*."""

    tasks: TaskGroup
    profiles: dict[str, Gateway] = field(default_factory=dict)
    closing: anyio.Event = field(default_factory=anyio.Event)


async def remembered_tools(config: Config) -> list[str]:
    """Return the full names of the tools that may be called, as the servers of *config* listed them
    at their last start. None of them is started."""
    from ..downstream.listings.definitions import read_tools
    from ..downstream.listings.identity import identity_of
    from ..stores.listing_cache import ListingCache

    listings, policy = ListingCache(config.state_folder), _policy(config)
    kept = {
        name: (server, listings.of(identity_of(name, server)))
        for name, server in config.servers.items()
        if server.enabled and name not in config.needs
    }
    await listings.load()
    names, words = [], config.words()
    for name, (server, listing) in kept.items():
        if isinstance(definitions := listing.get("tools"), list):
            tools, _ = read_tools(name, definitions)
            worded = (replace(tool, word=words.of(name, tool.name)) for tool in tools)
            names += [
                tool.full_name
                for tool in worded
                if server.includes(tool.name) and policy.decide(tool).answer is not Answer.DENY
            ]
    return names


BUNDLED = (
    Rule("format_code", writes=("file:{paths}",)),
    Rule("run_tests", reads=("file:{paths}",)),
    Rule("git_*", reads=("file:{repository}",)),
)
"""The resources of the bundled server's tools if their arguments are left out: everything under its
root."""


def _policy(config: Config, parts: Parts | None = None) -> Policy:
    bundled = [
        replace(rule, pattern=f"{name}:{rule.pattern}")
        for name, server in config.servers.items()
        if server.builtin is not None
        for rule in BUNDLED
    ]
    rules = (Rule(pattern, **tool.of_calls) for pattern, tool in config.tools.items())
    timeouts = {
        name: server.timeout_s
        for name, server in config.servers.items()
        if server.timeout_s is not None
    }
    startups = {name: server.startup_timeout_s for name, server in config.servers.items()}
    realm = config.source if parts is not None and parts.is_for_several else ""
    return Policy(
        (*bundled, *rules),
        config.rules(),
        timeouts,
        startups,
        realm,
        pin=config.pin(),
        observes=config.observes(),
    )


def _in_profile(config: Config, name: str) -> Config:
    """Return the part of *config* that a profile is; one without servers if it is gone."""
    if name in config.profiles:
        return config.in_profile(name)
    return config.model_copy(update={"servers": {}, "profile": name})


def _resolver(config: Config, parts: Parts) -> ResourceResolver | None:
    return parts.resources if config.gateway.detect_conflicts else None


def _kept(config: Config) -> Kept:
    if not config.history.enabled:
        return Kept.NOT
    return Kept.WHOLE if config.history.outputs else Kept.WITHOUT_VALUES


def _limits(config: Config, parts: Parts) -> verbs.GatewayLimits:
    settings, limits, keys = config.gateway, config.gateway.limits, parts.keys(config)
    servers = tuple(
        (keys[name], server.max_concurrency)
        for name, server in config.servers.items()
        if server.max_concurrency is not None
    )
    rates = tuple(
        (keys[name], Rate.parse(server.rate_limit))
        for name, server in config.servers.items()
        if server.rate_limit is not None
    )
    return verbs.GatewayLimits(
        concurrency=Limits(gateway=settings.max_concurrency, servers=servers, rates=rates),
        timeout_s=settings.timeout_s,
        max_tasks=limits.max_tasks,
        max_items=limits.max_items,
        max_document_bytes=limits.max_document_bytes,
        max_output_bytes=limits.max_output_bytes,
        max_run_bytes=limits.max_run_bytes,
        max_calls=limits.max_calls,
        durable=Durable(config.history.durable),
        kept=_kept(config),
        approving=config.approving(),
    )
