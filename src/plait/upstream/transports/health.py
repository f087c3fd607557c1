"""The health of the process, for those who watch it: `/healthz` says that it is alive, `/readyz`
whether it can do its work. Both are answered in any case; details only to those who may come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ... import __version__
from ...core.tools.catalog import ServerInfo, ServerState
from ...core.tools.circuit import CircuitState, state_of
from ...engine.gateway import Gateway
from .admission import HEALTH, READINESS, is_admitted

_UP: Final = frozenset({ServerState.READY, ServerState.IDLE})
"""An idle server starts when it is used."""


def health_routes(gateway: Gateway, is_stopping: Callable[[], bool]) -> list[Route]:
    """Return the routes for the health of *gateway*."""

    async def alive(request: Request) -> Response:
        state = health(gateway, is_stopping=is_stopping())
        return JSONResponse(state if is_admitted(request.scope) else {"status": state["status"]})

    async def ready(request: Request) -> Response:
        reasons = list(unready(gateway, is_stopping=is_stopping()))
        state: dict[str, Any] = {"status": "not_ready" if reasons else "ready"}
        if reasons and is_admitted(request.scope):
            state["reasons"] = reasons
        return JSONResponse(state, 503 if reasons else 200)

    return [
        Route(HEALTH, alive, methods=["GET"]),
        Route(READINESS, ready, methods=["GET"]),
    ]


def health(gateway: Gateway, *, is_stopping: bool = False) -> dict[str, Any]:
    """Return the body of `/healthz`: whether we are stopping, and the servers by state."""
    servers: dict[str, list[str]] = {}
    for info in gateway.catalog().servers.values():
        servers.setdefault(str(info.state), []).append(info.name)
    return {
        "status": "stopping" if is_stopping else "ok",
        "version": __version__,
        "servers": servers,
    }


def unready(gateway: Gateway, *, is_stopping: bool = False) -> Iterator[str]:
    """Yield the reasons why we cannot do our work: we are stopping, servers that are required are
    not up, or runs are to survive power cuts and cannot be written."""
    if is_stopping:
        yield "the gateway is stopping"
    if (trouble := gateway.history_trouble()) is not None:
        yield f"runs are to survive power cuts, and the history cannot be written: {trouble}"
    for info in gateway.catalog().servers.values():
        if info.is_required:
            yield from _down(info)


def _down(info: ServerInfo) -> Iterator[str]:
    if info.state not in _UP:
        why = f": {info.error}" if info.error else ""
        verb = "it" if info.needs else "is"
        yield f"{info.name} is required, and {verb} {info.condition}{why}"
    elif state_of(info.open_until, anyio.current_time()) is CircuitState.OPEN:
        yield f"{info.name} is required, and its circuit is open"
