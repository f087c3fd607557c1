"""The server of an address that a result named is remembered for a while."""

from __future__ import annotations

from plait.upstream.relay.router import LONGEST_ADDRESS, MOST_SEEN, RecentUris


def test_the_latest_addresses_are_remembered_and_no_more():
    seen = RecentUris()
    for n in range(MOST_SEEN):
        seen.note("a", f"x:{n}")
    seen.note("b", "x:0")
    seen.note("a", "x:new")
    named = [seen.server_of(uri) for uri in ("x:0", "x:1", "x:2", "x:new")]
    assert named == ["b", None, "a", "a"]
    assert repr(seen) == f"<RecentUris: {MOST_SEEN} addresses>"


def test_a_very_long_uri_is_not_remembered():
    seen = RecentUris()
    seen.note("a", "x" * (LONGEST_ADDRESS + 1))
    seen.note("a", "x" * LONGEST_ADDRESS)
    assert repr(seen) == "<RecentUris: 1 addresses>"
