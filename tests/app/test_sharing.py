"""What clients have in common at the servers that they share: one client's end, level or mistake
takes nothing from another, at one desk or at two, in every pair of eras."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from anyio.abc import TaskGroup
from mcp import MCPError
from mcp.server import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated

from plait.app.gateway import Gateway
from plait.app.parts import Parts
from plait.config import Config, GatewaySettings, ServerSettings
from plait.downstream import connections
from plait.errors import RpcError
from plait.machine.desks import server_keys
from plait.upstream.principals import always_user
from plait.upstream.server import build_server

from ..upstream.conftest import LEGACY, MODERN, in_memory
from ..upstream.relay.downstream import UPDATED, RawClient, joined, listen

pytestmark = pytest.mark.virtual_time

SOON = 30.0
PROGRAM = Path(sys.executable)
"""The program of the server, which is never run: it is in memory."""
LEVEL = "io.modelcontextprotocol/logLevel"
URIS = ["note://1", "note://2"]


class Notes:
    """A server in memory with two resources, of either era: an `OpenTransport` and its transport.
    It can be cut off, and is then started again."""

    pid = None
    is_open = True

    def __init__(self) -> None:
        self.starts = 0
        self.opened: list[ServerSettings] = []
        self.sent: list[tuple[str, str]] = []
        """The subscriptions and levels that it was sent."""
        self.levels: list[str | None] = []
        """The level of the log messages that each call wanted, in the later era."""
        self.refuses = False
        """Whether it refuses to be asked for updates."""
        self._watching: dict[str, Any] = {}
        self._streams: list[list[str]] = []
        self._bus = InMemorySubscriptionBus()
        self._cut = anyio.Event()

    @property
    def listened_to(self) -> set[str]:
        """The resources on the open streams of changes."""
        return {uri for stream in self._streams for uri in stream}

    def open(self, name: str, settings: ServerSettings, *_: object, **__: object) -> Any:
        self.opened.append(settings)
        return self

    def exit_reason(self) -> str:
        return "it was cut off"

    def delay_reason(self) -> str:
        return "it did not answer"

    def cut(self) -> None:
        self._cut.set()

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Any]:
        self.starts += 1
        self._watching, self._cut = {}, anyio.Event()
        async with in_memory(self._server()) as streams, anyio.create_task_group() as tasks:

            async def end() -> None:
                await self._cut.wait()
                for stream in streams:
                    await stream.aclose()

            tasks.start_soon(end)
            yield streams
            tasks.cancel_scope.cancel()

    async def change(self, uri: str) -> None:
        """Notify of a change of *uri*, if that is wanted."""
        await self._bus.publish(ResourceUpdated(uri))
        if uri in self._watching:
            await self._watching[uri].send_resource_updated(uri)

    def _server(self) -> Server[Any]:
        async def listed(ctx: Any, params: Any) -> types.ListResourcesResult:
            resources = [types.Resource(uri=uri, name=uri) for uri in URIS]
            return types.ListResourcesResult(resources=resources)

        async def templates(ctx: Any, params: Any) -> types.ListResourceTemplatesResult:
            return types.ListResourceTemplatesResult(resource_templates=[])

        async def tools(ctx: Any, params: Any) -> types.ListToolsResult:
            return types.ListToolsResult(
                tools=[types.Tool(name="look", input_schema={"type": "object"})]
            )

        async def call(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
            self.levels.append((ctx.meta or {}).get(LEVEL))
            return types.CallToolResult(content=[])

        async def subscribe(ctx: Any, params: Any) -> types.EmptyResult:
            self.sent.append(("subscribe", params.uri))
            if self.refuses:
                raise MCPError(types.INTERNAL_ERROR, "full")
            self._watching[params.uri] = ctx.session
            return types.EmptyResult()

        async def unsubscribe(ctx: Any, params: Any) -> types.EmptyResult:
            self.sent.append(("unsubscribe", params.uri))
            self._watching.pop(params.uri, None)
            return types.EmptyResult()

        listening = ListenHandler(self._bus)

        async def listens(ctx: Any, params: Any) -> Any:
            uris = [*(params.notifications.resource_subscriptions or ())]
            if self.refuses:
                raise MCPError(types.INTERNAL_ERROR, "full")
            self._streams.append(uris)
            try:
                return await listening(ctx, params)
            finally:
                self._streams.remove(uris)

        async def set_level(ctx: Any, params: types.SetLevelRequestParams) -> types.EmptyResult:
            self.sent.append(("level", params.level))
            return types.EmptyResult()

        server: Server[Any] = Server(
            "notes",
            on_list_resources=listed,
            on_list_resource_templates=templates,
            on_list_tools=tools,
            on_call_tool=call,
            on_subscribe_resource=subscribe,
            on_unsubscribe_resource=unsubscribe,
            on_subscriptions_listen=listens,
        )
        server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)
        return server


class Machine:
    """A gateway with desks, all of which have the same server."""

    def __init__(self, parts: Parts, settings: ServerSettings, tasks: TaskGroup) -> None:
        self.parts = parts
        self.config = Config(
            servers={"notes": settings},
            gateway=GatewaySettings(expose="all", learn=False),
            environment={"PATH": str(PROGRAM.parent)},
            folder=PROGRAM.parent,
        )
        self.tasks = tasks

    def replaced(self) -> Config:
        """Return the settings with another server of that name."""
        settings = self.config.servers["notes"].model_copy(update={"args": ("again",)})
        return self.config.model_copy(update={"servers": {"notes": settings}})

    @asynccontextmanager
    async def desk(self, name: str, **written: object) -> AsyncIterator[Gateway]:
        """Open a desk, where the server is *written* in other words."""
        settings = self.config.servers["notes"].model_copy(update=written)
        config = self.config.model_copy(update={"servers": {"notes": settings}})
        async with Gateway.from_config(config, parts=self.parts, desk=name) as gateway:
            await gateway.settled()
            yield gateway


@asynccontextmanager
async def client_of(gateway: Gateway, era: str) -> AsyncIterator[RawClient]:
    """A client of a desk, served as through a door: by a server of its own."""
    relaying = gateway.relaying()
    server = build_server(gateway, relaying=relaying, principal_of=always_user)
    async with joined(server, era) as client:
        yield client


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    made = Notes()
    monkeypatch.setattr(connections, "open_transport", made.open)
    return made


@pytest.fixture(params=["legacy", "modern"])
def server_era(request: pytest.FixtureRequest) -> Any:
    return request.param


@asynccontextmanager
async def machine(era: Any) -> AsyncIterator[Machine]:
    settings = ServerSettings(command=str(PROGRAM), protocol=era)
    async with (
        Parts(GatewaySettings(learn=False), None, keys=server_keys) as parts,
        anyio.create_task_group() as tasks,
    ):
        with anyio.fail_after(60):
            yield Machine(parts, settings, tasks)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def two_clients(
    made: Machine, desks: int, era: str
) -> AsyncIterator[tuple[RawClient, RawClient]]:
    """Two clients, at one desk or at two."""
    async with (
        made.desk("one") as one,
        made.desk("two") as two,
        client_of(one, era) as first,
        client_of(one if desks == 1 else two, era) as second,
    ):
        yield first, second


async def watch(client: RawClient, *uris: str) -> str:
    """Let *client* watch *uris*, in its era. Gives the stream, if there is one."""
    if client.era == MODERN:
        return await listen(client, resourceSubscriptions=[*uris])
    for uri in uris:
        await client.request("resources/subscribe", {"uri": uri})
    return ""


async def unwatch(client: RawClient, uri: str, stream: str) -> None:
    if client.era == MODERN:
        await client.cancel(stream)
    else:
        await client.request("resources/unsubscribe", {"uri": uri})


async def until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(SOON):
        while not is_so():
            await anyio.sleep(0.005)


async def hears_changes(notes: Notes, client: RawClient, uri: str) -> None:
    """Check that *client* is notified of the next change of *uri*."""
    before = len(client.told(UPDATED))
    await anyio.wait_all_tasks_blocked()  # whatever is under way at the server is carried out
    await notes.change(uri)
    await until(lambda: len(client.told(UPDATED)) > before)


desks = pytest.mark.parametrize("desks", [1, 2])
eras = pytest.mark.parametrize("era", [LEGACY, MODERN])


@desks
@eras
@pytest.mark.parametrize("is_polite", [True, False], ids=["unsubscribes", "dies"])
async def test_a_client_that_stops_watching_takes_no_updates_from_another(
    notes: Notes, server_era: Any, era: str, desks: int, is_polite: bool
):
    async with machine(server_era) as made, two_clients(made, desks, era) as (one, other):
        stream = await watch(one, URIS[0])
        await watch(other, URIS[0])
        if is_polite:
            await unwatch(one, URIS[0], stream)
        else:
            await one.leave()
        await hears_changes(notes, other, URIS[0])
        if server_era == "legacy":
            assert notes.sent == [("subscribe", URIS[0])]


@eras
async def test_a_server_is_unsubscribed_for_its_last_client(
    notes: Notes, server_era: Any, era: str
):
    async with machine(server_era) as made, two_clients(made, 2, era) as (one, other):
        await watch(one, URIS[0])
        await watch(other, *URIS)
        await one.leave()
        await other.leave()
        if server_era == "legacy":
            expected = {(word, uri) for word in ("subscribe", "unsubscribe") for uri in URIS}
            await until(lambda: len(notes.sent) == 4)
            assert set(notes.sent) == expected
        else:
            await until(lambda: not notes.listened_to)


@eras
async def test_a_client_whose_subscription_fails_takes_nothing_from_another(
    notes: Notes, server_era: Any, era: str
):
    async with machine(server_era) as made, two_clients(made, 2, era) as (one, other):
        await watch(other, URIS[0])
        await watch(one, URIS[0])
        notes.refuses = True
        if era == LEGACY:
            for client in (one, other):
                with pytest.raises(RpcError):
                    await watch(client, "note://refused")
        await one.leave()
        await hears_changes(notes, other, URIS[0])


@eras
async def test_after_a_reconnect_the_server_is_subscribed_to_what_is_still_watched(
    notes: Notes, server_era: Any, era: str
):
    async with machine(server_era) as made, two_clients(made, 2, era) as (one, other):
        await watch(one, *URIS)
        await watch(other, URIS[0])
        notes.cut()
        await one.leave()
        await until(lambda: notes.starts == 2)
        await other.request("tools/call", {"name": "notes__look", "arguments": {}})
        if server_era == "legacy":
            await until(lambda: notes.sent[2:] != [])
            assert notes.sent[2:] == [("subscribe", URIS[0])]
        else:
            await until(lambda: notes.listened_to == {URIS[0]})
        await hears_changes(notes, other, URIS[0])


@desks
async def test_servers_get_the_lowest_level_of_all_clients_that_are_connected(
    notes: Notes, server_era: Any, desks: int
):
    async with machine(server_era) as made, two_clients(made, desks, LEGACY) as (one, other):

        async def level_is(level: str) -> None:
            if server_era == "legacy":
                await until(lambda: notes.sent[-1:] == [("level", level)])
            else:
                await other.request("tools/call", {"name": "notes__look", "arguments": {}})
                assert notes.levels[-1] == level

        await one.request("logging/setLevel", {"level": "debug"})
        await level_is("debug")
        await other.request("logging/setLevel", {"level": "error"})
        await anyio.wait_all_tasks_blocked()
        await level_is("debug")
        await one.leave()
        await anyio.wait_all_tasks_blocked()
        await level_is("error")
        if server_era == "legacy":
            assert notes.sent == [("level", "debug"), ("level", "error")]


async def test_what_a_desk_watched_and_wanted_ends_with_it(notes: Notes, server_era: Any):
    async with machine(server_era) as made, two_clients(made, 1, LEGACY) as (stays, _):
        await watch(stays, URIS[0])
        await stays.request("logging/setLevel", {"level": "error"})
        async with made.desk("another") as desk:
            relaying = desk.relaying()
            assert relaying is not None
            await relaying.downstream.watch("notes", URIS[1])
            relaying.downstream.set_level("client", "debug")
            await anyio.wait_all_tasks_blocked()
        await hears_changes(notes, stays, URIS[0])
        if server_era == "legacy":
            assert notes.sent[-2:] == [("level", "error"), ("unsubscribe", URIS[1])]
        else:
            assert notes.listened_to == {URIS[0]}


@eras
async def test_a_watched_resource_of_a_server_that_new_settings_replace_is_watched_at_the_new_one(
    notes: Notes, server_era: Any, era: str
):
    async with (
        machine(server_era) as made,
        made.desk("one") as desk,
        client_of(desk, era) as client,
    ):
        stream = await watch(client, URIS[0])
        await desk.reload(made.replaced())
        await until(lambda: notes.starts == 2)
        await desk.settled()
        await hears_changes(notes, client, URIS[0])
        await unwatch(client, URIS[0], stream)
        if server_era == "legacy":
            await until(lambda: notes.sent[-1] == ("unsubscribe", URIS[0]))
        else:
            await until(lambda: not notes.listened_to)


async def test_a_resource_is_watched_again_once_new_settings_have_its_server_again(
    notes: Notes, server_era: Any
):
    async with (
        machine(server_era) as made,
        made.desk("one") as desk,
        client_of(desk, LEGACY) as client,
    ):
        await watch(client, *URIS)
        await desk.reload(made.config.model_copy(update={"servers": {}}))
        await until(lambda: desk.catalog().servers == {})
        await unwatch(client, URIS[1], "")
        await desk.reload(made.config)
        await until(lambda: notes.starts == 2)
        await desk.settled()
        await hears_changes(notes, client, URIS[0])
        if server_era == "legacy":
            assert notes.sent[2:] == [("subscribe", URIS[0])]
        else:
            assert notes.listened_to == {URIS[0]}


@pytest.mark.parametrize(
    "written",
    [
        {"command": PROGRAM.name},
        {"cwd": PROGRAM.parent},
        {"env": {"PATH": str(PROGRAM.parent)}},
    ],
    ids=["command", "cwd", "env"],
)
async def test_a_server_that_two_desks_write_in_other_words_is_one_for_both(
    notes: Notes, written: dict[str, object]
):
    async with machine("legacy") as made, made.desk("one") as one:
        async with made.desk("two", **written) as two:
            calm = made.config.servers["notes"].model_copy(update={**written, "timeout_s": 7})
            await two.reload(made.config.model_copy(update={"servers": {"notes": calm}}))
        async with client_of(one, LEGACY) as client:
            await watch(client, URIS[0])
            await hears_changes(notes, client, URIS[0])
            await client.request("tools/call", {"name": "notes__look", "arguments": {}})
            assert notes.starts == 1
            notes.cut()
            await until(lambda: notes.starts == 2)
    first, again = notes.opened
    assert (again.command, again.cwd, again.env) == (first.command, first.cwd, first.env)
    assert again.timeout_s is None  # the desk whose calls may take 7 s has left
