"""The desks: one for each set of settings that clients come with, shared by all clients with the
same ones.

A desk is opened by its first client, and closed once neither a client nor a run has needed it for
the time of its `idle_exit_s`. All desks share the scheduler, and the servers that are equal
(`app/parts.py`). A client that has a server of its own has a desk of its own.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from ..app.gateway import IN_PROFILE, Gateway
from ..app.parts import Parts
from ..app.serving import DRAIN_S
from ..config import Config, Untrusted, load_config
from ..config.desk import DeskKey, desk_key
from ..config.read import names_of_variables, without_servers
from ..config.reloading import Reloading, log_notes, stamps_of
from ..core.scheduling.run import Run
from ..downstream.identity import process_identity
from ..downstream.pool import HELD_S
from ..errors import ConfigError
from ..redaction import Secrets
from ..upstream.calls import OpenCalls
from ..upstream.principals import always_user
from ..upstream.server import build_server, read_only_tools
from ..upstream.transports.served import Hello, Refused, Served
from ..waiting import Signal
from .options import Options

log = logging.getLogger(__name__)


class Desk:
    """The gateway of some clients with the same settings, among others over *parts*. It is open
    while `run` runs."""

    def __init__(
        self, name: str, config: Config, options: Options, load: Callable[[], Config], parts: Parts
    ) -> None:
        self.name = name
        self.config = config
        self.clients = 0
        self.opened = anyio.Event()
        self.error = ""
        """The reason why it could not be opened."""
        self._first_answer = anyio.Event()
        self.gateway = Gateway.from_config(
            config, first=self._first_answer, on_demand=True, parts=parts, desk=name
        )
        self._options = options
        self._load = load
        self._closing = anyio.Event()
        self._reload_asked = Signal()
        self._unused_since = anyio.current_time()

    def __repr__(self) -> str:
        return f"<Desk of {self.config.source}: {self.clients} clients>"

    def has(self, config: Config) -> bool:
        """Whether its settings are those of *config*."""
        return config.model_dump() == self.config.model_dump()

    @property
    def is_used(self) -> bool:
        return self.clients > 0 or bool(self.runs)

    @property
    def runs(self) -> list[Run]:
        """The runs that have not ended."""
        runs = self.gateway.engine.scheduler.runs.values()
        return [run for run in runs if run.desk.partition(IN_PROFILE)[0] == self.name]

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
        elif now - self._unused_since >= self._idle_s:
            self.close()

    @property
    def _idle_s(self) -> float:
        """Seconds for which it is kept open unused: a client that had it alone does not return."""
        return 0.0 if desk_key(self.config).client else self.config.gateway.idle_exit_s

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
            if self.config.history.resume == "safe":
                tasks.start_soon(self.gateway.go_on_with_interrupted)
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
        tasks.start_soon(self._start_servers_soon)
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
            self.config.source,
            self.gateway.notice,
        )

    async def _start_servers_soon(self) -> None:
        """Start the servers of clients, which need them soon; a person needs only some."""
        await anyio.sleep(HELD_S)
        self.start_servers()

    def start_servers(self) -> None:
        """Start all servers, which otherwise start as they are needed."""
        self._first_answer.set()


class Desks:
    """The open desks, each in a task of *tasks*, over *parts*. All *secrets* of their settings are
    kept out of the log."""

    def __init__(self, tasks: TaskGroup, parts: Parts, secrets: Secrets) -> None:
        self.open_ones: dict[tuple[DeskKey, Options], Desk] = {}
        self._tasks = tasks
        self._parts = parts
        self._secrets = secrets
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<Desks: {len(self.open_ones)} open>"

    @asynccontextmanager
    async def open(self, hello: Hello, values: Mapping[str, str]) -> AsyncIterator[Desk]:
        """Open the desk for a client with these *values* of variables, or join it. Raises
        `Refused`."""
        options = Options.of(hello)
        load = partial(_load, hello, options, values)
        try:
            config = await to_thread.run_sync(load)
        except ConfigError as error:
            raise Refused("settings", str(error)) from error
        self._secrets.take_in(config.secrets)
        key = desk_key(config), options
        desk = self.open_ones.get(key)
        if desk is None or desk.is_closing:
            desk = self.open_ones[key] = Desk(
                f"desk{next(self._numbers)}", config, options, load, self._parts
            )
            self._tasks.start_soon(self._run, key, desk)
        elif hello.is_person and not desk.has(config):
            raise Refused("settings", "they have changed since their gateway was opened")
        desk.clients += 1
        try:
            await desk.opened.wait()
            if desk.error:
                raise Refused("settings", desk.error)
            yield desk
        finally:
            desk.leave()
            self._forget_if_left(desk.gateway.place)

    def _forget_if_left(self, place: str) -> None:
        """Forget what the clients of *place* have seen, once the last of them has left."""
        desks = self.open_ones.values()
        if not any(desk.clients and desk.gateway.place == place for desk in desks):
            self._parts.engine.flows.knowledge.forget(place)

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

    async def _run(self, key: tuple[DeskKey, Options], desk: Desk) -> None:
        try:
            await desk.run()
        except Exception:  # the other desks go on
            log.exception("desk.failed", extra={"settings": desk.config.source})
            desk.error = "The gateway failed to open these settings; its log says why."
        finally:
            if self.open_ones.get(key) is desk:
                del self.open_ones[key]
            desk.opened.set()


def variables_of(hello: Hello) -> frozenset[str]:
    """Return the names of the variables that the settings of a client use."""
    options = Options.of(hello)
    path = None if options.config is None else hello.folder / options.config
    return names_of_variables(path, hello.environ, hello.folder)


def _load(hello: Hello, options: Options, values: Mapping[str, str]) -> Config:
    """Load the settings as `plait serve` does where the client is. Raises `ConfigError`."""
    environ = {**values, **hello.environ}
    path = None if options.config is None else hello.folder / options.config
    try:
        config = load_config(
            path, environ, hello.folder, profile=options.profile, secrets=Secrets()
        )
    except Untrusted as refused:
        if hello.is_person:  # who can be asked about it, elsewhere
            raise
        log.warning("config.untrusted", extra={"reason": str(refused)})
        config = without_servers(refused, environ, hello.folder)
    if options.is_http:
        config = config.over_http()
    return config.model_copy(update={"client": hello.door})


def server_keys(config: Config) -> Mapping[str, str]:
    """Return the unique names of the servers of *config* among those of all desks."""
    return {
        name: f"{name}@{process_identity(name, server, config)}"
        for name, server in config.servers.items()
    }
