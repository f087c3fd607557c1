"""A `when` that asks about each item, which is read once, before the items: it is meant as a filter
of their list."""

from __future__ import annotations

from ..expressions.evaluation import Expression, expression
from ..expressions.nodes import Field, Key, Reference, Source, walk
from ..expressions.problems import Edit, Finding, InvalidExpression, fixed
from ..expressions.roots import starts_at_root
from ..language.references import BadReference, Missing, parse
from ..language.references import Reference as ItemsReference
from ..values.problems import MAX_FIX_CHARS, Fix, Op, Problem
from ..values.strict import JsonObject, dumps
from .plan import PlannedTask

_ITEM = Key(Source.ITEM)
_OWN = (_ITEM, Key(Source.INDEX))


def filter_meant(planned: PlannedTask, path: str) -> Problem | None:
    """Return the problem of the `when` of *planned*, a task at *path* with `for_each`, if it names
    the item of the task; the fix puts it into the list."""
    when = planned.when
    if when is None or planned.items is None or not any(key in _OWN for key in when.references):
        return None
    named = next(str(key) for key in when.references if key in _OWN)
    message = f"when is read once, before the items, and there is no {named} yet."
    hint, fix = 'Filter the list: "for_each": "${OUTPUT[id].items | [?open]}".', None
    if (each := _filtered(planned, when)) is not None:
        hint = f'Leave when out, and write "for_each": {dumps(each)}.'
        given = planned.task.model_dump(mode="json", exclude_unset=True, by_alias=True)
        task: JsonObject = {name: value for name, value in given.items() if name != "when"}
        if len(dumps(task)) <= MAX_FIX_CHARS:
            fix = Fix(Op.REPLACE, {**task, "for_each": each}, path)
    return Problem(f"{path}.when", "invalid_expression", message, hint, planned.id, fix)


def _filtered(planned: PlannedTask, when: Expression) -> str | None:
    """Return the `for_each` of *planned* with *when* as its filter; None if that is unclear."""
    each = planned.task.for_each
    if not isinstance(each, str) or (condition := _condition(when)) is None:
        return None
    try:
        pieces = parse(each, items=True)
    except BadReference:
        return None  # that is reported
    match pieces:
        case (ItemsReference(default=Missing()) as reference,):
            text = reference.text.removeprefix("${").removeprefix("$").removesuffix("}")
            return f"${{{text} | [?{condition}]}}"
    return None


def _condition(when: Expression) -> str | None:
    """Write *when* as it is asked of one element."""
    items = [node for node in walk(when.tree) if isinstance(node, Reference) and node.key in _OWN]
    starts = starts_at_root(when.tree)
    if any(node.key != _ITEM or node not in starts for node in items):
        return None  # the number of the item, or the item inside of another filter
    edits: list[Edit] = []
    for start in starts:
        if isinstance(start, Field):
            edits.append(Edit(start.start, start.end, f"$OUTPUT[{start.name}]"))
        elif isinstance(start, Reference) and start.key == _ITEM:
            goes_on = when.text.startswith(".", start.end)
            edits.append(Edit(start.start, start.end + goes_on, "" if goes_on else "@"))
    text = fixed(when.text, [Finding(edit.start, edit.end, "", edit) for edit in edits])
    try:
        expression(f"[?{text}]")
    except InvalidExpression:
        return None
    return text
