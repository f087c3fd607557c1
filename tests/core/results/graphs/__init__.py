"""Graphs to draw, and the drawings of them that were looked at: `diamond.mmd` is that of `diamond`
in Mermaid. A drawing that has to change is written again with

    python -m tests.core.results.graphs
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.results.graph import Graph, graph_of_plan, graph_of_record
from plait.core.results.record import RunRecord, record_of
from plait.core.scheduling.events import Call, Failed, Locate, Located, Succeeded
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.errors import ToolError
from tests.core.scheduling.documents import PATH
from tests.core.scheduling.places import as_named, conflicts_in
from tests.fakes import tool

FOLDER = Path(__file__).parent
HOSTILE = 's:a"]<b>&`#;\\n\x1b[31m\u202e{|}%%</script><!--'
WIDE = "s:ファイルを読む🗂️"
CATALOG = Catalog(
    [
        tool("s:read", {}, closed=False, readOnlyHint=True),
        tool("s:write", {}, closed=False),
        tool("s:save", PATH, closed=False),
        tool(HOSTILE, {}, closed=False),
        tool(WIDE, {}, closed=False),
        tool("s:" + "long_" * 50, {}, closed=False),
    ],
    [ServerInfo("s", ServerState.READY)],
)


def task(id: str, name: str = "s:read", *reads: str, **more: Any) -> dict[str, Any]:
    """A task that calls *name* with the outputs of the tasks in *reads*."""
    given = {f"of_{read}": f"$OUTPUT[{read}]" for read in reads}
    return {"id": id, "tool": name, "arguments": {**given, **more.pop("arguments", {})}, **more}


CHAIN = [task("read"), task("sum", "s:read", "read"), task("write", "s:write", "sum")]
DIAMOND = [
    task("start"),
    task("left", "s:read", "start"),
    task("right", "s:read", "start"),
    task("join", "s:write", "left", "right"),
]
KINDS = [
    task("a"),
    task("b", "s:read", "a"),
    task("c", depends_on=["a"]),
    task("d", "s:write", when="a.open", depends_on=["b"]),
    task("e", "s:write", "a", "d", depends_on=["c"]),
]
GROUPS = [
    task("bugs"),
    {
        "id": "close",
        "for_each": "$OUTPUT[bugs]",
        "when": "bugs != null",
        "tasks": [
            task("ask", "s:write", arguments={"of": "$ITEM.id"}),
            task("mark", "s:write", "ask"),
            {"id": "note", "tasks": [task("look"), task("say", "s:write", "look")]},
        ],
    },
    task("post", "s:write", "close"),
]
FOR_EACH = [
    task("list"),
    task("known", for_each=[1, 2, 3], arguments={"of": "$ITEM"}),
    task("unknown", for_each="$OUTPUT[list]", arguments={"of": "$ITEM"}),
    {"id": "both", "value": {"all": ["$OUTPUT[known]", "$OUTPUT[unknown]"]}},
]
CONFLICTS = [
    task("one", "s:save", arguments={"path": "out/a.txt"}),
    task("two", "s:save", arguments={"path": "out/a.txt"}),
    task("other", "s:save", arguments={"path": 'out/"<b>&.txt'}),
    task("all", "s:save", arguments={"path": "out"}),
]
NAMES = [
    task("a", HOSTILE),
    task("b", WIDE, "a"),
    task("c" * 64, "s:" + "long_" * 50, "b"),
]


def planned(tasks: list[dict[str, Any]]) -> Plan:
    return check(read_dag({"tasks": tasks}), CATALOG, Policy())


def drawn(tasks: list[dict[str, Any]]) -> Graph:
    """The graph of a DAG of *tasks*."""
    plan = planned(tasks)
    return graph_of_plan(plan, conflicts_in(plan), plan.critical_path)


def ran(tasks: list[dict[str, Any]], failing: set[str], outputs: dict[str, Any]) -> RunRecord:
    """The record of a run of *tasks*, whose calls take a quarter of a second each, one after the
    other. Those of *failing* fail."""
    plan = planned(tasks)
    run = Run("r_1", plan, conflicts=conflicts_in(plan))
    scheduler = Scheduler(Limits())
    now = 10.0
    left = [*scheduler.submit(run, now).commands]
    while left:
        match left.pop(0):
            case Locate(key, names):
                step = scheduler.handle(Located(key, as_named(names)), now)
            case Call(key):
                now += 0.25
                where = key.task if key.item is None else f"{key.task}[{key.item}]"
                answer = Output(outputs.get(key.task, {}), size_bytes=10)
                is_failed = where in failing
                error = ToolError("it is broken")
                event = Failed(key, error) if is_failed else Succeeded(key, answer)
                step = scheduler.handle(event, now)
            case other:
                raise AssertionError(other)
        left += step.commands
    return record_of(run, now)


def failed_run() -> Graph:
    """The graph of a run in which a task, an item and a task in a group failed."""
    tasks = [
        *DIAMOND,
        *[one for one in GROUPS if one["id"] != "bugs"],
        task("bugs"),
        task("each", for_each=[1, 2, 3], arguments={"of": "$ITEM"}),
    ]
    record = ran(tasks, {"left", "each[1]", "close.mark"}, {"bugs": [{"id": 1}, {"id": 2}]})
    return graph_of_record(record, ("start", "left"))


GRAPHS: dict[str, Callable[[], Graph]] = {
    "chain": lambda: drawn(CHAIN),
    "diamond": lambda: drawn(DIAMOND),
    "kinds": lambda: drawn(KINDS),
    "groups": lambda: drawn(GROUPS),
    "for_each": lambda: drawn(FOR_EACH),
    "conflicts": lambda: drawn(CONFLICTS),
    "names": lambda: drawn(NAMES),
    "failed_run": failed_run,
}


def large(count: int = 1_000) -> Graph:
    """The graph of a DAG of *count* tasks, each of which reads some of those before it."""
    tasks = [
        task(f"t{n}", "s:read", *sorted({f"t{n // 2}", f"t{n - 1 - n % 7}"} - {f"t{n}"}))
        if n > 7
        else task(f"t{n}")
        for n in range(count)
    ]
    return drawn(tasks)


def looked_at(name: str, end: str) -> str:
    """The drawing of graph *name* that somebody looked at."""
    return (FOLDER / f"{name}.{end}").read_text(encoding="utf-8")
