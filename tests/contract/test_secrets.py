"""Secrets never come out (section 13): in no answer, no state of a server and no line of the log,
whoever's words they are in. Results of tools stay as they came."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from plait.app.gateway import Gateway
from plait.config import Config, ServerSettings, load_config
from plait.core.ports import RelayRequest
from plait.errors import RpcError
from plait.observers.logs import configure_logging
from plait.redaction import MARK, Secrets

from ..downstream.faulty_http import serving
from .leaky import LeakyHttp

SECRET = "s3cr3t/key+of\"ours'"
LEAKY = Path(__file__).with_name("leaky.py")


async def said_by(config: Config) -> dict[str, str]:
    """All that is said of a failing server `x` with a tool `look`, by the place where it is
    said."""
    stream = io.StringIO()
    with configure_logging("debug", stream, as_json=False, secrets=config.secrets):
        async with Gateway.from_config(config) as gateway:
            with anyio.fail_after(30):
                await gateway.settled()
                result = await gateway.execute(
                    {"tasks": [{"id": "a", "tool": "x:look", "timeout_s": 10}]}
                )
            state = gateway.catalog().servers["x"]
            said = {
                "answer": repr(result),
                "state": f"{state.error} {state.warnings}",
                "by name": await relayed(gateway),
            }
            try:
                raise ValueError(f"of a library: {config.servers['x'].model_dump()}")
            except ValueError:
                logging.getLogger("plait.test").exception("call.failed")
    return {**said, "log": stream.getvalue()}


async def relayed(gateway: Gateway) -> str:
    relaying = gateway.relaying()
    assert relaying is not None
    try:
        return json.dumps(
            await relaying.downstream.request(RelayRequest("x", "tools/call", {"name": "look"}))
        )
    except RpcError as error:
        return f"{error.code} {error.message} {error.data}"


def shown(said: dict[str, str]) -> list[str]:
    """The places that show the secret, whichever way it is written."""
    forms = {
        SECRET,
        repr(SECRET)[1:-1],
        json.dumps(SECRET)[1:-1],
        repr(SECRET.encode())[2:-1],
        "s3cr3t",
        "ofours",
    }
    return [place for place, text in said.items() if any(form in text for form in forms)]


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(settings: dict[str, Any]) -> Config:
        environ = {
            "KEY": SECRET,
            "QUOTED": quote(SECRET, safe=""),
            "PLAIT_STATE_DIR": str(tmp_path),
        }
        file = tmp_path / "servers.json"
        file.write_text(json.dumps({"mcpServers": {"x": settings}}))
        return load_config(file, environ, tmp_path)

    return load


@pytest.mark.parametrize(
    ("protocol", "at"),
    [("legacy", "tools/call"), ("modern", "tools/call"), ("legacy", "initialize")],
)
@pytest.mark.parametrize(
    "where", ["status line", "header", "chunk", "encoding", "event", "body", "busy", "error"]
)
async def test_what_an_http_server_repeats_is_not_shown(
    load: Any, where: str, protocol: str, at: str
):
    async with serving(LeakyHttp(where, at)) as served:
        headers = {"Authorization": "Bearer ${KEY}"}
        said = await said_by(load({"url": served.url, "headers": headers, "protocol": protocol}))
    assert shown(said) == []


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize("protocol", ["auto", "legacy", "modern"])
@pytest.mark.parametrize("value", ["Bearer {}\n", " {}", "{}\r\nx", "{}\0"])
async def test_a_header_that_a_library_refuses_is_not_shown(
    transport: Any, protocol: Any, value: str
):
    async with serving(LeakyHttp("error", "tools/call")) as served:
        settings = ServerSettings(
            url=served.url, transport=transport, protocol=protocol, startup_timeout_s=5
        )
        header = {"Authorization": value.format(SECRET)}
        config = Config(servers={"x": settings.model_copy(update={"headers": header})})
        said = await said_by(config)
    assert "Illegal header value" in said["log"]
    assert (
        protocol == "modern" or MARK in said["state"]
    )  # there it is only said that it does not speak the protocol
    assert shown(said) == []


@pytest.mark.parametrize(
    "where",
    [
        "error at initialize",
        "error at tools/list",
        "error at tools/call",
        "exit at initialize",
        "exit at tools/call",
    ],
)
async def test_what_a_process_repeats_is_not_shown(load: Any, where: str):
    said = await said_by(load({"command": sys.executable, "args": [str(LEAKY), where, "${KEY}"]}))
    assert shown(said) == []
    assert any(MARK in text for place, text in said.items() if place != "log")


async def test_what_is_cut_off_in_the_middle_of_a_secret_is_not_shown(load: Any):
    said = await said_by(
        load({"command": sys.executable, "args": [str(LEAKY), "long last words", "${KEY}"]})
    )
    assert said["state"].startswith("it ended with exit code 1; its last message: Error: xxx")
    assert MARK in said["state"]
    assert shown(said) == []


@pytest.mark.parametrize(
    "settings", [{"command": "/no/${KEY}"}, {"command": "true", "cwd": "/no/${KEY}"}]
)
async def test_what_the_system_says_of_a_command_is_not_shown(load: Any, settings: dict[str, Any]):
    said = await said_by(load(settings))
    assert said["state"].startswith("cannot start ")
    assert MARK in said["state"]
    assert shown(said) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:${QUOTED}@127.0.0.1:9/mcp",
        "http://127.0.0.1:9/${KEY}",
        "http://127.0.0.1:9/?k=${KEY}",
    ],
)
async def test_what_an_address_holds_is_not_shown(load: Any, url: str):
    said = await said_by(load({"url": url}))
    assert "Connection refused" in said["state"]
    assert shown(said) == []


async def test_the_result_of_a_tool_stays_as_it_came(load: Any):
    async with serving(LeakyHttp("error", "nothing")) as served:
        config = load({"url": served.url, "headers": {"Authorization": "Bearer ${KEY}"}})
        async with Gateway.from_config(config) as gateway:
            result = await gateway.execute({"tasks": [{"id": "a", "tool": "x:look"}]})
            assert f"Bearer {SECRET}" in str(result.outputs["a"])
            assert f"Bearer {SECRET}" in json.loads(await relayed(gateway))["content"][0]["text"]


async def test_new_settings_bring_new_secrets(load: Any, tmp_path: Path):
    async with serving(LeakyHttp("error", "tools/call")) as served:
        secrets = Secrets()
        before = Config(secrets=secrets)
        async with Gateway.from_config(before) as gateway:
            await gateway.reload(
                load({"url": served.url, "headers": {"Authorization": "Bearer ${KEY}"}})
            )
            said = await relayed(gateway)
    assert said.startswith(f"-32001 Bearer {MARK} is not a key of ours")
    assert shown({"by name": said}) == []
    assert secrets.redact(SECRET) == MARK
