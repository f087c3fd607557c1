"""How a person is asked follows from `[policy]`."""

from __future__ import annotations

from plait.config.policy import PolicySettings, approving_of
from plait.core.tools.approving import Approving


def test_the_settings_decide_how_a_person_is_asked():
    settings = PolicySettings(later="cover", approve=("terminal",), approval_s=5)
    assert approving_of([settings]) == Approving(5, frozenset({"terminal"}), covers_later=True)


def test_all_ways_count_unless_the_settings_say_otherwise():
    assert approving_of([PolicySettings()]) == Approving()
