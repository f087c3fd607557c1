"""The yes of a person to calls that wait for it, and that of whoever has seen a preview.

The run may go on in this process, in another one, or in none: then it is taken over, and goes on
only if it still asks for what was shown.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import anyio

from ..core.history import APPROVE, Post
from ..core.language.dag import Dag
from ..core.ports import Caller
from ..core.results.record import RunRecord, RunStatus
from ..core.results.result import RunResult
from ..core.tools.catalog import Catalog, Tool
from ..core.values.principal import Principal
from ..core.values.problems import Problem
from ..core.values.strict import Json, JsonObject
from ..errors import InvalidDag, StaleApproval, UnknownRun
from .approvals import is_defined_anew
from .auditing import APPLY
from .engine import STOP_S, Engine
from .preparing import plan_changed
from .recalling import LOOK_S

ASKS_AGAIN_S = 35.0
"""Longest wait until a run that was taken over asks again."""


class Consent:
    """Lets runs of *engine* go on. *catalog* gives the tools as they are now; *submit* begins a run
    and gives its id, *wait* waits for one."""

    def __init__(
        self,
        engine: Engine,
        catalog: Callable[[], Catalog],
        submit: Callable[[Dag, Caller], Awaitable[str]],
        wait: Callable[[str, float | None, Principal], Awaitable[RunResult]],
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._submit = submit
        self._wait = wait

    def __repr__(self) -> str:
        return f"<Consent over {self._engine!r}>"

    async def approve(
        self, run_id: str, digest: str, places: Collection[str] | None, caller: Caller, by: str
    ) -> str:
        """Say yes to the calls of *places* of the question of *digest*, as `Gateway.approve`."""
        principal = caller.principal
        record = await self._engine.recall(run_id, principal)
        asked = record.approval
        if asked is None or asked["digest"] != digest:
            raise StaleApproval("It was answered, or it asks for something else by now.")
        if self._engine.is_live(run_id):
            self._say(run_id, digest, places, principal, by)
            return run_id
        named: Json = None if places is None else [*places]
        answer: JsonObject = {"digest": digest, "places": named, "by": by}
        answer["id"] = answer_id = secrets.token_hex(8)
        if await self._engine.post(Post(run_id, APPROVE, principal, answer)):
            await self._answered(run_id, digest, principal)
            if not await self._engine.has_taken(run_id, answer_id):
                raise StaleApproval("Another answer came first, or its time was over.")
            return run_id
        later = await self._submit(Dag(tasks=(), resume_from=run_id), caller)
        shown = (await self._wait(later, ASKS_AGAIN_S, principal)).record.approval
        is_no = places is not None and not places
        if shown is None or not (is_no or _is_same(shown, asked)):
            stale = StaleApproval(f"It goes on as {later}, and does not ask for the same any more.")
            stale.goes_on_as = later
            raise stale
        self._say(later, shown["digest"], places, principal, by)
        return later

    async def apply(
        self, dag: Dag, run_id: str, caller: Caller
    ) -> tuple[str, Dag, tuple[str, ...]]:
        """Let the run of a preview go on as it was shown, as *dag* asks for. Returns the id of the
        run that goes on, with its document and notes. Raises `InvalidDag`."""
        principal = caller.principal
        if dag.tasks or dag.resume_from is not None or dag.dry_run or dag.preview:
            message = "A preview goes on as it was shown, so nothing of it is sent again."
            raise InvalidDag([Problem("apply", "not_a_preview", message, "Send apply alone.")])
        try:
            record = await self._engine.recall(run_id, principal)
        except UnknownRun as error:
            raise InvalidDag([Problem("apply", "unknown_run", str(error))]) from error
        is_left = record.status in {RunStatus.INTERRUPTED, RunStatus.WAITING}
        if is_left and record.dag.preview and not self._engine.is_live(run_id):
            return await self._apply_left(dag, record, caller)
        approval = self._engine.approval(run_id, principal)
        if approval is None or not approval.is_preview:
            message = f"{run_id} does not wait to be applied: it is {record.status}."
            hint = "Send a document with preview: true, and apply the run that it answers."
            raise InvalidDag([Problem("apply", "not_a_preview", message, hint)])
        if not self._are_unchanged(self._engine.tools(run_id)):
            raise InvalidDag([plan_changed("apply", run_id)])
        self._engine.approve(run_id, approval.digest, None, principal, APPLY)
        return _as_answer(record)

    async def _apply_left(
        self, dag: Dag, record: RunRecord, caller: Caller
    ) -> tuple[str, Dag, tuple[str, ...]]:
        """As `apply`, for the run of *record*, whose process has ended: it goes on as a preview,
        and then only if it shows the same."""
        asked, principal = record.approval, caller.principal
        again = dag.model_copy(update={"apply": None, "resume_from": record.id, "preview": True})
        later = await self._submit(again, caller)
        result = await self._wait(later, ASKS_AGAIN_S, principal)
        shown = result.record.approval
        if shown is not None and asked is not None and not _is_same(shown, asked):
            message = f"It goes on as {later}, and what it would change is not as it was shown."
            hint = f"Look at it with get_run, and apply {later}."
            raise InvalidDag([Problem("apply", "plan_changed", message, hint)])
        if shown is not None and self._engine.is_live(later):
            self._engine.approve(later, shown["digest"], None, principal, APPLY)
        return _as_answer(await self._engine.recall(later, principal))

    async def _answered(self, run_id: str, digest: str, principal: Principal) -> None:
        """Wait until a question of another process was answered. Raises `StaleApproval` if it is
        still open after a while."""
        with anyio.move_on_after(STOP_S):
            while True:
                asked = (await self._engine.recall(run_id, principal)).approval
                if asked is None or asked["digest"] != digest:
                    return
                await anyio.sleep(LOOK_S)
        raise StaleApproval("The process of the run did not take the answer.")

    def _say(
        self,
        run_id: str,
        digest: str,
        places: Collection[str] | None,
        principal: Principal,
        by: str,
    ) -> None:
        approval = self._engine.approval(run_id, principal)
        if approval is not None and not self._are_unchanged(call.tool for call in approval.calls):
            raise StaleApproval("A tool of it is not defined as it was when it was asked.")
        self._engine.approve(run_id, digest, places, principal, by)

    def _are_unchanged(self, tools: Iterable[Tool]) -> bool:
        """Return whether *tools* are defined now as they are here, as far as they are known."""
        now = self._catalog().tools
        return not any(is_defined_anew(tool, now) for tool in tools)


def _is_same(shown: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Return whether two questions are about the same calls, with what these change."""
    return all(shown[name] == asked[name] for name in ("calls", "later"))


def _as_answer(record: RunRecord) -> tuple[str, Dag, tuple[str, ...]]:
    return record.id, record.dag, record.notes
