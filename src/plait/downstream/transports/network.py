"""The way to a URL from where a client is: the proxies and certificates that its environment
names.

The libraries read them from the environment of this process, which may be another's.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Mapping
from urllib import request
from urllib.parse import urlsplit

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables that name the certificates of authorities: a file, or else a folder."""


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that *environ*, or else the system, sets for *url*; None without one and
    always for this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in {"localhost", "::1"} or host.startswith("127."):
        return None
    proxies = proxies_in(environ)
    if proxies or sys.platform != "darwin":
        passes_by = request.proxy_bypass_environment(host, proxies)  # type: ignore[attr-defined]  # typeshed lacks it
    else:
        passes_by = request.proxy_bypass_macosx_sysconf(host)
        proxies = request.getproxies_macosx_sysconf()
    proxy = None if passes_by else proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is not None and proxy.startswith(("http://", "https://")) else None


def proxies_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies in *environ* by scheme, and under `no` the hosts that need none. As in
    `urllib.request`, names in small letters take precedence, also if they are empty."""
    lower = {name: value for name, value in environ.items() if name == name.lower()}
    every = {name.lower(): value for name, value in environ.items()} | lower
    return {
        name.removesuffix("_proxy"): value
        for name, value in every.items()
        if name.endswith("_proxy") and value
    }


def certificates_for(environ: Mapping[str, str]) -> ssl.SSLContext | bool:
    """Return the certificates that *environ* names to check servers by; else True, for those that
    the system trusts. Raises `OSError` if they cannot be read."""
    if file := environ.get("SSL_CERT_FILE"):
        return ssl.create_default_context(cafile=file)
    if folder := environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context(capath=folder)
    return True
