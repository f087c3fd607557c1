"""Carries out the scheduler's commands: the only module that starts the tasks of a run, times them out and sleeps.

Each `Locate`, `Call` and `Sleep` is answered exactly once, an aborted one too.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ..core.ports import CallTool, Observer, ToolCall, UpstreamClient
from ..core.scheduling.events import (
    Abort,
    Aborted,
    Admit,
    Call,
    CancelRequested,
    Event,
    Failed,
    Finished,
    Key,
    Locate,
    Located,
    Notice,
    Paused,
    Progressed,
    Refuse,
    Resumed,
    Sent,
    Sleep,
    Step,
    Succeeded,
    Woke,
)
from ..core.scheduling.limits import Limits
from ..core.scheduling.run import Run
from ..core.scheduling.scheduler import Scheduler
from ..core.scheduling.visits import Visit
from ..core.tools.output import read_output
from ..core.values.strict import Json, JsonObject
from ..errors import CallError, CallTimeout, InternalError
from ..waiting import Signal
from .lookups import AS_WRITTEN, Lookups
from .visiting import Turn, Visiting

log = logging.getLogger(__name__)

TURN = 4
"""After so many calls a task lets others have a turn: answers that were kept come at once."""
Answerable: TypeAlias = Locate | Call | Sleep
"""A command that is answered by exactly one event."""

LONGEST_QUESTION_S = 900.0
"""How long the time of a call stands still at most; who asks gives up before."""


class Runner:
    """Drives one scheduler inside one task group, which outlives every call."""

    def __init__(
        self,
        scheduler: Scheduler,
        call_tool: CallTool,
        tasks: TaskGroup,
        observers: Sequence[Observer] = (),
        *,
        lookups: Lookups | None = None,
        max_output_bytes: int = 10 * 2**20,
    ) -> None:
        self._scheduler = scheduler
        self._call_tool = call_tool
        self._tasks = tasks
        self._observers = tuple(observers)
        self._lookups = Lookups(AS_WRITTEN) if lookups is None else lookups
        self._max_output_bytes = max_output_bytes
        self._scopes: dict[Key, anyio.CancelScope | None] = {}
        """Of each command that is to be answered, what ends it; None before it is begun."""
        self._clients: dict[str, UpstreamClient] = {}
        """Of each run, whom its calls may ask."""
        self._aborted: set[Key] = set()
        self._answered = Signal()
        self._now = asyncio.get_running_loop().time  # what `anyio.current_time` gives, and looks up at each call
        self._visiting = Visiting(scheduler, self._carry_out, self._now)

    def __repr__(self) -> str:
        return f"<Runner: {len(self._scopes)} commands to be answered, {len(self._aborted)} of them aborted>"

    async def idle(self) -> None:
        """Wait until every command has been answered."""
        while self._scopes:
            await self._answered.wait()

    def submit(self, run: Run, client: UpstreamClient | None = None) -> None:
        """Start *run*, whose calls may ask *client*."""
        if client is not None:
            self._clients[run.id] = client
        self._carry_out(self._scheduler.submit(run, anyio.current_time()))

    def change_limits(self, limits: Limits, max_output_bytes: int) -> None:
        """Go by these from now on, in the runs that are under way too."""
        self._max_output_bytes = max_output_bytes
        self._carry_out(self._scheduler.change_limits(limits, anyio.current_time()))

    def cancel(self, run_id: str) -> None:
        self._feed(CancelRequested(run_id))

    def visit(self, visit: Visit) -> Turn:
        """A turn for one call that belongs to no run: whoever enters it waits in line with the calls of runs."""
        return self._visiting.turn(visit)

    def _feed(self, event: Event) -> None:
        self._carry_out(self._scheduler.handle(event, self._now()))

    def _carry_out(self, step: Step) -> None:
        for command in self._begin(step):
            self._tasks.start_soon(self._answer, command)

    def _begin(self, step: Step) -> list[Answerable]:
        """Tell and abort what *step* says; gives the commands that are to be answered, open from now on."""
        for notice in step.notices:
            self._tell(notice)
        begun: list[Answerable] = []
        located: list[Located] = []
        for command in step.commands:
            match command:
                case Abort(key):
                    self._abort(key)
                case Admit(key):
                    self._visiting.admit(key)
                case Refuse(key, error):
                    self._visiting.refuse(key, error)
                case Locate(key, names) if (places := self._lookups.at_once(names)) is not None:
                    located.append(Located(key, places))
                case Locate() | Call() | Sleep():
                    self._scopes[command.key] = None
                    begun.append(command)
        for event in located:
            begun += self._begin(self._scheduler.handle(event, self._now()))
        return begun

    def _abort(self, key: Key) -> None:
        if key in self._scopes:
            self._aborted.add(key)
            if (scope := self._scopes[key]) is not None:
                scope.cancel()

    async def _answer(self, command: Answerable | None) -> None:
        """Carry *command* out and answer it; then the first of the commands that follow from that, and so on: a task
        and a scope for each would cost more than the rest of it. A scope serves until it is cancelled."""
        count = 0
        while command is not None:
            current: Answerable | None = None
            with anyio.CancelScope() as scope:
                while command is not None and not scope.cancel_called:
                    current = command
                    event = await self._event(command, scope)
                    current = None
                    command = self._follow(command.key, event)
                    if (count := count + 1) % TURN == 0:
                        await anyio.lowlevel.checkpoint()
            if current is not None:
                over = Aborted(current.key) if current.key in self._aborted else _out_of_time(current)
                command = self._follow(current.key, over)

    async def _event(self, command: Answerable, scope: anyio.CancelScope) -> Event:
        """The answer to *command*, unless *scope* is cancelled before: when it is aborted, or its time is over."""
        if command.key in self._aborted:  # it is over before it was sent
            return Aborted(command.key)
        self._scopes[command.key] = scope
        match command:
            case Call():
                scope.deadline = self._now() + command.timeout_s
                return await self._call(command)
            case Locate():
                scope.deadline = math.inf  # what was found by the end of its time is its answer
                return Located(command.key, await self._lookups.locate(command.names, command.timeout_s))
            case Sleep():
                scope.deadline = self._now() + command.seconds
                return await _forever()

    def _follow(self, key: Key, event: Event) -> Answerable | None:
        """*event* has answered the command of *key*: the first of the commands that follow from it."""
        del self._scopes[key]
        self._aborted.discard(key)
        begun = self._begin(self._scheduler.handle(event, self._now()))
        for other in begun[1:]:
            self._tasks.start_soon(self._answer, other)
        self._answered.notify()
        return begun[0] if begun else None

    async def _call(self, call: Call) -> Event:
        def on_progress(told: JsonObject) -> None:
            self._tell(_progressed(call.key, told))

        cached: list[bool] = []
        client = self._clients.get(call.key.run)
        told = ToolCall(
            call.tool,
            call.arguments,
            on_progress,
            call.cache_s,
            call.cache_stat,
            partial(cached.append, True),
            self._way_to_ask(call.key, client),
            {} if client is None else client.capabilities,
            None if client is None else client.on_log,
            partial(self._waiting, call.key),
        )
        try:
            result = await self._call_tool(told)
            return Succeeded(call.key, read_output(result, call.tool, self._max_output_bytes), bool(cached))
        except CallError as error:
            return Failed(call.key, error)
        except Exception:  # a task ends here: a fault of ours fails it, and nothing else
            id = secrets.token_hex(4)
            log.exception("task.crashed", extra={"id": id, "run": call.key.run, "task": call.key.task})
            return Failed(call.key, InternalError(f"an internal error; the log names it {id}"))

    @contextmanager
    def _waiting(self, key: Key) -> Iterator[None]:
        """The server of the call of *key* is not there yet: its time begins when it is."""
        pause = _Pause(self._scopes, key)
        pause.begin()
        try:
            yield
        finally:
            pause.end()
            self._feed(Sent(key))

    def _way_to_ask(self, key: Key, client: UpstreamClient | None) -> _Asking | None:
        if client is None or not client.can_be_asked:
            return None
        return _Asking(client, key, _Pause(self._scopes, key), self._feed)

    def _tell(self, notice: Notice) -> None:
        if isinstance(notice, Finished):
            self._clients.pop(notice.run, None)
        for observe in self._observers:
            try:
                observe(notice)
            except Exception:  # what watches a run must not end it
                log.exception("observer.crashed", extra={"observer": repr(observe)})


@dataclass(frozen=True, slots=True)
class _Asking:
    """A way to ask *client* for the call of *key*, whose room is free and whose time stands still meanwhile. All those
    that lead to one client are equal: which of its calls asks makes no difference to it."""

    client: UpstreamClient
    key: Key = field(compare=False)
    pause: _Pause = field(compare=False)
    feed: Callable[[Event], None] = field(compare=False)

    async def __call__(self, method: str, params: JsonObject) -> JsonObject:
        if self.pause.begin():
            self.feed(Paused(self.key))
        try:
            return await self.client.ask(method, params)
        finally:
            if self.pause.end():
                self.feed(Resumed(self.key))


class _Pause:
    """The clock of the call of *key*, which stands still while any of its questions is open."""

    __slots__ = ("_key", "_left_s", "_questions", "_scopes")

    def __init__(self, scopes: Mapping[Key, anyio.CancelScope | None], key: Key) -> None:
        self._scopes = scopes
        self._key = key
        self._questions = 0
        self._left_s = 0.0

    def begin(self) -> bool:
        """One more question; True if it is the only one."""
        self._questions += 1
        if self._questions > 1:
            return False
        if (scope := self._scopes.get(self._key)) is not None:
            self._left_s = scope.deadline - anyio.current_time()
            scope.deadline = anyio.current_time() + LONGEST_QUESTION_S
        return True

    def end(self) -> bool:
        """One question less; True if it was the last."""
        self._questions -= 1
        if not self._questions and (scope := self._scopes.get(self._key)) is not None:  # else the call has ended
            scope.deadline = anyio.current_time() + self._left_s
        return not self._questions


def _progressed(key: Key, told: JsonObject) -> Progressed:
    message = told.get("message")
    said = message if isinstance(message, str) else None
    return Progressed(key, _number(told.get("progress")) or 0.0, _number(told.get("total")), said)


def _number(value: Json) -> float | None:
    """*value*, if it is a number: one of any size, for a server may count as far as it likes."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(max(min(value, sys.float_info.max), -sys.float_info.max))


async def _forever() -> Event:
    await anyio.sleep_forever()
    raise AssertionError("slept for ever")


def _out_of_time(command: Answerable) -> Event:
    match command:
        case Sleep(key):
            return Woke(key)
        case Locate(key):
            return Located(key, {})
    message = f"{command.tool.full_name} gave no answer in {command.timeout_s:g} s"
    hint = "Give it more time with timeout_s, or do without it."
    return Failed(command.key, CallTimeout(message, hint=hint))
