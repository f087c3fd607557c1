"""What is logged: events with fields, on one stream, with nothing that steers a terminal."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import anyio
import pytest

from plait.core.scheduling.notices import Notice
from plait.core.tools.catalog import ServerInfo, ServerState
from plait.core.tools.circuit import CircuitState
from plait.core.tools.server_notices import (
    CircuitChanged,
    Drift,
    ServerChanged,
    SettingsReloaded,
    ToolsDrifted,
)
from plait.engine.gateway import Gateway
from plait.errors import CallTimeout
from plait.observers.logs import configure_logging, log_notices
from plait.redaction import Secrets
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, text, tool

SECRET = "hunter2"


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def logged_at(level: str) -> list[dict[str, Any]]:
    """What is logged of a run of three tasks: one succeeds, one fails, one is skipped for it."""
    servers = FakeServers()
    servers.add("s:give", lambda **_: {"secret": SECRET})
    servers.add("s:fail", lambda **_: text("no", is_error=True))
    stream = io.StringIO()
    with configure_logging(level, stream, as_json=True):
        async with Gateway(servers, servers, InMemoryRuns(), observers=[log_notices]) as gateway:
            tasks = [
                {"id": "a", "tool": "s:give", "arguments": {"password": SECRET}},
                {"id": "b", "tool": "s:fail", "depends_on": ["a"]},
                {"id": "c", "tool": "s:give", "depends_on": ["b"]},
            ]
            result = await gateway.execute({"tasks": tasks})
    assert SECRET not in stream.getvalue()
    logged = [event for event in events(stream) if event["logger"] == "plait.runs"]
    assert {event["run"] for event in logged} == {result.run_id}
    return logged


async def test_a_run_is_logged_and_which_of_its_tasks_failed():
    logged = await logged_at("info")
    assert [event["event"] for event in logged] == ["run.started", "task.finished", "run.finished"]
    assert [event.get("task") for event in logged] == [None, "b", None]


async def test_in_detail_a_run_is_logged_from_start_to_end():
    logged = await logged_at("debug")
    assert [event["event"] for event in logged] == [
        "run.started",
        *["task.finished"] * 3,
        "run.finished",
    ]
    first, failed, skipped = logged[1:4]
    assert (first["task"], first["tool"], first["status"], first["attempt"]) == (
        "a",
        "s:give",
        "success",
        1,
    )
    assert first["duration_ms"] >= 0
    assert (failed["status"], failed["code"]) == ("failed", "tool_error")
    assert (skipped["status"], skipped["code"], skipped["attempt"]) == (
        "skipped",
        "dependency_failed",
        0,
    )
    assert logged[-1]["status"] == "partial"


async def calls_logged_at(level: str) -> list[dict[str, Any]]:
    """What is logged of two calls by name, the second of which fails."""
    servers = FakeServers()
    servers.add("s:give", lambda **_: {"secret": SECRET})
    servers.add("s:fail", lambda **_: text(SECRET, is_error=True))
    stream = io.StringIO()
    with configure_logging(level, stream, as_json=True):
        async with Gateway(servers, servers, InMemoryRuns(), observers=[log_notices]) as gateway:
            for name in ("give", "fail"):
                await gateway.call("s", name, {"name": name, "arguments": {"password": SECRET}})
    assert SECRET not in stream.getvalue()
    return [event for event in events(stream) if event["logger"] == "plait.runs"]


async def test_calls_by_name_that_fail_are_logged_and_in_detail_all_of_them():
    given, failed = await calls_logged_at("debug")
    assert (given["event"], given["tool"], given["status"], given["attempt"]) == (
        "call.finished",
        "s:give",
        "success",
        1,
    )
    assert given["duration_ms"] >= 0
    assert (failed["tool"], failed["status"], failed["code"]) == ("s:fail", "failed", "tool_error")
    assert not {"run", "task", "item"} & failed.keys()
    assert [event["tool"] for event in await calls_logged_at("info")] == ["s:fail"]


@pytest.mark.virtual_time
async def test_a_duration_counts_from_the_first_attempt():
    servers, stream = FakeServers(), io.StringIO()
    failures = [CallTimeout("late")]

    async def falter() -> dict[str, Any]:
        await anyio.sleep(2)
        if failures:
            raise failures.pop()
        return {}

    servers.add(tool("s:falter", readOnlyHint=True), falter)
    tasks = [
        {"id": "a", "tool": "s:falter", "retries": 1},
        {"id": "b", "tool": "s:falter", "for_each": [1], "depends_on": ["a"]},
    ]
    with configure_logging("debug", stream, as_json=True):
        async with Gateway(servers, servers, InMemoryRuns(), observers=[log_notices]) as gateway:
            result = await gateway.execute({"tasks": tasks})
    took = {
        (event["event"], event.get("task")): event.get("duration_ms") for event in events(stream)
    }
    first = result.tasks[0].duration_ms
    assert first is not None
    assert first > 4_000
    assert took == {
        ("run.started", None): None,
        ("task.finished", "a"): first,
        ("item.finished", "b"): 2_000,
        ("task.finished", "b"): 2_000,
        ("run.finished", None): result.metrics.execution_time_ms,
    }


def test_what_other_modules_and_servers_log_comes_out_here_too():
    stream = io.StringIO()
    with configure_logging("info", stream, as_json=True):
        logging.getLogger("plait.server.github").info("%s", "starting")
        logging.getLogger("somebody.else").info("not heard")
        logging.getLogger("somebody.else").warning("heard")
    assert [(event["logger"], event["level"], event["event"]) for event in events(stream)] == [
        ("plait.server.github", "info", "starting"),
        ("somebody.else", "warning", "heard"),
    ]


@pytest.mark.parametrize(
    ("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_the_level_says_what_is_heard(level: str, count: int):
    stream = io.StringIO()
    log = logging.getLogger("plait.test")
    with configure_logging(level, stream, as_json=True):
        for speak in (log.debug, log.info, log.warning, log.error):
            speak("a word")
    log.error("nobody is told after the block")
    assert len(events(stream)) == count


def test_the_sdk_logs_no_messages_of_clients_and_servers_in_detail():
    stream = io.StringIO()
    sdk = logging.getLogger("mcp.client.streamable_http")
    with configure_logging("debug", stream, as_json=True):
        sdk.debug("Sending client message: %s", {"arguments": {"key": "secret"}})
        sdk.warning("it is slow")
    assert [event["event"] for event in events(stream)] == ["it is slow"]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_message_cannot_forge_a_line_or_steer_the_terminal(as_json: bool):
    stream = io.StringIO()
    with configure_logging("info", stream, as_json=as_json):
        logging.getLogger("plait.test").info("one\n\x1b[2Jtwo %s", "\u202e", extra={"task": "a\rb"})
    (line,) = stream.getvalue().splitlines()
    assert line.isprintable()


def test_a_person_reads_key_and_value_and_whole_tracebacks():
    stream = io.StringIO()
    with configure_logging("info", stream, as_json=False):
        logging.getLogger("plait.test").info(
            "task.finished", extra={"run": "r_1", "status": "failed"}
        )
        try:
            raise ValueError("wrong")
        except ValueError:
            logging.getLogger("plait.test").exception("task.crashed")
    first, *rest = stream.getvalue().splitlines()
    assert "task.finished" in first
    assert "run=r_1" in first
    assert "status=failed" in first
    assert any(line.startswith("Traceback") for line in rest)
    assert rest[-1] == "ValueError: wrong"


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_logged_in_whatever_field_it_comes(as_json: bool):
    secret = 's3cr3t "key"\nof ours alone'
    stream = io.StringIO()
    log = logging.getLogger("plait.test")
    with configure_logging("debug", stream, as_json=as_json, secrets=Secrets([secret])):
        log.debug(
            "of a library: %r",
            secret.encode(),
            extra={"error": secret, "all": [secret, {"a": ValueError(secret)}]},
        )
        try:
            try:
                raise OSError(secret)
            except OSError as error:
                raise ExceptionGroup("many", [ValueError(repr(secret)), error]) from error
        except ExceptionGroup:
            log.exception("crashed", stack_info=True)
    written = stream.getvalue()
    assert written.count("***") >= 6
    assert "s3cr3t" not in written
    assert "of ours" not in written


def test_a_record_that_cannot_be_written_shows_no_arguments(capsys: pytest.CaptureFixture[str]):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    log = logging.getLogger("plait.test")
    with configure_logging("info", stream, as_json=False, secrets=Secrets(["s3cr3t-key"])):
        log.info("\u2713 %s", "s3cr3t-key")
    said = capsys.readouterr().err
    assert said.count("plait.test logged a record that cannot be written") == 1
    assert "UnicodeEncodeError" in said
    assert "s3cr3t" not in said


INFO = ServerInfo("s", ServerState.RETRYING, error="no such command")


@pytest.mark.parametrize(
    ("notice", "level", "event", "fields"),
    [
        (
            ServerChanged(INFO, ServerState.CONNECTING, 1.0, 0.25),
            "warning",
            "server.lost",
            {"server": "s", "error": "no such command", "retry_in_s": 0.2},
        ),
        (
            ToolsDrifted("s", Drift(changed=("a",), new=("b", "c")), 1.0),
            "warning",
            "server.drift",
            {"server": "s", "tools": "changed: a; new: b, c"},
        ),
        (
            SettingsReloaded("servers.toml", ("s",), (), 1.0),
            "info",
            "config.reloaded",
            {"source": "servers.toml"},
        ),
    ],
)
def test_what_changes_of_servers_and_settings_is_logged(
    notice: Notice, level: str, event: str, fields: dict[str, Any]
):
    stream = io.StringIO()
    with configure_logging("info", stream, as_json=True):
        log_notices(notice)
    (logged,) = events(stream)
    assert (logged["level"], logged["event"]) == (level, event)
    assert fields.items() <= logged.items()


def test_settings_that_wait_for_the_next_start_are_logged():
    stream = io.StringIO()
    with configure_logging("info", stream, as_json=True):
        log_notices(SettingsReloaded("servers.toml", (), ("gateway.wait_s",), 1.0))
    assert [event["event"] for event in events(stream)] == ["config.reloaded", "config.later"]
    assert events(stream)[1]["settings"] == ["gateway.wait_s"]


@pytest.mark.parametrize(
    "notice",
    [
        ServerChanged(INFO, ServerState.CONNECTING, 1.0, 0.25, is_repeated=True),
        ServerChanged(ServerInfo("s", ServerState.READY), ServerState.CONNECTING, 1.0),
    ],
    ids=["lost for the same reason", "ready"],
)
def test_what_is_no_news_of_a_server_is_not_logged_as_a_warning(notice: Notice):
    stream = io.StringIO()
    with configure_logging("info", stream, as_json=True):
        log_notices(notice)
    assert events(stream) == []


@pytest.mark.parametrize(
    ("address", "logged"),
    [
        ("http://ada:pw@host:1/mcp?k=short", "http://host:1/mcp?…"),
        ("https://token@host", "https://host"),
        ("https://host/a/@b#c", "https://host/a/@b#c"),
        (
            '"http://a.example/x?y=1" and http://b.example/',
            '"http://a.example/x?…" and http://b.example/',
        ),
    ],
)
def test_addresses_of_libraries_are_logged_without_what_may_be_a_secret(address: str, logged: str):
    stream = io.StringIO()
    with configure_logging("debug", stream, as_json=True):
        logging.getLogger("httpx2").info("HTTP Request: POST %s", address)
        logging.getLogger("mcp").warning("connecting", extra={"url": address})
    first, second = events(stream)
    assert first["event"] == f"HTTP Request: POST {logged}"
    assert second["url"] == logged


def test_each_change_of_a_circuit_is_logged_with_its_reason():
    stream = io.StringIO()
    with configure_logging("info", stream, as_json=True):
        for tool, state, until, reason in (
            ("", CircuitState.OPEN, 15.04, "s went away"),
            ("", CircuitState.HALF_OPEN, 15.04, "s went away"),
            ("read", CircuitState.CLOSED, None, ""),
        ):
            log_notices(CircuitChanged("s@2f", tool, state, 10.0, until, reason))
    fields = ("level", "event", "server", "tool", "open_s", "reason")
    assert [tuple(event.get(name) for name in fields) for event in events(stream)] == [
        ("warning", "circuit.open", "s", None, 5.0, "s went away"),
        ("info", "circuit.half_open", "s", None, None, None),
        ("info", "circuit.closed", "s", "read", None, None),
    ]
