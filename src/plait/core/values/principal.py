"""The principal: the owner of runs.

Every verb that takes a run's id takes the principal too. To a principal who may not see a run, its
id looks like one that never existed: the error is the same. A principal is text, so that it can be
stored with the run.
"""

from __future__ import annotations

from typing import NewType

Principal = NewType("Principal", str)

USER = Principal("user")
"""The user of this process: over stdio, on the command line and in Python."""
ANYONE = Principal("anyone")
"""The owner of runs whose client does not identify itself, as over HTTP with 2026-07-28. Anyone who
knows the id of such a run may see it, so these ids are never listed."""


def may_see(principal: Principal, owner: Principal) -> bool:
    """Return whether *principal*, who knows the id of a run of *owner*, may see that run."""
    return owner in (principal, ANYONE)
