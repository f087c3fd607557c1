"""The log of what a policy that only observes lets through: with `mode = "observe"` an operator
sees what the rules would ask for or deny, before they do."""

from __future__ import annotations

import logging

from ..core.ports import CallTool, ToolCall
from ..core.values.strict import JsonObject

log = logging.getLogger(__name__)


class PolicyLog:
    """A `CallTool` around a `CallTool`."""

    def __init__(self, call_tool: CallTool) -> None:
        self._call_tool = call_tool

    def __repr__(self) -> str:
        return f"<PolicyLog around {self._call_tool}>"

    async def __call__(self, call: ToolCall) -> JsonObject:
        if (observed := call.policy.decision.observed) is not None:
            fields = {
                "run": call.id.run,
                "task": call.id.task,
                "tool": call.tool.full_name,
                "answer": str(observed),
                "why": call.policy.decision.why,
            }
            log.warning("policy.observed", extra=fields)
        return await self._call_tool(call)
