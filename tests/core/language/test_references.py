"""The reference language: what is read as a reference, what it gives, and what a mistake is
answered with."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.references import BadReference, Every, Missing, Reference, parse
from plait.core.language.templates import Scope, Template, compile_value, follow
from plait.core.tools.output import Output
from plait.core.values.strict import dumps
from plait.errors import OutputTooLarge, ReferenceFailed

from ..strategies import WORDS, json_values

OUTPUT: dict[str, Any] = {
    "name": "Ann",
    "n": 3,
    "none": None,
    "items": [{"id": 1, "tags": ["x", "y"]}, {"id": 2, "tags": []}],
    "a b": {'q"': [10, 20]},
    "prénom": "Zoé",
    "content-type": "json",
}
SCOPE = Scope({"a": Output(OUTPUT), "t": Output("plain text"), "l": Output([1, 2, 3])})


def template(value: Any, *, items: bool = False) -> Template:
    compiled, bad = compile_value(value, items=items)
    assert not bad
    return compiled


def resolved(value: Any, scope: Scope = SCOPE, *, items: bool = False) -> Any:
    return template(value, items=items).resolve(scope)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$OUTPUT[a].name", "Ann"),
        ("$OUTPUT[a].n", 3),
        ("$OUTPUT[a].none", None),
        ("$OUTPUT[l]", [1, 2, 3]),
        ("$OUTPUT[a].items[0].id", 1),
        ("$OUTPUT[a].items.1.id", 2),
        ("$OUTPUT[a].items[-1].id", 2),
        ("$OUTPUT[a].items[*].id", [1, 2]),
        ("$OUTPUT[a].items[*].tags[*]", [["x", "y"], []]),
        ('$OUTPUT[a]["a b"]["q\\""][1]', 20),
        ("$OUTPUT[a]['content-type']", "json"),
        ('$OUTPUT[a]["\\u0061 b"]["q\\""].0', 10),
        ("$OUTPUT[a].prénom", "Zoé"),
        ("${OUTPUT[a].name}", "Ann"),
        ("$OUTPUT[t].text", "plain text"),
        ("$OUTPUT[t]", "plain text"),
    ],
)
def test_a_string_that_is_one_reference_becomes_the_value(text: str, value: Any) -> None:
    assert resolved({"x": [text]}) == {"x": [value]}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Dear $OUTPUT[a].name,", "Dear Ann,"),
        ("See $OUTPUT[a].name.", "See Ann."),
        ("$OUTPUT[a].name...", "Ann..."),
        ("${OUTPUT[a].name}.txt", "Ann.txt"),
        ("${OUTPUT[a].name}[0]", "Ann[0]"),
        ("$OUTPUT[a].name-x", "Ann-x"),
        ("$OUTPUT[a].name $OUTPUT[a].n", "Ann 3"),
        ("n=$OUTPUT[a].n;", "n=3;"),
        ("none: $OUTPUT[a].none", "none: null"),
        ("ids $OUTPUT[a].items[*].id", "ids [1,2]"),
        ("${OUTPUT[a].prénom}é", "Zoéé"),
        ("$OUTPUT[l]$OUTPUT[l]", "[1,2,3][1,2,3]"),
        (" $OUTPUT[a].name", " Ann"),
    ],
)
def test_in_longer_text_strings_go_in_as_they_are_and_the_rest_as_compact_json(
    text: str, filled: str
) -> None:
    assert resolved(text) == filled


@pytest.mark.parametrize(
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
    assert resolved(text) == literal
    assert template(text).references == ()


def test_a_literal_and_a_reference_stand_side_by_side() -> None:
    assert resolved("$$OUTPUT[a] is $OUTPUT[a].n") == "$OUTPUT[a] is 3"


@pytest.mark.parametrize(
    "default",
    ['"none"', "0", "-1.5", "true", "null", "[]", '{"k": [1, {"}": "}"}]}', '"a \\" b"', '""'],
)
@pytest.mark.parametrize("spaces", [("", ""), (" ", " "), ("  ", "\n")])
def test_a_default_is_any_json_value(default: str, spaces: tuple[str, str]) -> None:
    before, after = spaces
    assert dumps(
        resolved("${OUTPUT[a].nowhere" + before + "??" + after + default + after + "}")
    ) == compact(default)


def compact(text: str) -> str:
    import json

    return dumps(json.loads(text))


def test_a_default_is_used_where_the_path_is_missing_or_the_task_did_not_succeed() -> None:
    assert resolved("${OUTPUT[a].nowhere ?? 1}") == 1
    assert resolved("${OUTPUT[gone] ?? 1}") == 1
    assert resolved("${OUTPUT[a].n ?? 1}") == 3


def test_null_is_a_value_and_not_a_missing_path() -> None:
    assert resolved("${OUTPUT[a].none ?? 1}") is None


def test_a_default_guards_its_own_reference_alone() -> None:
    guarded, bare = template("${OUTPUT[a].x ?? 1} $OUTPUT[b]").references
    assert (guarded.task, guarded.is_guarded) == ("a", True)
    assert (bare.task, bare.is_guarded) == ("b", False)


def test_references_are_found_at_any_depth_of_values_and_never_in_keys() -> None:
    value = {"$OUTPUT[k]": ["$OUTPUT[a]", {"x": {"y": "and $OUTPUT[b].c"}}]}
    compiled = template(value)
    assert [(place, reference.task) for place, reference in compiled.found] == [
        (("$OUTPUT[k]", 0), "a"),
        (("$OUTPUT[k]", 1, "x", "y"), "b"),
    ]
    assert resolved({"$OUTPUT[a].name": 1}) == {"$OUTPUT[a].name": 1}


def test_item_and_index_are_references_in_a_task_with_for_each() -> None:
    scope = Scope({}, item={"name": "x", "tags": [1]}, index=4)
    assert resolved("$ITEM", scope, items=True) == {"name": "x", "tags": [1]}
    assert resolved("$ITEM.tags[0]", scope, items=True) == 1
    assert resolved("$INDEX", scope, items=True) == 4
    assert resolved("${ITEM.name}_${INDEX}.txt", scope, items=True) == "x_4.txt"
    assert resolved("${ITEM.nowhere ?? 0}", scope, items=True) == 0
    assert resolved("$$ITEM $ITEMS", scope, items=True) == "$ITEM $ITEMS"


def test_a_path_leads_straight_into_what_a_server_only_wrapped() -> None:
    wrapped = Scope({"w": Output({"result": [{"id": 7}]}, is_wrapped=True)})
    assert resolved("$OUTPUT[w].result[0].id", wrapped) == 7
    assert resolved("$OUTPUT[w][0].id", wrapped) == 7
    assert resolved("$OUTPUT[w]", wrapped) == {"result": [{"id": 7}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "$OUTPUT[a].nam",
            "there is no .nam in $OUTPUT[a], which is an object with the keys name, n, none, items",
        ),
        (
            "$OUTPUT[a].items[2]",
            "there is no [2] in $OUTPUT[a].items, which is a list of 2 (0 to 1)",
        ),
        (
            "$OUTPUT[a].items[-3]",
            "there is no [-3] in $OUTPUT[a].items, which is a list of 2 (0 to 1)",
        ),
        (
            "$OUTPUT[a].items.name",
            "there is no .name in $OUTPUT[a].items, which is a list of 2 (0 to 1)",
        ),
        (
            "$OUTPUT[a].items[1].tags[0]",
            "there is no [0] in $OUTPUT[a].items[1].tags, which is a list of 0",
        ),
        (
            "$OUTPUT[a].items[*].nam",
            "there is no .nam in $OUTPUT[a].items[0], which is an object with the keys id, tags",
        ),
        (
            "$OUTPUT[a].items[*].tags[0].x",
            'there is no .x in $OUTPUT[a].items[0].tags[0], which is the text "x"',
        ),
        ("$OUTPUT[a][*]", "there is no [*] in $OUTPUT[a], which is an object with the keys name"),
        ("$OUTPUT[a].none.x", "there is no .x in $OUTPUT[a].none, which is null"),
        ("$OUTPUT[a].n[0]", "there is no [0] in $OUTPUT[a].n, which is 3"),
        (
            '$OUTPUT[a]["a b"].x',
            'there is no .x in $OUTPUT[a]["a b"], which is an object with the keys q"',
        ),
        ("$OUTPUT[t].length", 'there is no .length in $OUTPUT[t], which is the text "plain text"'),
        ("$OUTPUT[gone].x", "$OUTPUT[gone].x: gone did not succeed, so it has no output"),
    ],
)
def test_a_path_that_is_not_there_fails_and_says_what_was_there(text: str, said: str) -> None:
    with pytest.raises(ReferenceFailed) as failed:
        resolved(text)
    assert said in failed.value.message
    assert failed.value.message.startswith(text)


def test_nothing_but_members_and_elements_can_be_reached() -> None:
    for name in ("__class__", "__len__", "keys", "items"):
        with pytest.raises(ReferenceFailed):
            follow(Output({"x": [1]}), Reference("a", (name,)))
        with pytest.raises(ReferenceFailed):
            follow(Output([1]), Reference("a", (name,)))


@pytest.mark.parametrize(
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
        ("$OUTPUT[a][0:2]", '"[0:2]" is not a step of a path.', "[0]"),
        ("$OUTPUT[a].x[", '"[" is not a step of a path.', "[0]"),
        ('$OUTPUT[a]["x]', "is not a step of a path.", "[0]"),
        ("$OUTPUT[a][99999999999]", "is not a step of a path.", "[0]"),
        (r'$OUTPUT[a]["\x"]', "is not a JSON string", '["a b"]'),
        (r'$OUTPUT[a]["\ud800"]', "is not a JSON string", '["a b"]'),
        ("${OUTPUT[a].x", "its closing brace is missing", "${OUTPUT[id].path}"),
        ("${OUTPUT[a].x-y}", "its closing brace is missing", '["a-b"]'),
        ("${OUTPUT[a].x ?? 1", "its closing brace is missing", "${OUTPUT[id].path}"),
        ("${OUTPUT[a].x ?? 1 2}", "its closing brace is missing", "${OUTPUT[id].path}"),
        ("${OUTPUT[a].x ?? none}", "what follows ?? is not a JSON value", '?? "none"}'),
        ("${OUTPUT[a].x ?? 'none'}", "what follows ?? is not a JSON value", '?? "none"}'),
        ("${OUTPUT[a].x ?? NaN}", "what follows ?? is not a JSON value", '?? "none"}'),
        ('${OUTPUT[a].x ?? {"k":1,"k":2}}', "what follows ?? is not a JSON value", '?? "none"}'),
        ("$OUTPUT[a].x ?? 0", "A default needs braces.", "Write ${OUTPUT[a].x ?? 0}."),
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


def test_every_mistake_in_a_value_is_told_with_its_place() -> None:
    _, bad = compile_value({"x": ["$OUTPUT[", "$OUTPUT[a]", {"y": "$OUTPUT[b][z]"}]})
    assert [place for place, _ in bad] == [("x", 0), ("x", 2, "y")]


def test_text_that_grows_beyond_its_limit_when_filled_in_is_refused() -> None:
    scope = Scope({"a": Output("x" * 2**20)})
    with pytest.raises(OutputTooLarge, match="above 8 MiB"):
        resolved("$OUTPUT[a]" * 9, scope)


HOSTILE = [
    "$" * 300_000,
    "$OUTPUT[" * 40_000,
    "${" * 150_000,
    "$$OUTPUT[" * 33_000,
    "$OUTPUT[a]" * 30_000,
    "$OUTPUT[a] " * 27_000,
    "$OUTPUT[a]" + ".x" * 150_000,
    "$OUTPUT[a]" + "[0]" * 100_000,
    '$OUTPUT[a]["' + "\\" * 300_000,
    '$OUTPUT[a]["' * 25_000,
    "$OUTPUT[a]" + " " * 300_000,
    "${OUTPUT[a]" + " " * 300_000,
    "${OUTPUT[a] ?? " + "[" * 300_000,
    "${OUTPUT[a] ?? " + "9" * 300_000 + "}",
    '${OUTPUT[a] ?? "' + "x" * 300_000 + '"}',
    "${OUTPUT[a] ?? 0}" * 18_000,
    "$OUTPUT[" + "a" * 300_000,
    "$OUTPUT[a]." + "é" * 300_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:20]}…")
@pytest.mark.timeout(2)
def test_a_long_hostile_text_is_read_or_refused_at_once(text: str) -> None:
    match outcome(text, items=True):
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


@given(st.from_regex(r"[a-z][a-z0-9.-]{0,9}", fullmatch=True), STEPS, st.data())
def test_a_reference_is_the_same_alone_and_within_text(
    id: str, steps: list[Any], data: st.DataObject
) -> None:
    text = f"$OUTPUT[{id}]" + "".join(data.draw(written(step)) for step in steps)
    assert parse(f"{text} and text") == (*parse(text), " and text")


@given(
    json_values(
        leaves=st.sampled_from(["$OUTPUT[a]", "x $OUTPUT[a]", "$$OUTPUT[a]", "$"]),
        keys=st.sampled_from("xyz"),
    )
)
def test_every_reference_in_a_value_is_filled_in_and_nothing_else_is_touched(value: Any) -> None:
    before = dumps(value)
    filled = resolved(value, Scope({"a": Output("v")}))
    assert filled == expected(value)
    assert dumps(value) == before


def expected(value: Any) -> Any:
    match value:
        case str():
            return {"$OUTPUT[a]": "v", "x $OUTPUT[a]": "x v", "$$OUTPUT[a]": "$OUTPUT[a]"}.get(
                value, value
            )
        case list():
            return [expected(part) for part in value]
        case dict():
            return {key: expected(part) for key, part in value.items()}
    return value


SYNTAX = st.sampled_from(
    [
        "$",
        "$$",
        "{",
        "}",
        "OUTPUT[",
        "ITEM",
        "INDEX",
        "a",
        "]",
        "[",
        "0",
        "-1",
        "*",
        ".",
        '"',
        "\\",
        "'",
        " ?? ",
        "é",
        " ",
    ]
)
ESCAPE = r"\$\$\{?OUTPUT\["
ESCAPE_OF_ITEMS = ESCAPE + r"|\$\$\{?(?:ITEM|INDEX)(?!\w)"
TEXTS = st.lists(SYNTAX | st.text(max_size=3), max_size=14).map("".join)


@given(TEXTS, st.booleans())
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


@given(json_values(leaves=TEXTS, keys=TEXTS), json_values(leaves=TEXTS))
def test_what_is_filled_in_is_never_read_again(output: Any, other: Any) -> None:
    scope = Scope({"a": Output(output), "b": Output(other)})
    assert resolved("$OUTPUT[a]", scope) == output
    assert resolved({"x": ["$OUTPUT[a]", "$OUTPUT[b]"]}, scope) == {"x": [output, other]}
    text = output if isinstance(output, str) else dumps(output)
    assert resolved("<$OUTPUT[a]>", scope) == f"<{text}>"


@given(json_values(leaves=TEXTS, keys=TEXTS))
def test_any_value_compiles_to_a_template_or_a_list_of_mistakes(value: Any) -> None:
    compiled, bad = compile_value(value, items=True)
    if not bad and not compiled.references and "$$" not in dumps(value):
        assert compiled.resolve(Scope({})) == value
