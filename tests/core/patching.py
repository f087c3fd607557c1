"""A client that applies the fixes of a refusal mechanically, to the document as it is understood:
variants in their usual spelling, text parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from plait.core.language.dag import DAG_FIELDS, TASK_FIELDS
from plait.core.language.variants import UNDERSTOOD
from plait.core.values import near_json

_STEP = re.compile(r'\.?(?P<name>[^\W\d]\w*)|\[(?P<index>\d+)\]|\[(?P<key>"(?:[^"\\]|\\.)*")\]')


def patched(document: Any, fixes: Iterable[dict[str, Any]]) -> Any:
    """Return a copy of *document* with each of *fixes* applied, in their order."""
    document = {"$": deepcopy(document)}
    for fix in fixes:
        *steps, last = _steps(fix["path"])
        holder = document
        for step in steps:
            holder = holder[_name_in(holder, step)]
        last = _name_in(holder, last)
        match fix:
            case {"op": "replace", "value": value, "path": _} if len(fix) == 3:
                assert _is_in(last, holder)
                holder[last] = deepcopy(value)
            case {"op": "add", "value": value, "path": _} if len(fix) == 3:
                holder[last].append(deepcopy(value))
            case {"op": "remove", "path": _} if len(fix) == 2:
                del holder[last]
            case {"op": "rename", "to": str(name), "path": _} if len(fix) == 3:
                assert name not in holder
                holder[name] = holder.pop(last)
            case _:
                raise AssertionError(fix)
    return document["$"]


def understood(text: bytes) -> Any:
    """Decode the document in *text*, with its tasks as a list; None if it cannot be decoded."""
    document: Any
    try:
        document = near_json.read(text)[0]
    except ValueError:
        return None
    if isinstance(document, list):
        return {"tasks": document}
    if isinstance(document, dict) and isinstance(document.get("tasks"), str):
        try:
            document["tasks"] = near_json.read(document["tasks"])[0]
        except ValueError:
            return document
    if isinstance(document, dict) and isinstance(document.get("tasks"), dict):
        tasks = document["tasks"]
        is_one = "tool" in tasks and ("id" in tasks or isinstance(tasks["tool"], str))
        document["tasks"] = (
            [tasks] if is_one else [{**task, "id": id} for id, task in tasks.items()]
        )
    return document


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = ["$"]
    position = 1 if path == "$" else 0
    while position < len(path):
        step = _STEP.match(path, position)
        assert step is not None, path
        name, index, key = step["name"], step["index"], step["key"]
        steps.append(int(index) if index else json.loads(key) if key else name)
        position = step.end()
    return steps


def _name_in(holder: Any, step: str | int) -> str | int:
    """Return the name that *step* has in *holder*: a variant of a field may stand there."""
    if not isinstance(holder, dict) or step in holder or step not in TASK_FIELDS | DAG_FIELDS:
        return step
    bare = str(step).replace("_", "")
    for name in holder:
        if UNDERSTOOD.get(name) == step or name.casefold().replace("-", "") == bare:
            return str(name)
    return step


def _is_in(step: str | int, holder: Any) -> bool:
    return step in holder if isinstance(holder, dict) else int(step) < len(holder)
