"""What of our environment reaches a server that we start, beside what its settings name."""

from __future__ import annotations

import os

from ..mcp_sdk import get_default_environment

CERTIFICATES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
"""Where the certificates lie that a company has added: they are not secrets, and without them
nothing connects. OpenSSL and Python, requests, curl, Node."""


def inherited() -> dict[str, str]:
    """The variables that every server gets: the SDK's small safe set, and the places of
    certificates."""
    return {
        **get_default_environment(),
        **{name: os.environ[name] for name in CERTIFICATES if name in os.environ},
    }
