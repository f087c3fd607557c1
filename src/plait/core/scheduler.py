"""All runs of this process: of the calls that could start, those that have room, the most urgent first."""

from __future__ import annotations

from .events import Aborted, Call, CancelRequested, Command, Event, Failed, Key, Step, Succeeded, Woke
from .limits import Lane, Ledger, Limits
from .run import Run
from .state import Unit


class Scheduler:
    """Events in, commands out. It never waits and never looks at a clock: the time comes with each event."""

    def __init__(self, limits: Limits) -> None:
        self.ledger: Ledger[Unit] = Ledger(limits)
        self.runs: dict[str, Run] = {}
        """The runs that have not come to their end."""
        self._held: dict[Key, Lane[Unit]] = {}
        """The room that each call in flight takes, until it is answered."""

    def __repr__(self) -> str:
        return f"<Scheduler: {len(self.runs)} runs, {len(self._held)} calls in flight>"

    @property
    def in_flight(self) -> int:
        return len(self._held)

    def submit(self, run: Run, now: float) -> Step:
        self.runs[run.id] = run
        self.ledger.open_run(run.id, run.plan.dag.max_concurrency)
        run.begin(now)
        return self._step(now, run)

    def handle(self, event: Event, now: float) -> Step:
        if isinstance(event, CancelRequested):
            run = self.runs.get(event.run)
            if run is not None:
                run.stop("cancelled", now)
            return self._step(now, run)
        if not isinstance(event, Woke) and (lane := self._held.pop(event.key, None)) is not None:
            self.ledger.give_back(lane)
        run = self.runs.get(event.key.run)
        if run is not None:
            self._apply(run, event, now)
        return self._step(now, run)

    def _apply(self, run: Run, event: Succeeded | Failed | Woke | Aborted, now: float) -> None:
        is_awaited = event.key in run.open or (isinstance(event, Woke) and not event.key.task)
        if not is_awaited:
            return  # the task has come to its end without waiting for this answer
        match event:
            case Succeeded(key, output):
                run.succeed(key, output, now)
            case Failed(key, error):
                run.fail(key, error, now)
            case Woke(key):
                run.wake(key, now)
            case Aborted(key):
                raise AssertionError(f"{key} was aborted unasked")

    def _step(self, now: float, run: Run | None) -> Step:
        """Start all that fits, and hand over what *run*, the only one that an event can change, has to say."""
        commands: list[Command] = []
        if run is not None:
            for unit in run.ready:
                server, weight = unit.planned.tool.server, unit.planned.weight
                self.ledger.add(run.id, server, weight, run.urgency(unit), unit)
            run.ready.clear()
            if run.is_done:
                del self.runs[run.id]
                self.ledger.close_run(run.id)
        started: dict[str, Run] = {}
        for unit, lane in self.ledger.take_next():
            owner = self.runs[unit.key.run]
            attempt = owner.start(unit, now)
            self._held[unit.key] = lane
            commands.append(Call(unit.key, unit.planned.tool, unit.arguments, unit.planned.timeout_s, attempt))
            started[owner.id] = owner
        if run is not None:
            started[run.id] = run
        notices = []
        for owner in started.values():
            commands += owner.commands
            notices += owner.notices
            owner.commands.clear()
            owner.notices.clear()
        return Step(commands, notices)
