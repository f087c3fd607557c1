"""The circuit breaker: calls of a server are refused at once while those before them failed.

The end of a call says something about its server, or nothing:

- `ConnectionLost`, and `ServerUnavailable` unless it asks for a pause, are failures of the way to
  the server. They count for the server.
- A timeout says that a call was slow, which may be the fault of one sick tool of a healthy server.
  So it counts for the tool, which gets a circuit of its own at its first timeout. It counts for the
  server too if the timeout before it was another tool's, with no answer since. A call that had less
  than a second says nothing.
- All that a server says is an answer, and shows that it is there: results, also those of tools that
  failed, JSON-RPC errors, outputs that cannot be used, and `Retry-After`.
- A call that its caller cancelled, or that was refused by us, says nothing.

How these add up is the business of `core/tools/circuit.py`. While a probe is under way, other calls
wait some seconds for its end: else the first call after a restart would fail those next to it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from enum import Enum, auto

import anyio

from ..core.ports import CallTool, ToolCall
from ..core.tools.catalog import shown
from ..core.tools.circuit import Circuit, CircuitState, Pass
from ..core.tools.server_notices import CircuitChanged
from ..core.values.strict import JsonObject
from ..errors import (
    CallError,
    CircuitOpen,
    ConnectionLost,
    InvalidOutput,
    OutputTooLarge,
    ProtocolError,
    ServerOff,
    ServerUnavailable,
    ToolError,
)
from ..waiting import Signal

SHORTEST_S = 1.0
"""A call that was given up sooner was not slow."""
PROBE_WAIT_S = 5.0
"""Longest wait of a call for the end of a probe."""
MAX_REASON = 300
"""Characters of the failure that is named as the reason."""


class _End(Enum):
    """The end of a call, as far as its server is concerned."""

    ANSWERED = auto()
    LOST = auto()
    SLOW = auto()
    SAYS_NOTHING = auto()


_ANSWERED, _NOTHING = _End.ANSWERED, _End.SAYS_NOTHING
"""Names of their own for what is asked at every call."""


class Breaker:
    """A `CallTool` around a `CallTool`. *on_change* takes each change of a circuit; *chance* gives
    random numbers from 0 to 1. Servers are known by their keys."""

    def __init__(
        self,
        call_tool: CallTool,
        on_change: Callable[[CircuitChanged], None] = lambda change: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._call_tool = call_tool
        self._on_change = on_change
        self._chance = chance
        self._servers: dict[str, _Guard] = {}
        self._tools: dict[str, dict[str, _Guard]] = {}
        """By server, the tools that have timed out."""
        self._last_slow: dict[str, str] = {}
        """By server, the tool that timed out last, if nothing was answered since."""

    def __repr__(self) -> str:
        return f"<Breaker of {len(self._servers)} servers>"

    async def __call__(self, call: ToolCall) -> JsonObject:
        key = call.tool.server_key
        if (server := self._servers.get(key)) is None:
            server = self._servers[key] = _Guard(key, "", self._on_change, self._chance)
        tool = self._tools[key].get(call.tool.name) if key in self._tools else None
        end, reason = _NOTHING, ""
        of_server = server.admitted_at_once() or await server.admitted(call)
        of_tool, began = None, of_server.at
        try:
            if tool is not None:
                of_tool = await tool.admitted(call)
                began = of_tool.at
            result = await self._call_tool(call)
            end = _ANSWERED
            return result
        except CallError as error:
            end, reason = _end_of(error), error.message
            raise
        except anyio.get_cancelled_exc_class():
            lasted_s = _now() - began
            if call.caller.is_out_of_time and lasted_s >= SHORTEST_S:
                end, reason = _End.SLOW, f"{call.tool.full_name} gave no answer in {lasted_s:.3g} s"
            raise
        finally:
            is_repeated, of_server_too = call.id.attempt > 1, end
            if end is _ANSWERED:
                if self._last_slow:
                    self._last_slow.pop(key, None)
            elif end is _End.SLOW:
                tools, name = self._tools.setdefault(key, {}), call.tool.name
                if (tool := tools.get(name)) is None:
                    tool = tools[name] = _Guard(key, name, self._on_change, self._chance)
                of_tool = of_tool or Pass(began, 0)  # as of before its first change
                is_of_another = self._last_slow.get(key, name) != name
                self._last_slow[key] = name
                if not is_of_another and not server.is_probed_by(of_server):
                    of_server_too = _NOTHING
            server.ended(of_server, of_server_too, reason, is_repeated)
            if tool is not None and of_tool is not None:
                tool.ended(of_tool, _NOTHING if end is _End.LOST else end, reason, is_repeated)

    def server_is_back(self, key: str) -> None:
        """Note that the server of *key* was connected anew: its next call is a probe."""
        for guard in (self._servers.get(key), *self._tools.get(key, {}).values()):
            if guard is not None:
                guard.server_is_back()

    def forget(self, keys: Iterable[str]) -> None:
        """Forget the circuits of servers whose settings have changed."""
        for key in keys:
            for kept in (self._servers, self._tools, self._last_slow):
                kept.pop(key, None)


class _Guard:
    """The circuit of the server *key*, or of a *tool* of it, for the calls that it lets through."""

    __slots__ = ("_chance", "_changed", "_circuit", "_key", "_on_change", "_reason", "_tool")

    def __init__(
        self,
        key: str,
        tool: str,
        on_change: Callable[[CircuitChanged], None],
        chance: Callable[[], float],
    ) -> None:
        self._key = key
        self._tool = tool
        self._on_change = on_change
        self._chance = chance
        self._circuit = Circuit()
        self._changed = Signal()
        self._reason = ""

    async def admitted(self, call: ToolCall) -> Pass:
        """Return the pass of *call*, maybe after the end of a probe. Raises `CircuitOpen`."""
        circuit = self._circuit
        if (admitted := self.admitted_at_once()) is not None:
            return admitted
        if circuit.state(_now()) is CircuitState.HALF_OPEN:
            with call.caller.waiting(), anyio.move_on_after(PROBE_WAIT_S):
                while circuit.is_probing:
                    await self._changed.wait()
                    if (admitted := self.admitted_at_once()) is not None:
                        return admitted
        raise self._refusal()

    def admitted_at_once(self) -> Pass | None:
        """Return the pass of a call; None if it has to wait, or is refused."""
        circuit = self._circuit
        was_open = circuit.open_until is not None
        admitted = circuit.admit(_now())
        if was_open and admitted is not None:
            self._report(CircuitState.HALF_OPEN)
        return admitted

    def is_probed_by(self, admitted: Pass) -> bool:
        """Whether the end of the call of *admitted* decides over an open circuit."""
        return self._circuit.open_until is not None and self._circuit.knows(admitted)

    def ended(self, admitted: Pass, end: _End, reason: str, is_repeated: bool) -> None:
        """Note the *end* of a call, and what it was like."""
        circuit, now = self._circuit, _now()
        before = circuit.open_until
        if end is _ANSWERED and before is None:  # nearly always
            circuit.answered(admitted, now)
            return
        match end:
            case _End.ANSWERED:
                circuit.answered(admitted, now)
            case _End.LOST | _End.SLOW:
                circuit.failed(admitted, now, self._chance(), is_repeated=is_repeated)
            case _End.SAYS_NOTHING:
                circuit.released(admitted)
        if circuit.open_until != before:
            self._reason = reason[:MAX_REASON]
            self._report(circuit.state(now))
        if before is not None:
            self._changed.notify()

    def server_is_back(self) -> None:
        now = _now()
        if self._circuit.state(now) is CircuitState.OPEN:
            self._circuit.server_is_back(now)
            self._report(CircuitState.HALF_OPEN)

    def _report(self, state: CircuitState) -> None:
        now, until = _now(), self._circuit.open_until
        self._on_change(CircuitChanged(self._key, self._tool, state, now, until, self._reason))

    def _refusal(self) -> CircuitOpen:
        left_s = (self._circuit.open_until or 0.0) - _now()
        name = shown(self._key) + (f":{self._tool}" if self._tool else "")
        if left_s <= 0:
            message = f"{name} gets one call at a time until one succeeds, and another is under way"
            left_s = 1.0
        else:
            message = f"{name} gets no calls for {left_s:.1f} s, because the last ones failed"
        return CircuitOpen(
            f"{message}: {self._reason}",
            hint=f"Try again in {left_s:.1f} s, or do without it.",
            retry_after_s=round(left_s, 1),
        )


def _now() -> float:
    """Return the time as `anyio.current_time` does, without its lookups at each call."""
    return asyncio.get_running_loop().time()


def _end_of(error: CallError) -> _End:
    match error:
        case CircuitOpen() | ServerOff():
            return _End.SAYS_NOTHING
        case ServerUnavailable(retry_after_s=float()):
            return _End.ANSWERED
        case ConnectionLost() | ServerUnavailable():
            return _End.LOST
        case ToolError() | ProtocolError() | InvalidOutput() | OutputTooLarge():
            return _End.ANSWERED
    return _End.SAYS_NOTHING
