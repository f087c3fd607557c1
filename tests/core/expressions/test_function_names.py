"""Names of functions in other languages."""

from __future__ import annotations

from plait.core.expressions.function_names import HINTS, OTHER_WORDS, bare, meant_by
from plait.core.expressions.functions import FUNCTIONS

from ..tables import table


@table(
    ("name", "ours"),
    [
        ("toLowerCase", ("lower",)),
        ("LOWER", ("lower",)),
        ("to_lower", ("lower",)),
        ("strip", ("trim",)),
        ("uniqBy", ("unique_by",)),
        ("groupBy", ("group_by",)),
        ("parseJSON", ("from_json",)),
        ("test", ("matches",)),
        ("gsub", ("replace",)),
        ("sub", ("replace", "subtract")),
        ("xyzzy", ()),
    ],
)
def test_a_name_leads_to_ours(name: str, ours: tuple[str, ...]) -> None:
    assert meant_by(name) == ours


def test_words_of_other_languages_lead_to_functions_that_exist() -> None:
    assert {name for names in OTHER_WORDS.values() for name in names} <= FUNCTIONS.keys()
    assert not OTHER_WORDS.keys() & set(map(bare, FUNCTIONS))
    assert not HINTS.keys() & (OTHER_WORDS.keys() | set(map(bare, FUNCTIONS)))


@table(
    ("name", "rule"),
    [
        ("failure", "one_failed"),
        ("failed", "one_failed"),
        ("always", "always"),
        ("success", "all_success"),
        ("cancelled", "all_done"),
    ],
)
def test_functions_of_ends_lead_to_the_rule_of_the_task(name: str, rule: str) -> None:
    assert f'trigger_rule: "{rule}"' in HINTS[bare(name)]
