"""JSON values to test with."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from ..profiles import CHARACTERS

WORDS = st.text(CHARACTERS, max_size=8)
ALMOST_REFERENCES = st.lists(
    st.sampled_from(["$", "$$", "{", "}", "OUTPUT[", "ITEM", "INDEX", "a", "]", "[", "0", "-1"])
    | st.sampled_from(["*", ".", '"', "\\", "'", " ?? ", "é", " "])
    | st.text(CHARACTERS, max_size=3),
    max_size=14,
).map("".join)
"""Text of the signs that references are written with."""


@cache  # so that hypothesis looks through it once
def json_values(
    leaves: st.SearchStrategy[Any] | None = None, keys: st.SearchStrategy[str] = WORDS
) -> Any:
    """Any strict JSON value; *leaves* and *keys* steer what is in it."""
    plain = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | WORDS
    )
    return st.recursive(
        plain if leaves is None else leaves | plain,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


def nested(depth: int, core: Any = 1) -> Any:
    """*core* in so many lists."""
    for _ in range(depth):
        core = [core]
    return core
