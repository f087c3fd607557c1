"""JMESPath, and the two functions of ours in it."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.values.expressions import compile_expression, search
from plait.errors import ExpressionFailed


@pytest.mark.parametrize(
    ("expression", "value", "found"),
    [
        ("lines(@)", "a\n\n b\r\n", ["a", " b"]),
        (
            "lines(content)[?starts_with(@, '[FILE]')]",
            {"content": "[DIR] a\n[FILE] b"},
            ["[FILE] b"],
        ),
        ("lines(@)", "", []),
        ("split(@, ', ')", "a, b", ["a", "b"]),
        ("split(@, '')", "ab", ["a", "b"]),
        ("split(name, '/')[-1]", {"name": "x/y"}, "y"),
    ],
)
def test_text_becomes_a_list(expression: str, value: Any, found: Any) -> None:
    assert search(compile_expression(expression), value) == found


def test_only_text_has_lines() -> None:
    with pytest.raises(ExpressionFailed, match="invalid type"):
        search(compile_expression("lines(@)"), [1])


def test_a_function_of_ours_is_offered_where_its_name_is_mistyped() -> None:
    with pytest.raises(ExpressionFailed, match="no function lnes") as refused:
        compile_expression("lnes(@)")
    assert "lines" in str(refused.value.hint)
