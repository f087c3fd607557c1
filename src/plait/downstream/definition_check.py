"""The last look at a tool before its call is sent: whether it still is the tool that was planned,
and the one that is pinned.

A plan is made with what was known then, and a server that starts for a call or renews its list may
describe the tool otherwise. So this is done where the session is there and nothing was sent yet.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from ..core.ports import ServerPins, ToolCall
from ..core.tools.policy import Pin
from ..core.tools.server_notices import some_of
from ..errors import ToolChanged
from .listings.server_lists import ServerLists

log = logging.getLogger(__name__)


class DefinitionCheck:
    """Checks calls of the server *name* against its *lists* and *pins*."""

    def __init__(self, name: str, lists: ServerLists, pins: ServerPins | None) -> None:
        self._name = name
        self._lists = lists
        self._pins = pins
        self._warned: set[tuple[str, str]] = set()
        """The changes that were logged, as tools and hashes."""

    def __repr__(self) -> str:
        return f"<DefinitionCheck of {self._name}>"

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence about the tools that are not as they were first used; empty without any."""
        changed = () if self._pins is None else self._pins.changed(self._lists.hash_of)
        if not changed:
            return ()
        accept = f"plait servers accept {self._name}"
        return (f"not described as when first used: {some_of(changed)} ({accept})",)

    async def check(self, call: ToolCall) -> None:
        """Raise `CallError` if *call* must not be sent to the tool as it is now."""
        now = self._lists.tool(call.tool.name)
        if now is None:
            return
        if now.definition is not call.tool.definition and now.digest != call.tool.digest:
            as_known = replace(now, word=call.tool.word)
            if (refusal := call.policy.refusal_now(call.tool, as_known)) is not None:
                raise refusal
            if call.is_approved:
                message = f"{call.tool.full_name} was approved as it was described before"
                raise ToolChanged(message, hint="Look at it with describe_tools, and plan again.")
        if self._pins is not None and call.policy.pin is not Pin.IGNORE:
            await self._check_pin(call, self._pins)

    async def _check_pin(self, call: ToolCall, pins: ServerPins) -> None:
        tool = call.tool.name
        hash, definition = self._lists.hash_of(tool), self._lists.definition(tool)
        if hash is None or definition is None or pins.has(tool, hash):
            return
        if call.policy.pin is Pin.WARN and (tool, hash) in self._warned:
            call.caller.tool_has_changed()
            return
        if await pins.settle(tool, hash, definition):
            return
        if call.policy.pin is Pin.BLOCK:
            raise ToolChanged(
                f"{call.tool.full_name} is not described as when it was first used",
                hint=f"A person looks at it and accepts it with: plait servers accept {self._name}",
            )
        call.caller.tool_has_changed()
        self._warned.add((tool, hash))
        log.warning("tool.changed", extra={"server": self._name, "tool": tool})
