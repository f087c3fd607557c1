"""The verbs of the gateway, over tools in memory and in virtual time."""

from __future__ import annotations

import inspect
import itertools
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from plait.core.ports import NoClient
from plait.core.results.record import RunStatus
from plait.core.scheduling.limits import Limits
from plait.core.tools.catalog import ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.tools.tool_stats import ToolStats
from plait.core.values.principal import USER, Principal
from plait.engine import gateway as gateway_module
from plait.engine.gateway import Gateway, GatewayLimits
from plait.errors import CallError, InvalidDag, ServerUnavailable, UnknownRun
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, text, tool
from .dying import World, task

pytestmark = pytest.mark.virtual_time


@pytest.fixture
def servers() -> FakeServers:
    made = FakeServers()

    async def sleep(seconds: float = 1, **rest: Any) -> dict[str, Any]:
        await anyio.sleep(seconds)
        return {"slept": seconds, **rest}

    made.add(
        tool("s:sleep", {"seconds": {"type": "number"}}, closed=False, readOnlyHint=True), sleep
    )
    made.add("s:echo", lambda **arguments: arguments)
    made.add("s:fail", lambda **_: text("EACCES: /x", is_error=True))
    return made


def sleep(id: str, seconds: float = 1, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": "s:sleep", "arguments": {"seconds": seconds}, **more}


async def test_outputs_of_the_leaves_come_back_and_nothing_else(servers: FakeServers):
    document = {
        "tasks": [
            sleep("a", 2),
            {"id": "b", "tool": "s:echo", "arguments": {"n": "$OUTPUT[a].slept"}},
        ]
    }
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        result = await gateway.execute(document)
    assert result.status is RunStatus.SUCCESS
    assert result.outputs == {"b": {"n": 2}}
    assert result.document()["metrics"] == {
        "execution_time_ms": 2000, "sequential_time_ms": 2000, "speedup": 1.0, "layers": 2,
    }  # fmt: skip


async def test_five_independent_calls_are_five_times_faster(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        result = await gateway.execute({"tasks": [sleep(f"t{index}") for index in range(5)]})
    assert result.metrics.speedup == 5
    assert result.metrics.max_parallelism == 5


async def test_an_uneven_diamond_takes_its_critical_path_where_layers_take_longer(
    servers: FakeServers,
):
    tasks = [
        sleep("a1", 50),
        sleep("a2", 350, depends_on=["a1"]),
        sleep("b1", 350),
        sleep("b2", 50, depends_on=["b1"]),
    ]
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        eager = await gateway.execute({"tasks": [{**task, "timeout_s": 999} for task in tasks]})
        layers = await gateway.execute(
            {"schedule": "layers", "tasks": [{**task, "timeout_s": 999} for task in tasks]}
        )  # fmt: skip
    assert eager.metrics.execution_time_ms == 400_000
    assert layers.metrics.execution_time_ms == 700_000
    assert eager.outputs == layers.outputs


async def test_a_refused_document_runs_nothing(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [sleep("a"), {"id": "b", "tool": "s:ecko"}]})
    assert [problem.code for problem in refused.value.problems] == ["unknown_tool"]
    assert servers.calls == []


async def test_a_cancelled_caller_cancels_its_run(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        with anyio.move_on_after(5):
            await gateway.execute(
                {"tasks": [sleep("a", 50), sleep("b", 50), sleep("c", depends_on=["a"])]}
            )
        await gateway.wait(gateway.runs()[0])
        result = gateway.result(gateway.runs()[0])
    assert result.status is RunStatus.CANCELLED
    assert servers.aborted == ["s:sleep", "s:sleep"]
    assert {task.id: task.status for task in result.tasks} == {
        "a": "cancelled",
        "b": "cancelled",
        "c": "cancelled",
    }


async def test_a_run_goes_on_while_nobody_waits(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        submitted = await gateway.submit({"tasks": [sleep("a", 30)]})
        running = await gateway.wait(submitted.run_id, 10)
        assert (running.status, running.tasks[0].status) == (RunStatus.RUNNING, "running")
        ended = await gateway.wait(submitted.run_id)
    assert ended.status is RunStatus.SUCCESS
    assert anyio.current_time() == pytest.approx(30, abs=0.1)


async def test_leaving_the_gateway_cancels_what_still_runs(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        submitted = await gateway.submit({"tasks": [sleep("a", 50)]})
        await anyio.sleep(1)
    assert gateway.result(submitted.run_id).status is RunStatus.CANCELLED
    assert servers.aborted == ["s:sleep"]


async def test_followers_hear_of_every_end_and_never_less_than_every_five_seconds(
    servers: FakeServers,
):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        submitted = await gateway.submit(
            {"tasks": [sleep("a", 1), sleep("b", 12), {"id": "f", "tool": "s:fail"}]}
        )
        heard = [
            (anyio.current_time(), progress) async for progress in gateway.follow(submitted.run_id)
        ]
    settled = [progress.settled for _, progress in heard]
    assert settled == sorted(settled)
    assert heard[-1][1].finished
    assert str(heard[1][1]).startswith("1/3 done; running a, b; failed f")
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(heard)]
    assert max(gaps) <= 5.01
    assert len(heard) <= 8


async def test_a_server_that_cannot_be_reached_fails_its_own_tasks_alone(servers: FakeServers):
    servers.add_server(ServerInfo("down", ServerState.RETRYING, error="no such file: frobnicate"))

    async def call(call: Any) -> Any:
        if call.tool.server == "down":
            raise ServerUnavailable("down: no such file: frobnicate")
        return await servers(call)

    async with Gateway(servers, call, InMemoryRuns()) as gateway:
        result = await gateway.execute(
            {"tasks": [{"id": "x", "tool": "down:anything"}, sleep("a")]}
        )
    assert result.status is RunStatus.PARTIAL
    assert [(error.id, error.code) for error in result.errors] == [("x", "server_unavailable")]


async def test_a_dry_run_says_what_would_happen_and_does_nothing(servers: FakeServers):
    document = {"tasks": [sleep("a"), {"id": "b", "tool": "s:echo", "depends_on": ["a"]}]}
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        plan = await gateway.plan(document)
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({**document, "dry_run": True})
    assert (plan["status"], plan["layers"]) == ("planned", [["a"], ["b"]])
    assert plan["writes"] == [{"id": "b", "tool": "s:echo"}]
    assert (refused.value.problems[0].code, servers.calls) == ("not_run", [])


async def test_resuming_runs_only_what_was_mended_and_what_waited_for_it(servers: FakeServers):
    tasks = [sleep("a"), {"id": "b", "tool": "s:fail", "depends_on": ["a"]}]
    tasks.append(
        {"id": "c", "tool": "s:echo", "arguments": {"x": "$OUTPUT[b].y", "n": "$OUTPUT[a].slept"}}
    )
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        failed = await gateway.execute({"tasks": tasks})
        servers.calls.clear()
        mended = {"id": "b", "tool": "s:echo", "arguments": {"y": "mended"}}
        result = await gateway.execute({"resume_from": failed.run_id, "tasks": [mended]})
    assert result.status is RunStatus.SUCCESS
    assert result.outputs == {"c": {"x": "mended", "n": 1}}
    assert servers.calls == [("s:echo", {"y": "mended"}), ("s:echo", {"x": "mended", "n": 1})]


async def test_a_failed_call_is_not_sent_again_unless_the_document_holds_it(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        failed = await gateway.execute({"tasks": [{"id": "b", "tool": "s:fail"}, sleep("a")]})
        servers.calls.clear()
        await gateway.execute({"resume_from": failed.run_id, "tasks": [sleep("z")]})
    assert [name for name, _ in servers.calls] == ["s:sleep"]


async def test_a_problem_of_an_earlier_runs_task_is_told_as_such(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        tasks = [{"id": "b", "tool": "s:fail"}, {"id": "c", "tool": "s:echo", "depends_on": ["b"]}]
        failed = await gateway.execute({"tasks": tasks})
        servers.remove("s:echo")
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute(
                {"resume_from": failed.run_id, "tasks": [sleep("b"), {"id": "d", "tool": "s:no"}]}
            )
    assert [problem.path for problem in refused.value.problems] == [
        "resume_from.c.tool",
        "tasks[1].tool",
    ]


class Other(NoClient):
    """A caller who is not the user, and is never asked."""

    principal = Principal("token:other")


VERBS: dict[str, Callable[[Gateway, str, Principal], Any]] = {
    "wait": lambda gateway, id, principal: gateway.wait(id, 50, principal),
    "follow": lambda gateway, id, principal: anext(gateway.follow(id, principal)),
    "cancel": lambda gateway, id, principal: gateway.cancel(id, principal),
    "is_done": lambda gateway, id, principal: gateway.is_done(id, principal),
    "result": lambda gateway, id, principal: gateway.result(id, principal),
    "record": lambda gateway, id, principal: gateway.record(id, principal),
    "output": lambda gateway, id, principal: gateway.output(id, "a", principal),
    "plan": lambda gateway, id, principal: gateway.plan(
        {"resume_from": id, "tasks": []}, principal
    ),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_run_of_another_principal_is_like_one_that_never_was_to_each_verb(
    servers: FakeServers, verb: str
):
    async def refused(gateway: Gateway, run_id: str, principal: Principal) -> str:
        began = anyio.current_time()
        try:
            answer = VERBS[verb](gateway, run_id, principal)
            answer = await answer if inspect.isawaitable(answer) else answer
        except (UnknownRun, InvalidDag) as error:
            answer = error
        assert isinstance(answer, UnknownRun | InvalidDag)
        assert anyio.current_time() == began
        return str(answer)

    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        document = {"tasks": [sleep("a", 30)]}
        mine = await gateway.submit(document)
        theirs = await gateway.submit(document, Other())
        random = await refused(gateway, f"r_{'a' * 26}", USER)
        for _ in range(2):  # while they run, and when they have ended
            assert await refused(gateway, theirs.run_id, USER) == random
            assert await refused(gateway, mine.run_id, Other.principal) == random
            await anyio.sleep(60)
        assert gateway.runs() == [mine.run_id]
        assert gateway.runs(Other.principal) == [theirs.run_id]
        assert (await gateway.wait(mine.run_id)).status == "success"
        assert (await gateway.wait(theirs.run_id, principal=Other.principal)).status == "success"


async def test_a_client_executes_and_resumes_its_own_runs(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        first = await gateway.execute({"tasks": [sleep("a")]}, Other())
        more = {"resume_from": first.run_id, "tasks": [sleep("b", depends_on=["a"])]}
        assert (await gateway.execute(more, Other())).status == "success"
        with pytest.raises(InvalidDag, match="Unknown run id"):
            await gateway.execute(more)
    assert len(servers.calls) == 2


async def test_the_id_of_a_run_has_128_random_bits(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        ids = {(await gateway.submit({"tasks": [sleep("a")]})).run_id for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch("r_[a-z2-7]{26}", id) for id in ids)
    assert min(len({id[place] for id in ids}) for place in range(2, 27)) > 10  # each place is drawn


async def test_a_tasks_whole_output_can_be_read_and_its_absence_is_explained(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        run_id = (
            await gateway.execute({"tasks": [sleep("a"), {"id": "b", "tool": "s:fail"}]})
        ).run_id
        assert gateway.output(run_id, "a").value == {"slept": 1}
        with pytest.raises(CallError, match="EACCES"):
            gateway.output(run_id, "b")
        with pytest.raises(CallError, match="no task"):
            gateway.output(run_id, "q")


async def test_the_policy_refuses_what_it_denies(servers: FakeServers):
    async with Gateway(
        servers, servers, InMemoryRuns(), policy=Policy(tables=(Rules(deny=("s:fa*",)),))
    ) as gateway:
        with pytest.raises(InvalidDag) as refused:
            await gateway.execute({"tasks": [{"id": "a", "tool": "s:fail"}]})
    assert refused.value.problems[0].code == "policy_denied"


async def test_the_oldest_finished_runs_are_let_go_first(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns(max_runs=3)) as gateway:
        going = await gateway.submit({"tasks": [sleep("a", 500, timeout_s=900)]})
        ended = [(await gateway.execute({"tasks": [sleep("a")]})).run_id for _ in range(4)]
        assert gateway.runs() == [ended[3], ended[2], going.run_id]


async def test_the_gateways_limit_holds_across_runs(servers: FakeServers):
    limits = GatewayLimits(concurrency=Limits(gateway=2))
    async with (
        Gateway(servers, servers, InMemoryRuns(), limits=limits) as gateway,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(3):
            tasks.start_soon(gateway.execute, {"tasks": [sleep("a", 10), sleep("b", 10)]})
    assert anyio.current_time() == pytest.approx(30, abs=0.1)


async def test_search_offers_what_the_policy_allows_now(servers: FakeServers):
    async with Gateway(
        servers, servers, InMemoryRuns(), policy=Policy(tables=(Rules(deny=("*:sleep",)),))
    ) as gateway:
        for need in ("sleep", "s:sleep", "slep"):
            found = await gateway.search(need)
            assert found.needs == ((need, ()),)
        assert found.total == len(servers.tools) - 1
        gateway.change(Policy(), GatewayLimits(), None)
        [(_, tools)] = (await gateway.search("sleep")).needs
    assert [tool.full_name for tool in tools] == ["s:sleep"]


async def test_search_finds_by_words_and_an_empty_query_lists_servers(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        found = await gateway.search("sleep a while")
        assert next(tool.full_name for tool in found.needs[0][1]) == "s:sleep"
        assert [server.name for server in (await gateway.search("")).servers] == ["s"]
        tools, unknown = await gateway.describe(["s:echo", "s:ekko"])
    assert [tool.full_name for tool in tools] == ["s:echo"]
    assert "s:echo" in str(unknown[0].hint)


async def test_what_calls_took_decides_what_goes_first_next_time_and_is_foretold(
    servers: FakeServers,
):
    async def slow() -> dict[str, Any]:
        await anyio.sleep(5)
        return {}

    servers.add(tool("s:slow", readOnlyHint=True), slow)
    tasks = [sleep("quick", 1), sleep("also", 1), {"id": "long", "tool": "s:slow"}]
    limits = GatewayLimits(concurrency=Limits(2))
    async with Gateway(
        servers, servers, InMemoryRuns(), limits=limits, learned=ToolStats()
    ) as gateway:
        assert "execution_time_ms" not in str((await gateway.plan({"tasks": tasks}))["estimate"])
        first = await gateway.execute({"tasks": tasks})
        plan: Any = await gateway.plan({"tasks": tasks})
        second = await gateway.execute({"tasks": tasks})
    assert first.metrics.execution_time_ms == 6_000  # in document order, nothing being known
    assert second.metrics.execution_time_ms == 5_000
    assert plan["estimate"]["execution_time_ms"] == 5_000
    assert plan["critical_path"] == ["long"]


async def test_progress_says_what_is_left_once_the_tools_are_known(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns(), learned=ToolStats()) as gateway:
        document = {"tasks": [sleep("a", 4), {**sleep("b", 4), "depends_on": ["a"]}]}
        await gateway.execute(document)
        run = await gateway.submit(document)
        said = [str(progress) async for progress in gateway.follow(run.run_id)]
    assert said[0] == "0/2 done; running a; about 8 s left"


async def test_a_field_that_was_never_seen_is_doubted_and_not_refused(servers: FakeServers):
    servers.add(tool("s:issue", closed=False), lambda **_: {"title": "t", "number": 1})
    async with Gateway(servers, servers, InMemoryRuns(), learned=ToolStats()) as gateway:
        first = {"id": "a", "tool": "s:issue"}
        await gateway.execute({"tasks": [first]})
        result = await gateway.execute(
            {
                "tasks": [
                    first,
                    {"id": "b", "tool": "s:echo", "arguments": {"x": "$OUTPUT[a].titel"}},
                ]
            }
        )
    assert any('"title"' in note or ".title" in note for note in result.notes)
    assert result.errors[0].code == "reference_error"


class FullRuns(InMemoryRuns):
    """A store on a disk that is full."""

    def put(self, *args: Any) -> None:
        raise OSError("no space left on device")


async def test_whoever_waits_has_the_result_of_a_run_that_cannot_be_kept(servers: FakeServers):
    async with Gateway(servers, servers, FullRuns()) as gateway:
        result = await gateway.execute({"tasks": [sleep("a")]})
    assert result.outputs == {"a": {"slept": 1}}


@pytest.mark.parametrize(("bound", "most"), [("MAX_LIVE_RUNS", 2), ("MAX_LIVE_TASKS", 5)])
async def test_a_principal_with_too_much_under_way_is_refused_and_no_other(
    servers: FakeServers, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
):
    monkeypatch.setattr(gateway_module, bound, most)
    document = {"tasks": [sleep("a", 30), sleep("b", 30)]}
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        first = await gateway.submit(document)
        await gateway.submit(document)
        with pytest.raises(InvalidDag) as refused:
            await gateway.submit(document)
        [problem] = refused.value.problems
        assert (problem.path, problem.code) == ("$", "limit_exceeded")
        assert "2 runs with 4 unfinished tasks are under way" in problem.message
        assert problem.hint == "Wait for them with get_run, or cancel some with cancel_run."
        await gateway.submit(document, Other())
        await gateway.wait(first.run_id)
        await gateway.submit(document)


async def test_a_gateway_goes_on_by_itself_with_interrupted_runs_without_doubt():
    world = World()
    world.hangs = {("read", 1), ("write", 2), ("put", 3)}
    safe = await world.interrupted({"tasks": [task("a", "write", 0), task("b", "read", 1)]})
    await world.interrupted({"tasks": [task("a", "write", 2)]})
    world.hangs = {("put", 3)}
    await world.interrupted({"tasks": [task("a", "put", 3)]})
    async with world.gateway() as (gateway, _):
        [begun] = await gateway.go_on_with_interrupted()
        result = await gateway.wait(begun)
        assert (result.status, begun != safe) == (RunStatus.SUCCESS, True)
        assert await gateway.go_on_with_interrupted() == []
    assert world.writes == Counter([0, 2])
    assert world.log.count(("put", 3)) == 1
