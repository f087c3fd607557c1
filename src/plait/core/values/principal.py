"""The principal: the owner of runs.

Every verb that takes a run's id takes the principal too. To a principal who may not see a run, its
id is like one that was never given: the same error, and no way to tell the two apart. A principal is
text, so that it can be stored with the run.
"""

from __future__ import annotations

from typing import NewType

Principal = NewType("Principal", str)

USER = Principal("user")
"""The user of this process: over stdio, on the command line and in Python."""
ANYONE = Principal("anyone")
"""The owner of runs whose client does not say who it is, as over HTTP with 2026-07-28. Whoever knows
the id of such a run may see it, so these ids are never listed."""


def may_see(principal: Principal, owner: Principal) -> bool:
    """Whether *principal*, who knows the id of a run of *owner*, may see that run."""
    return owner in (principal, ANYONE)
