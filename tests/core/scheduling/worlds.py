"""A world to drive a scheduler in: it draws DAGs and limits, carries out commands, and answers them
in any order.

What happens is written into `Books`, so that each promise of the scheduler can be held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, Literal, TypeVar

from hypothesis import strategies as st

from plait.core.language.dag import Reading, read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import TakenOver
from plait.core.results.record import record_of
from plait.core.results.resume import resume
from plait.core.scheduling.conflicts import find_conflicts, planned_accesses
from plait.core.scheduling.direct_calls import CallRequests
from plait.core.scheduling.events import (
    Aborted,
    Call,
    CancelRequested,
    Event,
    Failed,
    Key,
    Locate,
    Located,
    Paused,
    Resumed,
    Sent,
    Sleep,
    Status,
    Succeeded,
    Woke,
)
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.rates import Rate
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.claims import ResourceName
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy, Rule
from plait.core.values.strict import JsonObject
from plait.errors import CallTimeout, ConnectionLost, ServerUnavailable, ToolError
from tests.fakes import tool

from ..runs import outputs_of
from .books import ALMOST_NOTHING, LINKS, Books

SERVERS = ("a", "b", "c")
PATH = {"path": {"type": "string"}}
CATALOG = Catalog(
    [
        definition
        for server in SERVERS
        for definition in (
            tool(f"{server}:do", readOnlyHint=True),
            tool(f"{server}:read", PATH, closed=False, readOnlyHint=True),
            tool(f"{server}:write", PATH, closed=False),
        )
    ],
    [ServerInfo(server, ServerState.READY) for server in SERVERS],
)
PATHS = ("d", "d/x", "e")
MOST_RUNS = 4
QUIET_S = 2.0
ANSWERS = ("well", "well", "well", "well", "cached", "refused", "late", "lost", "not now")

Option = TypeVar("Option")
SPREAD = 2**24
_NUMBERS = st.integers(0, SPREAD - 1)


class Choices:
    """Choices, several of them drawn as one number: one by one they would take most of the time."""

    def __init__(self, draw: Callable[[], int]) -> None:
        """*draw* gives a number below `SPREAD`."""
        self._draw = draw
        self._left, self._spread = 0, 1

    @classmethod
    def of(cls, data: st.DataObject) -> Choices:
        return cls(lambda: data.draw(_NUMBERS))

    @classmethod
    def seeded(cls, seed: int) -> Choices:
        """Spread more evenly than hypothesis draws, which looks at small cases first; but nothing
        makes them small."""
        return cls(partial(Random(seed).randrange, SPREAD))

    def one_of(self, options: Sequence[Option]) -> Option:
        if self._spread < len(options):
            self._left, self._spread = self._draw(), SPREAD
        self._left, index = divmod(self._left, len(options))
        self._spread //= len(options)
        return options[index]

    def once_in(self, times: int) -> bool:
        return self.one_of(range(times)) == times - 1


def document(choices: Choices) -> dict[str, Any]:
    """A DAG of up to eight tasks with every option that the scheduler has to do with."""
    one_of = choices.one_of
    tasks: list[dict[str, Any]] = []
    for index in range(one_of(range(1, 9))):
        earlier = [task["id"] for task in tasks]
        needs = dict.fromkeys(
            one_of(earlier) for _ in range(one_of((0, 0, 1, 1, 2, 3)) if earlier else 0)
        )
        lists = {task["id"] for task in tasks if "for_each" in task}
        tasks.append(_task(f"t{index}", list(needs), lists, choices))
    if one_of((False, True)):
        tasks.reverse()  # so that what is needed stands behind
    return {
        "tasks": tasks,
        "return": ["*"],
        "fail_fast": one_of((False, False, False, True)),
        "schedule": one_of(("eager", "eager", "layers")),
        "max_concurrency": one_of((None, None, 1, 2)),
        "timeout_s": one_of((None, None, 9.0)),
    }


def _task(id: str, needs: list[str], lists: set[str], choices: Choices) -> dict[str, Any]:
    """A task that needs those of *needs*; the outputs of those in *lists* are lists."""
    one_of = choices.one_of
    links = {need: one_of(("order", "data", "guarded")) for need in needs}
    verb = one_of(("do", "do", "read", "write"))
    task: dict[str, Any] = {
        "id": id,
        "tool": f"{one_of(SERVERS)}:{verb}",
        "depends_on": [need for need, link in links.items() if link == "order"],
        "arguments": {
            need: _link(need, link, "") for need, link in links.items() if link != "order"
        },
        "trigger_rule": one_of(
            ("all_success", "all_success", "all_success", "all_done", "one_failed")
        ),
        "retries": one_of((0, 0, 1, 2)),
        "allow_repeat": True,
        "priority": one_of((0, 0, 0, 1, -1)),
        "weight": one_of((1, 1, 1, 2, 9)),
        "cache": one_of((0, 0, 60)),
    }
    if choices.once_in(3):
        task["for_each"] = list(PATHS[: one_of(range(4))])
    whole = [need for need in needs if need not in lists]
    if whole and choices.once_in(4):
        task["for_each"] = f"$OUTPUT[{one_of(whole)}].items"
    if needs and choices.once_in(5):
        task["when"] = f"{one_of(needs)}.ok"
    if verb != "do":
        paths = [*PATHS, *(_link(need, one_of(("data", "guarded")), ".path") for need in whole)]
        task["arguments"]["path"] = one_of(
            ("$ITEM",) if "for_each" in task and one_of((True, False)) else paths
        )
    if choices.once_in(5):
        task[one_of(("reads", "writes"))] = [one_of(("d/x", "file:d/x/y", "db:t"))]
    return task


def _link(need: str, link: str, path: str) -> str:
    return f'${{OUTPUT[{need}]{path} ?? "e"}}' if link == "guarded" else f"$OUTPUT[{need}]{path}"


@dataclass(kw_only=True)
class World(Books):
    """One scheduler, and all that is outside of it."""

    choices: Choices
    scheduler: Scheduler = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.scheduler = Scheduler(self.limits)
        self.call_requests = CallRequests(self.policy)

    @classmethod
    def draw(cls, choices: Choices) -> World:
        one_of = choices.one_of
        at_b: tuple[int | Literal["auto"], ...] = (1, 2, "auto", "auto")
        servers = (("a", one_of((1, 2, 3))), ("b", one_of(at_b)))
        rates = (("a", Rate(one_of((1, 2)), one_of((1.0, 3.0)))),) if one_of((False, True)) else ()
        rules = (Rule("?:write", max_concurrency=one_of((1, 2))),) if one_of((False, True)) else ()
        return cls(
            choices=choices,
            limits=Limits(one_of(range(1, 7)), servers, rates),
            policy=Policy(rules),
        )

    def steps(self) -> Iterator[None]:
        """Let anything happen until nothing is left to happen, one event at a time."""
        to_submit, to_call = self.choices.one_of((1, 2, 3)), self.choices.one_of((0, 0, 4, 16))
        while to_submit or to_call or self.open:
            ended = [run for run in self.runs.values() if run.is_done]
            if to_submit and (not self.open or self.choices.once_in(4)):
                self.submit()
                to_submit -= 1
            elif to_call and (not self.open or self.choices.once_in(3)):
                self.call()
                to_call -= 1
            elif self.in_line and self.choices.once_in(8):
                self.give_up(self.choices.one_of(self.in_line))
            elif ended and len(self.runs) < MOST_RUNS and self.choices.once_in(8):
                self.resume(self.choices.one_of(ended))
            elif self.choices.once_in(40):
                self.cancel(self.choices.one_of(sorted(self.runs) or ["none"]))
            elif self.open:
                self.answer(self.choices.one_of(sorted(self.open, key=str)))
            yield

    def submit(self) -> None:
        """Begin a run of a new document."""
        self._begin(read_dag(document(self.choices)), {}, {})

    def resume(self, earlier: Run) -> None:
        """Begin a run that goes on from *earlier*: what did not succeed is sent again, and one more
        task."""
        again = {id for id in earlier.states if self.status(earlier, id) is not Status.SUCCESS}
        again.add(self.choices.one_of(list(earlier.states)))
        tasks = [
            task.model_dump(exclude_none=True)
            for task in earlier.plan.dag.tasks
            if task.id in again
        ]
        reading = read_dag({"tasks": tasks, "resume_from": earlier.id, "return": ["*"]})
        dag, taken_over, outputs = resume(
            reading.dag, record_of(earlier, self.now), outputs_of(earlier).get
        )
        assert outputs.keys() == earlier.states.keys() - again
        assert all(output.value == self.outputs[earlier.id][id] for id, output in outputs.items())
        self._begin(replace(reading, dag=dag), taken_over, outputs)

    def cancel(self, run_id: str) -> None:
        self._feed(CancelRequested(run_id), self.now)

    def call(self) -> None:
        """A direct call is requested."""
        one_of = self.choices.one_of
        verb = one_of(("do", "do", "read", "write"))
        arguments: JsonObject = {} if verb == "do" else {"path": one_of(PATHS)}
        made = self.call_requests.make(
            len(self.requests), CATALOG, f"{one_of(SERVERS)}:{verb}", {"arguments": arguments}
        )
        self._feed(
            made._replace(slots=made.slots._replace(weight=one_of((1, 1, 1, 2, 9)))), self.now
        )

    def give_up(self, key: Key) -> None:
        """The direct call of *key* has not been sent, and will not be."""
        self._feed(
            Failed(key, CallTimeout("late")) if self.choices.once_in(2) else Aborted(key), self.now
        )

    @property
    def in_line(self) -> list[Key]:
        """The direct calls that wait, or are being located."""
        return [key for key in self.requests if self.seen[key] is Status.READY]

    def answer(self, key: Key) -> None:
        """Answer the open command of *key* in one of the ways in which it can be, or what is due
        before that."""
        command = self.open[key]
        is_sleep = isinstance(command, Sleep)
        at = (
            max(self.now, self.due[key])
            if is_sleep
            else self.now + self.choices.one_of((0.0, 0.25, 1.0))
        )
        looks = [(self.due[other], other) for other in self.due if self._is_look(other)]
        if looks and min(looks)[0] <= at + ALMOST_NOTHING:
            due, key = min(looks)
            at, command = max(due, self.now), self.open[key]
        if isinstance(command, Call) and self.choices.once_in(3 if key in self.asking else 8):
            self._feed(Resumed(key) if key in self.asking else Paused(key), at)
        elif key in self.requests and isinstance(command, Call) and self.choices.once_in(8):
            self._feed(Aborted(key, self.choices.one_of(("cancelled", "input_required"))), at)
        elif isinstance(command, Call) and not self._has_asked(key) and self.choices.once_in(6):
            self._feed(Sent(key), at)
        elif key in self.aborted and not self.choices.once_in(4):
            self._feed(Aborted(key), at)
        else:
            match command:
                case Locate(key, names):
                    self._feed(Located(key, self._places(names)), at)
                case Call():
                    self._feed(self._answer(command), at)
                case Sleep(key):
                    self._feed(Woke(key), at)

    def _places(self, names: Sequence[ResourceName]) -> dict[ResourceName, str]:
        """Where the files of these names are; now and then, only some are found."""
        found = (
            [name for name in names if not self.choices.once_in(3)]
            if self.choices.once_in(4)
            else names
        )
        return {
            name: f"file:{LINKS.get((name.server, path), path)}"
            for name in found
            for path in [name.key[5:]]
        }

    def _begin(
        self, reading: Reading, taken_over: Mapping[str, TakenOver], reused: Mapping[str, Output]
    ) -> None:
        number = len(self.runs)
        plan = check(reading, CATALOG, self.policy, reused=taken_over)
        accesses = planned_accesses(plan, reused)
        places = self._places(accesses.files()) if self.choices.once_in(2) else {}
        conflicts = find_conflicts(plan, accesses, places)
        run = Run(
            f"r{number}",
            plan,
            number=number,
            conflicts=conflicts,
            reused=reused,
            jitter=self._jitter,
        )
        self.begins(run, reused, places)
        self.follows(self.scheduler.submit(run, self.now))

    def _jitter(self) -> float:
        return self.choices.one_of((0.0, 0.25, 0.5, 1.0))

    def _has_asked(self, key: Key) -> bool:
        """Whether its client was asked something for the call of *key*, so that it is at its
        server."""
        return key in self.asking or self.paused[key] > 0

    def _is_look(self, key: Key) -> bool:
        return not key.run and key in self.open and key not in self.aborted

    def _feed(self, event: Event, at: float) -> None:
        self.happens(event, at)
        self.follows(self.scheduler.handle(event, at))

    def _answer(self, call: Call) -> Event:
        match self.choices.one_of(ANSWERS):
            case "refused":
                return Failed(call.key, ToolError("no"))
            case "late":
                return Failed(call.key, CallTimeout("late"))
            case "lost":
                return Failed(call.key, ConnectionLost("gone"))
            case "not now":
                return Failed(call.key, ServerUnavailable("busy", retry_after_s=QUIET_S))
            case how:
                size = self.choices.one_of(range(4))
                value: Any = {
                    "by": str(call.key),
                    "path": PATHS[size % 3],
                    "items": list(PATHS[:size]),
                    "ok": size != 2,
                }
                output = Output(value, size_bytes=40) if call.key.run else None
                return Succeeded(call.key, output, how == "cached" and call.cache.max_age_s > 0)
