"""plait run: exit codes, the two streams, and what is printed on each."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import anyio
import pytest

from plait.engine.gateway import Gateway
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.shelf import Shelf
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, tool
from .conftest import Plait, cut_short, task


@pytest.fixture(params=["alone", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    """Carried out in this process, and by a gateway that runs."""
    return str(request.param)


WELL = [task("a", arguments={"n": 1}), task("b", arguments={"from": "$OUTPUT[a].n"})]
BROKEN = [task("a"), task("bad", "s:fail"), task("after", depends_on=["bad"])]


@pytest.mark.parametrize(
    ("document", "words", "code"),
    [
        (WELL, (), 0),
        (BROKEN, (), 1),
        (WELL, ("--jobs", "0"), 2),
        (WELL, ("--set", "a.n"), 2),
        ([task("a", "s:nothing")], (), 3),
        (WELL, ("--config", "nowhere.toml"), 4),
        ([task("a", "far:look"), task("b")], (), 5),
        ([task("a", "s:hang")], ("--timeout", "0.05"), 124),
        ({"tasks": [task("a", "s:hang")], "timeout_s": 0.05}, ("--json",), 124),
    ],
)
def test_the_exit_code_says_how_it_ended(
    plait: Plait, document: object, words: tuple[str, ...], code: int
):
    assert plait.run(document, *words).exit_code == code


def test_json_is_one_document_and_nothing_else_is_printed(plait: Plait):
    result = plait.run(WELL, "--json")
    document = json.loads(result.stdout)
    assert list(document) == [
        "status",
        "run_id",
        "errors",
        "outputs",
        "truncated",
        "notes",
        "tasks",
        "layers",
        "metrics",
    ]
    assert document["outputs"] == {"b": {"from": 1}}
    assert result.stderr == ""


def test_json_holds_outputs_uncut(plait: Plait):
    long = "line\n" * 20_000
    result = plait.run([task("a", "s:say", arguments={"text": long})], "--json")
    assert json.loads(result.stdout)["outputs"] == {"a": long}


def test_progress_goes_to_standard_error_and_results_to_standard_output(plait: Plait):
    result = plait.run(BROKEN)
    assert {line.split()[1] for line in result.stderr.splitlines()} == {"a", "bad", "after"}
    assert "── a" in result.stdout
    assert "1 succeeded · 1 failed · 1 skipped" in result.stdout
    assert (result.stdout + result.stderr).count("EACCES: /x") == 1
    assert "tool_error: EACCES: /x" in result.stdout
    assert "after  skipped: bad failed" in result.stdout


def test_a_result_that_was_shown_is_not_shown_again_and_one_that_was_not_is(
    plait: Plait, servers: FakeServers
):
    shelf = Shelf()
    plait.opened = lambda config: Gateway(
        servers, servers, InMemoryRuns(), history=MemoryHistory(shelf)
    )
    document = [task("a", "s:say", arguments={"text": "hello"})]

    def shown() -> dict[str, Any]:
        answer = dict(json.loads(plait.run(document, "--json").stdout))
        until = time.monotonic() + 10
        while shelf.runs[answer["run_id"]].is_awaited and time.monotonic() < until:
            time.sleep(0.001)  # a shared gateway notes it after the result has left
        shelf.alive.clear()  # its gateway is gone
        return answer

    first, second = shown(), shown()
    assert first["run_id"] != second["run_id"]
    shelf.runs[second["run_id"]].is_awaited = True  # as if it had died before it was shown
    third = shown()
    assert (third["run_id"], third["outputs"]) == (second["run_id"], {"a": "hello"})
    assert "nothing was run" in third["notes"][-1]
    assert shown()["run_id"] != second["run_id"]


def test_a_document_that_was_interrupted_says_so_and_runs_again_if_that_is_meant(
    plait: Plait, servers: FakeServers, shelf: Shelf
):
    document = [task("a", "s:say", arguments={"text": "hello"})]
    plait.run(document)
    cut_short(shelf)
    shown = plait.run(document)
    assert (shown.exit_code, len(servers.calls)) == (1, 1)
    assert "interrupted" in shown.stdout
    assert "nothing was run" in shown.stdout
    assert f"plait resume {next(iter(shelf.runs))}" in shown.stdout
    anew = plait.run(document, "--again")
    assert (anew.exit_code, len(servers.calls)) == (0, 2)
    assert "nothing was run" not in anew.stdout


def test_a_large_run_is_counted_and_not_listed(plait: Plait):
    result = plait.run([task(f"t{index}") for index in range(1_000)])
    assert 2 <= len(result.stderr.splitlines()) <= 25
    assert result.stderr.splitlines()[-1] == "1000/1000 done"
    assert "see all with --detail full" in result.stdout


def test_fail_fast_ends_the_run_at_the_first_failure(plait: Plait):
    result = plait.run([task("bad", "s:fail"), task("slow", "s:hang")], "--fail-fast", "--json")
    assert result.exit_code == 1
    assert [one["status"] for one in json.loads(result.stdout)["tasks"]] == ["failed", "cancelled"]


def test_a_dry_run_is_planned_and_not_run(plait: Plait, servers: FakeServers):
    result = plait.run({"tasks": WELL, "dryRun": True}, "--json")
    assert json.loads(result.stdout)["status"] == "planned"
    assert servers.calls == []


def test_ctrl_c_cancels_the_calls_and_prints_what_there_is(plait: Plait, servers: FakeServers):
    async def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    servers.add(tool("s:interrupted", {}), interrupted)
    result = plait.run([task("a"), task("b", "s:interrupted", depends_on=["a"])], "--json")
    assert result.exit_code == 130
    assert servers.aborted == ["s:interrupted"]
    document = json.loads(result.stdout)
    assert document["status"] == "cancelled"
    assert [one["status"] for one in document["tasks"]] == ["success", "cancelled"]
    assert "Interrupted" in result.stderr


def test_tasks_are_shown_in_the_order_in_which_they_ended(plait: Plait, servers: FakeServers):
    third_has_begun = anyio.Event()

    async def third() -> None:
        third_has_begun.set()

    servers.add(tool("s:first", {}), third_has_begun.wait)
    servers.add(tool("s:third", {}), third)
    tasks = [task("a", "s:first"), task("b"), task("c", "s:third", depends_on=["b"])]
    shown = [line.split()[1] for line in plait.run(tasks).stderr.splitlines()]
    assert sorted(shown) == ["a", "b", "c"]
    assert shown.index("b") < shown.index("a")


def test_detail_full_shows_outputs_whole(plait: Plait):
    tasks = [task("a", arguments={"items": list(range(500))})]
    assert "\n    499\n" not in plait.run(tasks).stdout
    assert "\n    499\n" in plait.run(tasks, "--detail", "full").stdout


def test_ctrl_c_lets_a_run_clean_up(plait: Plait, servers: FakeServers):
    async def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    servers.add(tool("s:interrupted", {}), interrupted)
    undo = task("undo", depends_on=["a"], trigger_rule="always", arguments={"x": 1})
    result = plait.run([task("a", "s:interrupted"), undo], "--json")
    assert result.exit_code == 130
    document = json.loads(result.stdout)
    assert (document["status"], document["outputs"]) == ("cancelled", {"undo": {"x": 1}})
