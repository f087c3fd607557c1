"""Groups: each item has a frame of its own, made when its turn comes and dropped when it has ended.

At most `MAX_FRAMES` items of a group are under way at once, so that ten thousand of them hold no
more than that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import proxy

from ...errors import CallError
from ..language.scope import Scope
from ..planning.plan import PlannedTask
from ..tools.output import Output
from ..values.strict import Json
from .calls import items_of, made
from .earlier_items import items_to_reuse
from .events import Failure, Status
from .frame import Around, Frame, Group
from .state import Items, TaskState

if TYPE_CHECKING:  # the tasks in a group live as all others do
    from .lifecycle import Lifecycle

MAX_FRAMES = 64
"""Most items of one group under way at once, unless it has a `max_concurrency`."""


class Groups:
    """The groups of one run."""

    def __init__(self, tasks: Lifecycle) -> None:
        self._tasks: Lifecycle = proxy(tasks)  # else only the collector would free a run
        self._tallies = tasks.tallies

    def begin(self, frame: Frame, planned: PlannedTask, scope: Scope, now: float) -> None:
        """Start the first items of *planned*, a group. Raises `CallError`."""
        state = frame.states[planned.id]
        values: list[Json] = [None]
        reusable: dict[int, Output] = {}
        if planned.items is not None:
            values = items_of(planned, scope, self._tasks.limits.max_items)
            state.items = Items(len(values))
            state.items.values = values
            if (earlier := self._tasks.earlier_items.get(planned.id)) is not None:
                reusable = items_to_reuse(earlier, planned, scope.outputs, enumerate(values))
        notes = self._tasks.notes.on_absent(planned, scope)
        self._tasks.moves.task(state, Status.READY, now, notes=notes)
        left = [index for index in range(len(values)) if index not in reusable]
        frame.open_groups[planned.id] = Group(
            values, deque(left), planned.task.max_concurrency or MAX_FRAMES
        )
        if state.items is not None:
            self._tasks.reuse_items(reusable, state, state.items, now)
        if left:
            self._open_frames(frame, planned, now)
        else:
            self._tasks.end_items(frame, planned.id, now)

    def _open_frames(self, frame: Frame, planned: PlannedTask, now: float) -> None:
        """Start as many items of the group *planned* as may be under way at once."""
        state = frame.states[planned.id]
        group = frame.open_groups[planned.id]
        assert planned.inner is not None
        while group.left and len(group.frames) < group.window:
            index = group.left.popleft()
            around = Around(frame, planned.id, None if state.items is None else index)
            item = group.values[index]
            inner = Frame(frame.run, planned.inner, around=around, item=item, tallies=self._tallies)
            group.frames[index] = inner
            if state.items is not None:
                self._tasks.moves.item(state, index, Status.READY, now)
            for id, one in inner.states.items():
                if not one.needs_left:
                    self._tasks.due(inner, id, now)
            if state.status.is_final:
                return  # a failure has ended the run

    def fail_around(self, frame: Frame, id: str, now: float) -> None:
        """Note that task *id* of *frame* has failed, and with it the item that the frame is for, if
        that needs it."""
        if frame.around is None or id not in frame.around.planned.needed:
            return
        error = frame.states[id].error
        name = self._tallies[id].outline.place(frame.states[id].key)
        if frame.failure is None and error is not None:
            message = f"{name}: {error.message}"
            frame.failure = replace(error, message=message, caused_by=name)
        is_fast = frame.around.planned.task.fail_fast
        if is_fast and not self._tasks.stop_frame(frame, now, self._tasks.failed_fast(name)):
            self.end_frame(frame, now)

    def stop(self, frame: Frame, planned: PlannedTask, now: float, error: Failure) -> bool:
        """Stop the items of the group *planned*, because of *error*. Returns whether the tasks that
        clean up are left in any; the group ends once these have ended."""
        state = frame.states[planned.id]
        group = frame.open_groups.get(planned.id)
        if group is None:
            return False
        while group.left:
            self._cancel_item(state, group.left.popleft(), now)
        for index, inner in [*group.frames.items()]:
            if not self._tasks.stop_frame(inner, now, error):
                del group.frames[index]
                self._tasks.usage.bytes -= inner.bytes
                self._cancel_item(state, index, now)
        if group.frames:
            group.stopped = group.stopped or error
        return bool(group.frames)

    def _cancel_item(self, state: TaskState, index: int, now: float) -> None:
        if state.items is not None:
            state.items.left -= 1
            self._tasks.moves.item(state, index, Status.CANCELLED, now)

    def end_frame(self, frame: Frame, now: float) -> None:
        """End the item of *frame*, whose tasks have ended."""
        around = frame.around
        assert around is not None
        frame.is_ended = True
        parent, id, index = around
        state, planned, group = around.state, around.planned, around.group
        del group.frames[index or 0]
        failure, output = frame.failure, None
        notes: tuple[str, ...] = ()
        if failure is None and group.stopped is None:
            scope = frame.result_scope
            try:
                output = made(planned, scope)
                self._tasks.keep(parent, output)
            except CallError as error:
                failure, output = Failure.of(error), None
            else:
                notes = self._tasks.notes.on_absent(planned, scope)
        self._tasks.usage.bytes -= frame.bytes
        if group.stopped is not None:
            self._end_stopped(around, group.stopped, failure, now)
            return
        if index is None or state.items is None:
            state.output, state.error = output, failure
            if output is not None:
                parent.outputs[id] = output
            after = Status.SUCCESS if failure is None else Status.FAILED
            self._tasks.moves.task(state, after, now, notes=notes)
            self._tasks.end(parent, id)
            self._tasks.after_failure(parent, id, now)
            return
        state.items.left -= 1
        if failure is not None:
            state.items.errors.append((index, failure))
            self._tasks.moves.item(state, index, Status.FAILED, now, error=failure)
        elif output is not None:
            state.items.outputs[index] = output
            size = output.size_bytes
            self._tasks.moves.item(
                state, index, Status.SUCCESS, now, output_bytes=size, notes=notes
            )
        is_over = failure is not None and self._tasks.ends_at_failure(planned)
        if is_over and self.stop(parent, planned, now, self._tasks.failed_fast(id)):
            if parent.around is None:
                self._tasks.stop("fail_fast", now, id)
        elif state.items.left == 0 or is_over:
            self._tasks.end_items(parent, id, now)
        else:
            self._open_frames(parent, planned, now)

    def _end_stopped(
        self, around: Around, stopped: Failure, failure: Failure | None, now: float
    ) -> None:
        """End the item *around* of a group that was stopped, once its tasks that clean up have
        ended; with the last item, the group."""
        parent, id, index = around
        state = around.state
        if state.items is not None and index is not None and failure is not None:
            state.items.left -= 1
            state.items.errors.append((index, failure))
            self._tasks.moves.item(state, index, Status.FAILED, now, error=failure)
        elif index is not None:
            self._cancel_item(state, index, now)
        if around.group.frames:
            return
        if stopped == self._tasks.failed_fast(id):
            self._tasks.end_items(parent, id, now)
        else:
            self._tasks.stop_task(parent, id, now, stopped)
