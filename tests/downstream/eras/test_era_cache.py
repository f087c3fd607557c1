"""What is guessed of a server's era, and what is remembered of it for the next start."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.tools.cached_listing import CachedListing
from plait.core.values.strict import JsonObject
from plait.downstream.eras.era_cache import EraCache
from plait.downstream.eras.handshake import Era, Greeting

MODERN = Greeting(Era.MODERN, "2026-07-28", title="files 1")
LEGACY = Greeting(Era.LEGACY, "2025-11-25", title="files 1")


def remembered(**document: Any) -> CachedListing:
    listing = CachedListing()
    listing.load(document)
    return listing


def recalled(protocol: str, **document: Any) -> EraCache:
    eras = EraCache(protocol, remembered(**document))
    eras.recall()
    return eras


@pytest.mark.parametrize(
    ("protocol", "document", "guess"),
    [
        ("auto", {}, None),
        ("auto", {"era": "modern"}, Era.MODERN),
        ("auto", {"era": "legacy"}, Era.LEGACY),
        ("auto", {"era": "ancient"}, None),
        ("auto", {"era": ["modern"]}, None),
        ("legacy", {"era": "modern"}, Era.LEGACY),
        ("modern", {"era": "legacy"}, Era.MODERN),
    ],
)
def test_a_start_guesses_the_era_of_the_settings_or_else_the_remembered_one(
    protocol: str, document: JsonObject, guess: Era | None
):
    assert recalled(protocol, **document).guess() is guess


@pytest.mark.parametrize(
    ("kept", "title"),
    [
        (None, None),
        (7, None),
        ("files 1", "files 1"),
        ("evil\x1b[2J", "evil\\x1b[2J"),
        ("x" * 1000, "x" * 120),
    ],
)
def test_a_remembered_title_is_short_and_printable(kept: Any, title: str | None):
    assert recalled("auto", title=kept).title == title


@pytest.mark.parametrize("greeting", [MODERN, LEGACY])
def test_the_era_and_the_title_that_a_server_has_are_remembered(greeting: Greeting):
    listing = remembered()
    eras = EraCache("auto", listing)
    eras.met(greeting)
    assert (eras.guess(), eras.title) == (greeting.era, "files 1")
    assert listing.document == {"era": greeting.era.value, "title": "files 1"}


def test_an_era_of_the_settings_is_not_remembered_for_a_start_that_asks():
    listing = remembered()
    EraCache("legacy", listing).met(LEGACY)
    assert listing.document == {"title": "files 1"}


@pytest.mark.parametrize(("title", "era"), [("files 1", "legacy"), ("files 0", None)])
def test_a_server_with_another_title_than_remembered_is_asked_at_the_next_start(
    title: str, era: str | None
):
    listing = remembered(era="legacy", title=title)
    eras = EraCache("auto", listing)
    eras.recall()
    eras.met(LEGACY)
    assert (listing.get("era"), listing.get("title")) == (era, "files 1")
    assert eras.guess() is Era.LEGACY  # until then


def test_a_server_that_ended_when_it_was_asked_is_started_again_at_once_but_only_once():
    eras = EraCache("auto", remembered())
    assert eras.died_on_probe()
    assert eras.guess() is None
    assert not eras.died_on_probe()


def test_a_server_that_ended_twice_when_it_was_asked_is_not_asked_the_next_time():
    eras = EraCache("auto", remembered())
    eras.died_on_probe()
    eras.died_on_probe()
    assert [eras.guess(), eras.guess()] == [Era.LEGACY, None]


def test_a_server_that_was_reached_may_be_started_again_at_once_once_more():
    eras = EraCache("auto", remembered())
    assert eras.died_on_probe()
    eras.met(MODERN)
    eras.failed(Era.MODERN)
    assert eras.died_on_probe()
    eras.met(LEGACY)
    assert not eras.died_on_probe()  # its era is known, so it was not asked


@pytest.mark.parametrize(
    ("protocol", "known", "guess"),
    [
        ("auto", Era.MODERN, None),
        ("auto", Era.LEGACY, Era.LEGACY),
        ("modern", Era.MODERN, Era.MODERN),
    ],
)
def test_a_failed_attempt_makes_a_server_of_the_later_era_be_asked_again(
    protocol: str, known: Era, guess: Era | None
):
    eras = EraCache(protocol, remembered())
    eras.met(MODERN if known is Era.MODERN else LEGACY)
    eras.failed(known)
    assert eras.guess() is guess


def test_a_remembered_era_can_be_dropped_until_it_is_confirmed():
    eras = recalled("auto", era="legacy", title="files 1")
    assert repr(eras) == "<EraCache: legacy, recalled>"
    assert [eras.drop_recalled(), eras.drop_recalled()] == [True, False]
    assert eras.guess() is None
    eras = recalled("auto", era="legacy", title="files 1")
    eras.met(LEGACY)
    assert not eras.drop_recalled()
    assert eras.guess() is Era.LEGACY
