"""Calls that clients make by a tool's name, in one configuration: each is allowed or denied by its
policy and its rules for flows, or asked for, and then made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio

from ..core.flows.knowledge import Owner
from ..core.flows.rules import Then
from ..core.ports import Caller
from ..core.scheduling.direct_calls import CallRequests
from ..core.scheduling.events import CallRequested
from ..core.tools.approving import Approving
from ..core.tools.catalog import Catalog
from ..core.tools.policy import Policy
from ..core.values.principal import Principal
from ..core.values.strict import JsonObject
from ..errors import FlowDenied, PolicyDenied
from .auditing import Party
from .engine import Engine
from .flows import AVOID, CallFlows, claims_of
from .preparing import MAX_LOGGED
from .writing import Kept

log = logging.getLogger(__name__)


class CallsByName:
    """Makes calls over *engine* under *policy*, which is asked for the tools of *catalog*. *owner*
    gives the owner of what a principal has seen; *flows* are the rules for that, if there are any.
    Calls are written to the history as *kept* says, and a person is asked as *approving* says."""

    def __init__(
        self,
        engine: Engine,
        catalog: Callable[[], Catalog],
        owner: Callable[[Principal], Owner],
        policy: Policy,
        *,
        kept: Kept,
        approving: Approving,
        detects_conflicts: bool,
        flows: CallFlows | None,
        desk: str,
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._owner = owner
        self._observes = policy.observes
        self._kept = kept
        self._approving = approving
        self._flows = flows
        self._desk = desk
        self._requests = CallRequests(policy, detect_conflicts=detects_conflicts, desk=desk)

    def __repr__(self) -> str:
        return f"<CallsByName over {self._engine!r}>"

    async def call(self, name: str, params: JsonObject, caller: Caller) -> JsonObject:
        """Call the tool of that full *name*, as `Gateway.call`."""
        request = self._request(name, params, caller)
        if self._flows is None:
            return await self._call(request, params, caller)
        owner = self._owner(caller.principal)
        claims = await claims_of(request, self._engine.lookups)
        broken = self._flows.broken(owner, caller.connection, name)
        if broken is not None and self._observes:
            log.warning("flow.observed", extra={"why": broken.message[:MAX_LOGGED]})
            broken = None
        if broken is not None:
            if broken.then is Then.DENY:
                error = FlowDenied(broken.message, hint=AVOID)
                self._engine.trail.refused(request, error, Party.of(caller, self._desk))
                raise error
            request = request._replace(policy=broken.asked(request.policy))
        self._flows.send(owner, name, claims)
        try:
            result = await self._call(request, params, caller)
            if broken is not None:  # a person has said yes
                self._engine.flows.knowledge.allow(owner, caller.connection, broken.rule)
            return result
        finally:  # an error is an answer, too
            self._flows.answer(owner, name, claims)
            with anyio.CancelScope(shield=True):
                await self._engine.flows.keep()

    def _request(self, name: str, params: JsonObject, caller: Caller) -> CallRequested:
        """Make the request of a call. Raises `PolicyDenied`."""
        number, sender = self._engine.next_number(), caller.connection or caller.principal
        try:
            return self._requests.make(number, self._catalog(), name, params, sender)
        except PolicyDenied as error:
            party, sent = Party.of(caller, self._desk), params.get("arguments")
            arguments = sent if isinstance(sent, dict) else {}
            self._engine.trail.denied(party, name, arguments, error.code, str(error))
            raise

    async def _call(self, request: CallRequested, params: JsonObject, caller: Caller) -> JsonObject:
        """Make a call, once a person has said yes, if it needs one."""
        direct_calls, approvals = self._engine.direct_calls, self._engine.approvals
        if not request.policy.needs_yes:
            return await direct_calls.call(request, params, caller, self._kept)
        await approvals.ask_by_name(request, params, caller, self._approving)
        result = await direct_calls.call(request, params, caller, self._kept)
        if result.get("resultType") == "input_required":
            approvals.goes_on(request, caller)
        return result
