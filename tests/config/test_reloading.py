"""New settings while the gateway runs: what changed takes effect, what did not is not disturbed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from plait.app.gateway import Gateway
from plait.config import Config, load_config
from plait.config.reloading import Reloading, lasting, look, stamps_of, watch
from plait.core.ports import RENEWED
from plait.core.tools.catalog import ServerState
from plait.core.values.strict import JsonObject
from plait.errors import InvalidDag

from ..downstream.changing import SERVER, ChangingServer, described, until
from ..upstream.conftest import structured


@pytest.fixture
def changing(tmp_path: Path) -> ChangingServer:
    return ChangingServer(tmp_path / "changing")


@pytest.fixture
def other(tmp_path: Path) -> ChangingServer:
    return ChangingServer(tmp_path / "other")


def settings(**sections: Any) -> Config:
    return Config.model_validate(sections)


def lead(changing: ChangingServer, **more: Any) -> dict[str, Any]:
    return changing.settings(**more).model_dump(exclude_unset=True)


async def run(gateway: Gateway, tool: str) -> JsonObject:
    with anyio.fail_after(20):
        result = await gateway.execute({"tasks": [{"id": "a", "tool": tool}]})
    assert not result.errors, result.errors
    output = result.outputs["a"]
    assert isinstance(output, dict)
    return output


def states(gateway: Gateway) -> dict[str, ServerState]:
    return {name: info.state for name, info in gateway.catalog().servers.items()}


async def test_a_server_whose_settings_are_the_same_goes_on_undisturbed(
    changing: ChangingServer, other: ChangingServer
):
    async with Gateway.from_config(
        settings(servers={"s": lead(changing), "o": lead(other)})
    ) as gateway:
        before = await run(gateway, "s:look"), await run(gateway, "o:look")
        again = {"s": lead(changing, timeout_s=7), "o": lead(other, env={"X": "1"})}
        await gateway.reload(settings(servers=again))
        assert await run(gateway, "s:look") == before[0]
        assert await run(gateway, "o:look") != before[1]
        await until(lambda: other.asked.count("end") == 1)
    assert changing.asked.count("start") == 1


async def test_servers_that_are_added_start_and_those_that_are_gone_stop(
    changing: ChangingServer, other: ChangingServer
):
    async with Gateway.from_config(settings(servers={"s": lead(changing)})) as gateway:
        await run(gateway, "s:look")
        await gateway.reload(settings(servers={"o": lead(other)}))
        await run(gateway, "o:look")
        assert list(gateway.catalog().servers) == ["o"]
        with pytest.raises(InvalidDag, match="Unknown server"):
            await run(gateway, "s:look")
        await until(lambda: changing.asked[-1] == "end")


async def test_calls_in_flight_at_a_removed_server_finish(changing: ChangingServer):
    async with Gateway.from_config(settings(servers={"s": lead(changing)})) as gateway:
        submitted = await gateway.submit({"tasks": [{"id": "a", "tool": "s:wait"}]})
        await until(lambda: "tools/call" in changing.asked)
        await gateway.reload(settings())
        changing.answer_wait()
        with anyio.fail_after(20):
            assert (await gateway.wait(submitted.run_id)).status == "success"
        await until(lambda: changing.asked[-1] == "end")


async def test_a_server_that_is_replaced_while_it_is_called_is_served_by_both(
    changing: ChangingServer,
):
    async with Gateway.from_config(settings(servers={"s": lead(changing)})) as gateway:
        submitted = await gateway.submit({"tasks": [{"id": "a", "tool": "s:wait"}]})
        await until(lambda: "tools/call" in changing.asked)
        await gateway.reload(settings(servers={"s": lead(changing, env={"X": "1"})}))
        await until(lambda: states(gateway) == {"s": ServerState.READY})
        new = await run(gateway, "s:look")
        changing.answer_wait()
        with anyio.fail_after(20):
            old = (await gateway.wait(submitted.run_id)).outputs["a"]
        assert old != new
        await until(lambda: changing.asked.count("end") == 1)


async def test_rules_policy_and_limits_hold_for_the_next_run(changing: ChangingServer):
    servers = {"s": lead(changing)}
    async with Gateway.from_config(settings(servers=servers)) as gateway:
        await run(gateway, "s:look")
        await gateway.reload(settings(servers=servers, policy={"deny": ["s:look"]}))
        with pytest.raises(InvalidDag, match="s:look"):
            await run(gateway, "s:look")
        await gateway.reload(settings(servers=servers, tools={"s:wait": {"timeout_s": 0.05}}))
        result = await gateway.execute({"tasks": [{"id": "a", "tool": "s:wait"}]})
        assert result.errors[0].code == "timeout"
        await gateway.reload(settings(servers=servers, gateway={"limits": {"max_tasks": 1}}))
        with pytest.raises(InvalidDag, match="at most 1 "):
            await gateway.execute({"tasks": [{"id": id, "tool": "s:look"} for id in "ab"]})
    assert changing.asked.count("start") == 1


async def test_calls_that_wait_for_a_limit_go_when_there_is_more_of_it(changing: ChangingServer):
    servers = {"s": lead(changing)}
    async with Gateway.from_config(
        settings(servers=servers, gateway={"max_concurrency": 1})
    ) as gateway:
        await gateway.submit(
            {"tasks": [{"id": "a", "tool": "s:wait"}, {"id": "b", "tool": "s:look"}]}
        )
        await until(lambda: changing.asked.count("tools/call") == 1)
        await gateway.reload(settings(servers=servers))
        changing.answer_wait()
        await until(lambda: changing.asked.count("tools/call") == 2)


async def test_which_tools_are_left_out_changes_without_a_restart(changing: ChangingServer):
    async with Gateway.from_config(settings(servers={"s": lead(changing)})) as gateway:
        await run(gateway, "s:look")
        await gateway.reload(settings(servers={"s": lead(changing, exclude=["w*"])}))
        assert list(gateway.catalog().tools) == ["s:change", "s:look"]
        await gateway.reload(settings(servers={"s": lead(changing, include=["w*"])}))
        assert list(gateway.catalog().tools) == ["s:wait"]
    assert changing.asked.count("start") == 1


async def test_a_server_becomes_lazy_and_eager_again_without_a_restart(changing: ChangingServer):
    async with Gateway.from_config(settings(servers={"s": lead(changing)})) as gateway:
        await run(gateway, "s:look")
        await gateway.reload(
            settings(servers={"s": lead(changing, lazy=True, idle_timeout_s=0.01)})
        )
        await until(lambda: states(gateway) == {"s": ServerState.IDLE})
        await gateway.reload(settings(servers={"s": lead(changing)}))
        await until(lambda: states(gateway) == {"s": ServerState.READY})
    assert changing.asked.count("start") == 2


async def test_answers_that_were_kept_of_a_server_go_with_it(changing: ChangingServer):
    changing.put([described("look", annotations={"readOnlyHint": True})])
    rules = {"s:look": {"cache_ttl_s": 3_600}}
    async with Gateway.from_config(settings(servers={"s": lead(changing)}, tools=rules)) as gateway:
        first = await run(gateway, "s:look")
        assert await run(gateway, "s:look") == first
        await gateway.reload(settings(servers={"s": lead(changing, env={"X": "1"})}, tools=rules))
        assert await run(gateway, "s:look") != first


async def test_answers_that_were_kept_of_a_server_go_when_a_client_changes_something_by_name(
    changing: ChangingServer,
):
    changing.put([described("look", annotations={"readOnlyHint": True}), described("change")])
    async with Gateway.from_config(
        settings(servers={"s": lead(changing)}, tools={"s:look": {"cache_ttl_s": 3_600}})
    ) as gateway:
        made = []
        for name in ("look", "change"):
            await run(gateway, "s:look")
            before = changing.asked.count("tools/call")
            await gateway.call("s", name, {"name": name})
            await run(gateway, "s:look")
            made.append(changing.asked.count("tools/call") - before)
    assert made == [0, 2]


async def test_settings_that_cannot_change_are_logged(
    changing: ChangingServer, caplog: pytest.LogCaptureFixture
):
    async with Gateway.from_config(settings()) as gateway:
        await gateway.reload(
            settings(gateway={"wait_s": 3, "max_concurrency": 7, "limits": {"max_runs": 5}})
        )
    (record,) = (record for record in caplog.records if record.message == "config.later")
    assert vars(record)["settings"] == ["gateway.wait_s", "gateway.limits.max_runs"]
    assert (
        lasting(settings(), settings(gateway={"max_concurrency": 7, "limits": {"max_tasks": 5}}))
        == []
    )


@asynccontextmanager
async def following(
    file: Path, apply: Callable[[Config], Awaitable[None]], *, is_watching: bool
) -> AsyncIterator[None]:
    reloading = Reloading(lambda: load_config(file), is_watching)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reloading.follow, load_config(file), apply)
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


async def test_a_broken_file_is_logged_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    file, applied = tmp_path / "servers.toml", list[int]()

    async def apply(config: Config) -> None:
        applied.append(config.gateway.max_concurrency)

    def signalled(text: str) -> None:
        file.write_text(text)
        os.kill(os.getpid(), signal.SIGHUP)

    file.write_text("")
    async with following(file, apply, is_watching=False):
        signalled("[gateway]\nmax_concurrency = 7")
        await until(lambda: applied)
        signalled("[gateway]\nmax_concurrency = -1")
        await until(lambda: "config.refused" in caplog.messages)
        signalled("[gateway]\nmax_concurrency = 9")
        await until(lambda: len(applied) == 2)
    assert applied == [7, 9]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ("aaaa", 0),
        ("aabb", 1),
        ("abbb", 1),
        ("abcdeff", 1),
        ("aabbaa", 2),
        ("aab-bb", 1),
        ("a--a", 1),
        ("a--aa", 2),
        ("aab", 0),
    ],
)
async def test_a_file_has_changed_once_it_stays_as_it_is_now(looks: str, told: int):
    stamps = [None if look == "-" else (ord(look),) for look in looks]
    remaining, changes = iter(stamps), list[float]()

    async def looked() -> tuple[int, ...] | None:
        return next(remaining, stamps[-1])

    with anyio.move_on_after(len(looks) - 0.5):
        await watch(looked, lambda: changes.append(anyio.current_time()), await looked())
    assert len(changes) == told


async def test_another_than_the_signal_may_ask_for_a_reload(tmp_path: Path):
    file, asked, applied = tmp_path / "servers.toml", anyio.Event(), anyio.Event()
    file.write_text("")

    async def follow_requests(notify: Callable[[], None]) -> None:
        await asked.wait()
        notify()

    async def apply(config: Config) -> None:
        applied.set()

    reloading = Reloading(lambda: load_config(file), follow_requests=follow_requests)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reloading.follow, load_config(file), apply)
        await anyio.wait_all_tasks_blocked()
        assert not applied.is_set()
        asked.set()
        with anyio.fail_after(20):
            await applied.wait()
        tasks.cancel_scope.cancel()


async def test_a_change_while_the_gateway_starts_is_not_missed(tmp_path: Path):
    file, applied = tmp_path / "servers.toml", list[int]()
    file.write_text("[gateway]\nmax_concurrency = 1\n")
    config = load_config(file)
    reloading = Reloading(lambda: load_config(file), True, stamps_of(config))
    file.write_text("[gateway]\nmax_concurrency = 22\n")
    changed = anyio.Event()

    async def apply(config: Config) -> None:
        applied.append(config.gateway.max_concurrency)
        changed.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reloading.follow, config, apply)
        with anyio.fail_after(20):
            await changed.wait()
        tasks.cancel_scope.cancel()
    assert applied == [22]


async def test_a_file_looks_otherwise_when_it_is_replaced_or_gone(tmp_path: Path):
    file, seen = tmp_path / "servers.toml", set[object]()
    seen.add(await look(file))
    file.write_text("a")
    seen.add(await look(file))
    (tmp_path / "new").write_text("b")
    os.utime(tmp_path / "new", ns=(0, file.stat().st_mtime_ns))
    os.replace(tmp_path / "new", file)
    seen.add(await look(file))
    file.write_text("bb")
    assert len(seen | {await look(file)}) == 4
    assert await look(file) == await look(file)


async def log_of(process: asyncio.subprocess.Process, event: str) -> Any:
    """The next record of that event in the log of *process*."""
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if (record := json.loads(line)).get("event") == event:
            return record
    raise AssertionError(f"it ended without {event}")


async def test_serve_takes_new_settings_by_itself_and_on_a_signal(
    changing: ChangingServer, other: ChangingServer, tmp_path: Path
):
    file = tmp_path / "servers.json"

    def put(**changing_servers: ChangingServer) -> None:
        servers = {
            name: {"command": sys.executable, "args": [SERVER, str(one.folder)]}
            for name, one in changing_servers.items()
        }
        (tmp_path / "new").write_text(json.dumps({"mcpServers": servers}))
        os.replace(tmp_path / "new", file)

    put(s=changing)
    command = [
        sys.executable,
        "-m",
        "plait",
        "serve",
        "--watch",
        "--http",
        "0",
        "--config",
        str(file),
    ]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    try:
        with anyio.fail_after(30):
            url = (await log_of(process, "serving"))["url"]
            async with Client(url, mode="legacy") as client:
                await until(lambda: changing.asked)
                put(s=changing, o=other)
                await until(lambda: other.asked)
                found = structured(
                    await client.call_tool(
                        "execute_dag", {"tasks": [{"id": "a", "tool": "o:look"}]}
                    )
                )
                assert found["status"] == "success"
                (tmp_path / "servers.json").write_text("broken")
                process.send_signal(signal.SIGHUP)
                await log_of(process, "config.refused")
                put(o=other)
                process.send_signal(signal.SIGHUP)
                await until(lambda: changing.asked[-1] == "end")
    finally:
        process.terminate()
        await process.wait()
    assert (changing.asked.count("start"), other.asked.count("start")) == (1, 1)


async def test_clients_are_notified_of_lists_that_new_settings_change(changing: ChangingServer):
    servers = {"s": lead(changing)}
    async with Gateway.from_config(settings(servers=servers)) as gateway:
        await run(gateway, "s:look")
        relaying, told = gateway.relaying(), list[tuple[str, str]]()
        assert relaying is not None
        relaying.downstream.listen(lambda server, method, params: told.append((server, method)))
        before = relaying.downstream.offers()
        await gateway.reload(settings(servers=servers, policy={"deny": ["s:look"]}))
        assert told == [("", RENEWED)]
        assert relaying.downstream.offers() is not before
        assert relaying.denied_by("s", "look") == "s:look"
        told.clear()
        await gateway.reload(settings())
        assert told == [("", RENEWED)]
        assert relaying.downstream.offers() == ()


async def test_a_change_of_the_users_secrets_is_a_change_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("TOKEN_OF_A_TEST", raising=False)
    file, secrets = tmp_path / "servers.toml", tmp_path / "plait" / "secrets.env"
    file.write_text('[servers.a]\nurl = "https://h/${TOKEN_OF_A_TEST}"\n')
    urls, changed = list[object](), anyio.Event()

    async def apply(config: Config) -> None:
        urls.append(config.servers["a"].url)
        changed.set()

    config = load_config(file)
    assert list(config.needs) == ["a"]
    reloading = Reloading(lambda: load_config(file), True, stamps_of(config))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reloading.follow, config, apply)
        secrets.parent.mkdir()
        secrets.touch(0o600)
        secrets.write_text("TOKEN_OF_A_TEST=now\n")
        with anyio.fail_after(20):
            await changed.wait()
        tasks.cancel_scope.cancel()
    assert urls[-1] == "https://h/now"
