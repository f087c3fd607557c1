"""An account of a scheduler that borrows nothing from it: what happened is written down by whoever
carries its commands out, and what follows is worked out from the documents and from the rules that
the documentation states."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from plait.core.scheduling.events import (
    Abort,
    Aborted,
    Call,
    CallRequested,
    CancelRequested,
    Event,
    Failed,
    Key,
    Locate,
    Located,
    Paused,
    Refuse,
    Resumed,
    Sent,
    Sleep,
    Status,
    Succeeded,
    Woke,
)
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.notices import Changed, Finished
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Step
from plait.errors import CallError, CircuitOpen, ServerUnavailable

ALMOST_NOTHING = 1e-4
ANY_NUMBER = 2**31
"""The slots of a server that has no limit any more: its calls are still counted."""
LINKS = {("c", "e"): "d/x"}
"""Names that lead elsewhere: for server `c`, `e` is what the others call `d/x`."""
_REFERENCE = re.compile(r'\$\{?OUTPUT\[(\w+)\](?:\.(\w+))?(?: \?\? "(\w+)"\})?')

MOVES = {
    "pending": {"ready", "success", "failed", "skipped", "cancelled"},
    "ready": {"running", "success", "failed", "skipped", "cancelled"},
    "running": {"backing_off", "success", "failed", "timeout", "cancelled"},
    "backing_off": {"ready", "cancelled"},
}
"""The moves that `docs/architecture.md` draws."""


class AdaptiveModel:
    """The slots of a server whose limit is `auto`, by the rule that `adaptive.py` documents."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.value = min(8.0, most)
        self.usual: dict[str, float] = {}
        """The usual time of each tool."""
        self.slowness = 1.0
        """The time that calls took lately, over the usual one."""
        self.shrunk_at = float("-inf")

    @property
    def slots(self) -> int:
        return max(1, int(self.value))

    def bound(self, most: int) -> None:
        self.most = most
        self.value = max(1.0, min(self.value, most))

    def succeeded(self, tool: str, seconds: float, in_flight: int) -> None:
        if tool not in self.usual:
            self.usual[tool] = seconds
            return
        usual = self.usual[tool]
        self.usual[tool] += (seconds - usual) / 100
        slowness = min(seconds / usual, 10) if usual else 1
        self.slowness += (slowness - self.slowness) / 5
        if in_flight >= self.slots / 2:
            shrink = min(1, max(0.5, 1.5 / self.slowness))
            self.value += (self.value * shrink + 4 - self.value) / 5
            self.bound(self.most)

    def failed(self, started_at: float, now: float) -> None:
        if started_at >= self.shrunk_at:
            self.shrunk_at = now
            self.value *= 0.9
            self.bound(self.most)


class TaskText:
    """One task as its document describes it."""

    def __init__(self, index: int, fields: Mapping[str, Any]) -> None:
        self.index = index
        self.fields = fields
        self.id: str = fields["id"]
        self.tool: str = fields["tool"]
        self.server, _, self.verb = self.tool.partition(":")
        self.arguments: dict[str, Any] = fields.get("arguments", {})
        self.trigger_rule: str = fields.get("trigger_rule", "all_success")
        self.priority: int = fields.get("priority", 0)
        self.weight: int = fields.get("weight", 1)
        retries = fields.get("retries", 0)
        self.retries: int = retries["max"] if isinstance(retries, dict) else retries
        self.retried: Sequence[str] = (
            retries["on"]
            if isinstance(retries, dict)
            else ("timeout", "connection_lost", "server_unavailable")
        )
        """The codes of the failures after which its calls are made again."""
        self.for_each: Any = fields.get("for_each")
        self.may_lose_items = fields.get("on_item_failure") == "skip"
        self.resources: list[tuple[str, bool]] = [
            (key, use == "writes") for use in ("reads", "writes") for key in fields.get(use, ())
        ]
        """The resources that the document says it uses, and whether it writes them."""

    @cached_property
    def links(self) -> dict[str, bool]:
        """The tasks that it names, and whether it can do without the success of each."""
        links = dict.fromkeys(self.fields.get("depends_on", ()), False)
        for value in (*self.arguments.values(), self.for_each):
            if isinstance(value, str) and (match := _REFERENCE.fullmatch(value)):
                need, is_guarded = match[1], match[3] is not None
                links[need] = links.get(need, True) and is_guarded
        return links


