"""`plait serve`: the gateway for one client over stdio, or for several over HTTP."""

from __future__ import annotations

import logging
import os
import socket
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
import typer

from ..door.arguments import PLATFORMS
from ..door.port import PortOrder
from ..errors import ConfigError
from .exits import Exit
from .port import NotShared, SharedPort, Taken
from .session import Session

if TYPE_CHECKING:
    from ..config import Config

log = logging.getLogger(__name__)

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
    is_open: bool = False,
    is_isolated: bool = True,
) -> int:
    """Serve until the client leaves or a signal comes. If *is_watching*, watch the settings file.
    If *is_open*, everybody may come in over HTTP. Unless *is_isolated*, a port of this machine is
    opened by the gateway that others share."""
    from ..app.serving import serve_http, serve_stdio
    from ..config import Untrusted
    from ..config.read import without_servers
    from ..config.reloading import Reloading, log_notes, stamps_of
    from ..upstream.transports.admission import admission_of
    from ..upstream.transports.hosts import Allowed

    try:
        config = session.config
    except Untrusted as refused:
        log.warning("config.untrusted", extra={"reason": str(refused)})
        config = without_servers(refused)
    known = stamps_of(config) if is_watching else {}
    log_notes(config)
    if http is None:
        if hosts or origins or is_open:
            raise _bad_address(
                "it is missing, and --allow-host, --allow-origin and --no-auth need it."
            )
        if sys.stdin.isatty():
            hint = "It speaks MCP on standard input. For people: plait tools, or --http 8420."
            session.console.err.line(hint)
        fault = anyio.run(serve_stdio, config, Reloading(session.load, is_watching, known))
        if fault is None:
            return Exit.SUCCESS
        session.console.complain(f"standard output cannot be written: {fault.strerror}")
        return Exit.TASK_FAILED
    address = read_address(http)
    try:
        Allowed(address.host, hosts, origins)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--allow-host, --allow-origin") from None
    token_of = partial(_token, session, config, is_open=is_open)
    if not is_isolated and (bound := _shareable(address)) is not None:
        order = PortOrder(address.host, address.port, token_of(bound), hosts, origins)
        try:
            _hold(session, order, is_watching=is_watching)
        except NotShared as error:
            log.warning("serving.alone", extra={"reason": str(error)})
            address = replace(address, port=error.order.port)
        except Taken as error:
            raise _bad_address(f"{http}: {error}.") from error
        else:
            return Exit.SUCCESS
    reloading = Reloading(lambda: session.load().over_http(), is_watching, known)
    listening = partial(
        serve_http,
        config.over_http(),
        address.host,
        address.port,
        admit=lambda bound: admission_of(token_of(bound), bound),
        allowed_hosts=hosts,
        allowed_origins=origins,
        reloading=reloading,
    )
    try:
        anyio.run(listening)
    except OSError as error:
        raise _bad_address(f"{http}: {error.strerror or error}.") from error
    return Exit.SUCCESS


def _shareable(address: Address) -> str | None:
    """Return what *address* is bound to, if the shared gateway may open it: only this machine
    reaches it."""
    from ..upstream.transports.admission import is_loopback

    if sys.platform not in PLATFORMS:
        return None
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        found = socket.getaddrinfo(address.host, address.port, family, socket.SOCK_STREAM)
    except OSError:  # it cannot be bound either
        return None
    bound = str(found[0][4][0])
    return bound if is_loopback(bound) else None


def _hold(session: Session, order: PortOrder, *, is_watching: bool) -> None:
    """Let the shared gateway open the port of *order*, until it ends or a signal comes."""
    options = {"--config": session.config_file, "--profile": session.profile}
    arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
    SharedPort(order, [*arguments, *(["--watch"] if is_watching else [])]).hold()


def _token(session: Session, config: Config, bound: str, *, is_open: bool) -> str | None:
    """Return the token that clients send at the address that is *bound*; None if everybody may come
    in. Raises `ConfigError` if nothing would keep others out of it."""
    from ..config.access_token import find_token, make_token
    from ..upstream.transports.admission import is_loopback

    is_local, folder = is_loopback(bound), config.state_folder
    if is_open:
        others = "every user of this machine" if is_local else f"everybody who reaches {bound}"
        log.warning("serving.open", extra={"reason": f"--no-auth: {others} may call all tools"})
        return None
    assert folder is not None  # `load_config` always names one
    if (token := find_token(os.environ, folder)) is None:
        if not is_local:
            raise ConfigError(
                f"{bound}: others reach this address, and nothing keeps them out. Set the "
                "variable PLAIT_TOKEN, and let clients send it as Authorization: Bearer TOKEN; "
                "or let everybody in with --no-auth."
            )
        token = make_token(folder)
        who = "clients of other users" if sys.platform == "linux" else "clients"
        shown = {"header": "Authorization: Bearer TOKEN", "token": token.value}
        log.warning("token.made", extra={"for": who, **shown, "kept": token.origin})
    session.secrets.add([token.value])
    return token.value
