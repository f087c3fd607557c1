"""A question in plain text shows the values, cut and made harmless, and counts what is too much."""

from __future__ import annotations

from plait.core.results.approval import Comparison
from plait.core.results.approval_text import (
    MAX_CALL_CHARS,
    MAX_VALUE_CHARS,
    MOST_CALLS,
    MOST_COMPARED,
    MOST_LINES,
    call_question,
    kind_of,
    question,
)
from plait.core.results.difference import difference_of
from plait.core.tools.rules import Rules
from plait.core.values.strict import JsonObject
from tests.fakes import tool

from ..scheduling.test_holding import read, write
from .test_approval import asked_in


def test_it_is_read_as_a_list_of_calls_with_their_reason():
    approval = asked_in(
        read("a"),
        write("w", arguments={"path": "$OUTPUT[a].id"}),
        {"id": "s", "tool": "s:send", "depends_on": ["w"]},
        name="release",
        rules=Rules(ask=("write",)),
    )
    assert question(approval, approval.calls) == "\n".join(
        [
            "release wants to make 1 call; 1 task is done, and nothing has been changed yet.",
            '1. w: s:write path: "seven"',
            "Later, asked again with its values: s, s:send",
            'Why: asked because [policy] ask = ["write"].',
        ]
    )


def test_a_value_can_neither_steer_a_terminal_nor_pass_for_a_part_of_the_question():
    text = "x\x1b[2J\n2. w: s:read ok\u202e"
    approval = asked_in(write("w", arguments={"path": text}), name="a\nb")
    shown = question(approval, approval.calls)
    assert len(shown.splitlines()) == 3
    assert not any(char in shown for char in ("\x1b", "\u202e"))


def test_what_a_call_changes_in_a_file_is_written_out_behind_a_bar():
    approval = asked_in(write("w", arguments={"path": "x", "content": "one\n2. w: s:read\n"}))
    difference = difference_of("content", "s:read", "one\n", "one\n2. w: s:read\n")
    [key] = [call.key for call in approval.calls]
    compared = approval.compared({key: Comparison(difference, None)})
    assert question(compared, compared.calls).splitlines()[1:] == [
        '1. w: s:write path: "x", content: +1 -0 lines (17 characters in all, read by s:read)',
        "   | @@ -1 +1,2 @@",
        "   |  one",
        "   | +2. w: s:read",
        'Why: asked because [policy] ask = ["write"].',
    ]


def test_long_differences_are_cut_and_those_of_many_calls_counted():
    count = MOST_COMPARED + 1
    each = write("w", for_each=[*range(count)], arguments={"path": "n$ITEM", "content": "x"})
    approval = asked_in(each)
    difference = difference_of("content", "s:read", "", "line\n" * 30)
    compared = approval.compared(
        {call.key: Comparison(difference, None) for call in approval.calls}
    )
    text = question(compared, compared.calls)
    assert text.count("   | @@") == MOST_COMPARED
    assert text.count(f"… {31 - MOST_LINES} lines more") == MOST_COMPARED
    assert 'content: "x"' in text.splitlines()[-2]


def test_what_is_long_is_cut_with_its_length():
    value = "x" * 10_000
    approval = asked_in(write("w", arguments={"path": value}))
    shown = question(approval, approval.calls)
    assert len(shown) < MAX_VALUE_CHARS + 300
    assert "(10,002 characters)" in shown
    many: JsonObject = {f"n{number}": value for number in range(20)}
    assert len(call_question(tool("s:x"), many, "so")) < MAX_CALL_CHARS + 100


def test_many_calls_are_counted_by_tool():
    approval = asked_in(write("w", for_each=[*range(100)]))
    lines = question(approval, approval.calls).splitlines()
    assert len(lines) == MOST_CALLS + 3
    assert lines[-2].startswith("… and 60 calls more of s:write")


def test_what_a_tool_may_do_is_named():
    assert kind_of(tool("s:x", destructiveHint=True, openWorldHint=True)) == (
        " (destructive, open world)"
    )
    assert (kind_of(tool("s:x")), kind_of(tool("s:x", readOnlyHint=True))) == ("", " (only reads)")
