"""The way to a URL, by the environment of a client and not by ours."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from plait.downstream.transports.network import certificates_for, proxies_in, proxy_for

ENVIRON = {
    "http_proxy": "http://proxy:1",
    "HTTPS_PROXY": "http://proxy:2",
    "no_proxy": "inside.example, .hidden.example",
}


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://ours:9")
    monkeypatch.setenv("no_proxy", "example.com")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://example.com/mcp", "http://proxy:1"),
        ("https://example.com/mcp", "http://proxy:2"),
        ("http://localhost:80/mcp", None),
        ("http://127.0.0.1:80/mcp", None),
        ("http://[::1]:80/mcp", None),
        ("http://inside.example/mcp", None),
        ("http://deep.hidden.example/mcp", None),
    ],
)
def test_the_proxy_of_the_client_is_used_but_not_for_this_machine(url: str, proxy: str | None):
    assert proxy_for(url, ENVIRON) == proxy


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"ALL_PROXY": "http://all:1"}, "http://all:1"),
        ({"all_proxy": "socks5://all:1"}, None),
        ({"HTTP_PROXY": "http://upper:1", "http_proxy": "http://lower:1"}, "http://lower:1"),
        ({"HTTP_PROXY": "http://upper:1", "http_proxy": ""}, None),
        ({"HTTP_PROXY": "http://upper:1", "NO_PROXY": "*"}, None),
    ],
)
def test_names_in_small_letters_take_precedence(environ: dict[str, str], proxy: str | None):
    assert proxy_for("http://example.com/mcp", environ) == proxy


def test_other_variables_are_no_proxies():
    assert proxies_in({"PATH": "/bin", "PROXY": "x", "NO_PROXY": "a"}) == {"no": "a"}


def test_certificates_are_the_clients(tmp_path: Path):
    assert certificates_for({}) is True
    assert isinstance(certificates_for({"SSL_CERT_DIR": str(tmp_path)}), ssl.SSLContext)
    with pytest.raises(OSError, match="No such file"):
        certificates_for({"SSL_CERT_FILE": str(tmp_path / "none.pem")})
