"""The reference language: `$OUTPUT[id].field[0]` names a part of another task's output.

A string is parsed once, into literal text and `Reference`s. The grammar is in `docs/dag.md`,
"References"; whole values are compiled and filled in by `templates.py`.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import NamedTuple, TypeAlias

from ..values.strict import Json, NotStrict, dumps, loads

ITEM = "$ITEM"
INDEX = "$INDEX"
MAX_STEPS = 64

FROM_TEXT = (
    'Refer to a list. To make one from text, use select in that task: "lines(@)", or '
    '"lines(content)" for a field.'
)
"""The hint for text where a list is wanted."""

_START = re.compile(
    r"\$(?P<escape>\$?)(?P<brace>\{?)(?:(?P<output>OUTPUT\[)|(?P<item>ITEM|INDEX)(?!\w))"
)
_ID = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})\]")
_GROUP = re.compile(r"\[(?!-?[0-9]+\])([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})\]")
"""The id of a group behind `$ITEM` or `$INDEX`: a whole number is an index into the item."""
_STEP = re.compile(
    r"\.(?P<digits>[0-9]{1,9})(?![0-9])"
    r"|\.(?P<name>[^\W\d]\w*)"
    r"|\[(?P<index>-?[0-9]{1,9})\]"
    r"|\[(?P<every>\*)\]"
    r'|\[(?P<key>"(?:[^"\\]|\\.)*")\]'
    r"|\['(?P<plain>[^'\\]*)'\]"
)
_PLAIN = re.compile(
    r"\$OUTPUT\[([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}+)\]"
    rf"((?:\.[^\W\d]\w*+|\.[0-9]{{1,9}}+|\[-?[0-9]{{1,9}}+\]){{0,{MAX_STEPS}}}+)"
)
"""Text that is a single reference, with only names and indices in its path."""
_DEFAULT = re.compile(r"\s*\?\?\s*")
_SPACE = re.compile(r"\s*")
_JSON = json.JSONDecoder()


class Every(Enum):
    """The step `[*]`: the rest of the path applies to each element of a list."""

    ELEMENT = "[*]"


class Missing(Enum):
    DEFAULT = "no default"


Step: TypeAlias = str | int | Every


class BadReference(ValueError):
    """Text that starts a reference and does not finish it. The hint says what would be right."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Reference(NamedTuple):
    """A part of the output of `task` (or of the item of a `for_each`: `$ITEM`, `$INDEX`, and
    `$ITEM[id]` for that of the group `id`), as written in `text`."""

    task: str
    path: tuple[Step, ...] = ()
    default: Json | Missing = Missing.DEFAULT
    text: str = ""

    @property
    def is_guarded(self) -> bool:
        return self.default is not Missing.DEFAULT

    @property
    def is_item(self) -> bool:
        return self.task.startswith("$")

    @property
    def is_own_item(self) -> bool:
        """Whether it is the item of the task itself, rather than of a group around it."""
        return self.task in (ITEM, INDEX)


def parse(text: str, *, items: bool = False) -> tuple[str | Reference, ...]:
    """Split *text* into literal pieces and references; `$ITEM` and `$INDEX` are references if
    *items*.

    Raises `BadReference`. Takes time linear in the length of *text*.
    """
    if plain := _PLAIN.fullmatch(text):  # as most references are
        return (Reference(plain[1], _plain_path(plain[2]), Missing.DEFAULT, text),)
    return _parse(text, items)


def _parse(text: str, items: bool) -> tuple[str | Reference, ...]:
    pieces: list[str | Reference] = []
    literal: list[str] = []
    position = 0
    for start in _START.finditer(text):
        if start.start() < position or (start["item"] and not items):
            continue
        literal.append(text[position : start.start()])
        if start["escape"]:
            literal.append(start.group()[1:])
            position = start.end()
            continue
        if any(literal):
            pieces.append("".join(literal))
        literal = []
        reference, position = _read(text, start)
        pieces.append(reference)
    literal.append(text[position:])
    if any(literal):
        pieces.append("".join(literal))
    _refuse_a_bare_default(pieces)
    return tuple(pieces)


