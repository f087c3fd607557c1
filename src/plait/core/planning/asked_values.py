"""Values that are expressions over outputs: `"value": "length(a.items)"`. They would be text."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..expressions.evaluation import condition
from ..expressions.nodes import Call, Field, Path, Source
from ..expressions.problems import InvalidExpression, fixed
from ..language.references import is_one

MAX_CHARS = 1_000
SHAPE = "${OUTPUT[id].path | length(@)}"
"""The form of an expression in a value."""


def asked(text: str, ids: Collection[str]) -> str | None:
    """Return how *text*, all of a value, is written if it is an expression over outputs of the
    tasks *ids*: as a reference, or in the form `SHAPE`. None if it is text."""
    if len(text) > MAX_CHARS or re.match(r"\s*(?:!|\(|\w+[.(\[])", text) is None:
        return None
    try:
        made = condition(text)
    except InvalidExpression as error:
        try:
            made = condition(fixed(text, [error.finding]))
        except InvalidExpression:
            return None
    named = {key.id for key in made.references if key.source is Source.OUTPUT}
    if not named or not named.issubset(ids) or isinstance(made.tree, Field):
        return None
    if not isinstance(made.tree, Path) or isinstance(made.tree.steps[0], Call):
        return SHAPE
    written = f"$OUTPUT[{min(named)}]{text.strip().removeprefix(min(named))}"
    return written if is_one(written) else None
