"""`plait serve`: the gateway for one client over stdio, or for several over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import anyio
import typer

from .exits import Exit
from .session import Session

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


def read_address(text: str) -> Address:
    """Parse `8420`, `:8420`, `0.0.0.0:8420` or `[::1]:8420`. Raises `typer.BadParameter`."""
    host, _, port = text.rpartition(":")
    is_bare_v6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not (port.isascii() and port.isdigit() and int(port) < 2**16) or is_bare_v6:
        raise _bad_address(
            f"{text}: write it as PORT or HOST:PORT, such as 8420, 0.0.0.0:8420 or [::1]:8420."
        )
    return Address(host.strip("[]") or LOOPBACK, int(port))


def _bad_address(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--http")


def serve(
    session: Session,
    http: str | None,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    *,
    is_watching: bool = False,
) -> int:
    """Serve until the client leaves or a signal comes. If *is_watching*, watch the settings
    file."""
    from ..app import serve_http, serve_stdio
    from ..config import load_config
    from ..config.reloading import Reloading, log_notes

    log_notes(session.config)
    reloading = Reloading(
        partial(load_config, session.config_file, secrets=session.secrets), is_watching
    )
    if http is None:
        if hosts or origins:
            raise _bad_address("it is missing, and --allow-host and --allow-origin need it.")
        anyio.run(serve_stdio, session.config, reloading)
        return Exit.SUCCESS
    address = read_address(http)
    listening = partial(
        serve_http,
        session.config,
        address.host,
        address.port,
        allowed_hosts=hosts,
        allowed_origins=origins,
        reloading=reloading,
    )
    try:
        anyio.run(listening)
    except OSError as error:
        raise _bad_address(f"{http}: {error.strerror or error}.") from error
    return Exit.SUCCESS
