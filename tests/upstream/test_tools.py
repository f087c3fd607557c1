"""The six tools, called by a client of the SDK in memory, in both protocol eras."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from plait.core.history import KeptRun, Post
from plait.core.tools.catalog import ServerInfo, ServerState
from plait.core.values.principal import Principal
from plait.errors import HistoryLost
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.shelf import Shelf

from ..fakes import FakeServers
from .conftest import Connect, first_text, sleep, structured, task

pytestmark = pytest.mark.virtual_time


async def test_a_dag_is_run_and_its_outputs_come_back_as_structure_and_as_text(connect: Connect):
    document = {
        "tasks": [task("a", arguments={"n": 1}), task("b", arguments={"m": "$OUTPUT[a].n"})]
    }
    async with connect() as client:
        result = await client.call_tool("execute_dag", document)
    answer = structured(result)
    assert not result.is_error
    assert answer["status"] == "success"
    assert answer["outputs"] == {"b": {"m": 1}}
    assert json.loads(first_text(result)) == answer
    assert list(answer) == [
        "status",
        "run_id",
        "errors",
        "outputs",
        "truncated",
        "notes",
        "metrics",
    ]


async def test_every_problem_of_a_refused_dag_is_reported_in_sentences_and_as_data(
    connect: Connect, servers: FakeServers
):
    document = {
        "tasks": [
            task("a", "s:slepp"),
            task("b", "s:many"),
            task("c", arguments={"x": "$OUTPUT[nope]"}),
        ]
    }
    async with connect() as client:
        result = await client.call_tool("execute_dag", document)
    said = first_text(result)
    answer = structured(result)
    assert result.is_error
    assert said.startswith('DAG not run: 3 problems, nothing was executed.\n1. tasks[0].tool "a": ')
    assert said.endswith("\nFix these and call execute_dag again with the whole DAG.")
    assert "s:sleep" in said
    assert answer["status"] == "invalid"
    assert {error["id"] for error in answer["errors"]} == {"a", "b", "c"}
    assert {error["code"] for error in answer["errors"]} == {
        "unknown_tool",
        "invalid_arguments",
        "unknown_task",
    }
    assert not servers.calls


async def test_a_dry_run_shows_the_layers_and_runs_nothing_however_it_is_spelt(
    connect: Connect, servers: FakeServers
):
    tasks = [task("a"), task("b", depends_on=["a"])]
    async with connect() as client:
        plain = await client.call_tool("execute_dag", {"tasks": tasks, "dry_run": True})
        camel = await client.call_tool("execute_dag", {"tasks": json.dumps(tasks), "dryRun": True})
        nested = [
            await client.call_tool("execute_dag", {"tasks": whole})
            for whole in (
                {"tasks": tasks, "dry_run": True},
                json.dumps({"tasks": tasks, "dry_run": True}),
            )
        ]
    for result in (plain, camel, *nested):
        assert structured(result)["status"] == "planned"
        assert structured(result)["layers"] == [["a"], ["b"]]
    assert not servers.calls


async def test_after_wait_s_the_run_continues_and_get_run_waits_for_it(connect: Connect):
    async with connect() as client:
        early = structured(
            await client.call_tool("execute_dag", {"tasks": [sleep("a", 9)], "wait_s": 1})
        )
        still = structured(
            await client.call_tool("get_run", {"run_id": early["run_id"], "wait_s": 1})
        )
        done = structured(await client.call_tool("get_run", {"run_id": early["run_id"]}))
    assert early["status"] == "running"
    assert f'get_run(run_id="{early["run_id"]}")' in early["notes"][0]
    assert (still["status"], still["tasks"][0]["status"]) == ("running", "running")
    assert done["status"] == "success"
    assert done["outputs"] == {"a": {"slept": 9}}
    assert "tasks" not in done


@pytest.mark.parametrize(
    ("name", "setting", "waited"),
    [
        ("claude-code", None, 1500), ("gemini-cli", None, 540), ("Claude-Code", None, 1500),
        ("codex", None, 50),
        ("claude-code", 7.0, 7),
    ],
)  # fmt: skip
async def test_a_client_is_kept_waiting_as_long_as_it_is_known_to_wait(
    connect: Connect, name: str, setting: float | None, waited: float
):
    async with connect(name, wait_s=setting) as client:
        start = anyio.current_time()
        await client.call_tool(
            "execute_dag", {"tasks": [sleep("a", 5_000, timeout_s=6_000)]}, read_timeout_seconds=9e4
        )
        assert anyio.current_time() - start == pytest.approx(waited, abs=1)


async def test_a_cancelled_call_cancels_its_run_and_the_calls_of_it(
    connect: Connect, servers: FakeServers
):
    async with connect() as client:
        with anyio.move_on_after(2):
            await client.call_tool("execute_dag", {"tasks": [sleep("a", 100), sleep("b", 100)]})
        await anyio.sleep(1)
        assert servers.aborted == ["s:sleep", "s:sleep"]


async def test_cancel_run_stops_a_run_and_counts_its_tasks(connect: Connect, servers: FakeServers):
    async with connect() as client:
        tasks = [sleep("a", 100), task("b")]
        run = structured(await client.call_tool("execute_dag", {"tasks": tasks, "wait_s": 1}))[
            "run_id"
        ]
        answer = structured(await client.call_tool("cancel_run", {"run_id": run}))
        after = await client.call_tool("get_run", {"run_id": run})
    assert answer == {
        "status": "cancelled",
        "run_id": run,
        "counts": {"cancelled": 1, "success": 1},
    }
    assert servers.aborted == ["s:sleep"]
    assert after.is_error


async def test_cancel_run_stops_a_run_of_another_process_or_says_that_it_cannot(connect: Connect):
    shelf = Shelf()
    there, here = MemoryHistory(shelf), MemoryHistory(shelf)
    document = {"tasks": [sleep("a", 100), task("b")], "wait_s": 1}
    async with connect(history=there) as other, connect(history=here) as client:
        run = structured(await other.call_tool("execute_dag", document))["run_id"]
        here.trouble = "the disk is full"
        refused = await client.call_tool("cancel_run", {"run_id": run})
        assert structured(refused)["errors"][0]["code"] == "history_unavailable"
        assert "which was not reached: the disk is full." in first_text(refused)
        assert (
            structured(await other.call_tool("get_run", {"run_id": run, "wait_s": 1}))["status"]
            == "running"
        )
        here.trouble = None
        answer = structured(await client.call_tool("cancel_run", {"run_id": run}))
    assert answer == {
        "status": "cancelled",
        "run_id": run,
        "counts": {"cancelled": 1, "success": 1},
    }


async def test_the_answer_that_a_dead_gateway_owed_is_given_once(connect: Connect):
    shelf = Shelf()
    document = {"tasks": [task("a", arguments={"n": 1})]}

    async def answers() -> dict[str, Any]:
        history = MemoryHistory(shelf)
        async with connect(history=history) as client:
            answer = dict(structured(await client.call_tool("execute_dag", document)))
        history.die()
        return answer

    first = await answers()
    assert not shelf.runs[first["run_id"]].is_awaited  # it had its answer
    second = await answers()
    assert second["run_id"] != first["run_id"]
    shelf.runs[second["run_id"]].is_awaited = True  # as if that had been lost
    third = await answers()
    assert third["run_id"] == second["run_id"]
    assert third["outputs"] == {"a": {"n": 1}}
    assert "nothing was run. With again: true" in third["notes"][-1]
    assert (await answers())["run_id"] != second["run_id"]


async def test_a_client_that_knows_its_run_or_left_it_is_owed_no_answer(connect: Connect):
    shelf = Shelf()
    document = {"tasks": [sleep("a", 100)]}
    async with connect(history=MemoryHistory(shelf)) as client:
        await client.call_tool("execute_dag", {**document, "wait_s": 1})
        with anyio.move_on_after(5):
            await client.call_tool("execute_dag", document)
        await anyio.sleep(1)
        assert [run.is_awaited for run in shelf.runs.values()] == [False, False]


class Stopped(MemoryHistory):
    """The history of a process that takes no posts."""

    async def posted(self) -> list[Post]:
        await anyio.sleep_forever()
        return []


async def test_cancel_run_says_that_another_process_has_not_cancelled_a_run_yet(connect: Connect):
    shelf = Shelf()
    document = {"tasks": [sleep("a", 100)], "wait_s": 1}
    async with (
        connect(history=Stopped(shelf)) as other,
        connect(history=MemoryHistory(shelf)) as client,
    ):
        run = structured(await other.call_tool("execute_dag", document))["run_id"]
        answer = structured(await client.call_tool("cancel_run", {"run_id": run}))
    assert answer["status"] == "running"
    assert answer["hint"].startswith(
        "It goes on in another process, which was asked to cancel it; then it ends once its tasks "
    )


class Damaged(MemoryHistory):
    """A history of which no value can be read."""

    async def run(self, run_id: str, principal: Principal | None = None) -> KeptRun | None:
        raise HistoryLost("A value that the history has of it is damaged.")


async def test_a_run_that_cannot_be_read_is_refused(connect: Connect):
    async with connect(history=Damaged()) as client:
        for name in ("get_run", "cancel_run"):
            result = await client.call_tool(name, {"run_id": "r_1"})
            assert result.is_error
            assert structured(result)["errors"][0]["code"] == "history_lost"
            assert "is damaged" in first_text(result)


UNDO = sleep("undo", 9, depends_on=["a"], trigger_rule="always")


async def test_a_cancelled_call_leaves_its_run_to_clean_up_and_holds_nobody_up(
    connect: Connect, servers: FakeServers
):
    async with connect() as client:
        with anyio.move_on_after(2):
            await client.call_tool("execute_dag", {"tasks": [sleep("a", 100), UNDO]})
        at = anyio.current_time()
        answer = await client.call_tool("execute_dag", {"tasks": [task("b")]})
        assert structured(answer)["status"] == "success"
        assert anyio.current_time() == at
        assert [name for name, _ in servers.calls] == ["s:sleep", "s:sleep", "s:echo"]
        await anyio.sleep(12)
    assert servers.aborted == ["s:sleep"], "that of a, not that of undo"


async def test_cancel_run_says_that_a_run_still_cleans_up(connect: Connect):
    async with connect() as client:
        document = {"tasks": [sleep("a", 100), UNDO], "wait_s": 1}
        run = structured(await client.call_tool("execute_dag", document))["run_id"]
        answer = structured(await client.call_tool("cancel_run", {"run_id": run}))
        assert answer["status"] == "running"
        assert answer["hint"] == (
            "It is cancelled, and ends once its tasks with trigger_rule always have ended, within "
            "30 s: wait for it with get_run."
        )
        after = structured(await client.call_tool("get_run", {"run_id": run, "wait_s": 20}))
    assert (after["status"], after["outputs"]) == ("cancelled", {"undo": {"slept": 9}})


async def test_an_unknown_run_is_refused_and_no_other_one_is_named(connect: Connect):
    async with connect() as client:
        run = structured(await client.call_tool("execute_dag", {"tasks": [task("a")]}))["run_id"]
        for name in ("get_run", "cancel_run"):
            result = await client.call_tool(name, {"run_id": "r_nope"})
            assert result.is_error
            assert structured(result)["errors"][0]["code"] == "unknown_run"
            assert run not in str(result)


async def test_get_run_gives_the_detail_that_the_document_asked_for(
    connect: Connect,
):
    async with connect() as client:
        for detail in ("concise", "full"):
            document = {"tasks": [task("a"), task("b")], "detail": detail}
            told = structured(await client.call_tool("execute_dag", document))
            assert structured(await client.call_tool("get_run", {"run_id": told["run_id"]})) == told
            assert ("tasks" in told) is (detail == "full")


async def test_search_gives_one_line_a_tool_and_marks_what_may_write(connect: Connect):
    async with connect() as client:
        result = await client.call_tool("search_tools", {"query": "wait; post message", "limit": 1})
    assert first_text(result).split("\n") == [
        "wait:",
        "s:sleep(seconds?: number) - Wait for some time",
        "post message:",
        "chat:post() [w]",
        "2 of 7 tools shown.",
    ]
    assert [(one["name"], one["need"], one["writes"]) for one in structured(result)["tools"]] == [
        ("s:sleep", "wait", False),
        ("chat:post", "post message", True),
    ]
    assert structured(result)["total"] == 7


async def test_a_tool_found_for_two_needs_is_described_once(connect: Connect):
    async with connect() as client:
        result = await client.call_tool("search_tools", {"query": "wait; sleep", "limit": 1})
    assert first_text(result).split("\n") == [
        "wait:",
        "s:sleep(seconds?: number) - Wait for some time",
        "sleep:",
        "s:sleep (above)",
        "1 of 7 tools shown.",
    ]


async def test_an_empty_query_lists_the_servers_with_their_state(
    connect: Connect, servers: FakeServers
):
    servers.add_server(ServerInfo("s", ServerState.READY, tools=6))
    servers.add_server(ServerInfo("far", ServerState.RETRYING, error="refused"))
    async with connect() as client:
        result = await client.call_tool("search_tools", {"query": ""})
        searched = await client.call_tool("search_tools", {"query": "wait"})
        unknown = await client.call_tool("search_tools", {"query": "wait", "server": "fra"})
    assert "s: ready, 6 tools\n" in first_text(result)
    assert "far: retrying, 0 tools (refused)\n" in first_text(result)
    assert {one["name"] for one in structured(result)["servers"]} == {"s", "chat", "far"}
    assert first_text(searched).endswith("Not searched, because not connected: far (retrying).")
    assert 'Did you mean "far"?' in first_text(unknown)


async def test_a_search_while_servers_start_names_only_those_whose_tools_are_unknown(
    connect: Connect, servers: FakeServers
):
    servers.add_server(ServerInfo("s", ServerState.CONNECTING, tools=6))
    servers.add_server(ServerInfo("chat", ServerState.RETRYING, tools=1, error="refused"))
    servers.add_server(ServerInfo("far", ServerState.RETRYING, error="refused"))
    async with connect() as client:
        failing = await client.call_tool("search_tools", {"query": "wait"})
        servers.add_server(ServerInfo("slow", ServerState.CONNECTING))
        starting = await client.call_tool("search_tools", {"query": "wait"})
    assert first_text(failing).endswith(
        "tools shown. Not searched, because not connected: far (retrying)."
    )
    notes = [
        "Not searched, because not connected: far (retrying), slow (connecting).",
        "Ask again in some seconds.",
    ]
    assert first_text(starting).endswith(" ".join(["tools shown.", *notes]))
    assert structured(starting)["notes"] == notes


async def test_describe_gives_whole_definitions_and_the_nearest_of_what_there_is_not(
    connect: Connect,
):
    async with connect() as client:
        result = await client.call_tool("describe_tools", {"names": ["s__many", "s:slep"]})
        none = await client.call_tool("describe_tools", {"names": "x:y"})
        many = await client.call_tool("describe_tools", {"names": ["s:many"] * 11})
    answer = structured(result)
    assert answer["tools"][0]["name"] == "s:many"
    assert answer["tools"][0]["inputSchema"]["required"] == ["n"]
    assert answer["unknown"][0]["name"] == "s:slep"
    assert "s:sleep" in answer["unknown"][0]["hint"]
    assert not result.is_error
    assert none.is_error
    assert structured(many)["errors"][0]["code"] == "limit_exceeded"


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("search_tools", {"query": 5}, "wrong_type"),
        ("search_tools", {"qurey": "x"}, "unknown_field"),
        ("describe_tools", {}, "missing_field"),
        ("describe_tools", {"names": {"a": 1}}, "wrong_type"),
        ("get_run", {"run_id": "r", "wait_s": "soon"}, "wrong_type"),
        ("get_run", {}, "missing_field"),
        ("cancel_run", {"run_id": "r", "force": True}, "unknown_field"),
        ("execute_dag", {}, "missing_field"),
        ("execute_dag", {"tasks": "[{"}, "invalid_json"),
        ("execute_dag", {"tasks": [], "frobnicate": 1}, "unknown_field"),
        (
            "execute_dag",
            {"tasks": [{"id": "a", "tool": "s:echo", "arguments": {"x": "\ud800"}}]},
            "invalid_json",
        ),
    ],
)
async def test_wrong_arguments_are_an_answer_with_fixes_never_a_protocol_error(
    connect: Connect, name: str, arguments: dict[str, Any], code: str
):
    async with connect() as client:
        result = await client.call_tool(name, arguments)
    assert result.is_error
    assert code in {error["code"] for error in structured(result)["errors"]}
    assert all(error["message"] for error in structured(result)["errors"])


async def test_a_document_nested_too_deeply_is_refused_with_its_place(connect: Connect):
    nested: Any = 1
    for _ in range(80):
        nested = [nested]
    async with connect() as client:
        result = await client.call_tool(
            "execute_dag", {"tasks": [task("a", arguments={"x": nested})]}
        )
    assert structured(result)["errors"][0]["code"] == "invalid_json"
    assert "64 levels" in first_text(result)


async def test_an_unexpected_failure_is_logged_under_an_id_and_nothing_of_it_leaks(
    connect: Connect, servers: FakeServers, caplog: pytest.LogCaptureFixture
):
    async with connect() as client:
        servers.catalog = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
        result = await client.call_tool("execute_dag", {"tasks": [task("a")]})
    [error] = structured(result)["errors"]
    assert error["code"] == "internal"
    assert "division" not in first_text(result)
    logged = next(record for record in caplog.records if record.name == "plait.upstream.tools")
    assert logged.exc_info is not None
    assert vars(logged)["id"] in error["message"]