class Graph:
    """One run as its document describes it."""

    def __init__(self, number: int, document: Mapping[str, Any], reused: Collection[str]) -> None:
        self.number = number
        self.document = document
        self.reused = set(reused)
        """The tasks that were taken over from an earlier run."""
        self.tasks = {
            fields["id"]: TaskText(index, fields) for index, fields in enumerate(document["tasks"])
        }
        self.needs = {
            id: () if id in self.reused else tuple(task.links) for id, task in self.tasks.items()
        }
        self.max_concurrency: int | None = document.get("max_concurrency")
        self.is_fail_fast = bool(document.get("fail_fast"))
        self.is_layered = document.get("schedule") == "layers"
        self.order = self._in_order()
        """The tasks as they stand in the document, but none before what it needs."""
        self.chain = self._chains()
        """The number of tasks in the longest chain that begins with each."""

    def _in_order(self) -> list[str]:
        left, done = list(self.tasks), dict[str, None]()
        while left:
            done[next(id for id in left if done.keys() >= set(self.needs[id]))] = None
            left = [id for id in left if id not in done]
        return list(done)

    def _chains(self) -> dict[str, int]:
        chain: dict[str, int] = {}
        for id in reversed(self.order):
            followers = [chain[other] for other in chain if id in self.needs[other]]
            chain[id] = 1 + max(followers, default=0)
        return chain


Party: TypeAlias = "tuple[str, bool]"
"""A caller, and whether these are its direct calls."""


class Kind(NamedTuple):
    """Direct calls of one caller that take the same room."""

    caller: str

    server: str
    is_limited_writer: bool
    weight: int


@dataclass(frozen=True, slots=True)
class Touched:
    """A resource that a call touches, as the steps that lead to it."""

    steps: tuple[str, ...]
    writes: bool

    def overlaps(self, other: Touched) -> bool:
        short, long = sorted((self.steps, other.steps), key=len)
        return (self.writes or other.writes) and long[: len(short)] == short


def conflict(some: Sequence[Touched], others: Sequence[Touched]) -> bool:
    return any(one.overlaps(other) for one in some for other in others)


@dataclass(slots=True)
class Batch:
    """Calls of one run that were ready in one step, in document order, and the names that have to
    be located first."""

    calls: list[Key]
    names: set[tuple[str, str]]
    key: Key
    """Names the command that locates them."""


