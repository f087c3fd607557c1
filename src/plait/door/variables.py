"""The variables of a client's environment that hold no secrets of its own and that programs need:
what a door sends without being asked, and what every server gets."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PROXIES = frozenset(
    name
    for lower in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for name in (lower, lower.upper())
)
CERTIFICATES = frozenset(
    {
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    }
)
"""Variables that name additional certificates, as companies use them: of OpenSSL and Python,
requests, curl and Node. Without them no server could connect."""
SAFE = (
    frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"})
    | {"DBUS_SESSION_BUS_ADDRESS"}
    | PROXIES
    | CERTIFICATES
)
SAFE_PREFIXES = ("LC_", "XDG_")
OF_ONE_LOGIN = frozenset(
    f"XDG_{name}"
    for name in ("SESSION_ID", "SESSION_PATH", "SESSION_CLASS", "SEAT", "SEAT_PATH", "VTNR")
)
"""Variables that differ from one login or terminal to the next. With them, as with TERM, no two
could share a server; and servers, which have no terminal, need none of them."""


def is_safe(name: str) -> bool:
    """Return whether the variable *name* belongs to the safe set."""
    return name in SAFE or (name.startswith(SAFE_PREFIXES) and name not in OF_ONE_LOGIN)


def chosen(environ: Mapping[str, str], wanted: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the variables of *environ* whose names are *wanted*: `AWS_*` are all that begin so."""
    names = {*wanted}
    starts = tuple(name[:-1] for name in names if name.endswith("*"))
    for name, value in environ.items():
        if name in names or name.startswith(starts):
            yield name, value


def to_send(environ: Mapping[str, str], wanted: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the variables of *environ* that a gateway gets: those that are *wanted*, and the safe
    set."""
    safe = (name for name in environ if is_safe(name))
    return chosen(environ, [*wanted, *safe])


def is_for_settings(name: str) -> bool:
    """Return whether the variable *name* may be needed to find the settings."""
    return name.startswith("PLAIT_") or name in {"HOME", "XDG_CONFIG_HOME"}
