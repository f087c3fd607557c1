"""The composition root: settings become parts, parts become a gateway, a gateway is served; start
and stop in order.

To stop, no new call is taken, calls in flight get a few seconds to end, then their runs are
cancelled, which answers them, then the downstream servers are stopped. Each step is bounded, and so
is the whole.
"""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio

from .config import Config, GatewaySettings, load_config
from .config.reloading import Reloading, lasting
from .core.ports import ResourceResolver
from .core.scheduling.lanes import NO_DESK
from .core.scheduling.limits import Limits
from .core.scheduling.rates import Rate
from .core.tools.policy import Policy, Rule
from .core.tools.server_notices import SettingsReloaded
from .core.tools.tool_stats import ToolStats
from .engine import gateway as verbs
from .engine.engine import Engine
from .engine.runner import Observers
from .stores.in_memory import InMemoryRuns
from .stores.tool_stats import StatsFile

if TYPE_CHECKING:
    import socket

    from .calls.cache import Cache
    from .core.ports import CallTool
    from .downstream.pool import Pool
    from .downstream.resources import Resources
    from .downstream.server_keys import Keys
    from .upstream.relay.listings import RelayConfig
    from .upstream.stopping import Stop
    from .upstream.transports.admission import Admission
    from .upstream.transports.hosts import Allowed
    from .upstream.transports.listening import Arrival

log = logging.getLogger(__name__)

DRAIN_S = 5.0
"""Seconds that calls in flight may take to end after SIGTERM or SIGINT."""


def stack(call_tool: CallTool, resources: Resources, max_bytes: int) -> tuple[CallTool, Cache]:
    """Stack the wrappers that each call passes on its way to *call_tool*, of a task or by name.
    Returns the outermost `CallTool`, and the cache, which holds *max_bytes*."""
    from .calls.cache import Cache, fingerprints

    cache = Cache(call_tool, fingerprints(resources.path), max_bytes=max_bytes)
    return cache, cache


class Parts:
    """The parts of a process that all of its configurations share: connections, the engine, the
    cache. Use as an async context manager.

    *keys* gives the unique names of the servers of a configuration; without it there is only one,
    whose names are unique.
    """

    def __init__(
        self, settings: GatewaySettings, state_folder: Path | None, *, keys: Keys | None = None
    ) -> None:
        from .downstream.connections import Connections
        from .downstream.resources import Resources
        from .downstream.server_keys import names_as_keys
        from .observers.logs import log_notices
        from .stores.listing_cache import ListingCache

        limits, learns = settings.limits, settings.learn
        self.keys = keys or names_as_keys
        self.is_for_several = keys is not None
        learned = ToolStats(enabled=learns)
        self._memory = StatsFile(learned, state_folder) if learns and state_folder else None
        observers = [log_notices, self._memory.observe] if self._memory else [log_notices]
        self.notify = Observers(observers)
        self.connections = Connections(
            ListingCache(state_folder), notify=self.notify, are_shared=self.is_for_several
        )
        self.resources = Resources()
        call_tool, self.cache = stack(self.connections, self.resources, limits.max_cache_bytes)
        self.runs = InMemoryRuns(limits.max_runs, limits.max_kept_bytes)
        self.engine = Engine(
            call_tool, self.runs, learned=learned, resolver=self.resources, observers=observers
        )
        self._configs: dict[str, Config] = {}

    def adopt(self, config: Config, desk: str) -> None:
        """Use the servers of *config* for the desk of that name from now on."""
        self._configs[desk] = config
        self.engine.learned.is_enabled = all(one.gateway.learn for one in self._configs.values())
        self._adopt_servers()

    def forget(self, desk: str) -> None:
        """Forget the servers of *desk*, which has ended."""
        del self._configs[desk]
        self._adopt_servers()

    def _adopt_servers(self) -> None:
        self.resources.adopt(self._configs.values(), self.keys)

    async def __aenter__(self) -> Self:
        if self._memory is not None:
            await self._memory.load()
        await self.connections.__aenter__()
        await self.engine.__aenter__()
        if self._memory is not None:
            self.engine.start_soon(self._memory.keep)
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.engine.__aexit__(*exc)
        finally:
            await self.connections.__aexit__(None, None, None)
            if self._memory is not None:
                with anyio.CancelScope(shield=True):
                    await self._memory.save()


