"""Changes to a client's file that leave every byte outside of the entries as it is.

A grammar with positions (tree-sitter) finds the entries in the text; comments, blanks, line ends
and the mark at the beginning are not touched. A grammar may be wrong about a text, and so may we.
So the new text is read strictly, by another parser, and must equal the old values with exactly the
change, else it is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .changes import (
    Change,
    Drop,
    Extend,
    Impossible,
    Put,
    Retract,
    are_same,
    changed,
    without_empty,
)
from .clients import Format
from .entries import BOM, Unreadable, value_at, values_of
from .json_text import JsonText
from .positions import Edit, edited
from .toml_text import TomlText
from .yaml_text import YamlText


def spliced(data: bytes, kind: Format, changes: Sequence[Change]) -> bytes:
    """Return *data* with *changes* made. Raises `Unreadable` if the file cannot be read, and
    `Impossible` if the change cannot be made in the text without touching anything else."""
    values = values_of(data, kind)
    wanted = changed(values, changes)
    mark = BOM if data.startswith(BOM) else b""
    text = data[len(mark) :]
    for change in changes:
        for edits in _steps(text, kind, change):
            text = edited(text, edits)
    made = mark + text
    places = [_place(change) for change in changes]
    try:
        got = values_of(made, kind)
    except Unreadable as error:
        raise Impossible(f"the changed text would be broken: {error}") from error
    if not are_same(without_empty(got, places), without_empty(wanted, places)):
        raise Impossible("the changed text would mean something else")
    return made


def _place(change: Change) -> tuple[str, ...]:
    match change:
        case Put(at, key, _, False) | Drop(at, key, False):
            return (*at, key)
    return change.at


def _steps(text: bytes, kind: Format, change: Change) -> Iterator[list[Edit]]:
    """Yield the edits of *change*, in steps: each is of the text that the one before it left. What
    is yielded must have been made before the next step is asked for."""
    at = change.at
    match change:
        case Put(_, key, value, in_list):
            if _is_there(values_of(text, kind), at, key, in_list):
                drop = _drop(_tree(text, kind), at, key, in_list)
                yield drop
                text = edited(text, drop)
            tree = _tree(text, kind)
            if not in_list:
                yield tree.put(at, key, value)
            elif isinstance(tree, YamlText):
                yield tree.put_item(at, value)
            else:
                yield tree.extend(at, value)
        case Drop(_, key, in_list):
            yield _drop(_tree(text, kind), at, key, in_list)
        case Extend(_, items):
            held = value_at(values_of(text, kind), at) or []
            for item in [one for one in items if one not in held]:
                edits = _tree(text, kind).extend(at, item)
                yield edits
                text = edited(text, edits)
        case Retract(_, items):
            held = value_at(values_of(text, kind), at) or []
            for item in [one for one in held if one in items]:
                edits = _tree(text, kind).retract(at, item)
                yield edits
                text = edited(text, edits)


def _is_there(values: Any, at: tuple[str, ...], key: str, in_list: bool) -> bool:
    held = value_at(values, at)
    if in_list:
        return any(isinstance(one, dict) and one.get("name") == key for one in held or ())
    return isinstance(held, dict) and key in held


def _drop(
    tree: JsonText | TomlText | YamlText, at: tuple[str, ...], key: str, in_list: bool
) -> list[Edit]:
    if not in_list:
        return tree.drop(at, key)
    if not isinstance(tree, YamlText):
        raise Impossible("lists of servers are changed in YAML alone")
    return tree.drop_item(at, key)


def _tree(text: bytes, kind: Format) -> JsonText | TomlText | YamlText:
    match kind:
        case Format.JSON:
            return JsonText(text)
        case Format.TOML:
            return TomlText(text)
        case Format.YAML:
            return YamlText(text)
