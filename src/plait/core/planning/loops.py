"""Objects in `for_each` that describe a list, in the words of other engines, instead of being what
is run over: `{"items": "$OUTPUT[a].items", "as": "x"}`, `{"task": "a", "path": "items"}`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ..language.foreign import meaning
from ..language.references import is_one
from ..values.strict import Json

_LIST_NAMES = frozenset(
    (
        *("items", "source", "from", "in", "over", "of", "list", "each", "collection", "array"),
        *("data", "values", "elements"),
    )
)
"""Names that other engines have for the list of a loop."""
_OTHER_NAMES = frozenset(
    (
        *(
            "as",
            "var",
            "item",
            "loop_variable",
            "item_name",
            "item_var",
            "iterator",
            "loop_var",
            "name",
            "index",
        ),
        *("max_parallel", "parallel", "parallelism", "concurrency", "max_concurrency", "limit"),
        *(
            "batch_size",
            "max_items",
            "mode",
            "type",
            "max",
            "key",
            "value",
            "itemVar",
            "maxParallel",
        ),
    )
)
"""Names that they have for what else is said of it."""
_TASK_NAMES = _LIST_NAMES | frozenset(
    (
        "task",
        "task_id",
        "step",
        "node",
        "job",
        "id",
        "ref",
        "output",
        "output_of",
        "from_task",
        "items_from",
        "foreach",
        "for_each",
        "loop",
    )
)
"""Names that they have for the task that makes the list, or for where it is."""
_PATH_NAMES = frozenset(("path", "field", "key", "property", "attribute", "jsonpath", "json_path"))
"""Names that they have for the place of the list in the output of the task."""
_PLACES = _PATH_NAMES | {"output", "result"}
"""Those, and names that may be for the task as well."""
_COUNTS = frozenset(("range", "count", "times"))
"""Names that they have for a list of numbers."""
MAX_COUNTED = 100
"""Most numbers of a range that are written down."""


class Loop(NamedTuple):
    """A list that is described: the `items` themselves, or the reference to them, and whether that
    is all that is said. Numbers that are described are `counted`."""

    items: Json
    is_all: bool
    counted: bool = False


def described(each: Mapping[str, Any], ids: Collection[str]) -> Loop | None:
    """Return the list that *each* describes; None if it is an object to run over. *ids* are the
    tasks that may be named."""
    if len(each) == 1:
        [(name, value)] = each.items()
        if name in _COUNTS:
            return _counted(name, value)
        if name in _LIST_NAMES and isinstance(value, dict):
            return described(value, ids)
    if not each.keys() <= _TASK_NAMES | _PLACES | _OTHER_NAMES:
        return None
    lists = [name for name in each if name in _LIST_NAMES and isinstance(each[name], list)]
    if len(lists) == 1 and each.keys() - lists <= _OTHER_NAMES - {"name", "type", "value", "key"}:
        return Loop(each[lists[0]], len(each) == 1)
    named = [name for name in each if name in _TASK_NAMES and _names(each[name], ids)]
    if len(named) != 1:
        return None
    others = {name: value for name, value in each.items() if name != named[0]}
    if any(isinstance(one, dict | list) or "$OUTPUT" in str(one) for one in others.values()):
        return None
    paths = [name for name in others if name in _PLACES and isinstance(others[name], str)]
    if others and not paths and not others.keys() <= _OTHER_NAMES:
        return None
    if named == ["id"] and not paths:
        return None
    source = str(each[named[0]]).strip()
    has_path = not (source in ids or source.strip("{}").endswith("]"))
    if len(paths) == 1:
        path = str(others[paths[0]]).strip().removeprefix("$").lstrip(".")
        dot = "" if path.startswith("[") else "."
        if not is_one(source):
            source = f"{source}{dot}{path}"
        elif not source.startswith("${") and is_one(f"{source}{dot}{path}"):
            return Loop(f"{source}{dot}{path}", is_all=len(others) == 1 and not has_path)
        else:
            return Loop(source, is_all=False)
    elif is_one(source):
        return Loop(source, is_all=not others)
    meant = meaning(source, ids)
    if meant is None:  # it names a task, and does more with its output
        return Loop("$OUTPUT[id].path", is_all=False)
    is_all = len(others) == len(paths) and not (paths and has_path)
    return Loop(meant, is_all=is_all and not meant.endswith("]"))


def _counted(name: str, value: Any) -> Loop | None:
    """Return the numbers that the range or count *value* of that *name* describes. Languages agree
    on the range of one number alone."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number and 0 < value <= MAX_COUNTED:
        return Loop(list(range(value)), is_all=name == "range", counted=True)
    is_range = name == "range" and isinstance(value, str | list | dict)
    return Loop(None, is_all=False, counted=True) if is_number or is_range else None


def _names(value: Any, ids: Collection[str]) -> bool:
    """Return whether *value* is a reference, or names one of the tasks *ids*."""
    if not isinstance(value, str):
        return False
    text = value.strip()
    head = re.match(r"[\w-]{1,64}(?=[.\[])", text)
    return is_one(text) or text in ids or (head is not None and head[0] in ids)
