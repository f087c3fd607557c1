"""The state of the shared gateway, as `plait ps` shows it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .. import __version__
from ..cli.looking import server_document
from ..core.values.strict import Json, JsonObject, present
from ..upstream.transports.socket import Link
from .desks import Desk

if TYPE_CHECKING:
    from .shared import SharedGateway


def status_of(gateway: SharedGateway) -> JsonObject:
    """Return the gateway, its desks with their servers and runs, and its clients."""
    desks: list[Json] = [_desk(desk) for desk in gateway.desks.open_ones.values()]
    clients: list[Json] = [_client(link) for link in gateway.links if link.hello is not None]
    return {
        "version": __version__,
        "pid": os.getpid(),
        "since": _time(gateway.since),
        **gateway.where,
        "is_retiring": gateway.is_retiring,
        "desks": desks,
        "clients": clients,
    }


def _desk(desk: Desk) -> JsonObject:
    servers: list[Json] = [
        server_document(info) for info in desk.gateway.catalog().servers.values()
    ]
    runs: list[Json] = [{"run_id": run.id, "tasks": len(run.plan.tasks)} for run in desk.runs]
    return {
        "settings": desk.config.source,
        "clients": desk.clients,
        "servers": servers,
        "runs": runs,
    }


def _client(link: Link) -> JsonObject:
    assert link.hello is not None
    return present(
        name=link.client.name,
        version=link.client.version,
        pid=link.stream.process,
        folder=str(link.hello.folder),
        since=_time(link.since),
        settings=link.settings,
        url=link.url or None,
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
