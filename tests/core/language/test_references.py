"""The reference language: what is read as a reference, and the answer to a mistake in one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.references import (
    INDEX,
    ITEM,
    BadReference,
    Every,
    Missing,
    Reference,
    in_braces,
    own_text,
    parse,
    written_step,
)
from plait.core.values.strict import dumps, loads

from ...profiles import share_of_examples
from ..steps import steps
from ..strategies import ALMOST_REFERENCES, WORDS, json_values
from ..tables import table


def references(text: str, *, items: bool = False) -> list[Reference]:
    return [piece for piece in parse(text, items=items) if isinstance(piece, Reference)]


@table(
    ("text", "pieces"),
    [
        ("Dear $OUTPUT[a].name,", ["Dear ", "$OUTPUT[a].name", ","]),
        ("See $OUTPUT[a].name.", ["See ", "$OUTPUT[a].name", "."]),
        ("$OUTPUT[a].name...", ["$OUTPUT[a].name", "..."]),
        ("$OUTPUT[a].name-x", ["$OUTPUT[a].name", "-x"]),
        ("$OUTPUT[a].1st", ["$OUTPUT[a].1", "st"]),
        ("${OUTPUT[a].name}.txt", ["${OUTPUT[a].name}", ".txt"]),
        ("${OUTPUT[a]}[0]", ["${OUTPUT[a]}", "[0]"]),
        ("$OUTPUT[a]$OUTPUT[b]", ["$OUTPUT[a]", "$OUTPUT[b]"]),
        ("$$OUTPUT[a] is $OUTPUT[a]", ["$OUTPUT[a] is ", "$OUTPUT[a]"]),
    ],
)
def test_a_reference_in_text_ends_where_its_path_or_its_braces_end(
    text: str, pieces: list[str]
) -> None:
    assert [piece if isinstance(piece, str) else piece.text for piece in parse(text)] == pieces


def test_the_item_and_its_number_are_references_where_there_are_items() -> None:
    assert references("${ITEM.name}_$INDEX.txt", items=True) == [
        Reference(ITEM, ("name",), text="${ITEM.name}"),
        Reference(INDEX, ("txt",), text="$INDEX.txt"),
    ]
    assert all(reference.is_item for reference in references("$ITEM $INDEX", items=True))
    assert parse("$$ITEM $ITEMS", items=True) == ("$ITEM $ITEMS",)
    assert not references("$OUTPUT[ITEM]", items=True)[0].is_item


@table(
    ("text", "literal"),
    [
        ("$$OUTPUT[a]", "$OUTPUT[a]"),
        ("$${OUTPUT[a]}", "${OUTPUT[a]}"),
        ("$$OUTPUT[no such id", "$OUTPUT[no such id"),
        ("costs $5", "costs $5"),
        ("$", "$"),
        ("$$", "$$"),
        ("$OUTPUT", "$OUTPUT"),
        ("$OUTPUTS[a]", "$OUTPUTS[a]"),
        ("$output[a]", "$output[a]"),
        ("${HOME}", "${HOME}"),
        ("$ITEM and $INDEX", "$ITEM and $INDEX"),
    ],
)
def test_other_text_stays_text(text: str, literal: str) -> None:
    assert parse(text) == (literal,)


@table(
    "default",
    ['"none"', "0", "-1.5", "true", "null", "[]", '{"k": [1, {"}": "}"}]}', '"a \\" b"', '""'],
)
@table("spaces", [("", ""), (" ", " "), ("  ", "\n")])
def test_a_default_is_any_json_value(default: str, spaces: tuple[str, str]) -> None:
    before, after = spaces
    [reference] = references("${OUTPUT[a].x" + before + "??" + after + default + after + "}")
    assert reference.default == loads(default)
    assert type(reference.default) is type(loads(default))


def test_a_default_guards_its_own_reference_alone() -> None:
    guarded, bare = references("${OUTPUT[a].x ?? 1} $OUTPUT[b]")
    assert (guarded.task, guarded.is_guarded) == ("a", True)
    assert (bare.task, bare.is_guarded) == ("b", False)


def test_a_default_may_be_another_reference_and_each_guards_its_own() -> None:
    text = "${OUTPUT[a].x ?? $OUTPUT[b].y[0] ?? ITEM.z ?? null}"
    [head] = references(text, items=True)
    assert [(link.task, link.path, link.text) for link in head.chain] == [
        ("a", ("x",), text),
        ("b", ("y", 0), "$OUTPUT[b].y[0]"),
        ("$ITEM", ("z",), "$ITEM.z"),
    ]
    assert [link.is_guarded for link in head.chain] == [True, True, True]
    assert head.last is None
    [open_] = references("${OUTPUT[a]??OUTPUT[b]}")
    assert [link.is_guarded for link in open_.chain] == [True, False]
    assert open_.last is Missing.DEFAULT


@table(
    ("text", "path", "expression", "default"),
    [
        ("${OUTPUT[a].x | y.z}", ("x",), "y.z", Missing.DEFAULT),
        ("${OUTPUT[a]|y}", (), "y", Missing.DEFAULT),
        ("${OUTPUT[a] | {a: b} | [0] ?? 1}", (), "{a: b} | [0]", 1),
        (
            "${OUTPUT[a] | [?x == '}' || y == `\"??\"`] ?? {}}",
            (),
            "[?x == '}' || y == `\"??\"`]",
            {},
        ),
        ('${OUTPUT[a] | "a}b"}', (), '"a}b"', Missing.DEFAULT),
        ("${OUTPUT[a] | [?x == 'it\\'s }']}", (), "[?x == 'it\\'s }']", Missing.DEFAULT),
        ("${OUTPUT[a].x[?y].z}", ("x",), "[?y].z", Missing.DEFAULT),
        ("${OUTPUT[a][:2] ?? []}", (), "[:2]", []),
        ("$OUTPUT[a].x[?y == 1].z", ("x",), "[?y == 1].z", Missing.DEFAULT),
        ("$OUTPUT[a][-3:]", (), "[-3:]", Missing.DEFAULT),
        ("$OUTPUT[a] | sort(@)", (), "sort(@)", Missing.DEFAULT),
        ("$OUTPUT[a].x | [0] ?? 5", ("x",), "[0]", 5),
        ("$ITEM.x[?y]", ("x",), "[?y]", Missing.DEFAULT),
        ("${ITEM | x}", (), "x", Missing.DEFAULT),
    ],
)
def test_a_value_may_be_put_through_an_expression(
    text: str, path: tuple[Any, ...], expression: str, default: Any
) -> None:
    [reference] = parse(text, items=True)
    assert isinstance(reference, Reference)
    assert reference.pipe is not None
    assert (reference.path, reference.default, reference.text) == (path, default, text)
    assert reference.pipe.expression.text == expression
    assert text[reference.pipe.start :].startswith(expression)


def test_each_reference_of_a_chain_may_have_an_expression() -> None:
    text = "n: ${OUTPUT[a] | x ?? OUTPUT[b].y | [0] ?? 1}."
    _, head, _ = parse(text)
    assert isinstance(head, Reference)
    assert [link.pipe and link.pipe.expression.text for link in head.chain] == ["x", "[0]"]
    assert [link.pipe and text[link.pipe.start] for link in head.chain] == ["x", "["]
    assert [link.text for link in head.chain][1] == "$OUTPUT[b].y | [0]"


@table(
    "text",
    [
        "$OUTPUT[a].title | docs",
        "$OUTPUT[a].title | My Site",
        "$OUTPUT[a].x | $OUTPUT[b].y |",
        "$OUTPUT[a].x || $OUTPUT[b].y",
        "see $OUTPUT[a].x | length(@)",
        "$OUTPUT[a] | 'x'",
    ],
)
def test_a_bar_behind_a_reference_without_braces_may_be_text(text: str) -> None:
    assert all(one.pipe is None for one in references(text))


@table(
    ("text", "meant"),
    [
        ("${OUTPUT[a].x | y}", None),
        ("${OUTPUT[a].x|y}", None),
        ("${OUTPUT[a].x}", None),
        ("$OUTPUT[a].x[?y]", "${OUTPUT[a].x | [?y]}"),
        ("$OUTPUT[a] | sort(@) ?? 1", "${OUTPUT[a] | sort(@) ?? 1}"),
        ("all: ${OUTPUT[a].x[:2] ?? []}!", "${OUTPUT[a].x | [:2] ?? []}"),
    ],
)
def test_an_expression_without_its_sign_is_shown_with_it(text: str, meant: str | None) -> None:
    [reference] = references(text)
    assert in_braces(reference, text) == meant


@table(
    ("text", "own"),
    [
        ("$OUTPUT[a].x[0]", "OUTPUT[a].x[0]"),
        ('${OUTPUT[a]["x y"] ?? 1}', 'OUTPUT[a]["x y"]'),
        ("${ITEM[g].x ?? OUTPUT[b].y}", "ITEM[g].x"),
        ("$INDEX", "INDEX"),
    ],
)
def test_the_own_text_of_a_reference_is_its_start_and_its_path(text: str, own: str) -> None:
    [reference] = references(text, items=True)
    assert own_text(reference) == own


@table(
    ("text", "said", "hint"),
    [
        (
            "$OUTPUT[a",
            '"$OUTPUT[a" is not a reference: after $OUTPUT[ come the id of a task and ].',
            "$OUTPUT[id].path",
        ),
        ("$OUTPUT[]", '"$OUTPUT[]" is not a reference', "$OUTPUT[id].path"),
        ("$OUTPUT[a b].x", "is not a reference", "$OUTPUT[id].path"),
        ("$OUTPUT[é]", "is not a reference", "$OUTPUT[id].path"),
        ("$OUTPUT[-a]", "is not a reference", "$OUTPUT[id].path"),
        ("$OUTPUT[" + "a" * 65 + "]", "is not a reference", "$OUTPUT[id].path"),
        ("$OUTPUT[a][x]", '"[x]" is not a step of a path.', '["a b"]'),
        ("say $OUTPUT[a][0:2]", '"[0:2]" is not a step of a path.', "[0]"),
        ("$OUTPUT[a][?x", "] is missing (at character 14)", ""),
        ("$OUTPUT[a] | lenght(@)", "unknown function lenght (at character 14)", ""),
        ("$OUTPUT[a].x | length", "length is a function here (at character 16)", '"length"'),
        ("${OUTPUT[a] | }", "the expression is empty", ""),
        ("${OUTPUT[a] | [?x", "] is missing", ""),
        ("${OUTPUT[a] | x[0]", "its closing brace is missing", ""),
        ("$OUTPUT[a].x[", '"[" is not a step of a path.', "[0]"),
        ('$OUTPUT[a]["x]', "is not a step of a path.", "[0]"),
        ("$OUTPUT[a][99999999999]", "is not a step of a path.", "[0]"),
        (r'$OUTPUT[a]["\x"]', "is not a JSON string", '["a b"]'),
        (r'$OUTPUT[a]["\ud800"]', "is not a JSON string", '["a b"]'),
        ("${OUTPUT[a].x", "its closing brace is missing", "${OUTPUT[id].path}"),
        ("${OUTPUT[a].x-y}", "its closing brace is missing", '["a-b"]'),
        ("${OUTPUT[a].x ?? 1", "its closing brace is missing", "${OUTPUT[id].path}"),
        ("${OUTPUT[a].x ?? 1 2}", "its closing brace is missing", "${OUTPUT[id].path}"),
        (
            "${OUTPUT[a].x ?? none}",
            "what follows ?? is neither a JSON value nor a reference",
            '?? "none"}',
        ),
        (
            "${OUTPUT[a].x ?? 'none'}",
            "what follows ?? is neither a JSON value nor a reference",
            '?? "none"}',
        ),
        (
            "${OUTPUT[a].x ?? NaN}",
            "what follows ?? is neither a JSON value nor a reference",
            '?? "none"}',
        ),
        (
            '${OUTPUT[a].x ?? {"k":1,"k":2}}',
            "what follows ?? is neither a JSON value nor a reference",
            '?? "none"}',
        ),
        ("$OUTPUT[a].x ?? 0", "A default needs braces.", "Write ${OUTPUT[a].x ?? 0}."),
        ("$OUTPUT[a].x ?? $OUTPUT[b].y", "A default needs braces.", "?? $OUTPUT[b].y}."),
        ("${OUTPUT[a] ?? ITEM.x}", "ITEM stands for an item", "only with for_each"),
        ("${OUTPUT[a] ?? OUTPUT[b}", "is not a reference", "$OUTPUT[id].path"),
        ("${OUTPUT[a]" + " ?? OUTPUT[b]" * 21 + "}", "at most 20 others", "Leave some out."),
        ("$OUTPUT[a]" + ".x" * 65, "at most 64 steps", "nearer to the root"),
    ],
)
def test_a_reference_that_is_not_finished_is_refused_with_what_would_be_right(
    text: str, said: str, hint: str
) -> None:
    with pytest.raises(BadReference) as refused:
        parse(text)
    assert said in str(refused.value)
    assert hint in refused.value.hint
    assert str(refused.value).endswith(".")


HOSTILE = [
    "$" * 6_000,
    "$OUTPUT[" * 800,
    "${" * 3_000,
    "$$OUTPUT[" * 200,
    "$OUTPUT[a]" * 200,
    "$OUTPUT[a] " * 200,
    "$OUTPUT[a]" + ".x" * 3_000,
    "$OUTPUT[a]" + "[0]" * 2_000,
    '$OUTPUT[a]["' + "\\" * 6_000,
    '$OUTPUT[a]["' * 500,
    "$OUTPUT[a]" + " " * 6_000,
    "${OUTPUT[a]" + " " * 6_000,
    "${OUTPUT[a] ?? " + "[" * 6_000,
    "${OUTPUT[a] ?? " + "9" * 6_000 + "}",
    '${OUTPUT[a] ?? "' + "x" * 6_000 + '"}',
    "${OUTPUT[a] ?? 0}" * 140,
    "$OUTPUT[" + "a" * 6_000,
    "$OUTPUT[a]." + "é" * 6_000,
]


@table("text", HOSTILE)
def test_a_long_hostile_text_is_read_or_refused_in_few_steps(text: str) -> None:
    found: list[Any] = []
    assert steps(lambda: found.append(outcome(text, items=True))) < 300 + 3 * len(text)
    match found[0]:
        case BadReference() as refused:
            assert len(str(refused)) < 300
        case pieces:
            assert pieces


def outcome(text: str, *, items: bool) -> tuple[str | Reference, ...] | BadReference:
    try:
        return parse(text, items=items)
    except BadReference as refused:
        return refused


NAMES = st.text(st.sampled_from("abzé_09"), min_size=1, max_size=5).filter(
    lambda name: not name[0].isdigit()
)


STEPS = st.lists(st.integers(-99, 99) | NAMES | WORDS | st.just(Every.ELEMENT), max_size=5)


def written(step: Any) -> st.SearchStrategy[str]:
    """The ways to write one step."""
    if isinstance(step, int):
        return st.sampled_from([f"[{step}]", f".{step}"] if step >= 0 else [f"[{step}]"])
    if step is Every.ELEMENT:
        return st.just("[*]")
    quoted = f"[{dumps(step)}]"
    is_name = step.isidentifier() and all(letter.isalnum() or letter == "_" for letter in step)
    return st.sampled_from(
        [quoted, f".{step}"] if is_name and step in {"a", "b", "é", "z_0"} else [quoted]
    )


@share_of_examples(0.4)
@given(
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", fullmatch=True),
    STEPS,
    st.none() | json_values(),
    st.data(),
)
def test_a_reference_reads_back_as_it_was_written(
    id: str, steps: list[Any], default: Any, data: st.DataObject
) -> None:
    text = f"OUTPUT[{id}]" + "".join(data.draw(written(step)) for step in steps)
    has_default = data.draw(st.booleans())
    text = f"${{{text} ?? {dumps(default)}}}" if has_default else f"${text}"
    [reference] = parse(text)
    assert reference == Reference(
        id, tuple(steps), default if has_default else Missing.DEFAULT, text
    )


DEFAULTS = ("0", "-12", "1.5", "[]", "[1]", "true", "null", '"x"', "OMIT", "OUTPUT[b].x", "1" * 17)


@given(
    st.from_regex(r"[a-z][a-z0-9.-]{0,9}", fullmatch=True),
    STEPS,
    st.none() | st.sampled_from(DEFAULTS),
    st.data(),
)
def test_a_reference_is_the_same_alone_and_within_text(
    id: str, steps: list[Any], default: str | None, data: st.DataObject
) -> None:
    text = f"OUTPUT[{id}]" + "".join(data.draw(written(step)) for step in steps)
    text = f"${text}" if default is None else f"${{{text} ?? {default}}}"
    assert parse(f"{text} and text") == (*parse(text), " and text")


ESCAPE = r"\$\$\{?OUTPUT\["


ESCAPE_OF_ITEMS = ESCAPE + r"|\$\$\{?(?:ITEM|INDEX)(?!\w)"


@given(ALMOST_REFERENCES, st.booleans())
def test_any_text_is_read_or_refused_and_nothing_of_it_is_lost(text: str, items: bool) -> None:
    match outcome(text, items=items):
        case BadReference() as refused:
            assert str(refused)
            assert refused.hint
        case pieces:
            rebuilt = "".join(
                piece.text if isinstance(piece, Reference) else piece for piece in pieces
            )
            assert len(rebuilt) == len(text) - len(
                re.findall(ESCAPE_OF_ITEMS if items else ESCAPE, text)
            )


@given(STEPS)
def test_a_step_is_written_as_it_is_read(steps: list[Any]) -> None:
    [reference] = references("$OUTPUT[a]" + "".join(map(written_step, steps)))
    assert reference.path == tuple(steps)
