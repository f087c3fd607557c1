"""Texts that call a function on an output, in the words of other languages: refused where they
would go out, with a fix where ours says just the same."""

from __future__ import annotations

from plait.core.language.called import Called, called
from plait.core.language.lookalikes import in_text
from plait.core.language.templates import compile_value

from ..tables import table

IDS = ("a", "b.c")


@table(
    ("text", "fixed"),
    [
        *(
            (f"{name}(a.x)", "${OUTPUT[a].x | to_string(@)}")
            for name in ("str", "String", "string")
        ),
        *((f"{name}(a.x)", "${OUTPUT[a].x | to_string(@)}") for name in ("toString", "to_string")),
        ("str(steps.a.outputs.x)", "${OUTPUT[a].x | to_string(@)}"),
        ("str($OUTPUT[a].x)", "${OUTPUT[a].x | to_string(@)}"),
        ("str($OUTPUT[a])", "${OUTPUT[a] | to_string(@)}"),
        ("length($OUTPUT[a].items)", "${OUTPUT[a].items | length(@)}"),
        ("len($OUTPUT[a].items)", "${OUTPUT[a].items | length(@)}"),
        ("len( b.c.items )", "${OUTPUT[b.c].items | length(@)}"),
        ("upper(a.x)", "${OUTPUT[a].x | upper(@)}"),
        ("concat('n=', a.x)", "n=${OUTPUT[a].x}"),
        ('CONCAT("n=", a.x, " of ", b.c.y)', "n=${OUTPUT[a].x} of ${OUTPUT[b.c].y}"),
        ("concat('n=', $OUTPUT[a].x)", "n=${OUTPUT[a].x}"),
        # more or something else may be meant
        *((one, None) for one in ("concat(a.x, b.c.y)", "concat(a.x)", "concat('{', a.x)")),
        *((one, None) for one in ("concat('n=', a.x + 1)", "JSON.stringify(a.x)", "int(a.x)")),
        *((one, None) for one in ("join(', ', a.items[].x)", "str(a.x, 2)", "split(a.x)")),
        *((one, None) for one in ("a.x.toString()", "a.x.toFixed(2)", "format('{}', a.x)")),
    ],
)
def test_a_call_of_a_function_on_an_output_is_found(text: str, fixed: str | None) -> None:
    assert called(text, IDS, items=False) == Called(fixed)
    assert compile_value({"text": text})[0].texts == ((("text",), text),)
    found = in_text(("text",), text, IDS, items=False)
    assert found is not None
    assert (found.found, found.fixed) == (text, fixed)


@table(
    "text",
    [
        *("str(a)", "str(z.x)", "print(a.x)", "f(a.x)", "see str(a.x)", "str(a.x) is it", "str()"),
        *("concat('n=', 5)", "concat('a.x', 'b')", "str('a.x')", "a.x", "a.toString()", "(a.x)"),
        *("str(item.x)", "str($ITEM.x)", "substr(a.x)", "str(data.x)", "mean(see a.x)"),
    ],
)
def test_other_texts_are_not(text: str) -> None:
    assert called(text, IDS, items=False) is None


def test_an_item_is_an_operand_where_there_are_items() -> None:
    assert called("str(item.x)", IDS, items=True) == Called("${ITEM.x | to_string(@)}")
    assert called("concat('n=', $ITEM.x)", IDS, items=True) == Called("n=${ITEM.x}")
    assert called("str(item)", IDS, items=True) is None
