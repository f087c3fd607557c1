"""One protocol is agreed on with a server of either era, whatever it says to the probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import anyio
import mcp_types as types
import pytest
from mcp import MCPError

from plait.core.values.strict import JsonObject
from plait.downstream.eras.handshake import MARK_KEY, DiedOnProbe, Era, Greeting, negotiate
from plait.errors import ServerUnavailable

PROBE_S = 2.0
DISCOVER, INITIALIZE = "server/discover", "initialize"
NEW: JsonObject = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
OLD: JsonObject = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": "files", "version": "1"},
    "instructions": "Read them.",
}
MARKED: JsonObject = {MARK_KEY: "m"}
UNKNOWN = MCPError(types.METHOD_NOT_FOUND, "Method not found")
CLOSED = MCPError(types.CONNECTION_CLOSED, "Connection closed")
Answer: TypeAlias = "JsonObject | MCPError | None"


def unsupported(*versions: Any) -> MCPError:
    data: JsonObject = {"supported": list(versions)}
    return MCPError(types.UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", data)


class Server:
    """Answers each request with the next of its answers to that method; None is no answer. It is
    gone once it has answered that its connection is closed."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.said: list[str] = []
        self.has_ended = False
        self.adopted: Greeting | None = None
        self._answers = {DISCOVER: answers.get("discover", []), INITIALIZE: answers.get("init", [])}

    async def greet(
        self, method: str, params: JsonObject, version: str | None = None
    ) -> JsonObject:
        self.said.append(method if version is None else f"{method} {version}")
        answer = self._answers[method].pop(0)
        if answer is None:
            await anyio.sleep_forever()
        if isinstance(answer, MCPError):
            self.has_ended = answer is CLOSED
            raise answer
        assert answer is not None
        return answer

    def adopt(self, greeting: Greeting) -> None:
        self.adopted = greeting

    async def notify(self, method: str, params: JsonObject | None = None) -> None:
        assert self.adopted is not None  # it is sent as agreed
        self.said.append(method)


PROBE = f"{DISCOVER} 2026-07-28"
HANDSHAKE = [INITIALIZE, "notifications/initialized"]

AGREED: list[tuple[str, Era | None, Callable[[], Server], str, list[str]]] = [
    (
        "a server of the later era needs only the probe",
        None,
        lambda: Server(discover=[NEW]),
        "2026-07-28",
        [PROBE],
    ),
    (
        "a server that does not know the probe gets the handshake",
        None,
        lambda: Server(discover=[UNKNOWN], init=[OLD]),
        "2025-11-25",
        [PROBE, *HANDSHAKE],
    ),
    (
        "a server that ignores the probe gets the handshake",
        None,
        lambda: Server(discover=[None], init=[OLD]),
        "2025-11-25",
        [PROBE, *HANDSHAKE],
    ),
    (
        "a server that names only older versions gets the handshake",
        None,
        lambda: Server(discover=[unsupported("2025-06-18")], init=[OLD]),
        "2025-11-25",
        [PROBE, *HANDSHAKE],
    ),
    (
        "a server whose answer to the probe says nothing gets the handshake",
        None,
        lambda: Server(discover=[{"supportedVersions": "all"}], init=[OLD]),
        "2025-11-25",
        [PROBE, *HANDSHAKE],
    ),
    (
        "a server with only future versions in its answer gets the handshake",
        None,
        lambda: Server(discover=[{**NEW, "supportedVersions": ["2099-01-01"]}], init=[OLD]),
        "2025-11-25",
        [PROBE, *HANDSHAKE],
    ),
    (
        "a slow server of the later era refuses the handshake and is asked again",
        None,
        lambda: Server(discover=[None, NEW], init=[unsupported("2026-07-28")]),
        "2026-07-28",
        [PROBE, INITIALIZE, PROBE],
    ),
    (
        "a server known to be of the handshake era is not asked",
        Era.LEGACY,
        lambda: Server(init=[OLD]),
        "2025-11-25",
        HANDSHAKE,
    ),
    (
        "a server of the handshake era may choose an older version",
        Era.LEGACY,
        lambda: Server(init=[{**OLD, "protocolVersion": "2024-11-05"}]),
        "2024-11-05",
        HANDSHAKE,
    ),
    (
        "a server known to be of the later era gets no handshake",
        Era.MODERN,
        lambda: Server(discover=[NEW]),
        "2026-07-28",
        [PROBE],
    ),
]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("era", "server", "version", "said"),
    [row[1:] for row in AGREED],
    ids=[row[0] for row in AGREED],
)
async def test_a_protocol_is_agreed_on(
    era: Era | None, server: Callable[[], Server], version: str, said: list[str]
):
    asked = server()
    greeting = await negotiate(asked, era, PROBE_S)
    assert (greeting.version, asked.said) == (version, said)
    assert greeting.era is (Era.MODERN if version == "2026-07-28" else Era.LEGACY)
    assert asked.adopted is greeting


