"""Who may come in over HTTP.

*On loopback* programs of our own user are let in without a word, where the system names the user of
a connection (`peers.py`). Any other request needs the token: `Authorization: Bearer TOKEN`
(RFC 6750, 2.1). A request that was forwarded is one of those, because its connection is that of the
proxy or the tunnel.

*Health* is answered for everybody, without the names of servers.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Protocol

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .hosts import is_loopback_name, parse_authority
from .peers import Peer

HEALTH = "/healthz"
READINESS = "/readyz"
FOR_ALL = frozenset({HEALTH, READINESS})
"""The paths that are answered in any case, to those who may not come in with the status alone."""
PEER = "plait.peer"
"""The key of the connection's `Peer` in the state of a request."""
_ADMITTED = "plait.admitted"
_OF_A_PROXY = re.compile(
    rb"""
      forward                                              # X-Forwarded-For, Forwarded
    | (client|connecting|external|origin|original|peer|real|remote|socket|source|viewer)
      -?(addr|cert|host|ip|user)                           # True-Client-IP, X-Azure-ClientIP
    | ^(cdn-loop|rndr-id|surrogate-capability|via|x-bluecoat-via|x-varnish)$
    | ^(akamai|cf|cloudfront|fastly|fly|incap|tailscale)-
    | ^x-(akamai|amz-cf|amzn|appengine|arr|auth-request|azure|envoy|goog-iap|koyeb|nf|original)-
    | ^x-proxy
    | ^x-(railway|real|remote|sucuri|vercel|webauth|zscaler)-
    """,
    re.VERBOSE,
)
"""The names of headers that proxies and tunnels add. They say the same with an underscore for each
dash, as some write."""


class Admission(Protocol):
    """Decides who may come in."""

    async def refusal(self, scope: Scope) -> Response | None:
        """Return the answer for a request that may not come in; None if it may."""


class Everybody:
    """Lets everybody in."""

    async def refusal(self, scope: Scope) -> Response | None:
        return None


@dataclass(frozen=True, slots=True)
class TokenHolders:
    """Lets in who sends *token*, and programs of our own user if *with_own_user*."""

    token: str | None = field(default=None, repr=False)
    with_own_user: bool = False

    async def refusal(self, scope: Scope) -> Response | None:
        given = _all(scope, b"authorization")
        if self.token is not None and len(given) == 1 and _is_bearer(given[0], self.token):
            return None
        if self.with_own_user and await _is_own(scope):
            return None
        challenge = 'Bearer realm="plait"' + (', error="invalid_token"' if given else "")
        message = (
            "This is not the gateway's token."
            if given
            else "This gateway needs its token: send the header Authorization: Bearer TOKEN."
        )
        return JSONResponse({"error": message}, 401, {"www-authenticate": challenge})


class AdmissionGuard:
    """Passes on the requests that *admission* lets in, and those for health."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._admission.refusal(scope)
        scope[_ADMITTED] = refusal is None
        if scope["path"] in FOR_ALL:
            refusal = None
        await (refusal or self._app)(scope, receive, send)


def admission_of(token: str | None, bound: str) -> Admission:
    """Return the rule for the address that is *bound*: who has the *token* comes in, and on this
    machine our own user; without one everybody does."""
    return Everybody() if token is None else TokenHolders(token, with_own_user=is_loopback(bound))


def is_admitted(scope: Scope) -> bool:
    """Return whether the request may see more than that we are alive."""
    return bool(scope[_ADMITTED])


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches *address*, the one that is bound."""
    ip = ipaddress.ip_address(address)
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


async def _is_own(scope: Scope) -> bool:
    """Return whether a program of our own user sent the request, and sent it here itself."""
    host = parse_authority(_all(scope, b"host")[0].decode("latin-1"))
    if host is None or not is_loopback_name(host[0]):
        return False
    if any(_OF_A_PROXY.search(name.replace(b"_", b"-")) for name, _ in scope["headers"]):
        return False
    peer = scope.get("state", {}).get(PEER)
    return isinstance(peer, Peer) and await peer.is_our_user()


def _is_bearer(header: bytes, token: str) -> bool:
    scheme, _, given = header.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode())


def _all(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]
