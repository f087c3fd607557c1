"""A call by name is allowed, denied or asked for by the policy as it is now."""

from __future__ import annotations

import pytest

from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.engine.gateway import GatewayLimits
from plait.errors import ApprovalRequired, PolicyDenied

from .dying import World

pytestmark = pytest.mark.virtual_time


async def test_a_new_policy_holds_for_the_next_call():
    world = World()
    async with world.gateway() as (gateway, _):
        await gateway.call("s", "write", {"arguments": {"n": 1}})
        for rules, error in (
            (Rules(deny=("s:write",)), PolicyDenied),
            (Rules(ask=("write",)), ApprovalRequired),
        ):
            gateway.change(Policy(tables=(rules,)), GatewayLimits(), None)
            with pytest.raises(error):
                await gateway.call("s", "write", {"arguments": {"n": 2}})
            await gateway.call("s", "read", {"arguments": {"n": 3}})
        gateway.change(Policy(), GatewayLimits(), None)
        await gateway.call("s", "write", {"arguments": {"n": 4}})
    assert [n for name, n in world.log if name == "write"] == [1, 4]