@pytest.mark.virtual_time
async def test_a_probe_that_is_ignored_costs_its_time_limit():
    began = anyio.current_time()
    await negotiate(Server(discover=[None], init=[OLD]), None, PROBE_S)
    assert anyio.current_time() - began == PROBE_S


@pytest.mark.virtual_time
async def test_a_server_known_to_be_of_the_later_era_may_take_longer_than_a_probe():
    with anyio.move_on_after(100 * PROBE_S) as scope:
        await negotiate(Server(discover=[None]), Era.MODERN, PROBE_S)
    assert scope.cancelled_caught


REFUSED: list[tuple[str, Era | None, Callable[[], Server], type[Exception], str]] = [
    (
        "it ended at the probe",
        None,
        lambda: Server(discover=[CLOSED]),
        DiedOnProbe,
        "^$",
    ),
    (
        "it ended at the handshake after a probe",
        None,
        lambda: Server(discover=[None], init=[CLOSED]),
        DiedOnProbe,
        "^$",
    ),
    (
        "it ended at the handshake without a probe",
        Era.LEGACY,
        lambda: Server(init=[CLOSED]),
        MCPError,
        "Connection closed",
    ),
    (
        "it refuses the handshake as well",
        None,
        lambda: Server(discover=[UNKNOWN], init=[MCPError(-1, "no licence")]),
        MCPError,
        "no licence",
    ),
    (
        "it has only versions that we do not know",
        None,
        lambda: Server(discover=[unsupported("2099-01-01")]),
        MCPError,
        "Unsupported",
    ),
    (
        "it chooses a version that we do not know",
        Era.LEGACY,
        lambda: Server(init=[{**OLD, "protocolVersion": "1999\x1b"}]),
        ServerUnavailable,
        r"protocol version '1999\\x1b'",
    ),
    (
        "it chooses no version",
        Era.LEGACY,
        lambda: Server(init=[{}]),
        ServerUnavailable,
        "protocol version None",
    ),
    (
        "it is of the other era than the settings say",
        Era.MODERN,
        lambda: Server(discover=[UNKNOWN]),
        ServerUnavailable,
        "does not speak the protocol of 2026-07-28",
    ),
]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("era", "server", "kind", "words"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
)
async def test_an_attempt_fails_with_its_reason(
    era: Era | None, server: Callable[[], Server], kind: type[Exception], words: str
):
    asked = server()
    with pytest.raises(kind, match=words):
        await negotiate(asked, era, PROBE_S)
    assert asked.adopted is None


async def test_what_a_server_says_about_itself_is_kept_as_it_came():
    greeting = await negotiate(Server(init=[OLD]), Era.LEGACY, PROBE_S)
    assert greeting.capabilities == OLD["capabilities"]
    assert (greeting.instructions, greeting.title) == ("Read them.", "files 1")


@pytest.mark.parametrize(
    ("info", "title"),
    [
        ({"name": "files", "title": "All files", "version": "2"}, "All files 2"),
        ({"name": "files"}, "files"),
        ({"name": 7, "version": "2"}, "2"),
        ({"name": "a\nb"}, "a\\nb"),
        ({"name": "x" * 1000}, "x" * 120),
        ({}, None),
        ([], None),
    ],
)
async def test_the_title_of_a_server_is_its_name_and_version_and_printable(
    info: Any, title: str | None
):
    old = Server(init=[{**OLD, "serverInfo": info}])
    new = Server(discover=[{**NEW, "_meta": {types.SERVER_INFO_META_KEY: info}}])
    assert (await negotiate(old, Era.LEGACY, PROBE_S)).title == title
    assert (await negotiate(new, Era.MODERN, PROBE_S)).title == title


@pytest.mark.parametrize(
    ("capabilities", "has_tools", "has_changes"),
    [
        ({"tools": {"listChanged": True}}, True, True),
        ({"tools": {"listChanged": {}}}, True, True),
        ({"tools": {"listChanged": False}}, True, False),
        ({"tools": True}, True, False),
        ({"tools": None}, False, False),
        ({}, False, False),
    ],
)
def test_a_capability_is_declared_by_an_object_or_true(
    capabilities: JsonObject, has_tools: bool, has_changes: bool
):
    greeting = Greeting(Era.LEGACY, "2025-11-25", capabilities)
    assert greeting.has("tools") is has_tools
    assert greeting.has("tools", "listChanged") is has_changes


@pytest.mark.parametrize(
    "hello",
    [
        Server(discover=[{**NEW, "_meta": MARKED}]),
        Server(init=[{**OLD, "_meta": MARKED}], discover=[UNKNOWN]),
    ],
)
async def test_the_mark_of_a_gateway_is_in_its_hello(hello: Server):
    assert (await negotiate(hello, None, PROBE_S)).mark == "m"


@pytest.mark.parametrize("meta", [{}, {MARK_KEY: 3}, []])
async def test_other_servers_have_no_mark(meta: Any):
    assert (await negotiate(Server(discover=[{**NEW, "_meta": meta}]), None, PROBE_S)).mark == ""
