"""How many examples hypothesis tries: all settings of it are here.

Every run tries other examples than the last. `pytest --hypothesis-profile=thorough` tries many, and
`scripts/soak` many more, in longer stories.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

settings.register_profile(
    "plait",
    max_examples=6,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("plait"), max_examples=1_000)
settings.register_profile(
    "soak", settings.get_profile("plait"), max_examples=20_000, stateful_step_count=100
)
CHARACTERS = st.characters(exclude_categories=["Cs"])
"""All characters that can be encoded: the alphabet that `st.text` has by itself, which it finds, in
each new checkout, by trying a million code points, for seconds."""


def share_of_examples(share: float) -> settings:
    """The settings of a test whose examples cost so much that it tries only this share of them."""
    return settings(max_examples=max(1, round(settings().max_examples * share)))


def drawn_by_seed(share: float = 1.0) -> settings:
    """The settings of a test that draws all by itself, from a seed: a smaller seed is no simpler
    example, so none is looked for."""
    phases = [phase for phase in settings().phases if phase is not Phase.shrink]
    return settings(share_of_examples(share), phases=phases)
