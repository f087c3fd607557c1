"""A pool over connections of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from plait.config import Config, ServerSettings
from plait.config.models import Need
from plait.core.ports import Listings
from plait.core.tools.server_notices import ServerNotice
from plait.downstream.connections import Connections
from plait.downstream.pool import Pool
from plait.downstream.timings import ConnectTimings
from plait.stores.listing_cache import ListingCache


def ignore(notice: ServerNotice) -> None:
    """Take a notice and do nothing."""


@asynccontextmanager
async def open_pool(
    servers: Mapping[str, ServerSettings],
    timings: ConnectTimings,
    listings: Listings | None = None,
    *,
    first: anyio.Event | None = None,
    notify: Callable[[ServerNotice], None] = ignore,
    needs: Mapping[str, Need] | None = None,
    state_folder: Path | None = None,
) -> AsyncIterator[Pool]:
    connections = Connections(listings or ListingCache(None), timings=timings, notify=notify)
    config = Config(servers=dict(servers), needs=needs or {}, state_folder=state_folder)
    pool = Pool(config, connections, first=first)
    async with connections, pool:
        yield pool