class Gateway(verbs.Gateway):
    """The gateway over the servers of a configuration. Use as `async with Gateway.from_config(...)
    as gateway:`."""

    _made: _Made | None = None

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

        With *first*, servers start once it is set, once they are needed, or after a second. If
        *on_demand*, each starts only once it is needed. With *parts*, which must be open and are
        shared, it is the configuration *desk* among others.
        """
        from .downstream.pool import HELD_S, Pool

        settings = config if isinstance(config, Config) else load_config(Path(config))
        own = Parts(settings.gateway, settings.state_folder) if parts is None else None
        parts = own or parts
        assert parts is not None
        first, hold_s = (anyio.Event(), math.inf) if on_demand else (first, HELD_S)
        pool = Pool(settings, parts.connections, first=first, hold_s=hold_s, keys=parts.keys)
        parts.adopt(settings, desk)
        made = cls(
            pool,
            parts.connections,
            parts.runs,
            policy=_policy(settings, parts),
            limits=_limits(settings, parts),
            resolver=_resolver(settings, parts),
            engine=parts.engine,
            desk=desk,
        )
        made.notice = settings.notice
        made._made = _Made(settings, pool, parts, own)
        return made

    def relaying(self) -> RelayConfig | None:
        """Return the settings for serving what servers offer; None without settings."""
        from .upstream.relay.listings import RelayConfig

        if self._made is None:
            return None
        config, pool = self._made.config, self._made.pool
        bare = frozenset(name for name, server in config.servers.items() if not server.prefix)
        relaying = RelayConfig(pool, config.gateway.expose, bare, self.known, self.denied_by)
        return replace(relaying, seen=self._seen) if config.gateway.types == "seen" else relaying

    def _seen(self, server: str, tool: str) -> str | None:
        """Return the shape in one line that outputs of *tool* had so far, if it declares none."""
        found = self.catalog().tools.get(f"{server}:{tool}")
        shape = None if found is None else self.learned.shape(found)
        return None if shape is None else shape.shape()

    async def reload(self, config: Config) -> None:
        """Apply *config*. Unchanged servers and active runs are not disturbed; settings that cannot
        change at run time are reported."""
        assert self._made is not None  # it was made from settings
        before, pool, parts = self._made.config, self._made.pool, self._made.parts
        keys = {**parts.keys(before), **parts.keys(config)}
        self.notice = config.notice
        parts.adopt(config, self.desk)
        self.change(_policy(config, parts), _limits(config, parts), _resolver(config, parts))
        changed = await pool.reload(config)
        parts.cache.forget(keys[name] for name in changed)
        pool.announce_reload()
        self._made = replace(self._made, config=config)
        later, now = tuple(lasting(before, config)), anyio.current_time()
        parts.notify(SettingsReloaded(config.source, tuple(sorted(changed)), later, now))

    async def __aenter__(self) -> Self:
        if self._made is not None:
            if self._made.own is not None:
                await self._made.own.__aenter__()
            await self._made.pool.__aenter__()
        await super().__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        made = self._made
        if made is not None and made.own is not None:
            await made.own.engine.end_runs()  # their servers are still there
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


def open_gateway(
    config: Config, *, on_demand: bool = False
) -> AbstractAsyncContextManager[Gateway]:
    """Return the gateway of *config*: entering starts its servers in the background, or if
    *on_demand* none that is not needed; leaving stops them."""
    return Gateway.from_config(config, on_demand=on_demand)


async def remembered_tools(config: Config) -> list[str]:
    """Return the full names of the tools that may be called, as the servers of *config* listed them
    at their last start. None of them is started."""
    from .downstream.listings.definitions import read_tools
    from .downstream.listings.identity import identity_of
    from .stores.listing_cache import ListingCache

    listings, policy = ListingCache(config.state_folder), _policy(config)
    kept = {
        name: (server, listings.of(identity_of(name, server)))
        for name, server in config.servers.items()
        if server.enabled
    }
    await listings.load()
    names: list[str] = []
    for name, (server, listing) in kept.items():
        if isinstance(definitions := listing.get("tools"), list):
            tools, _ = read_tools(name, definitions, server.include, server.exclude)
            names += [tool.full_name for tool in tools]
    return [name for name in names if policy.denied_by(name) is None]


@asynccontextmanager
async def _serving(
    config: Config, reloading: Reloading | None, first: anyio.Event | None = None
) -> AsyncIterator[Gateway]:
    """Open the gateway of *config*, and apply new settings as they arrive."""
    async with (
        Gateway.from_config(config, first=first) as gateway,
        anyio.create_task_group() as tasks,
    ):
        if reloading is not None:
            tasks.start_soon(reloading.follow, config, gateway.reload)
        yield gateway
        tasks.cancel_scope.cancel()


def settle_memory() -> None:
    """Make the garbage collector skip imported objects, and run less often.

    A large run makes many objects that live to its end; looking through all of them again and again
    took a third of its time. Cycles are rare here, so little is kept longer for it. It may have
    been off while the program started.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


async def serve_stdio(config: Config, reloading: Reloading | None = None) -> OSError | None:
    """Serve one client on standard input and output, until it leaves or a signal comes. New
    settings are taken as *reloading* says. Servers are started once the first answer is out.
    Returns the reason why standard output could not be written, if it could not."""
    from .upstream.stopping import stopped_by_signals
    from .upstream.transports.stdio import private_stdio

    with private_stdio() as (in_fd, out_fd):
        first = anyio.Event()
        async with stopped_by_signals() as stop, _serving(config, reloading, first) as gateway:
            relaying = gateway.relaying()
            settle_memory()
            return await run_stdio(
                gateway, config.gateway, in_fd, out_fd, stop, relaying=relaying, on_answer=first.set
            )


