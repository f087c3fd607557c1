"""The outline of an output that is cut: its shape in one line, and how to read on in it.

Both look at the first parts of a value alone, so they cost the same for an output of any size.
"""

from __future__ import annotations

import re
from itertools import islice

from ..core.values.strict import Json, JsonObject, dumps
from .cutting import measured, size_within

MAX_SHAPE_CHARS = 200
MAX_NAMES = 12
"""Most members of one object that a shape names."""
MAX_NAME_CHARS = 60
"""Most characters of a member's name in a shape or in an expression."""
MAX_MEMBERS = 64
"""Most members of one object that are looked at."""
MAX_DEPTH = 4
LONG = 400
"""Characters above which a member is worth reading by itself."""
PAGE = 8_000
"""Characters of the page that is suggested for a text."""
PAGE_FROM = 1_300
"""The place at which it begins: about where the head of the text ends that a preview shows."""
WORDS = (
    "ERROR", "Error", "error", "FAILED", "FAIL", "Failed", "failed", "Exception", "Traceback",
    "fatal", "panic", "WARN", "Warning", "warning",
)  # fmt: skip
"""The words of the lines that are looked for in a text, the likeliest first."""
MAX_SEARCHED = 2**20
"""Most characters at the end of a text in which they are looked for."""
_PLAIN_NAME = re.compile(r"(?!(?:true|false|null)\Z)[A-Za-z_][A-Za-z0-9_]*\Z")


def shape_line(value: Json) -> str:
    """Describe the shape of *value* in one line, such as `{items: [{number, title}] (300), total}`
    or `text of 812 lines`."""
    line = _shape(value, MAX_DEPTH)
    return line if len(line) <= MAX_SHAPE_CHARS else line[: MAX_SHAPE_CHARS - 1] + "…"


def _shape(value: Json, depth: int) -> str:
    match value:
        case dict():
            names = [
                _member(name, part, depth - 1) for name, part in islice(value.items(), MAX_NAMES)
            ]
            more = len(value) - len(names)
            if not depth:
                return f"object of {len(value):,}"
            return f"{{{', '.join([*names, *([f'{more:,} more'] if more else [])])}}}"
        case list():
            count = f" ({len(value):,})" if len(value) > 1 else ""
            first = next((item for item in value[:MAX_MEMBERS] if item is not None), None)
            if not value or not depth:
                return f"[]{count}"
            return f"[{_shape(first, depth - 1)}]{count}"
        case str():
            lines = value.count("\n") + (not value.endswith("\n"))
            return f"text of {lines:,} lines" if lines > 1 else "text"
        case bool():
            return "boolean"
        case None:
            return "null"
    return "number"


def _member(name: str, value: Json, depth: int) -> str:
    name = name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1] + "…"
    if isinstance(value, dict | list) or (isinstance(value, str) and len(value) > LONG):
        return f"{name}: {_shape(value, depth)}"
    return name


def outline(run_id: str, task: str, value: Json, select: str | None = None) -> JsonObject:
    """Describe *value*, which *select* gave of the output of *task*, if it is not the whole: its
    shape, and a call of `get_run` that finds something in it."""
    request: JsonObject = {"run_id": run_id, "task": task, **way_in(value, select)}
    return {"shape": shape_line(value), "get_run": request}


def way_in(value: Json, select: str | None = None) -> JsonObject:
    """Return arguments of `get_run` that find something in *value*, which *select* gave, if it is
    not the whole output."""
    path: list[str] = []
    while isinstance(value, dict) and len(path) < MAX_DEPTH:
        name = _largest(value)
        if name is None:
            break
        path.append(name if _PLAIN_NAME.match(name) else dumps(name))
        value = value[name]
    at = ".".join(path) or "@"
    match value:
        case dict():
            found = f"keys({at})"
        case list():
            found = f"{'' if at == '@' else at}{_elements(value)}"
        case str(text):
            tail = text[-MAX_SEARCHED:]
            word = next((word for word in WORDS if word in tail), None)
            if word is None or "\n" not in text:
                whole = _after(select, None if at == "@" else at)
                page: JsonObject = {"offset": min(PAGE_FROM, len(text) // 2), "limit": PAGE}
                return page if whole is None else {"select": whole, **page}
            found = f"lines({at})[?contains(@, '{word}')]"
        case _:
            return {"offset": 0, "limit": PAGE}
    return {"select": _after(select, found)}


def _after(select: str | None, found: str | None) -> str | None:
    """Return the expression *found*, applied to what *select* gives."""
    return f"{select} | {found}" if select and found else select or found


def _largest(members: JsonObject) -> str | None:
    """Return the name of a member of *members* that is long; None if none is, or if it is not the
    name of a field."""
    first = dict(islice(members.items(), MAX_MEMBERS))
    sizes = dict(zip(first, measured(list(first.values()), MAX_MEMBERS * LONG), strict=True))
    name = max(sizes, key=sizes.__getitem__, default="")
    return name if sizes.get(name, 0) > LONG and len(name) <= MAX_NAME_CHARS else None


def _elements(items: list[Json]) -> str:
    """Return the end of an expression that shows something of *items*: fields of all of them, if
    they are objects with short ones, else the last of them."""
    first = next((item for item in items[:MAX_MEMBERS] if isinstance(item, dict)), {})
    names = [
        name
        for name, value in islice(first.items(), MAX_MEMBERS)
        if value is not None
        and not isinstance(value, dict | list)
        and size_within(value, 80) <= 80
        and _PLAIN_NAME.match(name)
        and len(name) <= MAX_NAME_CHARS
    ]
    if names:
        return f"[*].{{{', '.join([f'{name}: {name}' for name in names[:3]])}}}"
    size = size_within(items[-1], PAGE) if items else 1
    return f"[-{max(1, min(10, PAGE // 4 // size))}:]"
