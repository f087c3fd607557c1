"""What an expression gives for references, conditions and wrappers."""

from __future__ import annotations

from typing import Any

from plait.core.expressions.evaluation import condition, expression
from plait.core.expressions.frame import Operand
from plait.core.expressions.nodes import Key, Source

from ..tables import table


def output(id: str) -> Key:
    return Key(Source.OUTPUT, id)


BOUND = {
    output("oc"): Operand({"handle": "ken", "odd key": 5, "list": [1, 2]}),
    output("wrapped"): Operand({"result": [1, 2, 3]}, is_wrapped=True),
    output("made"): Operand({"result": [1]}),
    output("text"): Operand("7"),
    output("a.b-c"): Operand({"x": 1}),
    Key(Source.ITEM): Operand({"id": 7, "owner": "ken", "result": 1}),
    Key(Source.INDEX): Operand(4),
}
ISSUES = [{"n": 1, "who": "ken"}, {"n": 2, "who": None}, {"n": 3, "who": "ada"}]


@table(
    ("text", "value", "want"),
    [
        ("[?who == $OUTPUT[oc].handle].n", ISSUES, [1]),
        ("[?who == $OUTPUT[oc].missing].n", ISSUES, []),
        ("[?who == $OUTPUT[gone].handle].n", ISSUES, []),
        ("$OUTPUT[a.b-c].x", None, 1),
        ('$OUTPUT[oc]["odd key"]', None, 5),
        ("$OUTPUT[oc].list.0", None, 1),
        ("$OUTPUT[oc].list[?@ > 1]", None, [2]),
        ("$ITEM.result", None, 1),
        ("$INDEX", None, 4),
        ("{id: $ITEM.id, c: length(@)}", [1, 2], {"id": 7, "c": 2}),
        ("'run $OUTPUT[oc].list[0] of $ITEM.owner.'", None, "run 1 of ken."),
        ("'${OUTPUT[oc].handle}s'", None, "kens"),
        ("'$OUTPUT[oc].list'", None, "[1,2]"),
        ("'$$OUTPUT[oc] costs $5'", None, "$OUTPUT[oc] costs $5"),
        ("$OUTPUT[wrapped][0]", None, 1),
        ("$OUTPUT[wrapped].result[0]", None, 1),
        ("length($OUTPUT[wrapped])", None, 3),
        ("$OUTPUT[made].result", None, [1]),
        ("$OUTPUT[made][0]", None, None),
        ("$OUTPUT[text].text", None, "7"),
        ("$OUTPUT[text].text[:1]", None, "7"),
        ("$OUTPUT[oc].text", None, None),
    ],
)
def test_a_reference_is_an_operand_with_one_value_at_every_depth(
    text: str, value: Any, want: Any
) -> None:
    assert expression(text).evaluate(value, BOUND) == want


@table(
    ("text", "want"),
    [
        ("oc.handle == 'ken'", True),
        ("!oc.handle", False),
        ("oc.list[0] && !oc.err", True),
        ("length(wrapped) > 2 && wrapped[0] == 1", True),
        ("wrapped.result[0] == 1", True),
        ('"a.b-c".x', 1),
        ("oc.list[?@ > 1] | [0]", 2),
        ("text.text == '7'", True),
        ("text > 5", None),
        ("$OUTPUT[oc].handle", "ken"),
        ("{a: oc.handle}.a", "ken"),
        ("none == null", True),
        ("none.x", None),
        ("keys(@)", ["oc"]),
        ("map(&handle, [oc])", ["ken"]),
    ],
)
def test_names_in_a_condition_are_references(text: str, want: Any) -> None:
    assert condition(text).evaluate({"oc": {}}, BOUND) == want


@table(
    ("text", "holds"),
    [
        ("n.zero", False),
        ("!n.zero", True),
        ("!!n.zero", False),
        ("!(n.zero || n.none)", True),
        ("n.zero && n.five", False),
        ("n.five && n.zero", False),
        ("n.zero || n.five", True),
        ("n | zero || five", True),
        ("n | !zero", True),
        ("n | @.zero && @.five", False),
        ("!length(n.empty)", True),
        ("(n.zero || n.five) == 0", True),
        ("(!n.zero) == false", True),
    ],
)
def test_zero_is_false_wherever_a_condition_asks_whether_it_holds(text: str, holds: bool) -> None:
    numbers: Any = {"zero": 0, "five": 5, "none": None, "empty": []}
    assert bool(condition(text).evaluate(None, {output("n"): Operand(numbers)})) is holds


@table(
    ("text", "is_wrapped", "want"),
    [
        ("[].n", True, [1]),
        ("result[].n", True, [1]),
        ("length(@)", True, 1),
        ("[].n", False, None),
        ("result[].n", False, [1]),
    ],
)
def test_a_wrapper_is_looked_through_as_references_do(
    text: str, is_wrapped: bool, want: Any
) -> None:
    value: Any = {"result": [{"n": 1}]}
    assert expression(text).evaluate(value, is_wrapped=is_wrapped) == want


def test_values_are_never_read_as_expressions() -> None:
    item = Key(Source.ITEM)
    assert expression("[?@ == $ITEM]").evaluate(["' || 'a", "a"], {item: Operand("' || 'a")}) == [
        "' || 'a"
    ]
    assert expression("'<$ITEM>'").evaluate(None, {item: Operand("$OUTPUT[a]")}) == "<$OUTPUT[a]>"


def test_the_value_is_not_changed() -> None:
    value: Any = {"a": [3, 1, 2]}
    expression("sort(a) | reverse(@)").evaluate(value)
    assert value == {"a": [3, 1, 2]}
