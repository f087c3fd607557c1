"""The question as a person sees it on a terminal, at two widths, and with values that want harm."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from plait.cli.approval_screen import Shown, approval_screen, call_screen
from plait.cli.style import Line, Look, Styled, length
from plait.core.results.approval import Approval, AskedCall, Comparison, LaterTask
from plait.core.results.difference import difference_of
from plait.core.scheduling.events import Key
from plait.core.tools.catalog import Tool
from plait.core.values.printable import printable
from plait.core.values.strict import Json

from ..core.strategies import json_values
from ..fakes import tool
from .records import shown

WHY = 'asked because [policy] ask = ["write"], line 12'
COMMENT = tool("tracker:add_comment", closed=False, readOnlyHint=False)
UPDATE = tool("tracker:update_issue", closed=False, readOnlyHint=False)
FILE = tool("files:write_file", closed=False, destructiveHint=True)
POST = tool("chat:post_message", closed=False, openWorldHint=True)
GET = tool("web:get", closed=False, readOnlyHint=True, openWorldHint=True)
PLAIN = tool("x:y", closed=False)


def call(place: str, made: Tool, arguments: dict[str, Json], **more: Any) -> AskedCall:
    why, is_single = more.get("why", WHY), more.get("is_single", False)
    key, compared = Key("r", place), more.get("compared")
    return AskedCall(key, place, made, arguments, why, is_single, compared=compared)


def overwriting(place: str, path: str, before: str, after: str) -> AskedCall:
    """A call that overwrites a file that was read."""
    compared = Comparison(difference_of("content", "files:read_file", before, after), None)
    return call(place, FILE, {"path": path, "content": after}, compared=compared)


def later(task: str, made: Tool, arguments: Json, *, may_be_covered: bool = True) -> LaterTask:
    return LaterTask(task, made, arguments, WHY, may_be_covered)


def approval(*calls: AskedCall, **more: Any) -> Approval:
    members: dict[str, Any] = {
        "run_id": "r_1",
        "name": "release",
        "question": Key("r", "?"),
        "calls": calls,
        "later": (),
        "reads": 0,
        "done": 5,
        "changed": 0,
        "conflicts": (),
        "is_preview": False,
        "digest": "d" * 64,
    }
    return Approval(**members | more)


def screen(asked: Approval, width: int = 80, **more: Any) -> list[str]:
    lines = [*approval_screen(asked, Shown(width, **more))]
    assert all(length(line) <= width for line in lines), "every line fits"
    return shown(lines)


RELEASE = approval(
    call("fix[0]", COMMENT, {"issue": 12, "body": "Fixed in 618391d by ken", "repo": "api"}),
    call("save", FILE, {"path": "CHANGES", "content": "# Changes\n\n- 2.4.1: retries\n"}),
    call("fix[1]", COMMENT, {"issue": 31, "body": "Fixed in 9bb889a", "repo": "api"}),
    call("post", POST, {"channel": "C01", "text": "2.4.1 is out", "blocks": [{"a": 1}]}),
    later=(later("close", UPDATE, {"state": "closed", "issue": "$OUTPUT[fix].issue"}),),
    reads=1,
    conflicts=({"id": "close", "waits_for": "fix", "resource": "tracker:12", "why": "w"},),
)


CHANGES = "# Changes\n- 2.4.0: search\n"


def test_a_file_that_is_overwritten_is_shown_as_the_difference():
    after = CHANGES.replace("\n- 2.4.0", "\n- 2.4.1: retries \x1b[2J\n- 2.4.0")
    asked = approval(overwriting("save", "CHANGES", CHANGES, after))
    assert screen(asked)[2:11] == [
        "~ files:write_file  save                                             destructive",
        '    path     "CHANGES"',
        "    content  +1 -0 lines · 48 characters · read by files:read_file",
        "             @@ -1,2 +1,3 @@",
        "              # Changes",
        "             +- 2.4.1: retries \\x1b[2J",
        "              - 2.4.0: search",
        "",
        "1 call: 1 to files · 1 destructive",
    ]


def test_in_full_a_difference_comes_with_the_value_as_it_will_be_sent():
    before = "".join(f"{n}\n" for n in range(100))
    asked = approval(overwriting("save", "CHANGES", before, before.replace("7\n", "seven\n")))
    folded, whole = screen(asked), screen(asked, is_whole=True)
    assert any(line.endswith("more lines") for line in folded)
    assert "-97" not in " ".join(folded)
    assert "             -97" in whole
    assert "             as it will be sent:" in whole
    assert "             │ 96" in whole


def test_many_files_that_are_overwritten_are_a_table_with_the_numbers_of_lines():
    calls = [overwriting(f"w[{n}]", f"{n}.txt", "old\n", f"new {n % 2}\n") for n in range(9)]
    table = screen(approval(*calls))
    assert sum("+1 -1 lines" in line for line in table) == 9


def test_one_content_for_several_files_is_not_said_once():
    calls = [overwriting(f"w[{n}]", f"{n}.txt", f"{n}\n", "new\n") for n in range(2)]
    lines = screen(approval(*calls))
    assert "    the same in each:" not in lines
    assert [line.strip() for line in lines if line.strip() in {"-0", "-1"}] == ["-0", "-1"]


def test_columns_stand_below_one_another_whatever_script_they_are_in():
    titles = ["plain", "漢字の題名", "e\u0301te\u0301", "👍🏽 done", "한국어"]
    calls = [
        call(f"w[{n}]", COMMENT, {"title": title, "number": n}) for n, title in enumerate(titles)
    ]
    [header, *rows] = [line for line in screen(approval(*calls)) if line.startswith("    ")]
    at = cell_len(header[: header.index("number")])
    for n, row in enumerate(rows[: len(titles)]):
        assert cell_len(row[: row.rindex(str(n))]) == at, row


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("letter", ["漢", "e\u0301", "👍🏽"])
def test_long_texts_in_any_script_fit_and_are_whole(letter: str, width: int):
    text = f"{letter * 90} end"
    asked = approval(
        call("a", COMMENT, {"body": text}), overwriting("b", f"{letter}.txt", "", f"{text}\n")
    )
    lines = screen(asked, width, is_whole=True)
    assert sum(line.count(letter) for line in lines) == 3 * 90 + 1


def test_a_question_at_80_columns():
    assert screen(RELEASE) == [
        "✓ 5 tasks done. Nothing has been changed yet. release wants to make these",
        "  calls:",
        "",
        "+ tracker:add_comment                                                    2 calls",
        "    the same in each:",
        '    repo  "api"',
        "            issue  body",
        '    fix[0]  12     "Fixed in 618391d by ken"',
        '    fix[1]  31     "Fixed in 9bb889a"',
        "",
        "~ files:write_file  save                                             destructive",
        '    path     "CHANGES"',
        "    content  3 lines, 28 characters",
        "             │ # Changes",
        "             │",
        "             │ - 2.4.1: retries",
        "",
        "+ chat:post_message  post                                             open world",
        '    channel  "C01"',
        '    text     "2.4.1 is out"',
        '    blocks   [{"a": 1}]',
        "",
        "  later, asked again with its values:",
        "+ tracker:update_issue  close",
        '    state  "closed"',
        "    issue  ← fix → issue",
        "",
        "4 calls: 2 to tracker, 1 to files, 1 to chat · 1 destructive · 1 open world ·",
        "  then 1 task that only reads",
        "order  close after fix: both use tracker:12",
        'why  [policy] ask = ["write"], line 12',
    ]


def test_a_question_at_40_columns():
    assert screen(RELEASE, 40) == [
        "✓ 5 tasks done. Nothing has been",
        "  changed yet. release wants to make",
        "  these calls:",
        "",
        "+ tracker:add_comment            2 calls",
        "    the same in each:",
        '    repo  "api"',
        "            issue  body",
        '    fix[0]  12     "Fixed in 618391d by…',
        '    fix[1]  31     "Fixed in 9bb889a"',
        "",
        "~ files:write_file  save     destructive",
        '    path     "CHANGES"',
        "    content  3 lines, 28 characters",
        "             │ # Changes",
        "             │",
        "             │ - 2.4.1: retries",
        "",
        "+ chat:post_message  post     open world",
        '    channel  "C01"',
        '    text     "2.4.1 is out"',
        '    blocks   [{"a": 1}]',
        "",
        "  later, asked again with its values:",
        "+ tracker:update_issue  close",
        '    state  "closed"',
        "    issue  ← fix → issue",
        "",
        "4 calls: 2 to tracker, 1 to files, 1",
        "  to chat · 1 destructive · 1 open world",
        "  · then 1 task that only reads",
        "order  close after fix: both use",
        "  tracker:12",
        'why  [policy] ask = ["write"], line 12',
    ]


def test_marks_say_by_shape_and_colour_what_a_call_does():
    lines = [*approval_screen(approval(call("a", COMMENT, {}), call("b", FILE, {})), Shown(80))]
    lines += approval_screen(approval(call("c", GET, {})), Shown(80))
    marks = [line[0] for line in lines if line and isinstance(line[0], Styled)]
    assert [mark for mark in marks if mark.look is not Look.BOLD and len(mark.text) == 1] == [
        ("+", Look.GREEN),
        ("~", Look.RED),
        ("<", Look.BLUE),
    ]
    [heading] = [line for line in shown(lines) if line.startswith("< ")]
    assert heading.endswith("only reads, open world")


def test_a_tool_of_which_nothing_is_known_is_marked_as_such():
    assert screen(approval(call("a", PLAIN, {})))[2].endswith("unannotated")


def test_what_has_been_sent_already_is_not_denied():
    lines = screen(approval(call("a", PLAIN, {}), changed=2))
    assert "2 tasks changed something so far." in lines[0]
    assert "Nothing has been changed" not in "\n".join(lines)


def test_reasons_name_their_tools_where_there_are_several():
    one = call("a", PLAIN, {}, is_single=True, why='asked because [policy] ask_each = ["x:*"]')
    lines = screen(approval(one, call("b", POST, {})))
    assert lines[-2:] == [
        'why  [policy] ask_each = ["x:*"] (x:y)',
        'why  [policy] ask = ["write"], line 12 (chat:post_message)',
    ]
    assert any(line.endswith("each by itself, unannotated") for line in lines)


def test_later_calls_say_whether_this_yes_covers_them():
    asked = approval(
        call("a", PLAIN, {}),
        later=(later("b", PLAIN, {}), later("c", PLAIN, {}, may_be_covered=False)),
    )
    text = "\n".join(screen(asked, covers_later=True))
    assert text.index("covered by this yes") < text.index("y  b") < text.index("asked again")
    assert text.index("asked again") < text.index("y  c")
    assert "covered" not in "\n".join(screen(asked))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("$OUTPUT[a]", "← a"),
        ("${OUTPUT[a].items[0].id}", "← a → items[0].id"),
        ("$ITEM.id", "← $ITEM → id"),
        ("${OUTPUT[a].x ?? 3}", "← ${OUTPUT[a].x ?? 3}"),
        ("$STATUS[a]", "← $STATUS[a]"),
        ("see ${OUTPUT[a].x}", '"see ${OUTPUT[a].x}"'),
        ("${OUTPUT[", '"${OUTPUT["'),
        (7, "7"),
    ],
)
def test_what_is_not_known_yet_is_shown_with_its_origin(value: Json, said: str):
    asked = approval(call("a", PLAIN, {}), later=(later("b", PLAIN, {"arg": value}),))
    assert f"    arg  {said}" in screen(asked)


def test_equal_values_that_are_not_the_same_stay_in_the_table():
    calls = [call("a", PLAIN, {"n": 1, "same": [1]}), call("b", PLAIN, {"n": True, "same": [1]})]
    lines = screen(approval(*calls))
    assert "    same  [1]" in lines
    assert lines[-6:-3] == ["       n", "    a  1", "    b  true"]


def test_an_argument_that_a_call_does_not_have_is_blank():
    lines = screen(approval(call("a", PLAIN, {"n": 1}), call("b", PLAIN, {"m": ""})))
    assert lines[-6:-3] == ["       n  m", "    a  1", '    b     ""']


def test_texts_of_several_lines_are_not_squeezed_into_a_table():
    calls = [call(one, PLAIN, {"text": f"{one}\nof two" + " and more" * 20}) for one in "ab"]
    assert "      text  2 lines, 188 characters, no line break at the end" in screen(
        approval(*calls)
    )


def test_long_values_are_folded_with_their_length_and_opened_whole():
    value = "word " * 200
    asked = approval(call("a", PLAIN, {"text": value, "list": [*range(500)]}))
    folded, whole = screen(asked), screen(asked, is_whole=True)
    assert any(line.endswith("(1,000 characters)") for line in folded)
    assert any("characters)" in line and "more lines" in line for line in folded)
    assert len(folded) < 30
    assert "".join("".join(line[10:] for line in whole).split()).count("word") == 200
    assert not any("characters" in line for line in whole)


def test_two_thousand_calls_are_a_table_that_can_be_looked_at_whole():
    calls = [call(f"c[{n}]", PLAIN, {"id": n, "state": "closed"}) for n in range(2_000)]
    folded, whole = screen(approval(*calls)), screen(approval(*calls), is_whole=True)
    assert "    … 1,988 more calls: d shows all" in folded
    assert len(folded) < 30
    assert [line for line in whole if line.startswith("    c[")] == [
        f"    {f'c[{n}]':<7}  {n}" for n in range(2_000)
    ]


def test_a_value_of_ten_megabytes_is_shown_within_bounds():
    value: Json = {"text": "\x1b[2J" * 2_600_000}
    asked = approval(
        call("a", PLAIN, {"text": "é\n" * 5_000_000}),
        call("b", POST, {"nested": value}),
        call("c", FILE, {"text": "y" * 10_000_000, "n" * 10_000_000: 1}),
        call("d", tool(f"x:{'t' * 10_000_000}", closed=False), {}),
    )
    tracemalloc.start()
    lines = screen(asked)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < 200 * 2**20
    assert len(lines) < 60
    assert sum(map(len, lines)) < 5_000
    assert any("5,000,000 lines, 10,000,000 characters" in line for line in lines)


HOSTILE = [
    "\x1b[2J\x1b[1;1HNothing is changed",
    "a\rb\x08\x9b31m",
    "\u202etxt.exe\u2066",
    "x\u2028why  [policy] allow",
    "line\n\n  why  [policy] allow = []\n[y] yes\n+ x:y",
    "\ud800",
    "\x07" * 300,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("width", [24, 40, 80])
def test_hostile_texts_steer_nothing_and_forge_no_line(text: str, is_whole: bool, width: int):
    made = tool(f"x:{text}", closed=False)
    asked = approval(
        call(text, made, {"a": text, text: [text, {text: text}]}),
        call("b", PLAIN, {"a": text}),
        call("c", PLAIN, {"a": "other"}),
        name=text,
        later=(later(text, made, {"a": text}),),
        conflicts=({"id": text, "waits_for": text, "resource": text, "why": text},),
    )
    lines = screen(asked, width, is_whole=is_whole)
    assert all(printable(line) == line for line in lines)
    at_the_edge = [line[:4] for line in lines if not line.startswith((" ", "order")) and line]
    assert [mark[0] for mark in at_the_edge] == ["✓", "+", "+", "+", "3", "w"]
    assert all(
        printable(line) == line for line in shown(call_screen(asked.calls[0], 1, 1, Shown(width)))
    )


@given(st.dictionaries(st.text(max_size=30), json_values(), max_size=4), st.integers(20, 120))
def test_every_line_of_any_values_fits(arguments: dict[str, Json], width: int):
    calls = [call("a", PLAIN, arguments), call("b", PLAIN, {}), call("c", POST, arguments)]
    for is_whole in (False, True):
        screen(approval(*calls), max(24, width), is_whole=is_whole)


def test_one_call_of_several_is_shown_with_all_its_values():
    text = "line\n" * 30
    lines: list[Line] = [*call_screen(call("a", FILE, {"text": text}), 2, 9, Shown(60))]
    said = shown(lines)
    assert said[1] == f"~ files:write_file  a  2 of 9{'destructive':>31}"
    assert said.count("          │ line") == 30
    assert said[-1] == 'why  [policy] ask = ["write"], line 12'
