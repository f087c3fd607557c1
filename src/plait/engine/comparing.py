"""The changes that held calls would make in what they overwrite: it is read before a person is
asked, and once more before each approved call is sent.

The readings are calls by name of tools that only read and that the policy allows. They wait for
slots like others, and claim nothing: the held call has what it needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import anyio

from ..core.flows.rules import FlowPolicy
from ..core.ports import Caller, NoClient
from ..core.results.approval import AskedCall, Comparison
from ..core.results.difference import difference_of
from ..core.scheduling.direct_calls import CallRequests
from ..core.scheduling.events import Call, Key
from ..core.scheduling.run import Run
from ..core.tools.catalog import Catalog, Tool
from ..core.tools.overwriting import Overwriting, Reading, as_text, content_of, overwriting
from ..core.tools.policy import Policy
from ..core.values.strict import JsonObject
from ..errors import CallError
from .direct_calls import DirectCalls
from .writing import Kept

READ_S = 5.0
"""Longest wait for what is there, for all calls of a question together."""
CONFIRM_S = 30.0
"""Longest wait for it before a call is sent: other calls may have the slots of its server."""
MOST_COMPARED = 40
"""Most calls of one question that are compared; the others are shown with their values alone."""
AT_ONCE = 4
MOST_CHARS = 1_000_000
"""Most characters of a content that is compared."""


class _Reader(NoClient):
    """Reads for the principal of *caller*, who is neither asked nor notified."""

    def __init__(self, caller: Caller) -> None:
        self.principal = caller.principal


class _Found(NamedTuple):
    call: AskedCall
    what: Overwriting


class Calling(Protocol):
    """The part of an engine that calls tools by name."""

    direct_calls: DirectCalls
    """There once the engine runs."""

    def next_number(self) -> int: ...


class Comparing:
    """Compares for one configuration: its tools are in *catalog*, and it is the desk *desk* of the
    engine *calling*."""

    def __init__(
        self,
        calling: Calling,
        catalog: Callable[[], Catalog],
        policy: Policy,
        flows: FlowPolicy | None,
        desk: str,
    ) -> None:
        self.catalog = catalog
        self._calling = calling
        self._policy = policy
        self._flows = flows
        self._requests = CallRequests(policy, detect_conflicts=False, desk=desk)

    def __repr__(self) -> str:
        return f"<Comparing over {self._calling!r}>"

    async def compared(
        self, run: Run, calls: Iterable[AskedCall], caller: Caller
    ) -> dict[Key, Comparison]:
        """Compare those of *calls*, of *run*, of which it is known what they overwrite."""
        found = self._found(run, calls)[:MOST_COMPARED]
        compared: dict[Key, Comparison] = {}
        if not found:
            return compared
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def compare(one: _Found) -> None:
            call, what = one
            async with limiter:
                before = await self._content(what, caller)
            if before is not None:
                after = as_text(call.arguments[what.argument])
                name = what.reader.full_name
                difference = difference_of(what.argument, name, before, after)
                reading = Reading(
                    what.argument, name, what.arguments, what.is_file, _digest(before)
                )
                compared[call.key] = Comparison(difference, reading)

        with anyio.move_on_after(READ_S):
            async with anyio.create_task_group() as tasks:
                for one in found:
                    tasks.start_soon(compare, one)
        return compared

    async def is_outdated(self, call: Call, reading: Reading, caller: Caller) -> bool:
        """Return whether there is something else now than at the *reading* to which a person was
        shown the difference of *call*; also if it cannot be read."""
        tool = self.catalog().tools.get(reading.reader)
        if tool is None:
            return True
        what = Overwriting(reading.argument, tool, reading.arguments, reading.is_file)
        content: str | None = None
        with anyio.move_on_after(CONFIRM_S):
            content = await self._content(what, caller)
        return content is None or _digest(content) != reading.digest

    def _found(self, run: Run, calls: Iterable[AskedCall]) -> list[_Found]:
        rules = run.conflicts.access_rules
        used = {
            task.tool.full_name
            for task in run.plan.all_tasks()
            if task.makes_calls and task.tool.is_read_only
        }
        readers: dict[str, list[Tool]] = {}
        found = []
        for call in calls:
            own = rules.get(call.key.task)
            if own is None or call.tool.is_read_only:
                continue
            if (server := call.tool.server) not in readers:
                readers[server] = [*filter(self._may_read, self.catalog().of(server))]
            what = overwriting(
                call.tool, call.arguments, own, readers[server], self._policy.of, used
            )
            if what is not None:
                found.append(_Found(call, what))
        return found

    def _may_read(self, tool: Tool) -> bool:
        """Return whether *tool* only reads, and no rule for flows is about what it is given."""
        if not tool.is_read_only:
            return False
        return not self._flows or not self._flows.part_of(tool.full_name).sends

    async def _content(self, what: Overwriting, caller: Caller) -> str | None:
        """Read what is there; None if that fails, or it is not there as a whole."""
        name = what.reader.full_name
        arguments: JsonObject = {**what.arguments}
        params: JsonObject = {"name": what.reader.name, "arguments": arguments}
        number = self._calling.next_number()
        try:
            sender = caller.connection or str(caller.principal)
            request = self._requests.make(number, self.catalog(), name, params, sender)
            fresh = request._replace(max_age_s=0.0, timeout_s=CONFIRM_S)
            reader = _Reader(caller)
            result = await self._calling.direct_calls.call(fresh, params, reader, Kept.NOT)
        except CallError:
            return None
        content = content_of(result, what)
        return content if content is not None and len(content) <= MOST_CHARS else None


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
