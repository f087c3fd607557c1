"""Drawn ways for what is private to go out, under rules for flows: what strangers get does not
depend on what is private, and holds no part of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.flows.rules import TRIFECTA, FlowPolicy, FlowRule, Remember
from plait.core.values.strict import JsonObject
from plait.engine.gateway import Gateway
from plait.errors import CallError, InvalidDag
from plait.stores.in_memory import InMemoryRuns

from ..clock import VirtualLoop
from ..profiles import drawn_by_seed
from .plans import ENCODERS, Draw, Leak, Way
from .scenarios import PAGE, TO, call
from .services import OTHER_SECRET, SECRET, SLOW_PAGE, Company, flows

PLANS = 35
"""Plans of one example. With six examples, each run of the tests draws some 200."""
PRIVATE = FlowRule(("private",), "outbound")
POLICIES = (
    flows(PRIVATE),
    flows(PRIVATE, remembers=Remember.DENY),
    flows(TRIFECTA),
)
WRITE = call("write", "drafts:put", path="todo.md", text="$OUTPUT[shown]")
READ = call("read", "drafts:get", path="todo.md")
READ_BACK = {"id": "known", "value": "$OUTPUT[read].text"}
PART = 6
"""The characters of a secret that say something of it."""


class Attempt:
    """One attempt at *leak* on a company with a *secret*."""

    def __init__(self, leak: Leak, secret: str, policy: FlowPolicy | None) -> None:
        self.leak = leak
        self.company = Company(secret)
        self.policy = policy
        self.codes: list[str] = []
        """Why nothing was sent."""

    def __call__(self) -> list[Any]:
        """Make it; gives what went out."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(self._run())
        return [[one.tool, dict(one.arguments)] for one in self.company.sent_out]

    async def _run(self) -> None:
        made = self.company.servers, self.company.servers, InMemoryRuns()
        async with Gateway(*made, flows=self.policy) as self.gateway:
            if self.policy is not None and TRIFECTA in self.policy.rules:
                page = call("page", "web:get", url=PAGE)  # so what follows is a stranger's idea
                await self.gateway.execute({"tasks": [page]})
            try:
                await self._steps()
            except InvalidDag as refused:
                self.codes += [problem.code for problem in refused.problems]
            except CallError as refused:
                self.codes.append(refused.code)

    async def _steps(self) -> None:
        leak, gateway, whole = self.leak, self.gateway, f"${{{self.leak.source}}}"
        shown = {"id": "shown", "value": whole, "trigger_rule": "all_done"}
        match leak.way:
            case Way.ONE_DOCUMENT:
                await self._execute([*leak.tasks, *leak.sink])
            case Way.RESUMED:
                fails = call("missing", "issues:get_issue", number=0)
                first = await self._execute([*leak.tasks, fails], **{"return": []})
                await self._execute(leak.sink, resume_from=first.run_id)
            case Way.SEEN:
                first = await self._execute([*leak.tasks, shown], **{"return": ["shown"]})
                await self._execute([leak.known(first.outputs["shown"]), *leak.sink])
            case Way.LOOKED_UP:
                first = await self._execute([*leak.tasks, shown], **{"return": []})
                output = gateway.output(first.run_id, "shown")
                await self._execute([leak.known(output.value), *leak.sink])
            case Way.CALLED:
                await self._execute([leak.known(await self._read()), *leak.sink])
            case Way.CALLS:
                text = leak.known(await self._read())["value"]
                await gateway.call("mail", "send", {"arguments": {"to": TO, "text": text}})
            case Way.FILED:
                await self._execute([*leak.tasks, shown, WRITE], **{"return": []})
                await self._execute([READ, READ_BACK, *leak.sink])
            case Way.RACED:
                slow = call("slow", "web:get", url=SLOW_PAGE)
                read = {**READ, "depends_on": ["slow"]}
                late = await gateway.submit({"tasks": [slow, read, READ_BACK, *leak.sink]})
                await self._execute([*leak.tasks, shown, WRITE], **{"return": []})
                result = await gateway.wait(late.run_id)
                self.codes += [error.code for error in result.errors]
            case Way.REFUSED:
                wrong = call("wrong", "files:read", path=whole)
                rule = {"trigger_rule": "all_done"}
                first = await self._execute([*leak.tasks, {**wrong, **rule}], **{"return": []})
                said = [error.message for error in first.errors if error.id == "wrong"]
                await self._execute([leak.known(said), *leak.sink])

    async def _execute(self, tasks: list[Any], **options: Any) -> Any:
        result = await self.gateway.execute({"tasks": tasks, **options})
        self.codes += [error.code for error in result.errors]
        if result.status == "waiting":
            self.codes.append("waiting")
        return result

    async def _read(self) -> Any:
        params: JsonObject = {"arguments": {"path": "plans.md"}}
        result: Any = await self.gateway.call("files", "read", params)
        return result["structuredContent"]["text"]


def drawn(seed: object) -> Leak:
    return Draw(Random(f"{seed}")).leak()


def test_most_ways_lead_out_where_there_are_no_rules() -> None:
    """So the test below looks at something."""
    out = Counter[Way]()
    for seed in range(160):
        leak = drawn(seed)
        out[leak.way] += Attempt(leak, SECRET, None)() != Attempt(leak, OTHER_SECRET, None)()
    assert out.keys() == {*Way}
    assert min(out.values()) >= 4, out
    assert out.total() >= 120


@drawn_by_seed()
@given(st.integers(0, 2**32), st.sampled_from(POLICIES))
def test_no_way_leads_out_under_rules(seed: int, policy: FlowPolicy) -> None:
    for number in range(PLANS):
        leak = drawn(f"{seed}/{number}")
        attempt = Attempt(leak, SECRET, policy)
        sent = attempt()
        assert sent == Attempt(leak, OTHER_SECRET, policy)(), (leak, sent)
        assert not parts_in(sent), (leak, sent)


def parts_in(sent: list[Any]) -> set[str]:
    """The parts of the secret that are in what was sent, however it was cut and encoded there."""
    everything = _plain(json.dumps(sent))
    found = set()
    for encode in ENCODERS:
        whole = _plain(encode(SECRET))
        found |= {whole[at : at + PART] for at in range(len(whole) - PART + 1)}
    return {part for part in found if part in everything}


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())
