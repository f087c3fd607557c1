"""What is kept of a server is read and replaced member by member, and a file never overrides what
is known."""

from __future__ import annotations

from plait.core.tools.cached_listing import CachedListing


def test_a_member_that_was_put_is_there_until_nothing_is_put():
    kept, told = CachedListing(lambda: told.append(kept.changes)), list[int]()
    assert kept.get("era") is None
    kept.put("era", "modern")
    assert (kept.get("era"), kept.document) == ("modern", {"era": "modern"})
    kept.put("era", None)
    assert (kept.get("era"), kept.document) == (None, {})
    assert told == [1, 2]


def test_a_document_that_was_handed_out_does_not_change():
    kept = CachedListing()
    kept.put("era", "modern")
    before = kept.document
    kept.put("title", "t")
    assert before == {"era": "modern"}


def test_what_is_loaded_does_not_replace_what_was_put_and_is_not_a_change():
    kept = CachedListing()
    kept.put("era", "modern")
    kept.load({"era": "legacy", "title": "t"})
    assert (kept.document, kept.changes) == ({"era": "modern", "title": "t"}, 1)
