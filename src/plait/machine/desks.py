"""The desks: one for each set of settings that clients come with, shared by all clients with the
same ones.

A desk is opened by its first client. It is closed once neither a client nor a run has needed it for
the time of its `idle_exit_s`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from ..app import DRAIN_S, Gateway
from ..config import Config, Untrusted, load_config
from ..config.read import without_servers
from ..config.reloading import Reloading, log_notes, stamps_of
from ..core.scheduling.run import Run
from ..core.values.principal import USER
from ..errors import ConfigError
from ..redaction import Secrets
from ..upstream.calls import OpenCalls
from ..upstream.principals import always_user
from ..upstream.server import build_server, read_only_tools
from ..upstream.transports.served import Hello, Refused, Served
from ..waiting import Signal
from .options import Options

log = logging.getLogger(__name__)

_VARIABLE = re.compile(r"\$\{?(?:env:)?([A-Za-z_][A-Za-z0-9_]*)")
_INPUT = re.compile(r"\$\{input:([^}]+)\}")


class Desk:
    """The gateway of some clients with the same settings. It is open while `run` runs."""

    def __init__(self, config: Config, options: Options, load: Callable[[], Config]) -> None:
        self.config = config
        self.clients = 0
        self.opened = anyio.Event()
        self.error = ""
        """The reason why it could not be opened."""
        self._first_answer = anyio.Event()
        self.gateway = Gateway.from_config(config, first=self._first_answer)
        self._options = options
        self._load = load
        self._closing = anyio.Event()
        self._reload_asked = Signal()
        self._unused_since = anyio.current_time()

    def __repr__(self) -> str:
        return f"<Desk of {self.config.source}: {self.clients} clients>"

    @property
    def is_used(self) -> bool:
        return self.clients > 0 or bool(self.runs)

    @property
    def runs(self) -> list[Run]:
        """The runs that have not ended."""
        return self.gateway.engine.active(USER)

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    def leave(self) -> None:
        """Count one client less."""
        self.clients -= 1
        self._unused_since = anyio.current_time()
        self.close_if_unused()

    def close_if_unused(self) -> None:
        """Close it, if it has been unused for long enough."""
        now = anyio.current_time()
        if self.is_used:
            self._unused_since = now
        elif now - self._unused_since >= self.config.gateway.idle_exit_s:
            self.close()

    def close(self) -> None:
        self._closing.set()

    def reload(self) -> None:
        """Read the settings anew."""
        self._reload_asked.notify()

    async def run(self) -> None:
        """Keep it open until `close` is called."""
        watching = self._options.is_watching
        known = stamps_of(self.config) if watching else {}
        reloading = Reloading(self._load, watching, known, self._reloads)
        log_notes(self.config)
        async with self.gateway, anyio.create_task_group() as tasks:
            tasks.start_soon(reloading.follow, self.config, self._change)
            self.opened.set()
            await self._closing.wait()
            tasks.cancel_scope.cancel()

    async def _change(self, config: Config) -> None:
        await self.gateway.reload(config)
        self.config = config

    async def _reloads(self, notify: Callable[[], None]) -> None:
        while True:
            await self._reload_asked.wait()
            notify()

    def serve_client(self, tasks: TaskGroup, connection: str) -> Served:
        """Return what serves the client of *connection*. Runs are cancelled at its end in
        *tasks*."""
        calls, settings = OpenCalls(), self.config.gateway
        server = build_server(
            self.gateway,
            max_chars=settings.max_result_chars,
            wait_s=settings.wait_s,
            calls=calls,
            relaying=self.gateway.relaying(),
            principal_of=always_user,
            connection=connection,
        )

        def give_up() -> None:
            for run_id in calls.runs:
                tasks.start_soon(self.gateway.cancel, run_id)

        return Served(
            server,
            partial(calls.drain, DRAIN_S, give_up),
            settings.limits.max_message_bytes,
            read_only_tools(server, self.gateway),
            self._first_answer.set,
        )


class Desks:
    """The open desks, each in a task of *tasks*. All *secrets* of their settings are kept out of
    the log."""

    def __init__(self, tasks: TaskGroup, secrets: Secrets) -> None:
        self.open_ones: dict[Hashable, Desk] = {}
        self._tasks = tasks
        self._secrets = secrets

    def __repr__(self) -> str:
        return f"<Desks: {len(self.open_ones)} open>"

    @asynccontextmanager
    async def open(self, hello: Hello, values: Mapping[str, str]) -> AsyncIterator[Desk]:
        """Open the desk for a client with these *values* of variables, or join it. Raises
        `Refused`."""
        options = Options.parse(hello.arguments)
        load = partial(_load, hello, options, values)
        try:
            config = await to_thread.run_sync(load)
            named = await to_thread.run_sync(variables_of, hello)
        except ConfigError as error:
            raise Refused("settings", str(error)) from error
        self._secrets.take_in(config.secrets)
        key = _key(hello, options, {name: values.get(name) for name in named}, config)
        desk = self.open_ones.get(key)
        if desk is None or desk.is_closing:
            desk = self.open_ones[key] = Desk(config, options, load)
            self._tasks.start_soon(self._run, key, desk)
        desk.clients += 1
        try:
            await desk.opened.wait()
            if desk.error:
                raise Refused("settings", desk.error)
            yield desk
        finally:
            desk.leave()

    def close_unused(self) -> None:
        for desk in [*self.open_ones.values()]:
            desk.close_if_unused()

    def close_all(self) -> None:
        for desk in self.open_ones.values():
            desk.close()

    def reload(self) -> None:
        """Read the settings of all desks anew."""
        for desk in self.open_ones.values():
            desk.reload()

    async def _run(self, key: Hashable, desk: Desk) -> None:
        try:
            await desk.run()
        except Exception:  # the other desks go on
            log.exception("desk.failed", extra={"settings": desk.config.source})
            desk.error = "The gateway failed to open these settings; its log says why."
        finally:
            if self.open_ones.get(key) is desk:
                del self.open_ones[key]
            desk.opened.set()


def variables_of(hello: Hello) -> list[str]:
    """Return the names of the variables that the settings of a client may use."""
    options = Options.parse(hello.arguments)
    named = options.config or hello.environ.get("PLAIT_CONFIG")
    found = (
        [Path(named)]
        if named
        else [folder / "servers.toml" for folder in (hello.folder, *hello.folder.parents)]
    )
    names: set[str] = set()
    for file in found:
        try:
            text = (hello.folder / file).read_text(errors="replace")
        except OSError:
            continue
        names |= set(_VARIABLE.findall(text))
        names |= {re.sub(r"[^A-Z0-9_]", "_", id.upper()) for id in _INPUT.findall(text)}
    return sorted(names)


def _load(hello: Hello, options: Options, values: Mapping[str, str]) -> Config:
    """Load the settings as `plait serve` does where the client is. Raises `ConfigError`."""
    environ = {**values, **hello.environ}
    path = None if options.config is None else hello.folder / options.config
    try:
        return load_config(path, environ, hello.folder, secrets=Secrets())
    except Untrusted as refused:
        log.warning("config.untrusted", extra={"reason": str(refused)})
        return without_servers(refused, environ, hello.folder)


def _key(
    hello: Hello, options: Options, named: Mapping[str, str | None], config: Config
) -> Hashable:
    """Return the same key for clients that may share a desk; *named* are the variables that the
    settings use."""
    is_local = config.source == "built-in defaults" or any(
        server.command is not None and server.cwd is None for server in config.servers.values()
    )
    return (
        config.source,
        options,
        config.notice,
        frozenset(hello.environ.items()),
        frozenset(named.items()),
        hello.folder if is_local else None,
    )
