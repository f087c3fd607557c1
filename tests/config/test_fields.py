"""The types of single settings."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from plait.config.fields import PolicyRule

RULE: TypeAdapter[str] = TypeAdapter(PolicyRule)


@pytest.mark.parametrize(
    "rule", ["*", "*:delete_*", "fs:*", "*_x", "read", "write", "destructive", "open_world"]
)
def test_a_rule_is_a_glob_that_can_match_or_a_class(rule: str):
    assert RULE.validate_python(rule) == rule


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("delete_*", 'Write "*:tool" for a tool of any server.'),
        ("", 'Write "*:tool" for a tool of any server.'),
        ("writes", 'Did you mean "write"?'),
        ("open-world", 'Did you mean "open_world"?'),
    ],
)
def test_any_other_rule_would_match_nothing_and_is_refused(rule: str, hint: str):
    with pytest.raises(ValidationError) as refused:
        RULE.validate_python(rule)
    [detail] = refused.value.errors()
    assert detail["msg"].endswith(
        "a rule is a glob over server:tool, or one of read, write, destructive, open_world, "
        f"unannotated. {hint}"
    )
