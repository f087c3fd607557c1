"""What resources hold, by the ways to them."""

from __future__ import annotations

from plait.core.flows.resources import Contents, Places, overlap, shown, steps_of
from plait.core.tools.claims import ResourceClaim

from ..tables import table

Steps = tuple[str, ...]


@table(
    ("written", "read", "is_there"),
    [
        (("file:", "x"), ("file:", "x"), True),
        (("file:", "x"), ("file:", "x", "y"), True),
        (("file:", "x", "y"), ("file:", "x"), True),
        (("file:", "x", "y"), ("file:", "x", "z"), False),
        (("file:", "x"), ("file:", "xy"), False),
        (("file:",), ("file:", "x"), True),
        (("db:", "x"), ("file:", "x"), False),
        ((), ("file:", "x"), True),
    ],
)
def test_what_is_written_is_in_all_that_is_it_holds_it_or_is_in_it(
    written: Steps, read: Steps, is_there: bool
) -> None:
    contents = Contents()
    contents.write(written, 5)
    contents.write(("other:",), 2)
    assert contents.read(read) & 5 == (5 if is_there else 0)
    assert overlap(written, read) is is_there is overlap(read, written)
    places: Places[str] = Places()
    places.add(written, "one")
    places.add(("other:",), "other")
    assert ("one" in places.find(read)) is is_there


def test_files_of_other_machines_are_among_all_files() -> None:
    there = ResourceClaim("file@s:/x", True, ("file@s:", "x"))
    here = ResourceClaim("file:/", False, ("file:",))
    (one, writes), (other, reads) = steps_of([there, here])
    assert (writes, reads) == (True, False)
    assert overlap(one, other)


@table(
    ("steps", "key"),
    [
        (("file:", "x", "y"), "file:/x/y"),
        (("file:", "file@s:", "x"), "file@s:/x"),
        (("db:", "t"), "db:t"),
        (("realm", "db:", "t"), "db:t"),
        (("file:",), "file:/"),
    ],
)
def test_a_resource_is_shown_as_it_is_written(steps: Steps, key: str) -> None:
    assert shown(steps) == key
