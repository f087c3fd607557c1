"""Who may see a run."""

from __future__ import annotations

from plait.core.values.principal import ANYONE, USER, Principal, may_see

from ..tables import table

ADA, BOB = Principal("ada"), Principal("bob")


@table(
    ("principal", "owner", "is_seen"),
    [
        (ADA, ADA, True),
        (ADA, BOB, False),
        (ADA, USER, False),
        (USER, ADA, False),
        (ADA, ANYONE, True),
        (USER, ANYONE, True),
        (ANYONE, ANYONE, True),
        (ANYONE, ADA, False),
        (ANYONE, USER, False),
    ],
)
def test_a_run_is_seen_by_its_owner_and_one_that_anyone_owns_by_all(
    principal: Principal, owner: Principal, is_seen: bool
) -> None:
    assert may_see(principal, owner) is is_seen
