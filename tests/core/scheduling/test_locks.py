"""Who may touch what: requests are granted in the order in which they were made, and never two that
conflict."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.scheduling.locks import LockRequest, Locks
from plait.core.tools.claims import ResourceClaim

from ...profiles import share_of_examples
from ..tables import table


def claim(key: str) -> ResourceClaim:
    """`r /a/b` or `w /a/b`."""
    mode, _, path = key.partition(" ")
    return ResourceClaim(path, mode == "w", tuple(filter(None, path.split("/"))))


class Desk:
    def __init__(self) -> None:
        self.locks: Locks[str] = Locks()
        self.requests: dict[str, LockRequest[str]] = {}

    def ask(self, who: str, *claims: str) -> str | None:
        """Whom *who* waits for."""
        request = self.requests[who] = self.locks.ask(who, [claim(key) for key in claims])
        return None if request.blocker is None else request.blocker.holder

    def release(self, who: str) -> list[str]:
        return [request.holder for request in self.locks.release(self.requests.pop(who))]


@table(
    ("first", "second", "waits"),
    [
        ("r /a", "r /a", False),
        ("w /a", "r /a", True),
        ("r /a", "w /a", True),
        ("w /a", "w /a", True),
        ("w /a", "r /a/b/c", True),
        ("w /a/b/c", "r /a", True),
        ("r /a", "w /a/b", True),
        ("r /a/b", "w /a", True),
        ("r /a", "r /a/b", False),
        ("w /a", "w /b", False),
        ("w /a/b", "w /a/c", False),
        ("w /a/b", "w /a/bc", False),
        ("w /a", "w /ab", False),
    ],
)
def test_two_that_touch_the_same_wait_for_each_other_if_one_writes(
    first: str, second: str, waits: bool
) -> None:
    desk = Desk()
    assert desk.ask("first", first) is None
    assert desk.ask("second", second) == ("first" if waits else None)
    assert desk.release("first") == (["second"] if waits else [])


def test_a_writer_is_not_kept_waiting_by_readers_that_came_after_it() -> None:
    desk = Desk()
    assert desk.ask("reader", "r /a") is None
    assert desk.ask("writer", "w /a") == "reader"
    assert desk.ask("late reader", "r /a") == "writer"
    assert desk.release("reader") == ["writer"]
    assert desk.release("writer") == ["late reader"]


def test_all_claims_are_granted_at_once() -> None:
    desk = Desk()
    desk.ask("a", "w /a")
    desk.ask("b", "w /b")
    assert desk.ask("both", "w /a", "w /b") == "b"
    assert desk.release("b") == []
    assert desk.ask("c", "w /b") == "both"  # what waits for one keeps its place in the other
    assert desk.release("a") == ["both"]
    assert desk.release("both") == ["c"]


def test_a_request_may_be_taken_back_before_it_is_granted() -> None:
    desk = Desk()
    desk.ask("a", "w /a")
    desk.ask("b", "w /a")
    desk.ask("c", "w /a")
    assert desk.release("b") == []
    assert desk.release("a") == ["c"]


def test_claims_of_one_request_do_not_wait_for_each_other() -> None:
    assert Desk().ask("one", "w /a", "r /a/b", "w /a/b/c") is None


def test_nothing_is_left_of_what_is_released() -> None:
    desk = Desk()
    desk.ask("a", "w /a/b/c", "r /a/b")
    desk.ask("b", "r /a")
    desk.release("a")
    desk.release("b")
    assert desk.locks.is_free


def test_who_waits_is_told_over_which_claims_and_still_is_when_it_is_granted() -> None:
    desk = Desk()
    desk.ask("a", "r /x", "w /d/e")
    desk.ask("b", "w /y", "r /d")
    request = desk.requests["b"]
    assert request.because is not None
    assert [(one.key, one.writes) for one in request.because] == [("/d/e", True), ("/d", False)]
    desk.release("a")
    assert (request.blocker, request.because is None) == (None, False)


def test_of_several_it_waits_for_the_latest_first() -> None:
    desk = Desk()
    for reader in ("one", "two", "three"):
        desk.ask(reader, "r /a")
    assert desk.ask("writer", "w /a") == "three"
    assert [desk.release(reader) for reader in ("three", "one", "two")] == [[], [], ["writer"]]


def test_one_that_ends_lets_all_go_that_waited_for_nothing_else() -> None:
    desk = Desk()
    desk.ask("writer", "w /a")
    for reader in ("one", "two", "three"):
        assert desk.ask(reader, f"r /a/{reader}") == "writer"
    assert desk.release("writer") == ["one", "two", "three"]


def test_who_touches_nothing_waits_for_nobody() -> None:
    desk = Desk()
    desk.ask("some", "w /a")
    assert desk.ask("none") is None
    assert desk.release("none") == []


def conflict(one: ResourceClaim, other: ResourceClaim) -> bool:
    """As the contract says it, the plain way."""
    short, long = sorted((one.steps, other.steps), key=len)
    return (one.writes or other.writes) and long[: len(short)] == short


@share_of_examples(0.4)
@given(st.data())
def test_any_order_of_asking_and_releasing_grants_as_the_plain_rule_does(data: Any) -> None:
    paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)
    keys = st.lists(
        st.builds(lambda mode, path: f"{mode} {path}", st.sampled_from("rw"), paths), max_size=3
    )
    locks: Locks[int] = Locks()
    live: dict[int, LockRequest[int]] = {}  # in the order of asking
    for number in range(data.draw(st.integers(1, 20))):
        live[number] = locks.ask(number, [claim(key) for key in data.draw(keys)])
        granted: list[LockRequest[int]] = []
        if data.draw(st.booleans()):
            granted = locks.release(live.pop(data.draw(st.sampled_from(sorted(live)))))
        assert granted == sorted(granted, key=lambda request: request.number)
        for holder, request in live.items():
            earlier = [other for number, other in live.items() if number < holder]
            is_blocked = any(
                conflict(held, own)
                for other in earlier
                for held in other.claims
                for own in request.claims
            )
            assert (request.blocker is not None) is is_blocked
            if request.blocker is not None:
                assert request.blocker.holder in live
    for request in list(live.values()):
        locks.release(request)
    assert locks.is_free