async def serve_http(
    config: Config,
    host: str = "127.0.0.1",
    port: int = 8420,
    *,
    admit: Callable[[str], Admission],
    allowed_hosts: tuple[str, ...] = (),
    allowed_origins: tuple[str, ...] = (),
    reloading: Reloading | None = None,
    on_ready: Callable[[str], None] = lambda url: log.info("serving", extra={"url": url}),
) -> None:
    """Serve any number of clients over HTTP, until a signal comes. *admit* decides who may come in
    to the address that is bound. *on_ready* gets the URL of the MCP endpoint. New settings are
    taken as *reloading* says.

    Allowed hosts and origins are as in `upstream/transports/hosts.py`. Raises `OSError` if the
    address cannot be bound, and `ValueError` for an invalid host or origin.
    """
    from .upstream.stopping import stopped_by_signals
    from .upstream.transports.hosts import Allowed
    from .upstream.transports.listening import listen_on

    allowed = Allowed(host, allowed_hosts, allowed_origins)
    with listen_on(host, port) as listening:
        admission = admit(listening.getsockname()[0])
        async with stopped_by_signals() as stop, _serving(config, reloading) as gateway:
            relaying = gateway.relaying()
            settle_memory()
            await run_http(
                gateway,
                config.gateway,
                listening,
                allowed,
                admission,
                stop,
                relaying=relaying,
                on_ready=on_ready,
            )


async def run_stdio(
    gateway: verbs.Gateway,
    settings: GatewaySettings,
    in_fd: int,
    out_fd: int,
    stop: Stop,
    *,
    relaying: RelayConfig | None = None,
    drain_s: float = DRAIN_S,
    on_answer: Callable[[], None] = lambda: None,
) -> OSError | None:
    """Serve *gateway* over two descriptors, until the client closes its end or *stop* is asked for.
    *on_answer* is called after each message that was written. Returns the reason why no more could
    be written, if the client did not just leave."""
    from .upstream.calls import OpenCalls
    from .upstream.principals import always_user
    from .upstream.server import build_server
    from .upstream.transports.stdio import open_pipe

    calls = OpenCalls()
    server = build_server(
        gateway,
        max_chars=settings.max_result_chars,
        wait_s=settings.wait_s,
        calls=calls,
        relaying=relaying,
        principal_of=always_user,
    )
    async with (
        open_pipe(in_fd, out_fd, max_line_bytes=settings.limits.max_message_bytes) as pipe,
        anyio.create_task_group() as tasks,
    ):

        async def drain() -> None:
            await calls.drain(drain_s, gateway.cancel_all)

        async def obey() -> None:
            await stop.asked.wait()
            if calls.is_closed:  # the client has closed its end: it wants nothing more
                calls.hurry()
            await drain()
            pipe.stop()

        tasks.start_soon(obey)
        pipe.on_written = on_answer
        await pipe.serve(server, drain)
        stop.ask()
        tasks.cancel_scope.cancel()
    return pipe.fault


async def run_http(
    gateway: verbs.Gateway,
    settings: GatewaySettings,
    listening: socket.socket,
    allowed: Allowed,
    admission: Admission,
    stop: Stop,
    *,
    relaying: RelayConfig | None = None,
    drain_s: float = DRAIN_S,
    arrival: Arrival | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve *gateway* over HTTP on the socket *listening*, until *stop* is asked for. *arrival*
    bounds the time for a request to come in."""
    from .upstream.calls import OpenCalls
    from .upstream.server import build_server
    from .upstream.transports.bodies import OpenRequests
    from .upstream.transports.http import build_app
    from .upstream.transports.listening import Listener

    calls, requests = OpenCalls(), OpenRequests()
    server = build_server(
        gateway,
        max_chars=settings.max_result_chars,
        wait_s=settings.wait_s,
        calls=calls,
        relaying=relaying,
    )
    app = build_app(gateway, server, allowed, admission, calls=calls, requests=requests)
    listener = Listener(
        app, arrival=arrival, on_started=lambda: on_ready(_url(allowed.bound, listening))
    )

    async def obey() -> None:
        await stop.asked.wait()
        await calls.drain(drain_s, gateway.cancel_all)
        requests.end_all()
        listener.should_exit = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(obey)
        await listener.serve(sockets=[listening])
        stop.ask()
        tasks.cancel_scope.cancel()


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
    rules = (
        Rule(pattern, **{name: getattr(tool, name) for name in type(tool).model_fields})
        for pattern, tool in config.tools.items()
    )
    timeouts = {
        name: server.timeout_s
        for name, server in config.servers.items()
        if server.timeout_s is not None
    }
    realm = config.source if parts is not None and parts.is_for_several else ""
    return Policy((*bundled, *rules), config.policy.deny, timeouts, realm)


def _resolver(config: Config, parts: Parts) -> ResourceResolver | None:
    return parts.resources if config.gateway.detect_conflicts else None


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
    )


def _url(host: str, listening: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}/mcp"
