"""The state of the shared gateway, as `plait ps` shows it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime

from .. import __version__
from ..cli.looking import server_document
from ..core.values.strict import Json, JsonObject, present
from ..upstream.transports.socket import Link
from .desks import Desk


def status_of(
    desks: Iterable[Desk],
    links: Iterable[Link],
    *,
    since: float,
    where: JsonObject,
    is_retiring: bool,
) -> JsonObject:
    """Return the gateway, its *desks* with their servers and runs, and its clients. It serves since
    the Unix time *since*; *where* are its socket and its log."""
    return {
        "version": __version__,
        "pid": os.getpid(),
        "since": _time(since),
        **where,
        "is_retiring": is_retiring,
        "desks": [_desk(desk) for desk in desks],
        "clients": [_client(link) for link in links if link.hello is not None],
    }


def _desk(desk: Desk) -> JsonObject:
    servers: list[Json] = [
        server_document(info) for info in desk.gateway.catalog().servers.values()
    ]
    runs: list[Json] = [
        {"run_id": run.id, "status": run.status, "tasks": len(run.plan.tasks)} for run in desk.runs
    ]
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
