"""The reference language: `$OUTPUT[id].field[0]` names a part of another task's output.

A string is parsed once, into literal text and `Reference`s (`parse`); a whole value is compiled once, into a
`Template` (`compile_value`), and filled in when its task is ready. What is filled in is never read again.
The grammar stands in `docs/dag.md`, "References".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeAlias, cast

from ...errors import OutputTooLarge, ReferenceFailed
from ..tools.output import Output
from ..values.schema import Place
from ..values.strict import Json, NotStrict, dumps, loads

ITEM = "$ITEM"
INDEX = "$INDEX"
MAX_STEPS = 64
MAX_ARGUMENT_BYTES = 8 * 2**20

FROM_TEXT = 'Refer to a list. Text becomes one by select in its own task: "lines(@)", or "lines(content)" of a field.'
"""What helps where a list is wanted and text is there."""

_START = re.compile(r"\$(?P<escape>\$?)(?P<brace>\{?)(?:(?P<output>OUTPUT\[)|(?P<item>ITEM|INDEX)(?!\w))")
_ID = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})\]")
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
"""A text that is one reference, whose path has names and indices alone."""
_DEFAULT = re.compile(r"\s*\?\?\s*")
_SPACE = re.compile(r"\s*")
_JSON = json.JSONDecoder()
_HAS_PARTS = (dict, list)


class Every(Enum):
    """The step `[*]`: the rest of the path for each element of a list."""

    ELEMENT = "[*]"


class Missing(Enum):
    DEFAULT = "no default"


Step: TypeAlias = str | int | Every


class BadReference(ValueError):
    """The text starts a reference and does not finish it; the message says what is wrong, the hint what is right."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Reference(NamedTuple):
    """A part of the output of `task` (or of the item of a `for_each`: `$ITEM`, `$INDEX`), as written in `text`."""

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


@dataclass(slots=True)
class Scope:
    """What references see when a task is ready: the outputs of what succeeded, and the item."""

    outputs: Mapping[str, Output]
    item: Json = None
    index: int | None = None


Spot: TypeAlias = "tuple[Place, Reference | tuple[str | Reference, ...]]"
"""Where a text stands in a value, and what it becomes: a part of an output, or pieces joined to a text."""


@dataclass(frozen=True, slots=True)
class Template:
    """A value with its references found, to be filled in once they can be."""

    value: Json
    fill: tuple[Spot, ...] | None = None
    """What is filled in, in document order; None where the value stays as it is."""
    texts: tuple[tuple[Place, str], ...] = ()
    """The texts, as they were written, that are more or less than one reference: see `core/language/lookalikes.py`."""

    @property
    def found(self) -> tuple[tuple[Place, Reference], ...]:
        """Each reference, and where it stands in the value."""
        return tuple([pair for spot in self.fill or () for pair in _found(*spot)])

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(reference for _, reference in self.found)

    @property
    def unknown(self) -> frozenset[Place]:
        """The places that are known only when the template is filled in."""
        return frozenset([place for place, _ in self.fill or ()])

    def resolve(self, scope: Scope) -> Json:
        """The value with its references filled in. Raises `ReferenceFailed` or `OutputTooLarge`."""
        return self.value if self.fill is None else _filled(self.value, self.fill, scope)


