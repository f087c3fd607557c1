"""A question has the calls with their values, those that come later, and a digest of all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plait.core.results.approval import Approval, approval_of
from plait.core.results.record import RunStatus
from plait.core.tools.rules import Rules

from ...cli.records import ended
from ..scheduling.test_holding import Asked, read, write


def asked_in(*tasks: dict[str, Any], nonce: str = "n", **more: Any) -> Approval:
    asked = Asked(*tasks, **more)
    while asked.in_flight:
        asked.answer(asked.in_flight[0], {"id": "seven", "items": [1, 2]})
    assert asked.ask is not None
    return approval_of(asked.run, asked.ask, nonce)


def test_it_names_what_is_asked_for_and_what_comes_later_and_counts_the_reads():
    approval = asked_in(
        read("a"),
        write("w", arguments={"path": "$OUTPUT[a].id", "text": "x"}),
        read("b", depends_on=["w"]),
        read("c", depends_on=["b"]),
        {"id": "s", "tool": "s:send", "arguments": {"to": "${OUTPUT[w].id}"}},
        rules=Rules(ask=("write",)),
    )
    document = approval.document()
    why = 'asked because [policy] ask = ["write"]'
    assert document["calls"] == [
        {"task": "w", "tool": "s:write", "arguments": {"path": "seven", "text": "x"}, "why": why}
    ]
    assert document["later"] == [
        {
            "task": "s",
            "tool": "s:send",
            "arguments": {"to": "${OUTPUT[w].id}"},
            "why": why,
            "open_world": True,
        }
    ]
    assert (document["reads"], approval.done, approval.changed) == (2, 1, 0)
    assert len(approval.digest) == 64


def test_a_digest_is_about_each_value_as_a_whole_and_the_moment():
    long = "x" * 10**6
    one = [write("w", arguments={"path": f"{long}x"})]
    other = [write("w", arguments={"path": f"{long}y"})]
    digests = {
        asked_in(*one).digest,
        asked_in(*one, nonce="m").digest,
        asked_in(*other).digest,
        asked_in(*one, write("v", depends_on=["w"])).digest,
    }
    assert len(digests) == 4
    assert asked_in(*one).digest == asked_in(*one).digest


def test_calls_of_items_and_groups_are_named_by_their_places():
    group = {"id": "g", "for_each": "$OUTPUT[a].items", "tasks": [write("w")]}
    approval = asked_in(read("a"), write("each", for_each=[1, 2], depends_on=["a"]), group)
    assert [call.place for call in approval.calls] == ["each[0]", "each[1]", "g[0].w", "g[1].w"]
    assert [call.key.at for call in approval.calls] == [(), (), (0,), (1,)]


def test_a_list_that_is_not_known_is_not_covered_nor_what_needs_a_yes_of_its_own():
    approval = asked_in(
        write("w"),
        write("known", for_each=[1], depends_on=["w"]),
        write("unknown", for_each="$OUTPUT[w].items"),
        {"id": "single", "tool": "s:send", "depends_on": ["w"]},
        rules=Rules(ask=("write",), ask_each=("s:send",)),
    )
    assert {task.task: task.may_be_covered for task in approval.later} == {
        "known": True,
        "unknown": False,
        "single": False,
    }


def test_calls_that_wait_for_one_another_are_named():
    approval = asked_in(
        write("w", writes=["x"]),
        write("other", writes=["y"]),
        read("r", reads=["x"]),
        write("v", writes=["x"]),
    )
    assert [(one["id"], one["waits_for"]) for one in approval.conflicts] == []
    assert [task.task for task in approval.later] == ["v"]


def test_a_preview_says_how_it_goes_on():
    preview = asked_in(write("w"), rules=Rules(), preview=True)
    assert (preview.is_preview, '"apply": "r"' in preview.how) == (True, True)
    assert "plait approve r" in asked_in(write("w")).how


def test_a_question_of_another_process_is_read_from_its_document():
    asked = asked_in(
        read("a"),
        write("w", arguments={"path": "$OUTPUT[a].id"}),
        {"id": "s", "tool": "s:send", "arguments": {"to": 1}},
        write("later", arguments={"path": "${OUTPUT[w].id}"}),
        rules=Rules(ask=("write",), ask_each=("s:send",)),
        name="n",
    )
    for approval in (asked, asked_in(write("w"), rules=Rules(), preview=True)):
        given = ended(RunStatus.WAITING, name=approval.name).record
        found = Approval.from_document(replace(given, id="r"), approval.document(), 3)
        assert found.document() == approval.document()
        assert (found.name, found.changed) == (approval.name, 3)
        assert found.is_preview is approval.is_preview
        assert [call.is_single for call in found.calls] == [
            call.is_single for call in approval.calls
        ]
