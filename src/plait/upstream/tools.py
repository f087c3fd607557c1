"""The six tools over the gateway: each reads its arguments, acts, and makes its answer.

A problem that a model can fix is an answer with `isError` and the problems as structured content,
never a JSON-RPC error.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TypeAlias
from weakref import WeakValueDictionary

import anyio
import mcp_types as types
from mcp import MCPError

from ..core.language.dag import DAG_FIELDS
from ..core.language.reader import read_dag
from ..core.results.record import RunStatus
from ..core.results.result import RunResult
from ..core.values.principal import Principal
from ..core.values.problems import Problem
from ..core.values.strict import JsonObject
from ..engine.gateway import Gateway
from ..errors import HistoryLost, InvalidDag, UnknownRun
from .answers import answer, count_of_problems, refusal, run_answer
from .budget import fit
from .calls import OpenCalls
from .finding import describe_answer, search_answer
from .leaving import once_it_left
from .links import AddressOf, as_it_is
from .mcp_sdk import RequestContext
from .principals import PrincipalOf
from .reading import find_task, output_answer
from .relay.run_waiters import (
    RunWaiters,
    has_client_left_it,
    progress_to,
    waiters_of_new_run,
)
from .requests import CancelRun, Describe, GetRun, Refused, Search, as_sent, read_request
from .run_progress import wait_for

log = logging.getLogger(__name__)

Verb: TypeAlias = Callable[[RequestContext, object], Awaitable[types.CallToolResult]]

DEFAULT_WAIT_S = 50.0
WAIT_S = {"claude-code": 1500.0, "gemini-cli": 540.0}
"""Seconds that clients wait for a call, where that is known to be more than a minute
(`docs/tools.md`, "Waiting")."""
DOCUMENT_TOOLS = frozenset({"execute_dag", "query_dag"})
"""The tools whose arguments are a DAG."""
CANCEL_S = 1.0
"""Time to cancel the run of a cancelled call."""


class Tools:
    """Answers the calls of the six tools."""

    def __init__(
        self,
        gateway: Gateway,
        principal_of: PrincipalOf,
        *,
        max_chars: int = 24_000,
        wait_s: float | None = None,
        calls: OpenCalls | None = None,
        address_of: AddressOf = as_it_is,
    ) -> None:
        self._gateway = gateway
        self._principal_of = principal_of
        self._max_chars = max_chars
        self._wait_s = wait_s
        self._calls = calls or OpenCalls()
        self._address_of = address_of
        self._waiters: WeakValueDictionary[str, RunWaiters] = WeakValueDictionary()
        """The waiters of each active run."""
        self._verbs: dict[str, Verb] = {
            "execute_dag": self._execute,
            "query_dag": partial(self._execute, only_reads=True),
            "search_tools": self._search,
            "describe_tools": self._describe,
            "get_run": self._get_run,
            "cancel_run": self._cancel_run,
        }

    async def call(
        self, ctx: RequestContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Answer one `tools/call`. Raises `MCPError` for an unknown tool, and while shutting
        down."""
        verb = self._verbs.get(params.name)
        if verb is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name[:128]}")
        with self._calls.counted():
            try:
                is_document = params.name in DOCUMENT_TOOLS
                return await verb(ctx, as_sent(params.arguments, decodes=not is_document))
            except Refused as refused:
                heading = f"{params.name} did nothing: {count_of_problems(refused.problems)}"
                return refusal(refused.problems, self._max_chars, heading=heading)
            except InvalidDag as error:
                count = count_of_problems(error.problems)
                return refusal(
                    error.problems,
                    self._max_chars,
                    notes=error.notes,
                    heading=f"DAG not run: {count}, nothing was executed",
                    advice=f"Fix these and call {params.name} again with the whole DAG.",
                )
            except UnknownRun as error:
                problem = Problem("run_id", error.code, str(error))
                return refusal([problem], self._max_chars, heading="Unknown run")
            except HistoryLost as error:
                problem = Problem("run_id", error.code, str(error))
                return refusal([problem], self._max_chars, heading="The run cannot be read")
            except Exception:
                id = secrets.token_hex(4)
                log.exception("call.failed", extra={"id": id, "tool": params.name})
                message = f"The gateway failed at this; its log has the reason under {id}."
                problem = Problem("$", "internal", message)
                return refusal([problem], self._max_chars, heading="The call failed")

    async def _execute(
        self, ctx: RequestContext, document: object, *, only_reads: bool = False
    ) -> types.CallToolResult:
        principal = self._principal_of(ctx)
        if _is_dry_run(document):
            plan = await self._gateway.plan(document, principal, only_reads=only_reads)
            return answer(fit(plan, self._max_chars))
        waiters = waiters_of_new_run(ctx, principal)
        submitted = await self._gateway.submit(
            document, waiters, only_reads=only_reads, is_awaited=not only_reads
        )
        self._waiters.setdefault(submitted.run_id, waiters)
        dag = submitted.dag
        seconds = dag.wait_s if dag.wait_s is not None else self._wait_s
        if seconds is None:
            client = ctx.session.client_params
            name = client.client_info.name.lower() if client is not None else ""
            seconds = WAIT_S.get(name, DEFAULT_WAIT_S)
        try:
            with self._calls.waiting_for(submitted.run_id):
                result = await self._wait(ctx, principal, submitted.run_id, seconds)
        except anyio.get_cancelled_exc_class():
            if submitted.is_own and not self._is_left_waiting(submitted.run_id, principal):
                with anyio.move_on_after(CANCEL_S, shield=True):
                    await self._gateway.cancel(submitted.run_id, principal)
            raise
        finally:
            once_it_left(partial(self._gateway.answered, submitted.run_id))
        if submitted.remark is not None:
            result = replace(result, notes=(*result.notes, submitted.remark))
        return run_answer(result, self._max_chars, detail=dag.detail, address_of=self._address_of)

    async def _search(self, ctx: RequestContext, arguments: object) -> types.CallToolResult:
        request = read_request(Search, arguments)
        catalog = self._gateway.catalog()
        if request.server is not None and request.server not in catalog.servers:
            raise Refused([catalog.unknown("server", f"{request.server}:")])
        found = await self._gateway.search(
            request.query, server=request.server, limit=request.limit
        )
        return search_answer(
            found, self._max_chars, self._gateway.learned.shape, self._gateway.notice
        )

    async def _describe(self, ctx: RequestContext, arguments: object) -> types.CallToolResult:
        request = read_request(Describe, arguments)
        tools, unknown = await self._gateway.describe(request.names)
        return describe_answer(
            tools, unknown, request.names, self._max_chars, self._gateway.learned.shape
        )

    async def _get_run(self, ctx: RequestContext, arguments: object) -> types.CallToolResult:
        request, principal = read_request(GetRun, arguments), self._principal_of(ctx)
        record = await self._gateway.recall(request.run_id, principal)
        if request.task is not None:
            find_task(record, request.task)
        result = await self._wait(ctx, principal, request.run_id, request.wait_s, request.task)
        if request.task is not None:
            return output_answer(
                self._gateway, principal, request, self._max_chars, self._address_of
            )
        detail = result.record.dag.detail if result.record.is_done else "full"
        return run_answer(result, self._max_chars, detail=detail, address_of=self._address_of)

    async def _cancel_run(self, ctx: RequestContext, arguments: object) -> types.CallToolResult:
        request = read_request(CancelRun, arguments)
        principal = self._principal_of(ctx)
        await self._gateway.recall(request.run_id, principal)
        try:
            result = await self._gateway.cancel(request.run_id, principal)
        except HistoryLost as error:
            message = f"The run goes on in another process, which was not reached: {error}."
            problem = Problem("run_id", "history_unavailable", message, "Try again in a moment.")
            raise Refused([problem]) from error
        counts: JsonObject = dict(result.metrics.counts)
        document: JsonObject = {
            "status": str(result.status),
            "run_id": result.run_id,
            "counts": counts,
        }
        if not result.record.is_done:
            start = "It is cancelled, and"
            if not self._gateway.engine.is_live(request.run_id):
                start = "It goes on in another process, which was asked to cancel it; then it"
            document["hint"] = (
                f"{start} ends once its tasks with trigger_rule always have ended, "
                f"within {result.record.dag.cleanup_s:g} s: wait for it with get_run."
            )
        return answer(document)

    def _is_left_waiting(self, run_id: str, principal: Principal) -> bool:
        """Return whether the client did not come back with an answer for a run that waits for a
        person: that cancels nothing."""
        record = self._gateway.record(run_id, principal)
        return record.status is RunStatus.WAITING and has_client_left_it()

    async def _wait(
        self,
        ctx: RequestContext,
        principal: Principal,
        run_id: str,
        seconds: float,
        task: str | None = None,
    ) -> RunResult:
        """Wait as `wait_for` does. If *ctx* is a request of the run's client, calls of the run may
        ask the client meanwhile, and this lasts until the client has answered."""
        waiters = self._waiters.get(run_id)
        if waiters is not None and not waiters.is_for(ctx, principal):
            waiters = None
        with waiters.joined() if waiters is not None else nullcontext():
            while True:
                result = await wait_for(
                    progress_to(ctx), self._gateway, principal, run_id, seconds, task=task
                )
                is_asked = waiters is not None and waiters.has_open_questions
                if waiters is None or not is_asked or result.record.is_done:
                    return result
                await waiters.wait_answered()


def _is_dry_run(document: object) -> bool:
    if (
        isinstance(document, dict)
        and document.keys() <= DAG_FIELDS
        and isinstance(document.get("tasks"), list)
        and not document.get("dry_run")
    ):
        return False  # as most: a document within it may ask for a dry run
    return read_dag(document).dag.dry_run
