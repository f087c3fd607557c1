"""The downstream server of the benchmarks, and a gateway over it."""

from __future__ import annotations

import sys
from pathlib import Path

from plait import Gateway
from plait.config import Config, GatewaySettings, ServerSettings

COMMAND, ARGS = sys.executable, [str(Path(__file__).parents[1] / "lean_server.py")]


def gateway(max_concurrency: int) -> Gateway:
    """A gateway over one lean server; entering starts it."""
    lean = ServerSettings(command=COMMAND, args=tuple(ARGS))
    settings = GatewaySettings(max_concurrency=max_concurrency, learn=False)
    return Gateway.from_config(Config(gateway=settings, servers={"lean": lean}))
