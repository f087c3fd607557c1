"""Direct calls: each is made in the task of its caller, once the scheduler admits it. A task of its
own for each would cost as much as the rest of the call. Cancelling the task cancels the
call at its server, and releases its slots and resources.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from ..core.history import (
    Beginning,
    Effect,
    Kind,
)
from ..core.history_store import Journal
from ..core.ports import Caller, CallId, CallTool, ToolCall
from ..core.scheduling.events import Aborted, Call, CallRequested, Event, Failed, Key, Succeeded
from ..core.scheduling.notices import Notice
from ..core.tools.output import Output, tool_error
from ..core.values.strict import JsonObject, NotStrict, measure
from ..errors import CallError, InvalidOutput
from .auditing import Party, Trail
from .running_call import RunningCall, internal_error, out_of_time
from .writing import Kept, Writing, effect_of, new_id


class DirectCalls:
    """The direct calls of one runner, made by *call_tool*. Events go to *feed*, notices to
    *notify*; *now* gives the time."""

    def __init__(
        self,
        call_tool: CallTool,
        feed: Callable[[Event], None],
        notify: Callable[[Notice], None],
        now: Callable[[], float],
        trail: Trail | None = None,
    ) -> None:
        self._call_tool = call_tool
        self._feed = feed
        self._notify = notify
        self._now = now
        self._trail = Trail() if trail is None else trail
        self.history: Journal | None = None
        """Takes the calls that are made from now on."""
        self._admissions: dict[Key, _Admission] = {}

    def __repr__(self) -> str:
        return f"<DirectCalls: {len(self._admissions)} wait to be sent>"

    def admit(self, command: Call) -> None:
        """Admit the call of *command*."""
        self._admissions[command.key].grant(command)

    def refuse(self, key: Key, error: CallError) -> None:
        """Refuse the call of *key*."""
        self._admissions[key].grant(error)

    async def call(
        self, request: CallRequested, params: JsonObject, caller: Caller, kept: Kept = Kept.WHOLE
    ) -> JsonObject:
        """Make the call: send *params* for *caller*. Returns the server's result unchanged. It is
        written to the history as *kept* says; where it changes something, the result is there
        before it is returned. Raises `CallError`."""
        key, tool = request.key, request.tool
        end: Event = Aborted(key)
        party = Party.of(caller, request.slots.desk)
        writing = self._begin(request, caller, kept)
        try:
            with anyio.CancelScope(deadline=self._now() + request.timeout_s) as scope:
                running = RunningCall(key, caller, scope, self._feed, self._notify, writing)
                running.not_sent("other calls have its slots or its resources")
                try:
                    command = await self._admitted(request)
                    running.unsent_reason = None
                    if writing is not None:
                        writing.admit(command, self._now())
                        party = party._replace(run=writing.log.id)
                    running.leaving = self._trail.leaving(command, party)
                    call = ToolCall(
                        CallId(*key[:3]),
                        tool,
                        command.arguments,
                        command.policy,
                        command.max_age_s,
                        running,
                        request.policy.needs_yes,
                        params,
                    )
                    result = await self._call_tool(call)
                finally:
                    running.end()
                end, size = _end(request, result, cached=running.was_cached)
                self._trail.handle(end)
                if writing is not None:
                    self._write_end(writing, end, Output(result, size_bytes=size))
                    if effect_of(tool, request.policy) is not Effect.READ:
                        await writing.log.committed()
                    writing = None
                return result
            raise out_of_time(tool.full_name, request.timeout_s, running.unsent_reason)
        except CallError as error:
            end = Failed(key, error)
            self._trail.refused(request, error, party)
            raise
        except Exception as error:  # a call ends here: a fault of ours fails it, and nothing else
            failure = internal_error(key, error)
            end = Failed(key, failure)
            raise failure from error
        finally:
            if writing is not None:
                self._write_end(writing, end)
            self._feed(end)

    def _begin(self, request: CallRequested, caller: Caller, kept: Kept) -> Writing | None:
        """Write that a call begins, if it is kept."""
        if self.history is None or kept is Kept.NOT:
            return None
        beginning = Beginning(
            new_id("c_"),
            time.time(),
            {},
            Kind.CALL,
            principal=caller.principal,
            client=caller.connection,
            name=request.tool.full_name,
            keeps_values=kept is Kept.WHOLE,
        )
        return Writing(self.history.begin(beginning), self._now())

    def _write_end(self, writing: Writing, end: Event, output: Output | None = None) -> None:
        """Write the end of a call, which gave *output*."""
        match end:
            case Succeeded(key, _, cached):
                status, end = "success", Succeeded(key, output, cached)
            case Failed():
                status = "failed"
            case _:
                status = "cancelled"
        now = self._now()
        writing.write(end, now)
        writing.end_call(status, now)

    async def _admitted(self, request: CallRequested) -> Call:
        """Wait until the call may be sent. Raises `CallError` if it cannot be made."""
        admission = self._admissions[request.key] = _Admission()
        try:
            self._feed(request)
            answer = admission.answer or await admission.wait()
        finally:
            del self._admissions[request.key]
        if isinstance(answer, CallError):
            raise answer
        return answer


class _Admission:
    """The scheduler's answer to one request. Mostly it is there at once, so that no task waits for
    it."""

    __slots__ = ("_granted", "answer")

    def __init__(self) -> None:
        self.answer: Call | CallError | None = None
        self._granted: anyio.Event | None = None

    def grant(self, answer: Call | CallError) -> None:
        self.answer = answer
        if self._granted is not None:
            self._granted.set()

    async def wait(self) -> Call | CallError:
        self._granted = anyio.Event()
        await self._granted.wait()
        assert self.answer is not None
        return self.answer


def _end(request: CallRequested, result: JsonObject, *, cached: bool) -> tuple[Event, int]:
    """Make the event for *result*, and measure it. Raises `InvalidOutput` if it cannot be passed
    on."""
    try:
        size = measure(result)
    except NotStrict as error:
        raise InvalidOutput(
            f"{request.tool.full_name} gave an answer that cannot be passed on: {error}"
        ) from None
    if result.get("resultType") == "input_required":
        return Aborted(request.key, "input_required"), size
    if result.get("isError") is True:
        return Failed(request.key, tool_error(result)), size
    return Succeeded(request.key, None, cached), size
