"""One job in two ways, with real processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait.tour.place import Place
from plait.tour.service import read_log
from plait.tour.ways import JobFailed, as_one_dag, call_by_call


@pytest.mark.timeout(240)
async def test_both_ways_make_the_same_calls_and_one_costs_a_fraction(tmp_path: Path):
    def made() -> list[str]:
        calls = [*read_log(tmp_path, "issues"), *read_log(tmp_path, "chat")]
        return sorted(f"{call.tool} {call.arguments}" for call in calls)

    place = Place(tmp_path)
    place.set_out()
    single = await call_by_call(place, os.environ)
    first = made()
    for service in ("issues", "chat"):
        (tmp_path / f"{service}.log").unlink()
    whole = await as_one_dag(place, os.environ)
    ready = ["chat:who_is_on_call {}", "issues:list_issues {'label': 'none'}"]
    second = sorted(one.replace(", 'page': 1", "") for one in first)
    assert made() == sorted([*second, *ready])
    assert single.posted == whole.posted == "Without an answer: 7, 9, 17, 23, 31"
    assert (single.requests, whole.requests) == (len(first), 2)
    assert whole.characters < single.characters / 3


@pytest.mark.timeout(240)
async def test_a_job_that_fails_says_which_call(tmp_path: Path):
    place = Place(tmp_path)
    place.set_out()
    dag = place.job("bugs").replace('"bug"', "7")
    (tmp_path / "bugs.json").write_text(dag)
    with pytest.RaisesGroup(
        pytest.RaisesExc(JobFailed, match="execute_dag: DAG not run: 1 problem"),
        flatten_subgroups=True,
    ):
        await as_one_dag(place, os.environ)
