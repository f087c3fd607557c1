"""Names and texts in expressions are read as what they were written for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.core.expressions.evaluation import expression
from plait.core.expressions.quoting import as_name, member_of, quoted

from ..tables import table

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$\\"))


@given(TEXTS)
def test_a_text_is_that_text(text: str) -> None:
    assert expression(quoted(text)).evaluate(None) == text


@given(TEXTS)
def test_a_name_is_that_field(name: str) -> None:
    assert expression(as_name(name)).evaluate({name: 1}) == 1


@table(("name", "written"), [("a", "$OUTPUT[x].a"), ("a b", '$OUTPUT[x]["a b"]')])
def test_a_member_of_a_reference_has_brackets_if_its_name_is_not_plain(
    name: str, written: str
) -> None:
    assert member_of("$OUTPUT[x]", name) == written
