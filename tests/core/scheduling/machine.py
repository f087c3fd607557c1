"""Any story that can happen to a scheduler, told by rules. A failure prints the shortest program of
rule calls that was found to lead to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, cycle, islice, repeat
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plait.core.scheduling.events import Key
from plait.core.scheduling.limits import Limits
from plait.core.values.principal import Principal

from .documents import CALLERS, PATHS, SERVERS, VERBS, WEIGHTS, documents, limits
from .world import ANSWERS, FAILURES, MOST_DIRECT_CALLS, World

MOST_RUNS = 8
MOST_LIVE_RUNS = 3
MOST_CHANGES = 3
"""Changes of the limits in one story."""
MOST_AS_DRAWN = 60
"""Answers at the end that are those that were drawn."""
MOST_TO_END = 1_000
"""Answers after which everything that is under way has ended."""

SLOW = st.sampled_from(((), (), (), ("d",), ("d/x", "d/x/y"), (*PATHS, "d/x/y")))
"""Paths of files that are not located in time."""
SIZES = st.integers(0, 3)


def some_answers() -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(st.sampled_from(ANSWERS), st.integers(0, 5)), min_size=1, max_size=16)


def may_begin(world: World) -> bool:
    return len(world.runs) < MOST_RUNS and len(world.live) < MOST_LIVE_RUNS


def each(find: Callable[[World], Sequence[Any]]) -> st.SearchStrategy[Any]:
    """One of what *find* gives when the rule is called."""
    return st.runner().flatmap(lambda machine: st.sampled_from(find(machine.world)))


def rule_for(find: Callable[[World], Sequence[Any]], **more: Any) -> Callable[[Any], Any]:
    """A rule whose first argument, `key`, is one of what *find* gives; without any, it is not
    called."""

    def decorate(function: Any) -> Any:
        return precondition(lambda machine: bool(find(machine.world)))(
            rule(key=each(find), **more)(function)
        )

    return decorate


class SchedulerMachine(RuleBasedStateMachine):
    """Lets anything happen to a scheduler, then lets what is under way end. A subclass says in
    `check_step` and `check_end` which promises it looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(limits=Limits(), writers=None)
        self.ending: Sequence[tuple[str, int]] = [("well", 0)]
        self._checked = (0, 0.0)
        """How many entries of the journal there were when the promises were looked at, and when."""

    def check_step(self, world: World) -> None:
        """Look at *world* after something happened."""

    def check_end(self, world: World) -> None:
        """Look at *world* when nothing is under way any more."""

    @initialize(
        limits=limits(),
        writers=st.sampled_from((None, 1, 2)),
        document=documents(),
        slow=SLOW,
        ending=some_answers(),
    )
    def begin(
        self,
        limits: Limits,
        writers: int | None,
        document: dict[str, Any],
        slow: Sequence[str],
        ending: Sequence[tuple[str, int]],
    ) -> None:
        """*ending* is repeated once the story is over, until nothing is under way."""
        self.world = World(limits=limits, writers=writers)
        self.ending = ending
        self.world.submit(document, slow)

    @invariant()
    def every_promise_is_kept(self) -> None:
        """Looks once at each moment."""
        moment = (len(self.world.journal), self.world.now)
        if self._checked != moment:
            self.check_step(self.world)
            self._checked = moment

    def teardown(self) -> None:
        if self._checked[0] < len(self.world.journal):
            return  # the story ended with a broken promise
        answers = chain(islice(cycle(self.ending), MOST_AS_DRAWN), repeat(("well", 0), MOST_TO_END))
        while self.world.open:
            self.world.answer(*next(answers))
            self.every_promise_is_kept()
        self.check_end(self.world)

    # What clients do.

    @precondition(lambda self: may_begin(self.world))
    @rule(document=documents(), slow=SLOW, caller=CALLERS)
    def submit(self, document: dict[str, Any], slow: Sequence[str], caller: Principal) -> None:
        self.world.submit(document, slow, caller)

    @precondition(lambda self: len(self.world.runs) < MOST_RUNS)
    @rule_for(lambda world: [Key(run, id) for run in world.ended for id in world.graphs[run].tasks])
    def resume(self, key: Key) -> None:
        self.world.resume(key.run, again=key.task)

    @rule_for(lambda world: world.live)
    def cancel(self, key: str) -> None:
        self.world.cancel(key)

    @precondition(lambda self: len(self.world.direct) < MOST_DIRECT_CALLS)
    @rule(
        server=st.sampled_from(SERVERS),
        verb=VERBS,
        path=st.sampled_from(PATHS),
        weight=WEIGHTS,
        caller=CALLERS,
    )
    def request(self, server: str, verb: str, path: str, weight: int, caller: Principal) -> None:
        self.world.request(f"{server}:{verb}", path, weight, caller)

    @rule_for(lambda world: world.in_line)
    def leave_the_line(self, key: Key) -> None:
        self.world.leave(key, "cancelled")

    @rule_for(lambda world: world.in_line)
    def wait_in_line_too_long(self, key: Key) -> None:
        self.world.fail(key, "late")

    @rule_for(
        lambda world: world.direct_in_flight, code=st.sampled_from(("cancelled", "input_required"))
    )
    def leave(self, key: Key, code: str) -> None:
        self.world.leave(key, code)

    @precondition(lambda self: self.world.changes < MOST_CHANGES and self.world.open)
    @rule(limits=limits())
    def change_limits(self, limits: Limits) -> None:
        self.world.change_limits(limits)

    # What answers commands.

    @precondition(lambda self: bool(self.world.open))
    @rule(answers=some_answers())
    def carry_on(self, answers: Sequence[tuple[str, int]]) -> None:
        """Many answers at the cost of one rule."""
        for how, place in answers:
            self.world.answer(how, place)
            self.every_promise_is_kept()

    @rule_for(lambda world: world.calls, size=SIZES, is_cached=st.booleans())
    def succeed(self, key: Key, size: int, is_cached: bool) -> None:
        self.world.succeed(key, size, is_cached=is_cached)

    @rule_for(
        lambda world: world.calls,
        how=st.sampled_from(tuple(FAILURES)),
        jitter=st.sampled_from((0.0, 0.25, 1.0)),
    )
    def fail(self, key: Key, how: str, jitter: float) -> None:
        self.world.fail(key, how, jitter)

    @rule_for(lambda world: world.to_abort)
    def end_aborted(self, key: Key) -> None:
        self.world.end_aborted(key)

    @rule_for(lambda world: [key for key in world.calls if key not in world.asking])
    def pause(self, key: Key) -> None:
        self.world.pause(key)

    @rule_for(lambda world: list(world.asking))
    def go_on(self, key: Key) -> None:
        self.world.go_on(key)

    @rule_for(lambda world: world.calls_at_once)
    def send(self, key: Key) -> None:
        self.world.send(key)

    @rule_for(lambda world: world.locating, slow=SLOW)
    def locate(self, key: Key, slow: Sequence[str]) -> None:
        self.world.locate(key, slow)

    @rule_for(lambda world: world.sleeping)
    def wake(self, key: Key) -> None:
        self.world.wake(key)

    @rule(seconds=st.sampled_from((0.25, 1.0, 3.0)))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)
