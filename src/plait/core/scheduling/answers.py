"""The answers to the calls of one run: `select` and `repeat` are applied to them, and they end
their tasks and items, well or not."""

from __future__ import annotations

from ...errors import CallError, CallTimeout
from ..language.scope import Scope
from ..tools.output import Output
from .absences import refuse_absent
from .calls import selected
from .events import (
    SUCCESS,
    Failure,
    Status,
)
from .frame import TaskCall
from .lifecycle import Lifecycle
from .repeats import following, joined


class Answers:
    """The answers to the calls of one run. Times are in seconds, on the caller's clock."""

    def __init__(self, tasks: Lifecycle) -> None:
        self._tasks = tasks

    def succeed(self, call: TaskCall, output: Output, now: float, *, cached: bool) -> None:
        """Apply `select` and `repeat` to the answer *output* of *call*, and end its task or item
        unless it is made again."""
        planned = call.planned
        note: str | None = None
        scope: Scope | None = None
        if planned.select is not None or planned.repeat is not None:
            scope = call.frame.scope(planned, call.item, call.key.item)
        try:
            if scope is None:
                self._tasks.keep(call.frame, output)
            elif planned.repeat is None:
                output = self._kept(call, output, scope)
            else:
                if planned.repeat.is_paging:
                    call.pages = call.pages or []
                    call.pages.append(self._kept(call, output, scope))
                arguments, note = following(call, output, scope, call.rounds + 1)
                if arguments is not None:
                    self._tasks.usage.add_calls(1)
                    self._note_answer(call, cached=cached)
                    notes = self._tasks.notes.on_absent(planned, scope)
                    self._tasks.attempts.again(call, arguments, now, notes)
                    return
                output = (
                    self._kept(call, output, scope) if call.pages is None else joined(call.pages)
                )
        except CallError as error:
            notes = self._tasks.notes.on_absent(planned, scope, has_failed=True)
            self.fail(call, error, Failure.of(error), now, notes)
        else:
            notes = () if scope is None else self._tasks.notes.on_absent(planned, scope)
            notes += () if note is None else self._tasks.notes.add([note])
            self._end(call, output, now, cached=cached, notes=notes)

    def _kept(self, call: TaskCall, output: Output, scope: Scope) -> Output:
        """Return the part of *output* that the `select` of *call*, if it has one, keeps in *scope*.
        Raises `CallError`."""
        planned = call.planned
        if planned.select is not None:
            output = selected(planned.select, output, scope, planned.task.id)
            refuse_absent(planned, scope, is_sent=False)
        self._tasks.keep(call.frame, output)
        return output

    def _drop_pages(self, call: TaskCall) -> None:
        """Forget the pages of *call*, which has failed and leaves no output."""
        size = sum(page.memory_bytes for page in call.pages or ())
        self._tasks.usage.bytes -= size
        if call.frame.around is not None:
            call.frame.bytes -= size

    def _note_answer(self, call: TaskCall, *, cached: bool) -> None:
        """Note whether the server answered *call*, or the cache."""
        if not cached:
            call.frame.states[call.planned.id].is_fresh = True
            for around in call.frame.groups() if call.frame.around is not None else ():
                around.state.is_fresh = True

    def _end(
        self,
        call: TaskCall,
        output: Output,
        now: float,
        *,
        cached: bool,
        notes: tuple[str, ...],
    ) -> None:
        frame, id, item = call.frame, call.planned.id, call.key.item
        state = frame.states[id]
        self._note_answer(call, cached=cached)
        if item is None or state.items is None:
            state.output = output
            frame.outputs[id] = output
            self._tasks.moves.task(state, SUCCESS, now, call, notes=notes)
            self._tasks.end(frame, id)
            return
        state.items.outputs[item] = output
        size = output.size_bytes
        self._tasks.moves.item(
            state, item, SUCCESS, now, call, output_bytes=size, cached=cached, notes=notes
        )
        state.items.left -= 1
        if state.items.left == 0:
            self._tasks.end_items(frame, id, now)

    def fail(
        self,
        call: TaskCall,
        error: CallError,
        failure: Failure,
        now: float,
        notes: tuple[str, ...] = (),
    ) -> None:
        frame, id, item = call.frame, call.planned.id, call.key.item
        state = frame.states[id]
        if item is None or state.items is None:
            self._tasks.fail(frame, id, error, failure, now, call, notes)
            return
        state.items.errors.append((item, failure))
        state.items.left -= 1
        self._drop_pages(call)
        status = Status.TIMEOUT if isinstance(error, CallTimeout) else Status.FAILED
        self._tasks.moves.item(state, item, status, now, call, error=failure, notes=notes)
        if state.items.left == 0 or self._tasks.ends_at_failure(call.planned):
            self._tasks.end_items(frame, id, now)
