"""Scheduling alone: no server, no event loop. Every call is answered at once, in this process.

The time covers all steps of a DAG: reading the document, checking it, every event of its run with
the references filled in, and the result as a document. It is in microseconds of CPU for each task,
in the best of some rounds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from itertools import pairwise

from lean_server import FIND, found

from plait.app.serving import settle_memory
from plait.core.flows.decision import PlanFlows
from plait.core.flows.resources import Claims
from plait.core.flows.rules import TRIFECTA, FlowPolicy
from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.results.record import record_of
from plait.core.results.result import result_of
from plait.core.scheduling.conflicts import find_conflicts, planned_accesses
from plait.core.scheduling.events import Call, Locate, Located, Sleep, Succeeded, Woke
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.claims import as_written
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.values.strict import measure

from .figures import Figure
from .graphs import SHAPES, STEPS, Document, apart, chain, grouped, made, paged, wide

GROUP = "scheduling"
SIZES = (100, 1_000, 10_000)
MOST_US = {"wide": 40.0, "chain": 40.0, "random layered": 50.0, "diamond grid": 50.0}
"""The promised time of each task, at every size except the smallest: more with two references."""
MOST_RULES_US = 5.0
"""The promised time of each task for the rules of `[policy]` and those for flows together."""
MOST_GROWTH = 1.3
"""The promised ratio of a task of the largest DAG to one of a DAG of a tenth of its size."""
CALLS = 5_000
"""The calls, values or pages of the documents that are compared with plain tasks."""
PARTS = ("read", "check", "run", "result")

CATALOG = Catalog([Tool("lean", "find", FIND)], [ServerInfo("lean", ServerState.READY)])
POLICY = Policy()
RULES = Policy(tables=(Rules(deny=("*:delete_*",), ask=("destructive",), allow=("lean:*",)),))
FLOWS = FlowPolicy(
    {"private": ("lean:*",), "untrusted": ("web:*",), "outbound": ("chat:*", "lean:*")}, (TRIFECTA,)
)
_ANSWER = found({"query": "needle"})
ANSWER = Output(_ANSWER, (), measure(_ANSWER))


def figures(rounds: int) -> Iterator[Figure]:
    settle_memory()  # as while the gateway serves
    for name, shape in SHAPES.items():
        documents = [shape(size) for size in SIZES]
        best = measured(documents, rounds)
        for size, parts in zip(SIZES, best, strict=True):
            most = None if size == SIZES[0] else MOST_US[name]
            told = {part: round(value, 1) for part, value in zip(PARTS, parts, strict=True)}
            yield Figure(
                GROUP,
                f"{name}, {size:,} tasks",
                round(sum(parts), 2),
                "us a task",
                most,
                parts=told,
            )
        growth = sum(best[-1]) / sum(best[-2])
        yield Figure(
            GROUP,
            f"{name}, {SIZES[-1]:,} beside {SIZES[-2]:,}",
            round(growth, 3),
            "ratio",
            MOST_GROWTH,
        )
    yield from ruled(rounds)
    yield from compared(rounds)


def ruled(rounds: int) -> Iterator[Figure]:
    """Measure what the rules of `[policy]` and those for flows add to the check of a document."""
    for name, shape in SHAPES.items():
        for size in SIZES[1:]:
            plan = check(read_dag(shape(size)), CATALOG, POLICY, max_items=CALLS)
            claims = planned_accesses(plan).claims({})
            best = min(decided(plan, claims) for _ in range(2 * rounds))
            yield Figure(
                GROUP,
                f"policy and flows, {name}, {size:,} tasks",
                round(best / size * 1e6, 2),
                "us a task",
                MOST_RULES_US,
            )


def decided(plan: Plan, claims: Claims) -> float:
    """Decide on all calls of *plan* and on its flows. Returns the seconds that it took."""
    began = time.process_time()
    for task in plan.all_tasks():
        RULES.decide(task.tool)
    flows = PlanFlows(FLOWS, plan, claims=claims)
    took = time.process_time() - began
    assert not flows.broken
    return took


def compared(rounds: int) -> Iterator[Figure]:
    """Compare calls in a group, values and pages with plain tasks, in turns in one run."""
    count = CALLS // STEPS
    for name, document, plain, most in (
        ("a call in a group, and the same without", grouped(count), apart(count), 1.3),
        ("a value of two references, and a call of one", made(CALLS), chain(CALLS), 1.0),
        ("a page with select, and a call without", paged(CALLS), wide(CALLS), 1.3),
    ):
        pairs = [(sum(timed(document, CALLS)), sum(timed(plain, CALLS))) for _ in range(rounds)]
        one, other = (min(times) for times in zip(*pairs, strict=True))
        parts = {"us": round(one, 1), "plain us": round(other, 1)}
        yield Figure(GROUP, name, round(one / other, 3), "ratio", most, parts=parts)


def measured(documents: list[Document], rounds: int) -> list[tuple[float, ...]]:
    """Return the parts of the best round of each document, in microseconds a task. All take
    turns."""
    best: list[tuple[float, ...]] = []
    for number in range(rounds):
        for index, document in enumerate(documents):
            repeats = max(1, 5_000 // len(document["tasks"]))
            parts = min((timed(document) for _ in range(repeats)), key=sum)
            if number == 0:
                best.append(parts)
            best[index] = min(best[index], parts, key=sum)
    return best


def timed(document: Document, calls: int | None = None) -> tuple[float, ...]:
    """Run *document* once. Returns the parts, in microseconds for each of its tasks, or of its
    *calls*."""
    count = len(document["tasks"]) if calls is None else calls
    marks = [time.process_time()]
    reading = read_dag(document)
    marks.append(time.process_time())
    plan = check(reading, CATALOG, POLICY, max_items=CALLS)
    accesses = planned_accesses(plan)
    conflicts = find_conflicts(
        plan, accesses, {name: as_written(name.key) for name in accesses.files()}
    )
    marks.append(time.process_time())
    run = Run("r", plan, conflicts=conflicts, max_items=CALLS)
    drive(run, Scheduler(Limits()))
    marks.append(time.process_time())
    told = result_of(record_of(run, 1.0), run.outputs.get).document()
    marks.append(time.process_time())
    assert told["status"] == "success"
    return tuple((after - before) / count * 1e6 for before, after in pairwise(marks))


def drive(run: Run, scheduler: Scheduler) -> None:
    """Answer every call of *run* with success, in the order of the calls."""
    commands = deque(scheduler.submit(run, 0.0).commands)
    while commands:
        match commands.popleft():
            case Locate(key, names):
                places = {name: as_written(name.key) for name in names}
                commands += scheduler.handle(Located(key, places), 0.0).commands
            case Call(key):
                commands += scheduler.handle(Succeeded(key, ANSWER), 0.0).commands
            case Sleep(key):  # between the steps of a large run
                commands += scheduler.handle(Woke(key), 0.0).commands
    assert run.is_done
