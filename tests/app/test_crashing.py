"""The soak of runs whose gateways are killed, for a minute; and that it finds what it looks for.

`scripts/soak crash` does the same for longer. What fails is told with its seed and its story.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ..engine.stories import Broken, Seen, answer
from .crash_evidence import Line, Outcome, check_answer, check_keys, check_values, told
from .crashing import crash

SLICES, RUNS = 6, 50


@pytest.mark.timeout(180)  # on a machine with much else to do
@pytest.mark.parametrize("slice", range(SLICES))
def test_runs_outlive_their_gateways_and_nothing_is_sent_twice_or_forgotten(
    tmp_path: Path, slice: int
):
    counts = crash(tmp_path, RUNS, random.randrange(2**32))
    assert counts["runs"] == RUNS
    assert counts["runs killed"] > 0
    assert counts["resumed"] > 0
    assert counts["history_lost"] < RUNS / 2  # by a disk that took over a second


@pytest.mark.timeout(180)
def test_runs_outlive_the_gateway_that_clients_share():
    counts: Counter[str] = Counter()
    for crashes in range(1, 4):  # of few runs, all may have ended before their gateway
        with TemporaryDirectory(prefix="pc", dir="/tmp", ignore_cleanup_errors=True) as folder:
            counts += crash(Path(folder), 20, random.randrange(2**32), is_shared=True)
        assert counts["runs"] == 20 * crashes
        if counts["resumed"]:
            return
    raise AssertionError(f"no run was interrupted: {counts}")


ARGUMENTS = {"key": "t0", "ms": 0, "story": 1}
OUTPUT = {**answer(ARGUMENTS, random.Random(0)), "flag": True}


def line(what: str = "well", key: str | None = "k", name: str = "t0", life: int = 0) -> Line:
    seen = Seen(what, "s:write", f"{name}/0", life, 1.0)
    return Line(seen, {**ARGUMENTS, "key": name}, key, True)


def test_a_client_that_was_told_something_else_is_found():
    found = Outcome("success", {"t0": {"status": "success", "codes": set()}}, {})
    check_answer({"status": "success", "tasks": [{"id": "t0", "status": "success"}]}, found)
    with pytest.raises(Broken, match="a client got partial"):
        check_answer({"status": "partial", "tasks": []}, found)
    with pytest.raises(Broken, match="a client got"):
        check_answer({"status": "success", "tasks": [{"id": "t0", "status": "failed"}]}, found)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([line(), line(life=1)], None),
        ([line(), line(key="other", life=1)], "not one for each call"),
        ([line(), line(name="t1")], "not one for each call"),
        ([line(key=None)], "has no key"),
    ],
)
def test_a_call_whose_key_is_not_its_own_is_found(lines: list[Line], problem: str | None):
    if problem is None:
        check_keys(lines)
        return
    with pytest.raises(Broken, match=problem):
        check_keys(lines)


def test_an_output_that_was_not_the_last_answer_is_found():
    document = {"tasks": [{"id": "t0", "tool": "s:write"}]}
    tasks = {"t0": {"status": "success", "codes": set[str]()}}
    check_values(document, [line()], Outcome("success", tasks, {"t0": OUTPUT}))
    with pytest.raises(Broken, match="t0 has not the output of its call"):
        check_values(document, [line()], Outcome("success", tasks, {"t0": {**OUTPUT, "mark": 1}}))


def test_a_story_is_told_in_the_order_in_which_it_happened():
    lines = [line("arrived"), line()]
    assert told(lines, {0: 0.5, 1: 2.0}).splitlines() == [
        "   -500.0 ms  gateway 0 was killed",
        "      0.0 ms  gateway 0: s:write t0/0 arrived, key k",
        "      0.0 ms  gateway 0: s:write t0/0 well, key k",
    ]
