"""Values with references in them: found once, filled in later, and never read again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.references import Reference
from plait.core.language.scope import Scope
from plait.core.language.templates import Template, compile_value, follow
from plait.core.tools.output import Output
from plait.core.values.strict import dumps
from plait.errors import ExpressionFailed, OutputTooLarge, ReferenceFailed

from ...profiles import share_of_examples
from ..strategies import ALMOST_REFERENCES, json_values
from ..tables import table

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


@table(
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


@table(
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


def test_a_literal_and_a_reference_stand_side_by_side() -> None:
    assert resolved("$$OUTPUT[a] is $OUTPUT[a].n") == "$OUTPUT[a] is 3"


def test_a_default_is_used_without_a_path_and_without_an_output() -> None:
    assert resolved("${OUTPUT[a].nowhere ?? 1}") == 1
    assert resolved("${OUTPUT[gone] ?? 1}") == 1
    assert resolved("${OUTPUT[a].n ?? 1}") == 3


@table(
    ("text", "value"),
    [
        ("${OUTPUT[a].gone ?? OUTPUT[l][0]}", 1),
        ("${OUTPUT[gone] ?? OUTPUT[a].none ?? OUTPUT[a].name ?? 5}", "Ann"),
        ("${OUTPUT[gone] ?? OUTPUT[a].none ?? 5}", 5),
        ("${OUTPUT[gone] ?? OUTPUT[a].none}", None),
        ("n: ${OUTPUT[gone] ?? OUTPUT[a].n}!", "n: 3!"),
        ("${OUTPUT[gone].x ?? OUTPUT[w]} ${OUTPUT[w]}", "in it in it"),
    ],
)
def test_the_first_of_a_chain_that_is_there_is_used(text: str, value: Any) -> None:
    wrapped = Output({"result": "in it"}, is_wrapped=True)
    assert resolved(text, Scope({**SCOPE.outputs, "w": wrapped})) == value


def test_the_last_of_a_chain_without_a_default_says_why_it_has_no_value() -> None:
    with pytest.raises(ReferenceFailed, match=r"\$OUTPUT\[gone\].y: gone did not succeed"):
        resolved("${OUTPUT[a].gone ?? OUTPUT[gone].y}")


@table(
    ("text", "value"),
    [
        ("${OUTPUT[a].items | [?id > `1`].id}", [2]),
        ("$OUTPUT[a].items[?id > `1`].tags | [0]", []),
        ("${OUTPUT[a] | gone ?? OUTPUT[l] | [0] ?? 5}", 1),
        ("${OUTPUT[a].gone | @ ?? 5}", 5),
        ("${OUTPUT[gone] | @ ?? 5}", 5),
        ("n: ${OUTPUT[a].items | length(@)}", "n: 2"),
        ("${OUTPUT[l] | [?@ == $OUTPUT[a].n] | [0]}", 3),
        ("${OUTPUT[w] | @}", "in it"),
        ("${OUTPUT[w] | result}", "in it"),
        ("${OUTPUT[a] | '$OUTPUT[a].name $OUTPUT[a].n'}", "Ann 3"),
        ("${ITEM | x}", 7),
        ("${OUTPUT[a].items | [?id == $ITEM.x] | length(@)}", 0),
    ],
)
def test_a_value_is_put_through_the_expression_of_its_reference(text: str, value: Any) -> None:
    wrapped = Output({"result": "in it"}, is_wrapped=True)
    scope = Scope({**SCOPE.outputs, "w": wrapped}, {"x": 7}, 0)
    assert resolved(text, scope, items=True) == value


@table(
    ("text", "error", "said"),
    [
        ("${OUTPUT[a].name | abs(@)}", ExpressionFailed, "${OUTPUT[a].name | abs(@)}: abs"),
        ("${OUTPUT[a].gone | @}", ReferenceFailed, "there is no .gone"),
        ("${OUTPUT[gone] | @}", ReferenceFailed, "gone did not succeed"),
        ("${OUTPUT[a] | '$OUTPUT[a].gone'}", ReferenceFailed, "there is no gone in an object"),
    ],
)
def test_an_expression_that_fails_says_in_which_reference(
    text: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as failed:
        resolved(text)
    assert said in str(failed.value)


def test_an_expression_that_multiplies_is_stopped() -> None:
    with pytest.raises(ExpressionFailed, match="above the limit"):
        resolved("${OUTPUT[l] | " + " | ".join(["[@, @]"] * 40) + "}")


def test_the_references_of_an_expression_are_found_with_their_place() -> None:
    value = {"x": ["${OUTPUT[a] | [?b == $OUTPUT[b].x && $ITEM.y] ?? OUTPUT[c] | $INDEX}"]}
    found = template(value, items=True).found
    assert [place for place, _ in found] == [("x", 0)] * 5
    assert [one.task for _, one in found] == ["a", "b", "$ITEM", "c", "$INDEX"]


def test_null_is_a_value_but_a_default_takes_its_place() -> None:
    assert resolved("$OUTPUT[a].none") is None
    assert resolved("${OUTPUT[a].none ?? 1}") == 1
    assert resolved("${OUTPUT[a].none ?? null}") is None


def test_a_default_may_leave_the_argument_out() -> None:
    value = {"x": "${OUTPUT[gone] ?? OMIT}", "y": {"z": "${OUTPUT[a].none ?? OMIT}", "n": 1}}
    value["k"] = "${OUTPUT[a].n ?? OMIT}"
    value["l"] = "$$OMIT"
    assert resolved(value) == {"y": {"n": 1}, "k": 3, "l": "$OMIT"}
    assert template({"a": ["$OMIT"]}).omitted == (("a", 0),)


def test_references_are_found_at_any_depth_of_values_and_never_in_keys() -> None:
    value = {"$OUTPUT[k]": ["$OUTPUT[a]", {"x": {"y": "and $OUTPUT[b].c"}}]}
    compiled = template(value)
    assert [(place, reference.task) for place, reference in compiled.found] == [
        (("$OUTPUT[k]", 0), "a"),
        (("$OUTPUT[k]", 1, "x", "y"), "b"),
    ]
    assert resolved({"$OUTPUT[a].name": 1}) == {"$OUTPUT[a].name": 1}


def test_containers_that_are_filled_in_are_copied_and_the_others_shared() -> None:
    value = {"x": [["$OUTPUT[l]", 1], "$OUTPUT[a].n"], "y": {"z": "$OUTPUT[t]"}, "same": [1]}
    filled = resolved(value)
    assert filled == {"x": [[[1, 2, 3], 1], 3], "y": {"z": "plain text"}, "same": [1]}
    assert filled["same"] is value["same"]
    assert value["x"] == [["$OUTPUT[l]", 1], "$OUTPUT[a].n"]


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
    assert resolved("all: $OUTPUT[w]", wrapped) == 'all: [{"id":7}]'
    assert resolved("all: $OUTPUT[w].result", wrapped) == 'all: [{"id":7}]'
    text = Scope({"w": Output({"result": "plain"}, is_wrapped=True)})
    assert resolved("$OUTPUT[w].text", text) == "plain"


@table(
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
        ("$OUTPUT[t][0]", 'there is no [0] in $OUTPUT[t], which is the text "plain text"'),
        ("$OUTPUT[t].length", 'there is no .length in $OUTPUT[t], which is the text "plain text"'),
        ("$OUTPUT[gone].x", "$OUTPUT[gone].x: gone did not succeed, so it has no output"),
    ],
)
def test_a_path_that_is_not_there_fails_and_says_what_was_there(text: str, said: str) -> None:
    with pytest.raises(ReferenceFailed) as failed:
        resolved(text)
    assert said in failed.value.message
    assert failed.value.message.startswith(text)


def test_text_that_goes_on_behind_a_reference_is_said_to_need_braces() -> None:
    with pytest.raises(ReferenceFailed) as failed:
        resolved("out/$OUTPUT[a].n.txt")
    assert str(failed.value.hint).endswith("write braces: ${OUTPUT[a].n}.txt.")
    with pytest.raises(ReferenceFailed) as failed:
        resolved("$OUTPUT[a].gone")
    assert "give a default" in str(failed.value.hint)


def test_nothing_but_members_and_elements_can_be_reached() -> None:
    for name in ("__class__", "__len__", "keys", "items"):
        with pytest.raises(ReferenceFailed):
            follow(Output({"x": [1]}), Reference("a", (name,)))
        with pytest.raises(ReferenceFailed):
            follow(Output([1]), Reference("a", (name,)))


def test_every_mistake_in_a_value_is_reported_with_its_place() -> None:
    _, bad = compile_value({"x": ["$OUTPUT[", "$OUTPUT[a]", {"y": "$OUTPUT[b][z]"}]})
    assert [place for place, _ in bad] == [("x", 0), ("x", 2, "y")]


def test_text_that_grows_beyond_its_limit_when_filled_in_is_refused() -> None:
    scope = Scope({"a": Output("x" * 2**20)})
    with pytest.raises(OutputTooLarge, match="above 8 MiB"):
        resolved("$OUTPUT[a]" * 9, scope)


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


@given(
    json_values(leaves=ALMOST_REFERENCES, keys=ALMOST_REFERENCES),
    json_values(leaves=ALMOST_REFERENCES),
)
def test_what_is_filled_in_is_never_read_again(output: Any, other: Any) -> None:
    scope = Scope({"a": Output(output), "b": Output(other)})
    assert resolved("$OUTPUT[a]", scope) == output
    assert resolved({"x": ["$OUTPUT[a]", "$OUTPUT[b]"]}, scope) == {"x": [output, other]}
    text = output if isinstance(output, str) else dumps(output)
    assert resolved("<$OUTPUT[a]>", scope) == f"<{text}>"


@share_of_examples(0.4)
@given(json_values(leaves=ALMOST_REFERENCES, keys=ALMOST_REFERENCES))
def test_any_value_compiles_to_a_template_or_a_list_of_mistakes(value: Any) -> None:
    compiled, bad = compile_value(value, items=True)
    if not bad and not compiled.references and "$$" not in dumps(value):
        assert compiled.resolve(Scope({})) == value
