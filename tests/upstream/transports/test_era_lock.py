"""The protocol era of a connection, decided by its first request."""

from __future__ import annotations

from typing import Any

import pytest

from .talking import ENVELOPE, HANDSHAKE, talking

pytestmark = pytest.mark.virtual_time


async def test_the_first_request_opens_the_handshake_era_which_refuses_envelopes():
    async with talking() as talk:
        await talk.request("initialize", HANDSHAKE)
        refused = await talk.request("tools/list", {"_meta": ENVELOPE})
        listed = await talk.request("tools/list")
    assert refused["error"]["code"] == -32600
    assert listed["result"] == {"tools": []}


async def test_a_first_request_with_an_envelope_opens_the_other_era_which_refuses_handshakes():
    async with talking() as talk:
        listed = await talk.request("tools/list", {"_meta": ENVELOPE})
        refused = await talk.request("initialize", HANDSHAKE)
        bare = await talk.request("tools/list")
    assert listed["result"]["resultType"] == "complete"
    assert refused["error"]["code"] == -32022
    assert refused["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2025-11-25"}
    assert bare["error"]["code"] == -32602


@pytest.mark.parametrize("params", [HANDSHAKE, {"_meta": ENVELOPE}])
async def test_notifications_before_the_first_request_reach_the_era_that_it_opens(
    params: dict[str, Any],
):
    async with talking() as talk:
        for _ in range(20):
            talk.notify("notifications/custom")
        await talk.turn()
        assert talk.noticed == []
        await talk.request("initialize" if "_meta" not in params else "tools/list", params)
        assert talk.noticed == ["notifications/custom"] * 8
