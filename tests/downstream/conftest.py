"""The ways to a server as fixtures; a module may have ways of its own under the same names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .contract import WAYS, Fake, Journal, Port, Shared, Way, own, way_of


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    servers = Shared(tmp_path_factory.mktemp("shared"))
    yield servers
    servers.end()


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest, tmp_path: Path, shared: Shared) -> Way:
    transport, protocol = request.param
    return way_of(transport, protocol, tmp_path, shared)


@pytest.fixture
def own_way(way: Way, tmp_path: Path) -> Iterator[Way]:
    """For tests that change their server."""
    with own(way, tmp_path) as owned:
        yield owned


@pytest.fixture(params=[None, *WAYS], ids=lambda way: "-".join(way or ["fake"]))
def port(request: pytest.FixtureRequest, tmp_path: Path, shared: Shared) -> Port:
    if request.param is None:
        return Fake(Journal(tmp_path / "journal"))
    transport, protocol = request.param
    return way_of(transport, protocol, tmp_path, shared)