def written_step(step: Step) -> str:
    if isinstance(step, Every):
        return step.value
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if re.fullmatch(r"[^\W\d]\w*", step) else f"[{dumps(step)}]"


def _read(text: str, start: re.Match[str]) -> tuple[Reference, int]:
    """Return the reference that starts at *start*, and the position of its end."""
    position = start.end()
    task = f"${start['item']}" if start["item"] else None
    if task is not None:
        if (group := _GROUP.match(text, position)) is not None:
            task, position = f"{task}[{group[1]}]", group.end()
    else:
        id = _ID.match(text, position)
        if id is None:
            raise BadReference(
                f"{_excerpt(text, start.start())} is not a reference: after $OUTPUT[ come the id "
                "of a task and ].",
                "Write $OUTPUT[id].path, or $$OUTPUT[ for the literal text.",
            )
        task, position = id[1], id.end()
    path, position = _read_path(text, position)
    default: Json | Missing = Missing.DEFAULT
    if start["brace"]:
        default, position = _read_end(text, start.start(), position)
    elif text.startswith("[", position):
        raise BadReference(
            f"{_excerpt(text, position)} is not a step of a path.",
            'Write [0], [-1], [*] or a quoted key such as ["a b"]; before text, use braces: '
            "${OUTPUT[id]}[…].",
        )
    task = {ITEM: ITEM, INDEX: INDEX}.get(task, task)
    return Reference(task, path, default, text[start.start() : position]), position


def _read_path(text: str, position: int) -> tuple[tuple[Step, ...], int]:
    path: list[Step] = []
    while step := _STEP.match(text, position):
        match step.lastgroup:
            case "digits" | "index":
                path.append(int(step[step.lastgroup]))
            case "name" | "plain":
                path.append(step[step.lastgroup])
            case "every":
                path.append(Every.ELEMENT)
            case _:
                path.append(_quoted(step["key"]))
        position = step.end()
        if len(path) > MAX_STEPS:
            raise BadReference(
                f"A path has at most {MAX_STEPS} steps.", "Refer to a part nearer to the root."
            )
    return tuple(path), position


def _plain_path(text: str) -> tuple[Step, ...]:
    """Split *text*, a path that `_PLAIN` has matched: `.items[0]`."""
    steps = text.replace("[", ".").replace("]", "").split(".")[1:]
    return tuple([step if step[0] not in "-0123456789" else int(step) for step in steps])


def _quoted(text: str) -> str:
    try:
        key = loads(text)
    except NotStrict as error:
        raise BadReference(
            f"The key {text[:60]} is not a JSON string: {error}.", 'Quote keys as JSON: ["a b"].'
        ) from None
    return str(key)


def _read_end(text: str, start: int, position: int) -> tuple[Json | Missing, int]:
    """Read a default, if there is one, and the closing brace. Also return where it ends."""
    default: Json | Missing = Missing.DEFAULT
    if sign := _DEFAULT.match(text, position):
        try:
            _, position = _JSON.raw_decode(text, sign.end())
            default = loads(text[sign.end() : position])
        except (ValueError, RecursionError):
            raise BadReference(
                f"{_excerpt(text, start)} is not a reference: what follows ?? is not a JSON value.",
                'Write a default as JSON: ${OUTPUT[id].path ?? "none"}, or 0, [] or null.',
            ) from None
    closing = _SPACE.match(text, position)
    position = closing.end() if closing else position
    if not text.startswith("}", position):
        raise BadReference(
            f"{_excerpt(text, start)} is not a reference: its closing brace is missing.",
            'Write ${OUTPUT[id].path}, ${OUTPUT[id].path ?? "default"}, or a quoted key such as '
            '["a-b"].',
        )
    return default, position + 1


def _refuse_a_bare_default(pieces: list[str | Reference]) -> None:
    match pieces:
        case [Reference(text=text), str(rest)] if _DEFAULT.match(rest) and not text.startswith(
            "${"
        ):
            raise BadReference("A default needs braces.", f"Write ${{{text[1:]}{rest[:60]}}}.")


def _excerpt(text: str, position: int) -> str:
    return dumps(text[position : position + 40] + ("…" if len(text) > position + 40 else ""))
