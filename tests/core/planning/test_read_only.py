"""Documents that may only read: what is refused, and what is not."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import TakenOver
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.tools.traits import Words
from plait.core.values.problems import Problem
from plait.errors import InvalidDag
from tests.fakes import tool

from ..flows.drawn import CALLS, Draw, Drawn
from ..flows.interpreter import NONE, Absent, Tools, World
from ..tables import table

CATALOG = Catalog(
    [
        tool("s:get", closed=False, readOnlyHint=True),
        tool("s:put", closed=False),
        tool("s:odd", closed=False, readOnlyHint=False, destructiveHint=False),
        tool("web:get", closed=False, readOnlyHint=True, openWorldHint=True),
    ],
    [
        ServerInfo("s", ServerState.READY),
        ServerInfo("web", ServerState.READY),
        ServerInfo("late", ServerState.CONNECTING),
    ],
    words=Words(marked=(("late:get_*", True),)),
)
GET = {"id": "a", "tool": "s:get"}
WEB = {"id": "w", "tool": "web:get"}
URL = "$OUTPUT[a].url"


def problems(*tasks: dict[str, Any], **given: Any) -> list[tuple[str, str]]:
    found: list[Problem] = []
    try:
        check(read_dag({"tasks": list(tasks)}), CATALOG, Policy(), only_reads=True, **given)
    except InvalidDag as refused:
        found += refused.problems
    assert all(one.hint == "Use execute_dag for it." for one in found)
    return [(one.path, one.code) for one in found]


def web(**fields: Any) -> dict[str, Any]:
    return {**WEB, **fields}


@table(
    ("name", "is_read"),
    [
        ("s:get", True),
        ("web:get", True),
        ("s:put", False),
        ("s:odd", False),
        ("late:get_it", True),  # as the operator says
        ("late:find", False),  # who knows
    ],
)
def test_each_tool_is_known_to_change_nothing(name: str, is_read: bool) -> None:
    call = {"id": "x", "tool": name}
    assert problems(call) == ([] if is_read else [("tasks[0].tool", "not_read_only")])
    group = {"id": "g", "tasks": [call], "for_each": [1, 2]}
    assert problems(group) == ([] if is_read else [("tasks[0].tasks[0].tool", "not_read_only")])


@table(
    ("tasks", "places"),
    [
        ([GET, web(arguments={"url": URL})], ["tasks[1].arguments.url"]),
        ([GET, web(arguments={"q": {"text": [f"is {URL}"]}})], ["tasks[1].arguments.q.text[0]"]),
        (
            [GET, web(arguments={"a": "${OUTPUT[a].x ?? 1}", "b": "$STATUS[a]"})],
            ["tasks[1].arguments.a", "tasks[1].arguments.b"],
        ),
        ([GET, web(arguments={"x": "${OUTPUT[a] | length(@)}"})], ["tasks[1].arguments.x"]),
        # Through a value, and through the items of a list.
        (
            [GET, {"id": "v", "value": {"x": URL}}, web(arguments={"x": "$OUTPUT[v].x"})],
            ["tasks[2].arguments.x"],
        ),
        (
            [GET, web(for_each="$OUTPUT[a].items", arguments={"x": "$ITEM"})],
            ["tasks[1].arguments.x"],
        ),
        ([GET, web(for_each=["b", URL], arguments={"x": "$ITEM"})], ["tasks[1].arguments.x"]),
        (
            [
                GET,
                {
                    "id": "g",
                    "for_each": "$OUTPUT[a].items",
                    "tasks": [web(for_each=[1, 2], arguments={"x": "$ITEM[g].x", "y": 1})],
                },
            ],
            ["tasks[1].tasks[0].arguments.x"],
        ),
        (
            [GET, web(arguments={"n": 1}, repeat={"set": {"n": "$OUTPUT[a].n"}, "max": 2})],
            ["tasks[1].repeat.set.n"],
        ),
    ],
)
def test_no_output_goes_into_an_argument_of_a_tool_of_the_open_world(
    tasks: list[Any], places: list[str]
) -> None:
    assert problems(*tasks) == [(place, "flow_denied") for place in places]


@table(
    "tasks",
    [
        [GET, {"id": "b", "tool": "s:get", "arguments": {"url": URL}}],
        [web(arguments={"url": "https://x.example/"}), {**GET, "arguments": {"x": "$OUTPUT[w]"}}],
        [web(for_each=["a", "b"], arguments={"x": "$ITEM", "n": "$INDEX"})],
        [web(arguments={"x": "$$OUTPUT[a] costs"})],
        [GET, web(depends_on=["a"], when="a.open", arguments={"x": 1})],
        [web(arguments={"n": 1}, repeat={"set": {"n": "add($ARGUMENTS.n, 1)"}, "while": "more"})],
        [web(select="items[?n > 1]"), {"id": "v", "value": {"x": "$OUTPUT[w]"}}],
        [{"id": "g", "for_each": [1, 2], "tasks": [web(arguments={"x": "$ITEM"})]}],
    ],
)
def test_all_else_is_planned(tasks: list[Any]) -> None:
    assert problems(*tasks) == []


def test_what_an_earlier_run_did_is_not_made_again() -> None:
    put = {"id": "p", "tool": "s:put"}
    get = {**GET, "arguments": {"x": "$OUTPUT[p].x"}}
    reused = {"p": TakenOver("s:put", ())}
    assert problems(put, get, reused=reused) == []
    assert problems(put, get) == [("tasks[0].tool", "not_read_only")]


OPEN = {"web:get", "web:post", "chat:post"}
DRAWN = Catalog(
    [tool(name, readOnlyHint=True, openWorldHint=name in OPEN, closed=False) for name in CALLS],
    [ServerInfo(name.partition(":")[0], ServerState.READY) for name in CALLS],
)


class Passing(World):
    """A run that notes which tools' data goes into the arguments of each call."""

    def once(self, task: Drawn, ends: Any, items: Any, by: Tools, name: str) -> Any:
        if task.tool in OPEN:
            found = NONE if task.set_by is None else self.read(task, task.set_by, None, ends, items)
            with suppress(Absent):
                found |= self.value(task.arguments, ends, items).tools()
            assert not found, (name, task.document())
        return super().once(task, ends, items, by, name)


@given(st.integers(0, 2**32))
def test_in_no_run_of_an_accepted_plan_an_output_reaches_the_open_world(seed: int) -> None:
    accepted = with_calls = 0
    for number in range(60):
        tasks = Draw(Random(f"{seed}/{number}")).plan()
        documents = [task.document() for task in tasks]
        try:
            check(read_dag({"tasks": documents}), DRAWN, Policy(), only_reads=True)
        except InvalidDag:
            continue
        accepted += 1
        for run in range(4):
            world = Passing(run)
            world.run(tasks, {}, {}, NONE, "")
            with_calls += any(name in OPEN for _, name, _ in world.sent)
    assert accepted
    assert with_calls
