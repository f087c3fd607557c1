"""Paths through types: the walk of `references.follow`, over schemas instead of values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from ..language.references import Every, Step
from .keywords import (
    NOTHING,
    Form,
    Forms,
    Part,
    declared,
    declares,
    is_counted,
    is_undeclared,
    required_of,
)
from .types import Types, Value, united

Path: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """The end of a path."""

    value: Value
    before: Forms
    """The value that its last step started from."""
    stopped: int | None = None
    """The index of the step that certainly leads nowhere; all other fields are then meaningless."""
    doubtful: tuple[int, Forms] | None = None
    """A step to an undeclared member, though others are declared; and the value it started from."""
    by_index: bool = False
    """Whether another index in the path may lead elsewhere."""


def walk(types: Types, forms: Forms, path: Path) -> Walk:
    """Follow *path* in a value of *forms*. Below `[*]` it stops where no element has the member."""
    before, lists = forms, 0
    by_index = False
    doubtful: tuple[int, Forms] | None = None
    for number, step in enumerate(path):
        before, forms = forms, types.step(forms, step)
        by_index = by_index or (isinstance(step, int) and is_counted(before))
        if not forms:
            return Walk(Value(NOTHING, lists), before, number, doubtful, by_index)
        if doubtful is None and isinstance(step, str) and is_undeclared(before, step):
            doubtful = (number, before)
        lists += step is Every.ELEMENT
    return Walk(Value(forms, lists), before, None, doubtful, by_index)


def walk_output(types: Types, forms: Forms, path: Path) -> Walk:
    """Follow *path* as `walk` does, from the output of a task: `.text` of a text is the text, and
    where the schema declares the wrapper `{"result": x}` of the SDKs, a path may go straight into
    x."""
    found = walk(types, forms, path)
    if path and path[0] == "text":
        texts = united(types.forms(*form, Part({"type": "string"}, {})) for form in forms)
        texts = tuple(form for form in texts if types.kinds(form))
        found = _either(walk(types, texts, path[1:]), found, is_wrapper=False) if texts else found
    if path and path[0] != "result":
        wrapped = united(types.member(form, "result") for form in forms if _may_wrap(form))
        found = (
            _either(walk(types, wrapped, path), found, is_wrapper=len(declared(forms)) == 1)
            if wrapped
            else found
        )
    return found


def _may_wrap(form: Form) -> bool:
    """Return whether objects of *form* declare exactly the one member of a wrapper."""
    return declares(form, "result") and {*required_of(form)} <= {"result"}


def _either(inside: Walk, around: Walk, *, is_wrapper: bool) -> Walk:
    """Choose between the walks that start *inside* a wrapper and *around* it. If both stop, a
    certain wrapper counts as inside."""
    by_index = inside.by_index or around.by_index
    match inside.stopped, around.stopped:
        case None, None:
            value = Value(united([inside.value.forms, around.value.forms]), inside.value.lists)
            return Walk(
                value, inside.before, None, inside.doubtful if around.doubtful else None, by_index
            )
        case None, _:
            return replace(inside, by_index=by_index)
        case int(stopped), None:
            doubtful = (stopped, inside.before) if around.doubtful is not None else None
            return replace(around, doubtful=doubtful, by_index=by_index)
    return replace(inside if is_wrapper else around, by_index=by_index)