@dataclass(kw_only=True)
class Oracle:
    """Which call was sent when and with what, how it ended, and what limits, rates, claims and
    rules say to that."""

    limits: Limits
    writers: int | None
    """The calls of tools named `write` that the policy allows at once, over all servers."""
    now: float = 0.0
    events: int = 0
    changes: int = 0
    """How often the limits changed."""
    runs: dict[str, Run] = field(default_factory=dict)
    graphs: dict[str, Graph] = field(default_factory=dict)
    kept: defaultdict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    """By run: the outputs of `for_each` tasks of which not all items succeeded."""
    resumed: dict[str, str] = field(default_factory=dict)
    """By run: the earlier run that it goes on from."""
    changed: dict[str, str] = field(default_factory=dict)
    """By run: the task that does something else than in the earlier run."""
    before: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """By run and task: the tasks that have to end before it for what they touch, where that is
    known before anything runs."""
    requests: dict[Key, CallRequested] = field(default_factory=dict)
    """Those of all direct calls so far."""
    passed: Counter[tuple[Key, Party]] = field(default_factory=Counter)
    """How many slots another party was given in the place of a call that waits, which would have
    fit there, since one of its own party was sent."""
    passed_wide: Counter[Key] = field(default_factory=Counter)
    """How many slots others were given while a call waited that takes several."""
    finished: Counter[str] = field(default_factory=Counter)
    seen: dict[Key, Status] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By run: the outputs of the tasks that succeeded."""
    open: dict[Key, Locate | Call | Sleep] = field(default_factory=dict)
    """Commands that are not answered yet."""
    due: dict[Key, float] = field(default_factory=dict)
    """When each sleep is over."""
    aborted: set[Key] = field(default_factory=set)
    just_started: list[Call] = field(default_factory=list)
    just_answered: Key | None = None
    step: Step = field(default_factory=lambda: Step([], []))
    """The scheduler's last answer."""
    was_over: bool = False
    """Whether the run of what was just answered had ended before that."""
    sent: defaultdict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each attempt was sent, by call."""
    sent_to: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When calls were sent, by server, since its rate is what it is."""
    room: dict[Key, dict[str, int]] = field(default_factory=dict)
    """The slots that each call took when it was sent, by limit."""
    counted: set[str] = field(default_factory=set)
    """Servers that have a limit, or had one."""
    asked: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    """When each call asked for what it touches: after how many events, when it was ready, and its
    place in the document."""
    touched: dict[Key, tuple[Touched, ...]] = field(default_factory=dict)
    """The resources that each call touches that was ready."""
    ready_at: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    """When each call was ready for the first time: after how many events, and its place in the
    document."""
    found: dict[Key, set[tuple[str, str]]] = field(default_factory=dict)
    """The names that were located for each call that was ready, so far."""
    batches: dict[str, list[Batch]] = field(default_factory=dict)
    """By run: the calls that have not asked yet and keep their order, the earliest first."""
    alone: set[Key] = field(default_factory=set)
    """Calls that are located by themselves."""
    to_locate: dict[Key, set[tuple[str, str]]] = field(default_factory=dict)
    """What the scheduler is to have located now, by the key of the command."""
    lost: set[Key] = field(default_factory=set)
    """Calls whose files were not found in time."""
    just_ready: list[Key] = field(default_factory=list)
    known: Collection[tuple[str, str]] = ()
    """Names that were located before the run that just begins."""
    answers: dict[Key, Any] = field(default_factory=dict)
    """The last answer to each call: a value, or a `CallError`."""
    out_of_cleanup_time: set[str] = field(default_factory=set)
    """The runs whose time to clean up was over."""
    may_pass: Counter[Key] = field(default_factory=Counter)
    """Failures that may pass, by call."""
    first_calls: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    """Retries, by server, from the moment that they were decided."""
    quiet: dict[str, float] = field(default_factory=dict)
    """Until when a server asked not to be called."""
    adaptive: dict[str, AdaptiveModel] = field(init=False)
    took: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """How long the calls of each tool took that a server answered well."""
    asking: dict[Key, float] = field(default_factory=dict)
    """Calls whose client is asked something, each since when."""
    paused: defaultdict[Key, float] = field(default_factory=lambda: defaultdict(float))
    """How many seconds the last attempt of a call stood still for that."""

    def __post_init__(self) -> None:
        self.adaptive = {}
        self._take_limits(self.limits)

    # What is written down.

    def begins(
        self,
        run: Run,
        document: Mapping[str, Any],
        reused: Mapping[str, Any],
        known: Collection[tuple[str, str]],
    ) -> None:
        """*run* of *document* is submitted; the tasks in *reused* are taken over with these values,
        and where the files of the names in *known* are is known."""
        self.known = known
        self.events += 1
        self.just_answered = None
        self.graphs[run.id] = Graph(len(self.runs), document, reused)
        self.runs[run.id] = run
        self.outputs[run.id] = dict(reused)
        self.before[run.id] = self._before(run.id)

    def limits_change(self, limits: Limits) -> None:
        self.events += 1
        self.changes += 1
        self.just_answered = None
        self._take_limits(limits)

    def _take_limits(self, limits: Limits) -> None:
        before, after = dict(self.limits.rates), dict(limits.rates)
        for server in before.keys() | after.keys():
            if before.get(server) != after.get(server):
                self.sent_to[server].clear()
        self.limits = limits
        self.counted |= dict(limits.servers).keys()
        self.adaptive = {
            server: self.adaptive.get(server) or AdaptiveModel(limits.gateway)
            for server, slots in limits.servers
            if slots == "auto"
        }
        for model in self.adaptive.values():
            model.bound(limits.gateway)

    def nothing_happens(self, until: float) -> None:
        """Time passes *until* then."""
        self.now = until
        self.just_started, self.just_answered = [], None

    def happens(self, event: Event) -> None:
        """The scheduler gets *event*."""
        self.events += 1
        self.just_answered = None
        match event:
            case CallRequested(key):
                self._requested(event)
            case Succeeded(key) | Failed(key) | Aborted(key) if (
                key in self.requests and key not in self.aborted
            ):
                self._direct_ends(event)
            case Succeeded(key, output, cached):
                assert output is not None
                self._answered(key, output.value)
                if not cached:
                    self._went_well(key)
            case Failed(key, error):
                self._answered(key, error)
                self._went_wrong(key, error)
            case Located(key, places):
                self._close(key)
                self._located(key, places)
            case Woke(key) | Aborted(key):
                if isinstance(event, Woke) and key == Key(key.run, "", 1):
                    self.out_of_cleanup_time.add(key.run)
                self._close(key)
            case Paused(key):
                self.asking[key] = self.now
            case Resumed(key):
                self._goes_on(key)
            case Sent(key):
                if key not in self.aborted:
                    self.sent[key][-1] = self.now
            case CancelRequested():
                pass

    def _requested(self, request: CallRequested) -> None:
        key = request.key
        self.requests[key] = request
        self.ready_at[key] = (self.events, 0, 0)
        self.touched[key] = tuple(_touched_at(self._path(key), key.task))
        self.found[key] = set()
        if names := self._names(key):
            self.alone.add(key)
            self.to_locate[key] = names
        else:
            self._asks(key)

    def _direct_ends(self, event: Succeeded | Failed | Aborted) -> None:
        """A direct call has ended, or is not wanted any more."""
        if event.key in self.alone:
            self.alone.remove(event.key)
        if not isinstance(self.open.get(event.key), Call):
            return
        self._close(event.key)
        match event:
            case Succeeded(key, cached=False):
                self._went_well(key)
            case Failed(key, error):
                self._went_wrong(key, error)

    def follows(self, step: Step) -> None:
        """That is what the scheduler answered."""
        self.step = step
        self.just_started = []
        for notice in step.notices:
            if isinstance(notice, Changed):
                self._changed(notice)
            elif isinstance(notice, Finished):
                self.finished[notice.run] += 1
                self.batches.pop(notice.run, None)
                self.alone = {key for key in self.alone if key.run != notice.run}
        self._leave_what_has_ended()
        self._becomes_ready()
        for command in step.commands:
            match command:
                case Locate(key, names):
                    assert set(names) == self.to_locate.pop(key), (
                        f"other files are to be located for {key}"
                    )
                    assert len(names) == len(set(names))
                    self._open(command)
                case Refuse(key, error):
                    assert key in self.lost
                    assert isinstance(error, ServerUnavailable)
                    assert self.seen[key] is Status.FAILED
                case Abort(key):
                    assert key in self.open, f"{key} is aborted and is not under way"
                    assert key not in self.aborted, f"{key} is aborted twice"
                    self.aborted.add(key)
                case Sleep(key, seconds):
                    self._open(command)
                    self.due[key] = self.now + seconds
                    if key.run and key.task:
                        self.repeated[self.server(key)] += 1
                case Call():
                    self._open(command)
                    self._sent(command)
                    self.first_calls[self.server(command.key)] += command.attempt == 1

        assert not self.to_locate, f"nothing locates the files of {list(self.to_locate)}"
        assert all(self.seen[key].is_final for key in self.lost), f"one of {self.lost} goes on"

    def _leave_what_has_ended(self) -> None:
        """Calls whose tasks were stopped are not located any more."""
        self.just_ready = [key for key in self.just_ready if not self.seen[key].is_final]
        self.alone = {key for key in self.alone if not self.seen[key].is_final}
        for batch in [batch for batches in self.batches.values() for batch in batches]:
            batch.calls = [key for key in batch.calls if not self.seen[key].is_final]

    def _becomes_ready(self) -> None:
        """The calls that were ready in this step ask for what they touch, or have to be located
        first."""
        for key in self.just_ready:
            self.touched[key] = tuple(self._touches(key))
            if not self.touched[key]:
                self._asks(key)
        calls = sorted(
            (key for key in self.just_ready if self.touched[key]), key=self.ready_at.__getitem__
        )
        self.just_ready, known, self.known = [], set(self.known), ()
        if calls and not self.finished[calls[0].run]:
            self.found |= {key: self._names(key) & known for key in calls}
            names = {name for key in calls for name in self._names(key)} - known
            self.batches.setdefault(calls[0].run, []).append(Batch(calls, names, calls[0]))
            if names:
                self.to_locate[calls[0]] = names
            self._go_on(calls[0].run)

    def _located(self, key: Key, places: Collection[tuple[str, str]]) -> None:
        """The files of a batch, or of one call, were located, some of them at least."""
        if key in self.alone:
            self.alone.remove(key)
            self.found[key] |= set(places)
            if self._names(key) <= self.found[key]:
                self._asks(key)
            else:
                self.lost.add(key)
            return
        for batch in self.batches.get(key.run, ()):
            if batch.names and batch.key == key:
                batch.names = set()
                self._leaves_late_ones(batch, set(places))
                break
        self._go_on(key.run)

    def _leaves_late_ones(self, batch: Batch, places: set[tuple[str, str]]) -> None:
        for call in list(batch.calls):
            self.found[call] |= self._names(call) & places
            if late := self._names(call) - self.found[call]:
                batch.calls.remove(call)
                self.alone.add(call)
                self.to_locate[call] = late

    def _go_on(self, run: str) -> None:
        """The calls of *run* ask that are located and wait for none that was ready before them."""
        batches = self.batches.get(run, [])
        while batches and not batches[0].names:
            for key in batches.pop(0).calls:
                self._asks(key)

    def _asks(self, key: Key) -> None:
        self.asked[key] = (self.events, *self.ready_at[key])

    def _names(self, key: Key) -> set[tuple[str, str]]:
        """The names of the files that the call of *key* touches."""
        if not key.run:
            path = self._path(key)
            return set() if path is None else {(self.server(key), f"file:{path}")}
        return _names_of(self.task(key), self.arguments_of(key))

    def _open(self, command: Locate | Call | Sleep) -> None:
        assert command.key not in self.open, f"{command.key} is under way already"
        self.open[command.key] = command

    def _path(self, key: Key) -> str | None:
        """The argument `path` of a direct call."""
        path = self.requests[key].arguments.get("path")
        return path if isinstance(path, str) else None

    def _goes_on(self, key: Key) -> None:
        self.paused[key] += self.now - self.asking.pop(key, self.now)

    def _close(self, key: Key) -> None:
        self._goes_on(key)
        del self.open[key]
        self.aborted.discard(key)

    def _sent(self, call: Call) -> None:
        server = self.server(call.key)
        self.sent[call.key].append(self.now)
        self.sent_to[server].append(self.now)
        self.room[call.key] = self.needed(call.key)
        self.paused[call.key] = 0
        self.just_started.append(call)

    def _answered(self, key: Key, answer: Any) -> None:
        self.was_over = bool(self.finished[key.run]) or key in self.aborted
        self._close(key)
        self.answers[key] = answer
        self.just_answered = key

    def _went_well(self, key: Key) -> None:
        server = self.server(key)
        seconds = self.now - self.sent[key][-1] - self.paused[key]
        self.took[self.tool(key)].append(seconds)
        if server in self.adaptive:
            limit = f"server {server}"
            slots = sum(self.room[call.key].get(limit, 0) for call in self.holding)
            slots += self.room[key].get(limit, 0)
            self.adaptive[server].succeeded(self.tool(key), seconds, slots)

    def _went_wrong(self, key: Key, error: CallError) -> None:
        server = self.server(key)
        was_asked = not isinstance(error, CircuitOpen)
        if error.retry_after_s and was_asked:
            self.quiet[server] = max(self.quiet.get(server, 0.0), self.now + error.retry_after_s)
        self.may_pass[key] += bool(key.run) and error.code in self.task(key).retried
        if was_asked and error.retryable and server in self.adaptive:
            self.adaptive[server].failed(self.sent[key][-1], self.now)

    def _changed(self, change: Changed) -> None:
        key = change.key
        before = self.seen.get(key, Status.PENDING)
        assert change.before is before, f"{key} was {before}, not {change.before}"
        assert change.after in MOVES.get(before, ()), f"{key}: {before} -> {change.after}"
        self.seen[key] = change.after
        assert change.tool == self.tool(key)
        if not key.run:
            return
        if key.task in self.graphs[key.run].reused:  # its items are as they were
            assert self.graphs[key.run].tasks[key.task].may_lose_items
            source = key._replace(run=self.resumed[key.run])
            if key.item is not None:
                ended = self.seen[source]
                assert change.after is (Status.FAILED if ended is Status.TIMEOUT else ended)
                self.answers[key] = self.answers.get(source)
            return
        if before is Status.PENDING and change.after is Status.SUCCESS:
            earlier = self.reusable_item(key)
            assert earlier is not None, f"{key} did not succeed in an earlier run"
            self.answers[key] = self.answers[earlier]
        if change.after is Status.SUCCESS and key.item is None:
            self.outputs[key.run][key.task] = self._output(key)
        is_lost = change.after in {Status.FAILED, Status.CANCELLED}
        if is_lost and before is not Status.PENDING and key.item is None:
            self._keep_items(key)
        is_call = (self.task(key).for_each is None) == (key.item is None)
        if change.after is Status.READY and is_call and key not in self.ready_at:
            self.ready_at[key] = (self.events, self.task(key).index, key.item or 0)
            self.just_ready.append(key)

    # What is under way and what waits.

    @property
    def in_flight(self) -> list[Call]:
        """Calls that were sent and not answered, aborted ones too: they take room until they have
        ended."""
        return [command for command in self.open.values() if isinstance(command, Call)]

    @property
    def holding(self) -> list[Call]:
        """Those of them that take room: all whose client is not being asked something."""
        return [call for call in self.in_flight if call.key not in self.asking]

    @property
    def just_called(self) -> list[Call]:
        """The calls of runs among those that were just sent."""
        return [call for call in self.just_started if call.key.run]

    @property
    def live(self) -> list[str]:
        """The runs that have not ended."""
        return [id for id in self.runs if not self.finished[id]]

    @property
    def in_line(self) -> list[Key]:
        """The direct calls that wait, or are being located."""
        return [key for key in self.requests if self.seen[key] is Status.READY]

    def status(self, run: str, id: str) -> Status:
        if id in self.graphs[run].reused:
            return Status.SUCCESS
        return self.seen.get(Key(run, id), Status.PENDING)

    def lost_items(self, run: str, id: str) -> list[int]:
        """The items of a task that failed."""
        return [
            key.item
            for key, status in self.seen.items()
            if key[:2] == (run, id)
            and key.item is not None
            and status in {Status.FAILED, Status.TIMEOUT}
        ]

    def task(self, key: Key) -> TaskText:
        return self.graphs[key.run].tasks[key.task]

    def tool(self, key: Key) -> str:
        return self.task(key).tool if key.run else key.task

    def server(self, key: Key) -> str:
        return self.tool(key).partition(":")[0]

    def kind(self, key: Key) -> Kind:
        """The kind of a direct call."""
        is_writer = key.task.endswith(":write")
        weight = self.requests[key].slots.weight
        is_limited = is_writer and self.writers is not None
        return Kind(self.party(key)[0], self.server(key), is_limited, weight)

    def party(self, key: Key) -> Party:
        """Whose call it is."""
        caller = self.runs[key.run].principal if key.run else self.requests[key].slots.caller
        return caller, not key.run

    def weight(self, key: Key) -> int:
        return self.task(key).weight if key.run else self.requests[key].slots.weight

    def waiting(self) -> list[Key]:
        """Calls that wait for slots, and are not looked at next in any case."""
        return [key for key in self.queued() if not self._is_looked_at_next(key)]

    def queued(self) -> list[Key]:
        """Calls that have asked and are not sent, that no earlier one keeps from what they
        touch."""
        return [
            key for key in self.asked if self.seen[key] is Status.READY and not self.in_the_way(key)
        ]

    def _is_looked_at_next(self, key: Key) -> bool:
        """Whether a sleep that waits for the rate of its server is over at this moment, or will be
        as soon as it is aborted."""
        look = Key("", self.server(key))
        return look in self.aborted or (
            look in self.open and self.due[look] <= self.now + ALMOST_NOTHING
        )

    # Claims.

    def in_the_way(self, key: Key) -> list[Key]:
        """Calls that asked before *key*, have not ended, and conflict with it."""
        mine, since = self.touched[key], self.asked[key]
        return [
            other
            for other, its in self.asked.items()
            if mine
            and its < since
            and self.is_going_on(other)
            and conflict(mine, self.touched[other])
        ]

    def is_going_on(self, key: Key) -> bool:
        return not self.seen[key].is_final or isinstance(self.open.get(key), Call)

    def _before(self, run: str) -> dict[str, list[str]]:
        graph, found = self.graphs[run], set(self.known)
        known = [graph.tasks[id] for id in graph.order if self._is_known(graph, id, found)]
        touched = [list(_touched_by(task, task.arguments)) for task in known]
        return {
            task.id: [
                other.id
                for other, its in zip(known[:place], touched, strict=False)
                if conflict(touched[place], its)
            ]
            for place, task in enumerate(known)
        }

    def _is_known(self, graph: Graph, id: str, found: set[tuple[str, str]]) -> bool:
        task = graph.tasks[id]
        if id in graph.reused or "$" in task.arguments.get("path", ""):
            return False
        return _names_of(task, task.arguments) <= found

    def _touches(self, key: Key) -> Iterator[Touched]:
        return _touched_by(self.task(key), self.arguments_of(key))

    # Limits, rates and urgency.

    def capacities(self, key: Key) -> dict[str, int]:
        """The slots there are, by limit, of those that a call of *key* takes room of."""
        server = self.server(key)
        capacities = {"gateway": self.limits.gateway}
        slots = dict(self.limits.servers).get(server)
        if server in self.adaptive:
            capacities[f"server {server}"] = self.adaptive[server].slots
        elif isinstance(slots, int):
            capacities[f"server {server}"] = slots
        elif server in self.counted:
            capacities[f"server {server}"] = ANY_NUMBER
        if self.writers is not None and self.tool(key).endswith(":write"):
            capacities["writers"] = self.writers
        if key.run and (most := self.graphs[key.run].max_concurrency):
            capacities[f"run {key.run}"] = most
        return capacities

    def needed(self, key: Key) -> dict[str, int]:
        """The slots that a call of *key* takes now, by limit."""
        weight = self.weight(key)
        return {name: min(weight, capacity) for name, capacity in self.capacities(key).items()}

    def fits(self, key: Key, but_for: Sequence[Call] = (), *, at_any_rate: bool = False) -> bool:
        """Whether there is room for a call of *key*, if those of *but_for* had not been sent just
        now."""
        taken: Counter[str] = Counter()
        for call in self.holding:
            if call not in but_for:
                taken.update(self.room[call.key])
        needed = self.needed(key)
        has_room = all(
            taken[name] + needed[name] <= slots for name, slots in self.capacities(key).items()
        )
        server = self.server(key)
        return has_room and (
            at_any_rate
            or self.may_send(server, sum(self.server(call.key) == server for call in but_for))
        )

    def may_send(self, server: str, but_for: int = 0) -> bool:
        """Whether one more call of *server* may be sent now, if its last *but_for* calls had not
        been sent."""
        if self.now < self.quiet.get(server, 0.0):
            return False
        rate = dict(self.limits.rates).get(server)
        times = self.sent_to[server][: len(self.sent_to[server]) - but_for]
        since = self.now - (rate.seconds if rate is not None else 0.0) + ALMOST_NOTHING
        return rate is None or sum(at > since for at in times) < rate.calls

    def urgency(self, key: Key) -> tuple[int, ...]:
        """As the contract says it: priority, then the longer remaining path, then document
        order."""
        graph, task = self.graphs[key.run], self.task(key)
        return (-task.priority, -graph.chain[task.id], graph.number, task.index, key.item or 0)

    # Direct calls.

    def came_later(self, key: Key, other: Key) -> bool:
        """Whether *key* is a direct call that takes the same room as *other*, and was requested
        after it."""
        if key not in self.requests or self.kind(key) != self.kind(other):
            return False
        return (key.item or 0) > (other.item or 0)

    def passes(self, call: Call) -> None:
        """Count what *call*, which was just sent, went before."""
        party, slots = self.party(call.key), self.weight(call.key)
        for key in [key for key, _ in self.passed if self.party(key) == party]:
            self.passed = Counter({pair: n for pair, n in self.passed.items() if pair[0] != key})
        for key in self.queued():
            waits_for_slots = self.fits(key, [call]) and not self.looks_later(key)
            if self.party(key) != party and waits_for_slots and not self.is_held_back(key):
                self.passed[key, party] += min(slots, self.limits.gateway)
            if self.weight(key) > 1:
                self.passed_wide[key] += slots

    def looks_later(self, key: Key) -> bool:
        """Whether the rate of the server of *key* keeps calls waiting until a look at it, which is
        still to come."""
        look = Key("", self.server(key))
        return look in self.open and look not in self.aborted

    def is_held_back(self, key: Key) -> bool:
        """Whether a call that takes several slots, and was passed often enough, may keep them from
        *key*."""
        return any(
            self.weight(other) > 1 and other != key and self._keeps_from(other, key)
            for other in self.queued()
        )

    def _keeps_from(self, wide: Key, key: Key) -> bool:
        capacities, needed = self.capacities(wide), self.needed(wide)
        taken: Counter[str] = Counter()
        for call in self.holding:
            taken.update(self.room[call.key])
        return any(
            taken[name] + needed[name] > slots and self.passed_wide[wide] >= slots
            for name, slots in capacities.items()
            if name in self.capacities(key)
        )

    # Rules, and what is put in for references.

    def layers_before(self, run: str, id: str) -> list[str]:
        """The tasks of the layers before that of *id*, where layers wait: what has to end first is
        a dependency."""
        graph = self.graphs[run]
        if not graph.is_layered:
            return []
        layers: dict[str, int] = {}
        for other in graph.order:
            reasons = [*graph.needs[other], *self.before[run].get(other, ())]
            layers[other] = 1 + max((layers[reason] for reason in reasons), default=-1)
        return [other for other in layers if layers[other] < layers[id]]

    def condition(self, run: str, id: str) -> bool:
        """Whether `when` holds, or there is none."""
        when = self.graphs[run].tasks[id].fields.get("when")
        output = self.outputs[run].get(when.partition(".")[0]) if when else None
        return when is None or (isinstance(output, dict) and output["ok"])

    def reusable_item(self, key: Key) -> Key | None:
        """The item of the earlier run, of a list that runs again, that was called as *key* is to be
        called, and succeeded."""
        run = self.resumed.get(key.run)
        if run is None or key.item is None or key.task in self.graphs[key.run].reused:
            return None
        if key.task == self.changed[key.run]:
            return None
        try:
            same = self.arguments_of(key), (self.items(key.run, key.task) or [])[key.item]
            values = self.items(run, key.task) or []
        except LookupError:
            return None
        for index, value in enumerate(values):
            earlier = Key(run, key.task, index)
            try:
                is_same = (self.arguments_of(earlier), value) == same
            except LookupError:
                continue
            if is_same and self.seen.get(earlier) is Status.SUCCESS:
                return earlier
        return None

    def is_untaken(self, run: str, id: str) -> bool:
        """Whether a condition skipped it, its own or that of the task that it hangs on."""
        error = self.runs[run].states[id].error
        if self.status(run, id) is not Status.SKIPPED or error is None:
            return False
        if error.caused_by is not None:
            return self.is_untaken(run, error.caused_by)
        return error.code == "condition"

    def items(self, run: str, id: str) -> list[Any] | None:
        """The items of a `for_each` task whose dependencies have settled. Raises `LookupError`
        without a list."""
        for_each = self.graphs[run].tasks[id].for_each
        if for_each is None:
            return None
        items = self._filled(run, id, for_each, None)
        if not isinstance(items, list):
            raise LookupError(for_each)
        return items

    def arguments(self, run: str, id: str, item: Any = None) -> dict[str, Any]:
        """The arguments that a call is sent with. Raises `LookupError` where a reference leads
        nowhere."""
        arguments = self.graphs[run].tasks[id].arguments
        return {name: self._filled(run, id, value, item) for name, value in arguments.items()}

    def arguments_of(self, key: Key) -> dict[str, Any]:
        """The arguments of one call of a run."""
        items = self.items(key.run, key.task)
        item = None if items is None or key.item is None else items[key.item]
        return self.arguments(key.run, key.task, item)

    def _output(self, key: Key) -> Any:
        if (items := self.items(key.run, key.task)) is None:
            return self.answers[key]
        keys = [Key(key.run, key.task, index) for index in range(len(items))]
        return [
            self.answers[item] if self.seen.get(item) is Status.SUCCESS else None for item in keys
        ]

    def _keep_items(self, key: Key) -> None:
        """Write down what a failed `for_each` task gave."""
        if self.items(key.run, key.task) is not None:
            self.kept[key.run][key.task] = self._output(key)

    def _filled(self, run: str, id: str, value: Any, item: Any) -> Any:
        if value == "$ITEM":
            return item
        if not isinstance(value, str) or (match := _REFERENCE.fullmatch(value)) is None:
            return value
        task, name, default = match.groups()
        visible = self.outputs[run]
        if self.graphs[run].tasks[id].trigger_rule != "all_success":
            visible = {**self.kept[run], **visible}
        output = visible.get(task, LookupError)
        if name is not None and output is not LookupError:
            output = output.get(name, LookupError) if isinstance(output, dict) else LookupError
        if output is LookupError and default is None:
            raise LookupError(value)
        return default if output is LookupError else output


def _names_of(task: TaskText, arguments: Mapping[str, Any]) -> set[tuple[str, str]]:
    keys = [key for key, _ in task.resources if not key.startswith("db:")]
    keys += [arguments["path"]] if "path" in arguments else []
    return {(task.server, f"file:{key.removeprefix('file:')}") for key in keys}


def _touched_by(task: TaskText, arguments: Mapping[str, Any]) -> Iterator[Touched]:
    yield from _touched_at(arguments.get("path"), task.tool)
    for key, writes in task.resources:
        scheme, _, path = key.rpartition(":")
        yield Touched((scheme or "file", *path.split("/")), writes)


def _touched_at(path: str | None, tool: str) -> Iterator[Touched]:
    if path is not None:
        server, _, verb = tool.partition(":")
        path = LINKS.get((server, path), path)
        yield Touched(("file", *path.split("/")), verb == "write")
