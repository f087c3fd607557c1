"""Texts that look like references and are none: refused where that is certain, and where the call
may change something; else noted. The forms are those that models and users of other engines
write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.foreign import meaning, reference_object
from plait.core.language.lookalikes import (
    Lookalike,
    in_text,
    lookalikes,
    repaired,
    task_named,
    whole,
)
from plait.core.language.reader import read_dag
from plait.core.language.references import MAX_CHARS
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op, Problem
from plait.errors import InvalidDag
from tests.fakes import tool

from ..steps import steps
from ..tables import table

CATALOG = Catalog(
    [tool("s:write", closed=False), tool("s:read", closed=False, readOnlyHint=True)],
    [ServerInfo("s", ServerState.READY)],
)
IDS = ("a", "1", "2", "step_2", "b.c", "other-one", "E1")
NUMBERED = [("$1", "$OUTPUT[1]"), ("$1.output", "$OUTPUT[1]"), ("${1}", "$OUTPUT[1]")]
TO_A_FIELD = [
    "@{a.x}",
    "[[a.x]]",
    '$node["a"].json.x',
    '$("a").item.json.x',
    "{{a.x}}",
    "{{ a.output.x }}",
    "{{{a.x}}}",
    "${{ a.x }}",
    "$a.x",
    "${a.x}",
    "$a[x]",
    "$a['x']",
    "{{steps.a.outputs.x}}",
    "{{tasks.a.outputs.parameters.x}}",
    "${{ steps.a.outputs.x }}",
    "${{ needs.a.outputs.x }}",
    "${steps.a.x}",
    "$steps.a.outputs.x",
    "$tasks.a.x",
    "$tasks[a].x",
    "$task.a.x",
    "$RESULT[a].x",
    "$RESULTS[a].x",
    "$TASK[a].x",
    "$.a.x",
    "$.steps.a.x",
    "$[a].x",
    "$(a.x)",
    "$(tasks.a.results.x)",
    "#{a.x}",
    "{a.x}",
    "<a.x>",
    "@a.x",
    "%a.x%",
    "OUTPUT[a].x",
    "{{OUTPUT[a].x}}",
    "$ref:a.x",
    "{{ outputs('a').x }}",
    "{{ task('a').x }}",
    '{{ get("a").x }}',
]
TO_ALL = [
    ("{{a}}", "$OUTPUT[a]"),
    ("{a}", "$OUTPUT[a]"),
    ("$a", "$OUTPUT[a]"),
    ("${a}", "$OUTPUT[a]"),
    ("{{step_2}}", "$OUTPUT[step_2]"),
    ("{step_2}", "$OUTPUT[step_2]"),
    ("#E1", "$OUTPUT[E1]"),
    ("#E1.total", "$OUTPUT[E1].total"),
    ("#E1.items[0].x", "$OUTPUT[E1].items[0].x"),
    ("#E1.output.x", "$OUTPUT[E1].x"),
    ("{{ ti.xcom_pull('a') }}", "$OUTPUT[a]"),
    ("{{ result_of('b.c') }}", "$OUTPUT[b.c]"),
    ("%(a)s", "$OUTPUT[a]"),
    ("{{ ti.xcom_pull(task_ids='a', key='x') }}", "$OUTPUT[a]"),
    ("{{b.c.title}}", "$OUTPUT[b.c].title"),
    ("${other-one.items[0].title}", "$OUTPUT[other-one].items[0].title"),
]
IN_OTHER_WORDS = [
    ("$OUTPUT_a.x", "$OUTPUT[a].x"),
    ("${OUTPUT_a.x}", "$OUTPUT[a].x"),
    ("$OUTPUT_step_2", "$OUTPUT[step_2]"),
    ("$OUTPUT_a[0].x", "$OUTPUT[a][0].x"),
    ("$STATUS_a", "$STATUS[a]"),
    ("$ERROR_a.message", "$ERROR[a].message"),
    ("$RESPONSE[a].x", "$OUTPUT[a].x"),
    ("$DATA[b.c].items[*].x", "$OUTPUT[b.c].items[*].x"),
    ("$OUT[a]", "$OUTPUT[a]"),
    ("$ERR[a].message", "$ERROR[a].message"),
]
FOREIGN = [*NUMBERED, *((text, "$OUTPUT[a].x") for text in TO_A_FIELD), *TO_ALL]
ITEMS = [
    *(
        (text, "$ITEM.x")
        for text in (
            *("{{item.x}}", "{{ITEM.x}}", "$item.x", "${item.x}", "${{ item.x }}", "{item.x}"),
            *("$ITEMS.x", "$EACH.x", "{{ each.value.x }}", "{{loop.item.x}}"),
        )
    ),
    ("{{ item }}", "$ITEM"),
    *((text, "$INDEX") for text in ("{{ index }}", "$index", "{{loop.index0}}")),
]
HALF = [
    ("{{$OUTPUT[a].x}}", "$OUTPUT[a].x"),
    ("{{ ${OUTPUT[a].x ?? 0} }}", "${OUTPUT[a].x ?? 0}"),
    ("${{ $OUTPUT[a].x }}", "$OUTPUT[a].x"),
    ("${$OUTPUT[a].x}", "$OUTPUT[a].x"),
    ("$OUTPUT[a].items.*.id", "$OUTPUT[a].items[*].id"),
    ("$OUTPUT[a].items.*.tags.*", "$OUTPUT[a].items[*].tags[*]"),
    ("$OUTPUT[a].['x y']", "$OUTPUT[a]['x y']"),
    ("$OUTPUT[a].items.[0].id", "$OUTPUT[a].items[0].id"),
    ("$OUTPUT[a]?.x?.y", "$OUTPUT[a].x.y"),
    ("$OUTPUT[a]->x->y", "$OUTPUT[a].x.y"),
    ("{{$STATUS[a]}}", "$STATUS[a]"),
    ("$OUTPUT[a].x|title", None),
    ("$OUTPUT[a].x | tojson", None),
]


def planned(text: Any, **options: Any) -> Plan:
    tasks: list[dict[str, Any]] = [{"id": id, "tool": "s:read"} for id in IDS]
    arguments = {"x": [text]}
    tasks.append({"id": "last", "tool": "s:read", "arguments": arguments, **options})
    return check(read_dag({"tasks": tasks}), CATALOG, Policy())


def of_ends(meant: str | None) -> dict[str, Any]:
    """Options of a task that may read *meant*: how a task ended is read by what runs anyway."""
    return {} if meant is None or "OUTPUT" in meant else {"trigger_rule": "all_done"}


def refused(text: Any, **options: Any) -> Problem:
    with pytest.raises(InvalidDag) as error:
        planned(text, **options)
    [problem] = error.value.problems
    assert problem.code == "invalid_reference"
    return problem


@table(
    ("text", "meant"),
    [
        ("$OUTPUT.a", "$OUTPUT[a]"),
        ("$OUTPUT.a.items[0].title", "$OUTPUT[a].items[0].title"),
        ("$OUTPUT.b.c.title", "$OUTPUT[b.c].title"),
        ("$OUTPUT [a].title", "$OUTPUT[a].title"),
        ("$OUTPUT\u200b[a].title", "$OUTPUT[a].title"),
        ("$output[a].title", "$OUTPUT[a].title"),
        ("${output[a].title}", "$OUTPUT[a].title"),
        ("$Outputs[a]", "$OUTPUT[a]"),
        ("$OUTPUT(a).title", "$OUTPUT[a].title"),
        ("$OUTPUT{a}", "$OUTPUT[a]"),
        ('$output["a"]', "$OUTPUT[a]"),
        ("It is $OUTPUT.a.", "It is $OUTPUT[a]."),
        ("${OUTPUT[a].x->y}", "${OUTPUT[a].x.y}"),
        ("$STATUS.a", "$STATUS[a]"),
        ("$status[a]", "$STATUS[a]"),
        ("$error(a).message", "$ERROR[a].message"),
    ],
)
def test_what_is_all_but_a_reference_is_refused_whatever_the_tool(text: str, meant: str) -> None:
    problem = refused(text)
    assert problem.path == "tasks[7].arguments.x[0]"
    assert problem.fix == Fix(Op.REPLACE, meant)
    assert planned(meant, **of_ends(meant)).notes == ()


@table(("text", "meant"), HALF)
def test_what_is_left_over_around_a_reference_is_refused_where_something_may_change(
    text: str, meant: str | None
) -> None:
    problem = refused(text, tool="s:write", **of_ends(meant))
    assert problem.path == "tasks[7].arguments.x[0]"
    assert problem.fix == (None if meant is None else Fix(Op.REPLACE, meant))
    assert ("in braces" if meant is None else f"Write {meant}.") in str(problem.hint)
    [note] = planned(text, **of_ends(meant)).notes
    assert ("is taken as text" if meant is None else "only the reference in") in note
    if meant is not None:
        assert planned(meant, tool="s:write", **of_ends(meant)).notes == ()


@table(("text", "meant"), FOREIGN)
def test_references_of_other_engines_are_refused_where_something_may_change(
    text: str, meant: str
) -> None:
    problem = refused(text, tool="s:write")
    assert (problem.path, problem.fix) == ("tasks[7].arguments.x[0]", Fix(Op.REPLACE, meant))
    assert f"Write {meant}." in str(problem.hint)


@table(("text", "meant"), FOREIGN)
def test_references_of_other_engines_are_noted_where_a_call_only_reads(
    text: str, meant: str
) -> None:
    [note] = planned(text).notes
    assert note.startswith("tasks[7].arguments.x[0]: ")
    assert note.endswith(f"is taken as text. Write {meant}.")


@table(("text", "meant"), IN_OTHER_WORDS)
def test_a_task_behind_another_word_or_sign_than_ours_is_meant_too(text: str, meant: str) -> None:
    options = of_ends(meant)
    assert refused(text, tool="s:write", **options).fix == Fix(Op.REPLACE, meant)
    [note] = planned(text, **options).notes
    assert note.endswith(f"is taken as text. Write {meant}.")
    assert planned(meant, tool="s:write", **options).notes == ()


@table(
    ("text", "fixed"),
    [
        ("see $OUTPUT[a] | keys(@)", "see ${OUTPUT[a] | keys(@)}"),
        ("by $OUTPUT[a].x | sort(@)[0] and more", "by ${OUTPUT[a].x | sort(@)[0]} and more"),
        ("x $OUTPUT[a] | join(', ', @[].n)", "x ${OUTPUT[a] | join(', ', @[].n)}"),
        ("x $OUTPUT[a].items | [?ok].n!", "x ${OUTPUT[a].items | [?ok].n}!"),
        ("| $OUTPUT[a].x | length(@) |", "| ${OUTPUT[a].x | length(@)} |"),
        (
            "of $OUTPUT[a] | keys(@) + $OUTPUT[1] | values(@)",
            "of ${OUTPUT[a] | keys(@)} + ${OUTPUT[1] | values(@)}",
        ),
        ("see $OUTPUT[a] | upcase(@)", None),
    ],
)
def test_a_function_behind_a_reference_in_a_text_needs_braces(text: str, fixed: str | None) -> None:
    problem = refused(text, tool="s:write")
    assert problem.fix == (None if fixed is None else Fix(Op.REPLACE, fixed))
    assert "in braces" in str(problem.hint) or "Write ${OUTPUT[a]" in str(problem.hint)
    [note] = planned(text).notes
    assert "only the reference in" in note
    if fixed is not None:
        assert planned(fixed, tool="s:write").notes == ()


@table(
    ("text", "fixed", "reason"),
    [
        ("${OMIT}", "$OMIT", "Write $OMIT"),
        ("x $OMIT", None, "it stands alone"),
        ("a ${OMIT} b", None, "it stands alone"),
        ("$OMIT.x", None, "it stands alone"),
        ("$ARGUMENTS.x", None, "read in repeat"),
        ("page ${ARGUMENTS.page}", None, "read in repeat"),
        ("$ARGUMENTS['x']", None, "read in repeat"),
        ("$ARGUMENTS", None, "read in repeat"),
        ("$STATE[a]", None, "Write $STATUS[a] for how it ended, or $OUTPUT[a] for its output."),
    ],
)
def test_a_word_of_ours_that_has_no_meaning_there_is_no_text(
    text: str, fixed: str | None, reason: str
) -> None:
    problem = refused({"k": text}, tool="s:write")
    assert problem.fix == (None if fixed is None else Fix(Op.REPLACE, fixed))
    assert reason in str(problem.hint)
    [note] = planned({"k": text}).notes
    assert reason in note
    assert planned({"k": text}, tool="s:write", literal=True).notes == ()


@table(
    ("text", "fixed"),
    [
        *((text, "$OMIT") for text in ("OMIT", " OMIT ", "OMITTED", "$omit", "$OMMIT", "'OMIT'")),
        *((text, "$OMIT") for text in ("omit()", "$OMIT()", "OMIT()", "${omit}", "{{ omit }}")),
        *((text, "$OMIT") for text in ("{OMIT}", "<omit>", "[OMIT]", "__OMIT__")),
        ('${OUTPUT[a].x ?? "OMIT"}', "${OUTPUT[a].x ?? OMIT}"),
        ('${OUTPUT[a].x | [0] ?? "$OMIT" }', "${OUTPUT[a].x | [0] ?? OMIT }"),
        ('${OUTPUT[a].x ?? OUTPUT[a].y ?? "omit()"}', "${OUTPUT[a].x ?? OUTPUT[a].y ?? OMIT}"),
    ],
)
def test_an_argument_that_is_to_be_left_out_is_not_sent_as_that_word(text: str, fixed: str) -> None:
    problem = refused({"k": text}, tool="s:write")
    assert problem.fix == Fix(Op.REPLACE, fixed)
    [note] = planned({"k": text}).notes
    assert f"Write {fixed}" in note
    assert planned({"k": text}, tool="s:write", literal=True).notes == ()
    assert refused([text], tool="s:write").fix is None  # only an argument can be left out


def test_the_bare_word_of_a_default_is_the_one_of_ours() -> None:
    for word in ("omit", "$omit", "omit()"):
        problem = refused({"k": f"${{OUTPUT[a].x ?? {word}}}"}, tool="s:write")
        assert problem.fix == Fix(Op.REPLACE, "${OUTPUT[a].x ?? OMIT}")


def test_a_choice_of_a_tool_may_be_the_word_omit() -> None:
    choices = {"k": {"enum": ["KEEP", "OMIT"]}}
    tools = Catalog([tool("s:write", choices)], [ServerInfo("s", ServerState.READY)])
    task = {"id": "w", "tool": "s:write", "arguments": {"k": "OMIT"}}
    assert check(read_dag({"tasks": [task]}), tools, Policy()).notes == ()


@table(("text", "meant"), ITEMS)
def test_items_of_other_engines_count_where_there_are_items(text: str, meant: str) -> None:
    problem = refused(text, tool="s:write", for_each=[1])
    assert problem.fix == Fix(Op.REPLACE, meant)
    assert planned(text, tool="s:write").notes == ()
    assert refused(f"mail to {text}", tool="s:write", for_each=[1]).fix == Fix(
        Op.REPLACE, f"mail to {meant}"
    )


@table(
    ("text", "fixed"),
    [
        ("mail to {{a.x}}!", "mail to $OUTPUT[a].x!"),
        ("${1}+${2}", "$OUTPUT[1]+$OUTPUT[2]"),
        ("{a.x}s and {{step_2}}.txt", "${OUTPUT[a].x}s and ${OUTPUT[step_2]}.txt"),
        ("run $a now", "run $OUTPUT[a] now"),
    ],
)
def test_all_lookalikes_of_one_text_are_fixed_together(text: str, fixed: str) -> None:
    assert refused(text, tool="s:write").fix == Fix(Op.REPLACE, fixed)
    assert planned(fixed, tool="s:write").notes == ()


@table(
    ("value", "meant"),
    [
        ({"$ref": "a.x"}, "$OUTPUT[a].x"),
        ({"$ref": "#/tasks/a/output/x"}, "$OUTPUT[a].x"),
        ({"$from": "a", "path": "x"}, "$OUTPUT[a].x"),
        ({"$from": "a", "path": "$.items[0]"}, "$OUTPUT[a].items[0]"),
        ({"$OUTPUT": "a"}, "$OUTPUT[a]"),
    ],
)
def test_an_object_that_stands_for_a_reference_is_one_too(value: Any, meant: str) -> None:
    assert refused(value, tool="s:write").fix == Fix(Op.REPLACE, meant)
    [note] = planned(value).notes
    assert f"Write {meant}." in note


@table(
    ("value", "reason"),
    [
        ({"$OUTPUT[a].k": 1}, "not in names"),
        ({"{{a}}$": 1}, "not in names"),
        ('${OUTPUT[a].v ?? "$OUTPUT[1].v"}', "default is not read"),
        ("$prev.x", "Name the task"),
        ("{{ previous.output }}", "Name the task"),
        ("$LAST.x", "Name the task"),
        ("$ITEM.name", "only with for_each"),
    ],
)
def test_what_cannot_be_a_reference_there_has_a_reason_and_no_fix(value: Any, reason: str) -> None:
    problem = refused(value, tool="s:write")
    assert problem.fix is None
    assert reason in str(problem.hint)
    [note] = planned(value).notes
    assert reason in note


@table("text", ["{{a.x}}", "$OUTPUT.a", "{{$OUTPUT[a].x}}", "$ITEM"])
def test_a_task_can_say_that_its_text_is_meant(text: str) -> None:
    plan = planned(text, tool="s:write", literal=True)
    assert plan.notes == ()


@table(
    "text",
    [
        "$OUTPUT[a]",
        "${OUTPUT[a].x ?? 1} and $OUTPUT[b.c]",
        "$$OUTPUT[a]",
        "$OUTPUT_DIR",
        "$OUTPUT.other",
        "$output[z]",
        "costs 5$a",
        "$$a",
        "a.b",
        "<a>",
        "100%a",
        "@a",
        "ada@a.x",
        "{ x: 1 }",
        "function() { return a }",
        '{"a": 1}',
        "${HOME}/a",
        "$PATH",
        "{{name}}",
        "$(date)",
        "see #E5",
        "$OUTPUT[a].x | docs",
        "| a | $OUTPUT[a].x | join(path) | [1] |",
        "cat $OUTPUT[a].x | sort | uniq (all)",
        "echo $OUTPUT_DIR ${OUTPUT_a_dir} $output_a.txt $OUTPUT_2024",
        "docker run -v $DATA:/a $DATA[0] ${DATA[a]}",
        "Fix issue $ARGUMENTS, then $ARGUMENTS[0] and $ARGUMENTS.",
        "$OMITTED and OMIT and $$OMIT",
        "It costs $1.50, $2,000 or $2.0M, not $5",
        "ERROR[a] disk full, STATUS[a] ok",
        "$_GET[a] and $rows[a]",
        "$OUTPUT[a].x. [1]",
        "{{last}}",
        "last",
        {"$ref": "#/$defs/a"},
        {"$ref": "a", "type": "x"},
        {"$schema": "x"},
    ],
)
def test_all_else_is_taken_without_a_word(text: Any) -> None:
    assert planned(text, tool="s:write").notes == ()


def test_a_task_has_no_reference_to_itself() -> None:
    assert planned("{{last.x}}", id="last", tool="s:write").notes == ()


@table(
    ("text", "fixed"),
    [
        ("$OUTPUT['a'].x", "$OUTPUT[a].x"),
        ('$OUTPUT["a"].x', "$OUTPUT[a].x"),
        ("$OUTPUT[a].items[].id", "$OUTPUT[a].items[*].id"),
        ("$OUTPUT[a].x ?? 0", "${OUTPUT[a].x ?? 0}"),
        ("$OUTPUT[a].x ?? 'none'", '${OUTPUT[a].x ?? "none"}'),
        ("so ${OUTPUT[a].x ?? 'none'}!", 'so ${OUTPUT[a].x ?? "none"}!'),
        ("${OUTPUT[a].x || 'none'}", '${OUTPUT[a].x ?? "none"}'),
        ("$OUTPUT[ a ].x", "$OUTPUT[a].x"),
        ("$OUTPUT[\u201ca\u201d].x", "$OUTPUT[a].x"),
        ("n=${OUTPUT[\u2018a\u2019].x}", "n=${OUTPUT[a].x}"),
        ("$OUTPUT[a][\u201ca b\u201d]", '$OUTPUT[a]["a b"]'),
        ("${OUTPUT[a].x ?? \u201cno\u201d}", '${OUTPUT[a].x ?? "no"}'),
        ("by $OUTPUT[a][0:1]", None),
        ("$OUTPUT[a", None),
    ],
)
def test_a_reference_that_cannot_be_read_has_its_fix_where_it_is_certain(
    text: str, fixed: str | None
) -> None:
    assert repaired(text) == fixed
    assert refused(text).fix == (None if fixed is None else Fix(Op.REPLACE, fixed))


@table("text", ["$OUTPUT[a].x", "{{a}}", "tasks.a", "a.x", "$a"])
def test_a_reference_where_an_id_should_stand_becomes_that_id(text: str) -> None:
    assert task_named(text, IDS) == "a"
    tasks = [{"id": "a", "tool": "s:read"}, {"id": "z", "tool": "s:read", "depends_on": [text]}]
    with pytest.raises(InvalidDag) as error:
        check(read_dag({"tasks": tasks, "return": [text]}), CATALOG, Policy())
    assert [(problem.path, problem.fix) for problem in error.value.problems] == [
        ("tasks[1].depends_on[0]", Fix(Op.REPLACE, "a")),
        ("return[0]", Fix(Op.REPLACE, "a")),
    ]


@table("text", ["{{a.items}}", "$a.items", "a.items", "${{ steps.a.items }}"])
def test_a_list_named_as_in_another_engine_has_its_fix(text: str) -> None:
    problem = refused("x", for_each=text)
    assert (problem.path, problem.fix) == (
        "tasks[7].for_each",
        Fix(Op.REPLACE, "$OUTPUT[a].items"),
    )


@table("field", ["reads", "writes"])
def test_resources_hold_no_references(field: str) -> None:
    problem = refused("x", **{field: ["file:/x", "file:$OUTPUT[a].k"]})
    assert (problem.path, problem.fix) == (f"tasks[7].{field}[1]", None)


def test_an_item_is_not_a_lookalike_where_there_are_items() -> None:
    assert planned("$ITEM and $INDEX", for_each=[1]).notes == ()


def test_notes_are_few_and_the_others_are_counted() -> None:
    notes = planned(["${a}"] * 100).notes
    assert len(notes) == 21
    assert notes[-1] == "80 more texts that look like references are taken as text"
    assert len(planned(["${a}"] * 20).notes) == 20


def test_a_meaning_needs_a_task_of_the_dag() -> None:
    assert meaning("steps.a.outputs.x", IDS) == "$OUTPUT[a].x"
    assert meaning("steps.zz.outputs.x", IDS) is None
    assert whole("x {{a}}", IDS) is None
    assert reference_object(["a"], IDS, items=False) is None


@given(st.text(st.sampled_from("$$${[.](a}{{<>%@#E1OUTPUToutput\"'0 ?*|")), st.booleans())
def test_any_text_is_looked_at(text: str, items: bool) -> None:
    for found in lookalikes([((), text)], IDS, items=items):
        assert isinstance(found, Lookalike)
        assert found.found in found.text


@table(
    "part",
    [
        *("$output.", "$", "{{ ", "a", "a.", "{", "<a.", "%a.", "$OUTPUT[a]", "$OUTPUT[a].x."),
        *(
            "{{$OUTPUT[a]",
            "$OUTPUT[",
            "{a b c d ",
            "a-",
            "${OUTPUT[a].",
            "{ ",
            "$OUTPUT[a]|keys(",
            "${a|@",
            "f'{a(",
            "$OUTPUT_a[0]",
            "${a(x=>",
            "$ref:a.",
            "#E1",
        ),
    ],
)
def test_a_long_hostile_text_is_looked_at_in_time(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plait.core.language.lookalikes.MAX_CHARS", MAX_CHARS // 50)

    def look(count: int) -> None:
        in_text((), part * count, IDS, items=True)

    assert steps(lambda: look(400)) < 1.5 * steps(lambda: look(200)) + 50
    assert steps(lambda: look(80)) < 2.5 * steps(lambda: look(40)) + 400


@table(
    ("text", "fixed"),
    [
        ("n: $OUTPUT[a].x ?? 0 of them", "n: ${OUTPUT[a].x ?? 0} of them"),
        ('by $OUTPUT[a].x ?? "none".', 'by ${OUTPUT[a].x ?? "none"}.'),
        ("by $OUTPUT[a].x ?? none", None),
        ("n: $OUTPUT[a].x|length", None),
        ("by $OUTPUT[a].x | upper, and more", None),
        ("n: $OUTPUT[a].items.map(x => x.n).join(', ')", None),
        ("n: $OUTPUT[a].name.trim()!", None),
        ("n: $((a.x + 1))", None),
        ("States.Format('n {}', $.a.x)", None),
        ("n: {{ $json.total }}", None),
        ("n: {{ previous.total }}", None),
        ("n: $steps[0].total", None),
        ('n: ${OUTPUT[a].x ?? "OMIT"}', None),
    ],
)
def test_what_would_go_out_half_resolved_is_found_in_longer_texts_too(
    text: str, fixed: str | None
) -> None:
    tasks = [{"id": "a", "tool": "s:read"}, {"id": "b", "tool": "s:read", "depends_on": ["a"]}]
    tasks.append({"id": "w", "tool": "s:write", "arguments": {"x": text}, "depends_on": ["b"]})
    with pytest.raises(InvalidDag) as error:
        check(read_dag({"tasks": tasks}), CATALOG, Policy())
    [problem] = error.value.problems
    assert problem.code == "invalid_reference"
    assert problem.hint
    assert problem.fix == (None if fixed is None else Fix(Op.REPLACE, fixed))


@table(
    "text",
    [
        *("is it $OUTPUT[a].x?? Really", "| $OUTPUT[a].x | length |", "$OUTPUT[a].x | docs"),
        *("$OUTPUT[a].item(s)", "{{ greet('a') }}", "$OUTPUT.other", "100 %(more or less)"),
        *("echo $((1 + 2))", "OMIT it"),
    ],
)
def test_texts_that_only_look_alike_are_sent(text: str) -> None:
    tasks = [{"id": "a", "tool": "s:read"}, {"id": "b", "tool": "s:read", "depends_on": ["a"]}]
    tasks.append({"id": "w", "tool": "s:write", "arguments": {"x": text}, "depends_on": ["b"]})
    check(read_dag({"tasks": tasks}), CATALOG, Policy())


@table("text", ["see $KEY", "${VALUE}", "{{ key }}: {{ value }}"])
def test_the_key_of_a_member_is_a_part_of_the_item(text: str) -> None:
    [found] = lookalikes([((), text)], ("a",), items=True)
    assert (found.fixed, "$ITEM.key" in found.advice) == (None, True)
    assert not [*lookalikes([((), text)], ("a",), items=False)]
    assert not [*lookalikes([((), "$KEYS {{ keys }} $$KEY")], ("a",), items=True)]
