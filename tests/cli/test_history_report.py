"""The lines that show runs of the history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plait.cli.history_report import MOST_CALLS, ShownRun, run_document, run_lines, shown_lines
from plait.core.history import CallKey, Durable, Effect, KeptCall, Kind, RunEntry
from plait.core.scheduling.events import Failure
from plait.core.values.principal import USER

from .records import shown

ENTRY = RunEntry(
    id="r_1",
    kind=Kind.DAG,
    status="interrupted",
    began=1_000_000.0,
    ended=None,
    durable=Durable.PROCESS,
    principal=USER,
    client=None,
    desk="/home/me/a b.toml",
    name="nightly",
    document_digest="d",
    catalog_digest="c",
    deadline=None,
    resumed_from="r_0",
    calls=0,
    failed=0,
    is_lost=False,
    has_values=True,
    is_taken_in=False,
)


def a_call(key: CallKey, **members: Any) -> KeptCall:
    given: dict[str, Any] = {
        "run": "r_1",
        "attempt": 1,
        "tool": "s:write",
        "effect": Effect.WRITE,
        "admitted": 1,
        "admitted_at": 0.0,
        "sent_at": 0.0,
        "ended": 2,
        "ended_at": 0.012,
        "arguments_digest": "",
        "arguments": {"n": 1},
    }
    return KeptCall(key=key, **(given | members))


def lines(calls: list[KeptCall], *, is_whole: bool = False, **members: Any) -> list[str]:
    run = ShownRun(ENTRY, None, calls, "r_1", [])._replace(**members)
    return shown(shown_lines(run, 120, is_whole=is_whole))


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (a_call(CallKey("a")), '  ✓ a  s:write  12 ms  {"n": 1}'),
        (a_call(CallKey("g.a", 3, (1, 0), 2)), "  ✓ g.a[1][0][3] round 3  s:write  12 ms"),
        (a_call(CallKey("a"), attempt=2), "  ✓ a attempt 2  s:write  12 ms"),
        (a_call(CallKey("a"), sent_at=None, cached=True), "  ✓ a  s:write  from the cache"),
        (a_call(CallKey("a"), sent_at=None, error=Failure("x", "y")), "  ✗ a  s:write  not sent"),
        (a_call(CallKey("a"), ended=None, ended_at=None), "  ✗ a  s:write  in doubt"),
    ],
)
def test_a_call_has_its_place_and_its_end(call: KeptCall, line: str):
    shown = lines([call])
    assert shown[shown.index("calls") + 1].startswith(line)


def test_a_call_of_a_run_that_goes_on_is_running():
    call = a_call(CallKey("a"), ended=None, ended_at=None)
    shown = lines([call], entry=replace(ENTRY, status="running"))
    assert '  ● a  s:write  running  {"n": 1}' in shown


def test_of_many_calls_only_those_that_did_not_succeed_are_listed():
    calls = [a_call(CallKey("a", item)) for item in range(MOST_CALLS)]
    bad = a_call(CallKey("bad"), error=Failure("tool_error", "no"))
    shown = lines([*calls, bad])
    at = shown.index("calls")
    assert shown[at + 1].startswith("  ✗ bad")
    assert shown[at + 2 : at + 4] == [
        "      tool_error: no",
        "  … 60 more calls: see all with --detail full",
    ]
    assert len(lines([*calls, bad], is_whole=True)) > MOST_CALLS


def test_the_way_on_names_the_settings_and_what_is_in_doubt():
    go_on = "go on  plait resume r_1 --config '/home/me/a b.toml'"
    assert lines([], doubts=["b"], has_restarted=True)[-3:] == [
        "in doubt  b: it was sent; look whether it took effect",
        "in doubt  the machine has started anew: what changes something may have been sent, too",
        f"{go_on} --in-doubt b=retry  (or done, or skip)",
    ]
    assert lines([])[-1] == go_on


def test_a_run_that_cannot_go_on_says_why():
    assert lines([], head="r_2")[-1] == "went on  as r_2"
    lost = replace(ENTRY, is_lost=True)
    assert lines([], entry=lost)[-1] == f"final  {lost.why_final}"
    ended = replace(ENTRY, status="success", ended=1_000_001.0)
    assert ShownRun(ended, None, [], "r_1", []).resume is None
    assert not any(line.startswith("go on") for line in lines([], entry=ended))


def test_a_run_names_the_one_before_and_its_settings():
    shown = lines([])
    assert any("went on from r_0" in line for line in shown)
    assert "settings  /home/me/a b.toml" in shown
    assert run_document(ENTRY)["resumed_from"] == "r_0"
    assert run_document(ENTRY)["settings"] == "/home/me/a b.toml"


def test_a_list_has_columns():
    well = replace(ENTRY, id="r_22", status="success", ended=1_000_001.5, calls=3, failed=1)
    call = replace(well, kind=Kind.CALL, name="s:write")
    first, second, third = shown(run_lines([ENTRY, well, call], 120, str))
    assert first.startswith("✗ r_1   1970-01-1")
    assert first.endswith("nightly")
    assert second.startswith("✓ r_22  1970-01-1")
    assert "success      1.50 s  3 calls, 1 failed  nightly" in second
    assert third.endswith("1.50 s  call               s:write")
