"""Which requests are accepted over HTTP: the Host and Origin of each is parsed exactly and checked.

A page in a browser must not reach the gateway through a name that was made to lead here (DNS
rebinding), nor with a request across origins (MCP specification, "Streamable HTTP", Security
Warning).

Host: `localhost`, `127.0.0.1` and `[::1]` are accepted at any port, so that a forwarded port works,
and so is the address that is bound. Where all addresses are bound (`0.0.0.0`, `::`), every IP
address is accepted, because DNS cannot rebind an address. Any other name must be allowed:
`gateway.example` at any port, `gateway.example:8443` at that one.

Origin: absent (no browser), the request's own (same host and port), or exactly one that is allowed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

Address: TypeAlias = "tuple[str, int | None]"

_AUTHORITY = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?))(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - they are recognised, not bound
_PORTS = {"http": 80, "https": 443}


def parse_authority(text: str) -> Address | None:
    """Parse `host`, `host:port` or `[v6]:port`; None for anything else."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65_536:
        return None
    if match["v6"] is None:
        return match["name"].lower(), port
    try:
        return ipaddress.IPv6Address(match["v6"]).compressed, port
    except ValueError:
        return None


def parse_origin(text: str) -> tuple[str, str, int] | None:
    """Parse an origin into scheme, host and port, with the default port if it names none; None for
    anything else, including `null`."""
    scheme, mark, rest = text.partition("://")
    address = parse_authority(rest) if mark else None
    if address is None or scheme not in _PORTS:
        return None
    return scheme, address[0], address[1] or _PORTS[scheme]


def is_loopback_name(host: str) -> bool:
    """Return whether *host*, as `parse_authority` gives it, always means this machine."""
    return host in _LOOPBACK


@dataclass(frozen=True, slots=True)
class Allowed:
    """The allowed hosts and origins; *bound* is the host that we listen on (see the module)."""

    bound: str
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [host for host in self.hosts if parse_authority(host) is None]
        wrong += [origin for origin in self.origins if parse_origin(origin) is None]
        if wrong:
            raise ValueError(
                f"{', '.join(wrong)}: write a host as name or name:port, an origin as https://name:port"
            )

    def has_host(self, address: Address) -> bool:
        host, port = address
        if (
            is_loopback_name(host)
            or host == self.bound.strip("[]").lower()
            or (self.bound in _EVERY and _is_ip(host))
        ):
            return True
        allowed = {parse_authority(text) for text in self.hosts}
        return (host, None) in allowed or (host, port) in allowed

    def has_origin(self, origin: str, address: Address) -> bool:
        parsed = parse_origin(origin)
        if parsed is None:
            return False
        scheme, host, port = parsed
        own = (host, port) == (address[0], address[1] or _PORTS[scheme])
        return own or parsed in {parse_origin(text) for text in self.origins}


class HostGuard:
    """Refuses requests whose Host or Origin is not *allowed*."""

    def __init__(self, app: ASGIApp, allowed: Allowed) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        hosts = _headers(scope, b"host")
        address = parse_authority(hosts[0]) if len(hosts) == 1 else None
        if address is None:
            return JSONResponse(
                {"error": "The request names no host, or none that can be read."}, 421
            )
        if not self._allowed.has_host(address):
            message = (
                f"This gateway does not answer to the host {address[0][:100]}: it is not "
                "among the allowed hosts."
            )
            return JSONResponse({"error": message}, 421)
        origins = _headers(scope, b"origin")
        if len(origins) > 1 or (origins and not self._allowed.has_origin(origins[0], address)):
            return JSONResponse({"error": "Requests from this origin are not allowed."}, 403)
        return None


def _headers(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key == name]


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
