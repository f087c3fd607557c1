"""Plans under rules for flows, carried out: what is sent does not depend on what may not flow.

Nothing here follows data. Each plan is run twice, and only the answers of private tools differ;
so if it was accepted, the two runs must send the same.
"""

from __future__ import annotations

import asyncio
import json
from hashlib import md5
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.flows.rules import FlowPolicy, FlowRule
from plait.engine.gateway import Gateway
from plait.errors import InvalidDag
from plait.stores.in_memory import InMemoryRuns

from ..clock import VirtualLoop
from ..core.flows.drawn import CALLS, Draw
from ..fakes import FakeServers, tool

PLANS = 15
OUTBOUND = ("chat:post", "web:post")
PRIVATE = ("files:read", "mail:read", "db:query")
LABELS = {"private": PRIVATE, "outbound": OUTBOUND}
RULES = FlowPolicy(LABELS, (FlowRule(("private",), "outbound"),))


def servers(secret: str) -> FakeServers:
    """Tools whose answers follow from their arguments, those of the private ones from *secret*
    too: their texts and the lengths of their lists, but never what members there are."""
    made = FakeServers()

    def add(name: str) -> None:
        def answer(**arguments: Any) -> Any:
            seed = [name, arguments, secret if name in PRIVATE else ""]
            digest = md5(json.dumps(seed, sort_keys=True).encode(), usedforsecurity=False).digest()
            word = "".join("aqxyz"[byte % 5] for byte in digest[:4])
            return {"a": word, "b": [word[:2]], "c": [word, "x", word[0]][: 1 + digest[5] % 3]}

        made.add(tool(name, closed=False, readOnlyHint=True), answer)

    for name in CALLS:
        add(name)
    return made


def sent(tasks: Any, secret: str, flows: FlowPolicy | None) -> list[str]:
    """What a run of *tasks* sends out, in the order of its text."""
    made = servers(secret)

    async def run() -> None:
        async with Gateway(made, made, InMemoryRuns(), flows=flows) as gateway:
            await gateway.execute({"tasks": tasks})

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
    return sorted(json.dumps(call) for call in made.calls if call[0] in OUTBOUND)


def test_what_is_private_reaches_what_is_sent_in_many_plans() -> None:
    """So the test below looks at something."""
    differ = 0
    for seed in range(40):
        tasks = [task.document() for task in Draw(Random(seed)).plan()]
        differ += sent(tasks, "p", None) != sent(tasks, "z", None)
    assert differ >= 4


@given(st.integers(0, 2**32))
def test_what_an_accepted_plan_sends_does_not_depend_on_what_is_private(seed: int) -> None:
    for number in range(PLANS):
        tasks = [task.document() for task in Draw(Random(f"{seed}/{number}")).plan()]
        try:
            found = [sent(tasks, secret, RULES) for secret in ("p", "z", "7")]
        except InvalidDag:
            continue
        assert found[0] == found[1] == found[2], tasks
