"""Host and Origin are parsed exactly, and only known ones pass."""

from __future__ import annotations

import pytest

from plait.upstream.transports.hosts import Allowed, parse_authority, parse_origin

LOCAL = Allowed("127.0.0.1")
EVERY = Allowed("0.0.0.0")
NAMED = Allowed(
    "0.0.0.0", hosts=("gateway.example:8443", "plait.example"), origins=("https://app.example",)
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost", ("localhost", None)),
        ("LOCALHOST:8420", ("localhost", 8420)),
        ("127.0.0.1:8420", ("127.0.0.1", 8420)),
        ("[::1]:8420", ("::1", 8420)),
        ("[0:0:0:0:0:0:0:1]", ("::1", None)),
        ("a-b.example:1", ("a-b.example", 1)),
        ("localhost:8420/@evil", None),
        ("localhost@evil", None),
        ("evil@localhost", None),
        ("localhost:", None),
        ("localhost:0", None),
        ("localhost:65536", None),
        ("localhost:8420:1", None),
        ("localhost:٨", None),
        ("localhost ", None),
        (" localhost", None),
        ("localhost\n", None),
        ("localhost,evil", None),
        ("localhost.", None),
        ("[::1", None),
        ("[localhost]", None),
        ("[::1%25eth0]", None),
        ("::1", None),
        ("", None),
    ],
)
def test_a_host_is_parsed_exactly_or_not_at_all(text: str, address: object):
    assert parse_authority(text) == address


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://localhost:8420", ("http", "localhost", 8420)),
        ("https://a.example", ("https", "a.example", 443)),
        ("http://a.example", ("http", "a.example", 80)),
        ("http://127.0.0.1:8420.evil.example", None),
        ("http://localhost:8420/", None),
        ("http://localhost:8420@evil", None),
        ("https:localhost", None),
        ("file://", None),
        ("null", None),
        ("localhost", None),
    ],
)
def test_an_origin_is_parsed_exactly_or_not_at_all(text: str, origin: object):
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    ("allowed", "host", "passes"),
    [
        (LOCAL, "localhost:8420", True),
        (LOCAL, "127.0.0.1:9", True),
        (LOCAL, "[::1]:8420", True),
        (LOCAL, "localhost.evil.example", False),
        (LOCAL, "evil.example", False),
        (LOCAL, "192.168.1.5:8420", False),
        (LOCAL, "127.0.0.1.evil.example", False),
        (EVERY, "localhost", True),
        (EVERY, "192.168.1.5:8420", True),
        (EVERY, "[fe80::1]:8420", True),
        (EVERY, "evil.example", False),
        (EVERY, "gateway.local", False),
        (NAMED, "gateway.example:8443", True),
        (NAMED, "gateway.example", False),
        (NAMED, "gateway.example:80", False),
        (NAMED, "plait.example", True),
        (NAMED, "PLAIT.example:1234", True),
        (NAMED, "x.plait.example", False),
        (Allowed("192.168.1.5"), "192.168.1.5:8420", True),
        (Allowed("192.168.1.5"), "192.168.1.6:8420", False),
        (Allowed("gateway.local"), "gateway.local:8420", True),
    ],
)
def test_only_known_hosts_are_accepted(allowed: Allowed, host: str, passes: bool):
    address = parse_authority(host)
    assert address is not None
    assert allowed.has_host(address) is passes


@pytest.mark.parametrize(
    ("allowed", "origin", "host", "passes"),
    [
        (LOCAL, "http://localhost:8420", "localhost:8420", True),
        (LOCAL, "http://localhost:3000", "localhost:8420", False),
        (LOCAL, "http://127.0.0.1:8420", "localhost:8420", False),
        (LOCAL, "http://127.0.0.1:8420.evil.example", "127.0.0.1:8420", False),
        (LOCAL, "http://evil.example", "localhost:8420", False),
        (LOCAL, "null", "localhost:8420", False),
        (NAMED, "https://app.example", "plait.example", True),
        (NAMED, "http://app.example", "plait.example", False),
        (NAMED, "https://app.example:444", "plait.example", False),
        (NAMED, "https://plait.example", "plait.example", True),
        (NAMED, "https://plait.example", "plait.example:80", False),
    ],
)
def test_an_origin_passes_if_it_is_the_requests_own_or_allowed(
    allowed: Allowed, origin: str, host: str, passes: bool
):
    address = parse_authority(host)
    assert address is not None
    assert allowed.has_origin(origin, address) is passes


@pytest.mark.parametrize(
    "wrong", [{"hosts": ("https://a.example",)}, {"origins": ("a.example",)}, {"hosts": ("*",)}]
)
def test_an_invalid_allowed_host_is_refused_at_the_start(wrong: dict[str, tuple[str, ...]]):
    with pytest.raises(ValueError, match="write a host as name"):
        Allowed("127.0.0.1", **wrong)
