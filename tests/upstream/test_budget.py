"""Answers are cut to their limit, stay JSON, and say what is missing."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from plait.core.values.strict import dumps, loads
from plait.upstream.budget import PREVIEW, fit
from plait.upstream.outlines import outline

from ..profiles import CHARACTERS
from .test_cutting import values

HINT = "Read on with get_run."


def about(id: str, value: Any) -> Any:
    return {"shape": "any", "get_run": {"run_id": "r_abcdefghijkl", "task": id, "offset": 0}}


errors = st.builds(
    lambda n, message: {"id": f"t{n}", "code": "tool_error", "message": message},
    st.integers(0, 9999), st.integers(0, 2000).map(lambda n: "x" * n),
)  # fmt: skip
tasks = st.builds(
    lambda n, status: {"id": f"t{n}", "tool": "s:t", "status": status, "layer": 0, "attempts": 1},
    st.integers(0, 9999), st.sampled_from(["success", "failed", "skipped"]),
)  # fmt: skip
documents = st.fixed_dictionaries(
    {
        "status": st.just("partial"),
        "run_id": st.just("r_abcdefghijkl"),
        "errors": st.lists(errors, max_size=30) | errors.map(lambda error: [error] * 3000),
        "outputs": st.dictionaries(st.text("abc", max_size=64), values, max_size=12)
        | values.map(lambda value: {f"t{n}": value for n in range(300)}),
        "truncated": st.just([]),
        "notes": st.lists(st.text(CHARACTERS, max_size=200), max_size=6),
        "tasks": st.lists(tasks, max_size=30) | tasks.map(lambda task: [task] * 3000),
        "layers": st.lists(st.lists(st.text(CHARACTERS, max_size=64), max_size=50), max_size=30),
        "metrics": st.dictionaries(st.text(CHARACTERS, max_size=20), values, max_size=4),
    }
)


@settings(max_examples=30, deadline=None)
@given(documents, st.integers(1000, 30_000))
def test_an_answer_stays_within_its_limit_and_names_whatever_was_cut(
    document: dict[str, Any], limit: int
):
    shown: Any = fit(document, limit, outline=about, hint=HINT)
    assert len(dumps(shown)) <= limit
    assert loads(dumps(shown)) == shown
    if len(dumps(document)) <= limit:
        assert shown == document
        return
    assert shown.keys() >= document.keys()
    named = {entry["id"] for entry in shown.get("truncated", ())}
    assert all(len(dumps(shown["outputs"][id])) <= PREVIEW for id in named)
    whole = {
        id for id, value in shown.get("outputs", {}).items() if value == document["outputs"][id]
    }
    assert named | whole == shown.get("outputs", {}).keys()
    omitted = shown.get("omitted", {})
    failed = [task for task in document["tasks"] if task["status"] == "failed"]
    kept_tasks = shown.get("tasks", [])
    assert len(kept_tasks) + omitted.get("tasks", 0) == len(document["tasks"])
    assert (
        len(kept_tasks) < 2
        or all(task in failed for task in kept_tasks)
        or all(task in kept_tasks for task in failed)
    )
    for name in ("errors", "layers", "notes"):
        kept = [entry for entry in shown.get(name, ()) if entry != HINT]
        assert len(kept) + omitted.get(name, 0) == len(document[name])
        assert kept[1:] == document[name][1 : len(kept)]  # the first alone may be shortened
        assert name != "errors" or not kept or kept[0]["id"] == document[name][0]["id"]
    for name in ("outputs", "metrics"):
        missing = document[name].keys() - shown.get(name, {}).keys()
        assert len(missing) == omitted.get(name, 0)
    assert (HINT in shown.get("notes", ())) == bool(omitted.get("outputs")) or "notes" in omitted


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("abc é", max_size=50), min_size=1, max_size=6),
    st.integers(2_000, 30_000),
    st.data(),
)
def test_members_within_their_share_are_not_cut(
    messages: list[str], limit: int, data: st.DataObject
):
    """Whatever takes less than its share of an answer is whole, to the last entry."""
    ids = [f"t{n}" for n in range(len(messages))]
    document: Any = {
        "status": "partial",
        "run_id": "r_abcdefghijkl",
        "errors": [
            {"id": id, "code": "x", "message": said} for id, said in zip(ids, messages, strict=True)
        ],
        "outputs": {
            "small": 1,
            "long": "x" * data.draw(st.integers(limit - 100, limit * 2)),
            "last": [2],
        },
        "truncated": [],
        "notes": data.draw(st.lists(st.text("abc", max_size=40), max_size=3)),
        "tasks": [{"id": id, "tool": "s:t", "status": "failed", "attempts": 1} for id in ids][-3:],
        "layers": [[id] for id in ids],
        "metrics": {"speedup": 1.0, "counts": {"failed": len(ids)}},
    }
    own = {"errors": 3, "notes": 1, "tasks": 1, "layers": 1, "metrics": 1}
    assume(
        all(
            len(dumps(document[name])) <= weight * (limit - 450) // 11
            for name, weight in own.items()
        )
    )
    shown: Any = fit(document, limit, hint=HINT)
    assert len(dumps(shown)) <= limit
    if len(dumps(document)) <= limit:
        assert shown == document
        return
    assert [entry["id"] for entry in shown["truncated"]] == ["long"]
    cut_apart = {"outputs": {**document["outputs"], "long": shown["outputs"]["long"]}}
    assert shown == {**document, **cut_apart, "truncated": shown["truncated"]}
    assert PREVIEW - 4 <= len(dumps(shown["outputs"]["long"])) <= PREVIEW or limit < 6_000


def test_a_cut_output_is_a_preview_however_much_room_there_is():
    outputs: Any = {"small": 1, "large": "x" * 30_000, "tiny": [2]}
    shown: Any = fit(
        {"status": "success", "run_id": "r", "outputs": outputs, "truncated": []},
        10_000,
        outline=about,
    )
    assert shown["outputs"]["small"] == 1
    assert shown["outputs"]["tiny"] == [2]
    assert PREVIEW - 4 <= len(dumps(shown["outputs"]["large"])) <= PREVIEW
    assert shown["truncated"] == [{"id": "large", "chars": 30_000, **about("large", "")}]


@pytest.mark.parametrize(
    ("sizes", "whole"),
    [
        ([30_000, 500], [1]),
        ([30_000, *[1_000] * 20], [*range(1, 21)]),
        ([20_000, 20_000], [0]),
        ([12_000, 15_000, 500], [0, 2]),
        ([15_000, 12_000, 500], [1, 2]),
        ([4_400] * 6, [0, 1, 2, 3]),
        ([23_500], [0]),
        ([24_500], []),
        ([30_000] * 300, []),
    ],
)
def test_small_outputs_are_whole_before_large_ones_take_their_room(
    sizes: list[int], whole: list[int]
):
    outputs: Any = {f"t{n}": "x" * size for n, size in enumerate(sizes)}
    document: Any = {"status": "success", "run_id": "r", "outputs": outputs, "truncated": []}
    shown: Any = fit(document, 24_000, outline=about, hint=HINT)
    assert len(dumps(shown)) <= 24_000
    kept = {id for id, value in shown["outputs"].items() if value == outputs[id]}
    assert kept == {f"t{n}" for n in whole}
    cut_short = [entry["id"] for entry in shown["truncated"]]
    assert len(kept) + len(cut_short) + shown.get("omitted", {}).get("outputs", 0) == len(sizes)


def test_what_cut_outputs_leave_goes_to_errors_and_tasks():
    errors: list[Any] = [
        {"id": f"t{n}", "code": "tool_error", "message": "m" * 150} for n in range(100)
    ]
    outputs: Any = {"log": "x" * 100_000}
    document: Any = {"status": "partial", "run_id": "r", "errors": errors, "outputs": outputs}
    shown: Any = fit(document, 24_000, outline=about)
    assert len(dumps(shown["outputs"]["log"])) > PREVIEW - 4
    assert shown["errors"] == errors
    assert len(dumps(errors)) > 4 * PREVIEW
    assert len(dumps(shown)) <= 24_000


@pytest.mark.parametrize("failed", [1, 2, 3, 10])
def test_a_long_output_displaces_no_error_and_no_task(failed: int):
    ids = [f"t{n}" for n in range(failed)]
    errors: list[Any] = [{"id": id, "code": "tool_error", "message": "disk full"} for id in ids]
    tasks: list[Any] = [
        {"id": id, "tool": "s:fail", "status": "failed", "layer": 0, "attempts": 1} for id in ids
    ]
    document: Any = {
        "status": "partial",
        "run_id": "r",
        "errors": errors,
        "outputs": {"b": "x" * 100_000},
    }
    shown: Any = fit(
        {**document, "truncated": [], "notes": [], "tasks": tasks, "layers": [["b", *ids]]}, 24_000
    )
    assert shown["errors"] == errors
    assert shown["tasks"] == tasks
    assert shown["layers"] == [["b", *ids]]
    assert "omitted" not in shown


def test_an_output_that_fits_what_the_errors_leave_is_whole():
    """However long the errors that fit are."""
    failures: list[Any] = [{"id": "t", "code": "tool_error", "message": "m" * 100}] * 20
    for length in range(300):
        outputs: Any = {"a": "x" * length, "b": "y" * 200}
        shown: Any = fit(
            {"status": "partial", "errors": failures, "outputs": outputs}, 2_000, hint=HINT
        )
        assert len(dumps(shown)) <= 2_000
        assert shown["outputs"] == outputs
        assert shown["omitted"] == {"errors": 20 - len(shown["errors"])}
        assert "notes" not in shown


def test_members_of_an_object_that_are_left_out_are_counted():
    """A single one too, whose place the mark of what is missing takes."""
    metrics: Any = {f"{'m' * 200}{n}": n for n in range(10)}
    document: Any = {"status": "success", "metrics": metrics}
    counts = []
    for limit in range(1_500, len(dumps(document))):
        shown: Any = fit(document, limit)
        counts.append(shown.get("omitted", {}).get("metrics", 0))
        assert counts[-1] == len(metrics.keys() - shown["metrics"].keys())
    assert 1 in counts


def test_tasks_that_failed_are_kept_before_others_in_their_order():
    tasks: list[Any] = [
        {"id": f"t{n}", "tool": "s:t", "status": "failed" if n % 100 == 99 else "success"}
        for n in range(5_000)
    ]
    shown: Any = fit({"status": "partial", "run_id": "r", "tasks": tasks}, 6_000)
    failed = [task for task in tasks if task["status"] == "failed"]
    assert [task for task in shown["tasks"] if task["status"] == "failed"] == failed
    well = [task for task in shown["tasks"] if task["status"] == "success"]
    assert well == [task for task in tasks if task["status"] == "success"][: len(well)]
    assert shown["tasks"] == sorted(shown["tasks"], key=lambda task: int(task["id"][1:]))
    assert shown["omitted"] == {"tasks": 5_000 - len(shown["tasks"])}


@pytest.mark.parametrize("limit", [1_000, 6_000, 10**6])
def test_what_is_not_in_the_document_is_counted_too(limit: int):
    tasks: list[Any] = [{"id": f"t{n}", "status": "failed"} for n in range(500)]
    shown: Any = fit({"status": "partial", "omitted": {"tasks": 70}, "tasks": tasks}, limit)
    assert shown["omitted"]["tasks"] == 570 - len(shown["tasks"])


def test_ten_thousand_failures_fit_with_a_count_of_the_rest():
    failures = [
        {"id": f"t{n}", "code": "tool_error", "message": "EACCES: /x"} for n in range(10_000)
    ]
    document: Any = {
        "status": "failed",
        "run_id": "r",
        "errors": failures,
        "outputs": {},
        "notes": [],
    }
    shown: Any = fit(document, 24_000)
    assert shown["errors"] == failures[: len(shown["errors"])]
    assert len(shown["errors"]) > 200
    assert shown["omitted"] == {"errors": 10_000 - len(shown["errors"])}
    assert list(shown)[:4] == ["status", "run_id", "omitted", "errors"]


def test_cutting_costs_what_the_answer_costs_and_not_what_was_cut():
    nested: Any = list(range(300_000))
    flat: Any = {str(n): n for n in range(300_000)}
    for _ in range(60):
        nested = [nested]
    outputs = {f"t{n}": flat if n % 2 else nested for n in range(2_000)}
    start = time.process_time()
    shown = fit(
        {"status": "success", "outputs": outputs},
        24_000,
        outline=partial(outline, "r"),
        sizes=dict.fromkeys(outputs, 2**21),
    )
    assert time.process_time() - start < 2
    assert len(json.dumps(shown, ensure_ascii=False, separators=(",", ":"))) <= 24_000