def parse(text: str, *, items: bool = False) -> tuple[str | Reference, ...]:
    """*text* as literal pieces and references; `$ITEM` and `$INDEX` are references where *items*.

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


def compile_value(value: Json, *, items: bool = False) -> tuple[Template, list[tuple[Place, BadReference]]]:
    """*value* as a template, with what is wrong in it and where."""
    texts: list[tuple[Place, str]] = []
    _collect(value, (), texts)
    if not texts:
        return Template(value), []
    rest: list[tuple[Place, str]] = []
    spots: list[Spot] = []
    literals: list[Spot] = []
    bad: list[tuple[Place, BadReference]] = []
    for place, text in texts:
        try:
            pieces = parse(text, items=items)
        except BadReference as error:
            bad.append((place, error))
            continue
        if len(pieces) == 1 and isinstance(pieces[0], Reference):
            spots.append((place, pieces[0]))
            continue
        rest.append((place, text))
        if len(pieces) > 1:
            spots.append((place, pieces))
        elif pieces[0] != text:
            literals.append((place, pieces))
    if literals:  # escapes: what they stand for is known now
        value = _filled(value, tuple(literals), Scope({}))
    return Template(value, tuple(spots) or None, tuple(rest)), bad


def follow(output: Output, reference: Reference) -> Json:
    """The part of *output* that *reference* names. Raises `ReferenceFailed`."""
    value, path = output.value, reference.path
    if path and path[0] == "text" and isinstance(value, str):
        path = path[1:]
    elif path and output.is_wrapped and path[0] != "result":
        value = value["result"]  # type: ignore[index,call-overload]  # is_wrapped says that it is there
    try:
        return _straight(value, path)
    except (LookupError, TypeError):
        return _walk(value, path, reference)


def _collect(value: Json, place: Place, texts: list[tuple[Place, str]]) -> None:
    """Add the texts in *value* that may hold references, each with its place."""
    if isinstance(value, str):
        if "$" in value or "{{" in value:
            texts.append((place, value))
    elif isinstance(value, dict):
        for key, child in value.items():
            if isinstance(child, _HAS_PARTS) or (isinstance(child, str) and ("$" in child or "{{" in child)):
                _collect(child, (*place, key), texts)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            if isinstance(child, _HAS_PARTS) or (isinstance(child, str) and ("$" in child or "{{" in child)):
                _collect(child, (*place, index), texts)


def _found(place: Place, pieces: Reference | tuple[str | Reference, ...]) -> tuple[tuple[Place, Reference], ...]:
    if isinstance(pieces, Reference):
        return ((place, pieces),)
    return tuple([(place, piece) for piece in pieces if isinstance(piece, Reference)])


def _filled(value: Json, spots: tuple[Spot, ...], scope: Scope) -> Json:
    """A copy of *value* with *spots* filled in. What holds none of them is not copied."""
    if not spots[0][0]:
        return _piece(spots[0][1], scope)
    copies: list[Any] = [_copy(value)]
    before: Place = ()
    for place, pieces in spots:
        if len(place) > 1 or len(copies) > 1:
            _open(copies, before, place)
        copies[-1][place[-1]] = _piece(pieces, scope)
        before = place
    return cast(Json, copies[0])


def _open(copies: list[Any], before: Place, place: Place) -> None:
    """Make *copies* those on the way to *place*; they are those on the way to *before*, which stands earlier."""
    shared = 0
    while shared < min(len(copies), len(place)) - 1 and place[shared] == before[shared]:
        shared += 1
    del copies[shared + 1 :]
    for step in place[shared:-1]:
        copies[-1][step] = _copy(copies[-1][step])
        copies.append(copies[-1][step])


def _copy(value: Json) -> Json:
    return dict(value) if isinstance(value, dict) else list(cast("list[Json]", value))


def _piece(pieces: Reference | tuple[str | Reference, ...], scope: Scope) -> Json:
    return _value(pieces, scope) if isinstance(pieces, Reference) else _joined(pieces, scope)


def _value(reference: Reference, scope: Scope) -> Json:
    try:
        if reference.task is ITEM:
            return _walk(scope.item, reference.path, reference)
        if reference.task is INDEX:
            return _walk(scope.index, reference.path, reference)
        if reference.task not in scope.outputs:
            raise ReferenceFailed(f"{reference.text}: {reference.task} did not succeed, so it has no output")
        return follow(scope.outputs[reference.task], reference)
    except ReferenceFailed:
        if isinstance(reference.default, Missing):
            raise
        return reference.default


def _joined(pieces: tuple[str | Reference, ...], scope: Scope) -> str:
    parts: list[str] = []
    size = 0
    for piece in pieces:
        value = _value(piece, scope) if isinstance(piece, Reference) else piece
        parts.append(value if isinstance(value, str) else dumps(value))
        size += len(parts[-1])
        if size > MAX_ARGUMENT_BYTES:
            raise OutputTooLarge(
                f"the text grows above {MAX_ARGUMENT_BYTES // 2**20} MiB when its references are filled in",
                hint="Refer to a smaller part of the output, or shrink it with select.",
            )
    return "".join(parts)


def _straight(value: Any, path: tuple[Step, ...]) -> Json:
    """As `_walk`, where nothing is missing and no step is `[*]`. Raises `LookupError` or `TypeError` elsewhere."""
    for step in path:
        if isinstance(value, str):
            raise TypeError
        value = value[step]
    return cast(Json, value)


def _walk(value: Json, path: tuple[Step, ...], reference: Reference, walked: tuple[Step, ...] = ()) -> Json:
    for number, step in enumerate(path):
        match step:
            case str() if isinstance(value, dict) and step in value:
                value = value[step]
            case int() if isinstance(value, list) and -len(value) <= step < len(value):
                value = value[step]
            case Every.ELEMENT if isinstance(value, list):
                here, rest = (*walked, *path[:number]), path[number + 1 :]
                return [_walk(element, rest, reference, (*here, index)) for index, element in enumerate(value)]
            case _:
                raise _missing(reference, (*walked, *path[:number]), step, value)
    return value


def _missing(reference: Reference, walked: tuple[Step, ...], step: Step, value: Json) -> ReferenceFailed:
    where = f"$OUTPUT[{reference.task}]" if not reference.is_item else reference.task
    where += "".join(map(written_step, walked))
    match value:
        case dict():
            keys = ", ".join(list(value)[:20])
            there = (
                f"an object with the keys {keys}" + (", …" if len(value) > 20 else "") if value else "an empty object"
            )
        case list():
            there = f"a list of {len(value)}" + (" (0 to " + str(len(value) - 1) + ")" if value else "")
        case str():
            there = "text" if len(value) > 60 else f"the text {dumps(value)}"
        case _:
            there = dumps(value)
    return ReferenceFailed(
        f"{reference.text}: there is no {written_step(step)} in {where}, which is {there}",
        hint='Mend the path, or give a default: ${OUTPUT[id].path ?? "value"}.',
    )


def written_step(step: Step) -> str:
    if isinstance(step, Every):
        return step.value
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if re.fullmatch(r"[^\W\d]\w*", step) else f"[{dumps(step)}]"


def _read(text: str, start: re.Match[str]) -> tuple[Reference, int]:
    """The reference that starts at *start*, and where it ends."""
    position = start.end()
    task = f"${start['item']}" if start["item"] else None
    if task is None:
        id = _ID.match(text, position)
        if id is None:
            raise BadReference(
                f"{_excerpt(text, start.start())} is no reference: the id of a task and ] follow $OUTPUT[.",
                "Write $OUTPUT[id].path, or $$OUTPUT[ for the literal text.",
            )
        task, position = id[1], id.end()
    path, position = _read_path(text, position)
    default: Json | Missing = Missing.DEFAULT
    if start["brace"]:
        default, position = _read_end(text, start.start(), position)
    elif text.startswith("[", position):
        raise BadReference(
            f"{_excerpt(text, position)} is no step of a path.",
            'Write [0], [-1], [*] or a quoted key such as ["a b"]; before text, use braces: ${OUTPUT[id]}[…].',
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
            raise BadReference(f"A path has at most {MAX_STEPS} steps.", "Refer to a part nearer to the root.")
    return tuple(path), position


def _plain_path(text: str) -> tuple[Step, ...]:
    """The path in *text*, which `_PLAIN` has matched: `.items[0]`."""
    steps = text.replace("[", ".").replace("]", "").split(".")[1:]
    return tuple([step if step[0] not in "-0123456789" else int(step) for step in steps])


def _quoted(text: str) -> str:
    try:
        key = loads(text)
    except NotStrict as error:
        raise BadReference(f"The key {text[:60]} is no JSON string: {error}.", 'Quote keys as JSON: ["a b"].') from None
    return str(key)


def _read_end(text: str, start: int, position: int) -> tuple[Json | Missing, int]:
    """What stands between the path and the closing brace: nothing, or a default."""
    default: Json | Missing = Missing.DEFAULT
    if sign := _DEFAULT.match(text, position):
        try:
            _, position = _JSON.raw_decode(text, sign.end())
            default = loads(text[sign.end() : position])
        except (ValueError, RecursionError):
            raise BadReference(
                f"{_excerpt(text, start)} is no reference: what follows ?? is no JSON value.",
                'Write a default as JSON: ${OUTPUT[id].path ?? "none"}, or 0, [] or null.',
            ) from None
    closing = _SPACE.match(text, position)
    position = closing.end() if closing else position
    if not text.startswith("}", position):
        raise BadReference(
            f"{_excerpt(text, start)} is no reference: no brace closes it after its path.",
            'Write ${OUTPUT[id].path}, ${OUTPUT[id].path ?? "default"}, or a quoted key such as ["a-b"].',
        )
    return default, position + 1


def _refuse_a_bare_default(pieces: list[str | Reference]) -> None:
    match pieces:
        case [Reference(text=text), str(rest)] if _DEFAULT.match(rest) and not text.startswith("${"):
            raise BadReference("A default needs braces.", f"Write ${{{text[1:]}{rest[:60]}}}.")


def _excerpt(text: str, position: int) -> str:
    return dumps(text[position : position + 40] + ("…" if len(text) > position + 40 else ""))
