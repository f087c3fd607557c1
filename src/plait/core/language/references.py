"""The reference language: `$OUTPUT[id].field[0]` names a part of another task's output.

A string is parsed once, into literal text and `Reference`s. The grammar is in `docs/dag.md`,
"References"; whole values are compiled and filled in by `templates.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ..values.strict import Json, NotStrict, dumps, loads
from .pipes import Pipe, is_text, pipe_start, read_pipe

if TYPE_CHECKING:  # a start without a DAG does not need it
    from ..expressions.problems import Finding

OUTPUT = "OUTPUT"
ITEM = "$ITEM"
INDEX = "$INDEX"
MAX_CHARS = 10_000
"""Most characters of a text that are examined for what was meant as a reference: it is not further
in."""
POINTERS = frozenset({"$ref", "$from", "$task", "$step", "$output", "$OUTPUT", "Ref", "Fn::GetAtt"})
"""Members of objects that other engines read as a reference."""
MAX_STEPS = 64
MAX_CHAIN = 20
"""Most references in one pair of braces, each the default of the one before it."""

MAX_KNOWN_CHARS = 100
"""Most characters of a path that is remembered once it is split."""

FROM_TEXT = (
    "Refer to a list. To make one from text, write ${OUTPUT[id] | lines(@)}, or "
    "${OUTPUT[id].content | lines(@)} for a field."
)
"""The hint for text where a list is wanted."""

_NAMED = r"(?:OUTPUT|STATUS|ERROR)\[[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\]|(?:ITEM|INDEX)(?!\w)"
_START = re.compile(
    r"\$(?P<escape>\$?)(?P<brace>\{?)(?:(?P<of>OUTPUT|STATUS|ERROR)\[|(?P<item>ITEM|INDEX)(?!\w))"
)
_ID = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})\]")
_GROUP = re.compile(r"\[(?!-?[0-9]+\])([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})\]")
"""The id of a group behind `$ITEM` or `$INDEX`: a whole number is an index into the item."""
_NEXT = re.compile(r"\$?(?:(?P<of>OUTPUT|STATUS|ERROR)\[|(?P<item>ITEM|INDEX)(?!\w))")
"""The beginning of a reference that is the default of another."""
_STEP = re.compile(
    r"\.(?P<digits>[0-9]{1,9})(?![0-9])"
    r"|\.(?P<name>[^\W\d]\w*)"
    r"|\[(?P<index>-?[0-9]{1,9})\]"
    r"|\[(?P<every>\*)\]"
    r'|\[(?P<key>"(?:[^"\\]|\\.)*")\]'
    r"|\['(?P<plain>[^'\\]*)'\]"
)
_OWN = re.compile(rf"(?:{_NAMED})(?:{_GROUP.pattern})?(?:{_STEP.pattern})*")
_PATH = (
    r"OUTPUT\[([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}+)\]"
    rf"((?:\.[^\W\d]\w*+|\.[0-9]{{1,9}}+|\[-?[0-9]{{1,9}}+\]){{0,{MAX_STEPS}}}+)"
)
_PLAIN = re.compile(rf"\${_PATH}")
"""Text that is a single reference, with only names and indices in its path."""
_PLAIN_OR = re.compile(
    rf"\$\{{{_PATH}\s*+\?\?\s*+(-?(?:0|[1-9][0-9]{{0,14}}+)|true|false|null|\[\])\s*+\}}"
)
"""Such a reference with a default that is neither a text nor another reference."""
_OMIT = re.compile(r"\$?OMIT(?!\w)")
_CALLS = re.compile(r"\s*\|\s*(?:[a-z_]{1,40}(?:\(|\s*$)|\[|@)")
"""A pipe behind a reference without braces that cannot be text."""
_DEFAULT = re.compile(r"\s*\?\?\s*")
_CLOSE = re.compile(r"\s*\}")
_JSON = json.JSONDecoder()


class Every(Enum):
    """The step `[*]`: the rest of the path applies to each element of a list."""

    ELEMENT = "[*]"


class Missing(Enum):
    DEFAULT = "no default"


NO_DEFAULT: Final = Missing.DEFAULT
"""A name of its own, as most references have none: a member costs much more by its enum."""


class Omitted(Enum):
    """The default `OMIT`: the argument is left out."""

    ARGUMENT = "OMIT"


Step: TypeAlias = str | int | Every


class BadReference(ValueError):
    """Text that starts a reference and does not finish it. The hint says what would be right."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class BadPipe(BadReference):
    """A reference with an expression that is wrong: *finding* says where in the text."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(f"{finding.placed_message}.", finding.hint)
        self.finding = finding


class Reference(NamedTuple):
    """A part of the output of `task` (or of the item of a `for_each`: `$ITEM`, `$INDEX`, and
    `$ITEM[id]` for that of the group `id`), as written in `text`. A part of its status or its error
    likewise."""

    task: str
    path: tuple[Step, ...] = ()
    default: Json | Missing | Omitted | Reference = NO_DEFAULT
    """The value, or the reference, that takes its place where it has none."""
    text: str = ""
    pipe: Pipe | None = None
    about: str = OUTPUT
    """The part of the task's end that it names: its `OUTPUT`, `STATUS` or `ERROR`."""

    @property
    def is_guarded(self) -> bool:
        return self.default is not NO_DEFAULT

    @property
    def chain(self) -> Iterator[Reference]:
        """Yield the reference, then that which is its default, and so on."""
        link: Reference | Json | Missing | Omitted = self
        while isinstance(link, Reference):
            yield link
            link = link.default

    @property
    def makes_a_value(self) -> bool:
        """Whether its value is made for it, rather than part of an output."""
        return any(link.pipe is not None or Every.ELEMENT in link.path for link in self.chain)

    @property
    def last(self) -> Json | Missing | Omitted:
        """The value at the end of the chain, if there is one."""
        default = self.default
        while isinstance(default, Reference):
            default = default.default
        return default

    @property
    def is_item(self) -> bool:
        return self.task.startswith("$")

    @property
    def is_own_item(self) -> bool:
        """Whether it is the item of the task itself, rather than of a group around it."""
        return self.task in (ITEM, INDEX)


def is_one(text: str) -> bool:
    """Return whether the whole of *text* is one reference."""
    try:
        pieces = parse(text, items=True)
    except BadReference:
        return False
    return len(pieces) == 1 and isinstance(pieces[0], Reference)


def parse(text: str, *, items: bool = False) -> tuple[str | Reference, ...]:
    """Split *text* into literal pieces and references; `$ITEM` and `$INDEX` are references if
    *items*.

    Raises `BadReference`. Takes time linear in the length of *text*.
    """
    if (reference := plain_reference(text)) is not None:
        return (reference,)
    return _parse(text, items)


def plain_reference(text: str) -> Reference | None:
    """Return the reference that *text* is, with only names and indices in its path and at most a
    short value as its default, as most references are; None if it is anything else."""
    default: Json | Missing = NO_DEFAULT
    if (plain := _PLAIN.fullmatch(text)) is not None:
        task, path = plain.groups()
    elif (plain := _PLAIN_OR.fullmatch(text)) is not None:
        task, path, value = plain.groups()
        default = _JSON.decode(value)
    else:
        return None
    steps = _known_path(path) if len(path) <= MAX_KNOWN_CHARS else _plain_path(path)
    return Reference(task, steps, default, text)


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
        reference, position = _read(text, start, items)
        pieces.append(reference)
    literal.append(text[position:])
    if any(literal):
        pieces.append("".join(literal))
    _refuse_a_bare_default(pieces)
    return tuple(pieces)


def own_text(reference: Reference) -> str:
    """Return the part of the text of *reference* that names its task and its path, without signs
    around it: `OUTPUT[a].x`."""
    return text[0] if (text := _OWN.search(reference.text)) is not None else reference.text


def in_braces(reference: Reference, whole: str) -> str | None:
    """Return the text of *reference*, which stands in *whole* with an expression without `|` or
    without braces, as it would be with them; None if it is so written."""
    text, pipe = reference.text, reference.pipe
    if pipe is None:
        return None
    own, has_braces = own_text(reference), text.startswith("${")
    if has_braces and text[2 + len(own) :].lstrip().startswith("|"):
        return None
    rest = text[pipe.start - whole.index(text) :]
    return f"${{{own} | {rest}{'' if has_braces else '}'}"


def written_step(step: Step) -> str:
    if isinstance(step, Every):
        return step.value
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if re.fullmatch(r"[^\W\d]\w*", step) else f"[{dumps(step)}]"


def _read(text: str, start: re.Match[str], items: bool) -> tuple[Reference, int]:
    """Return the reference that starts at *start*, and the position of its end."""
    task, path, position = _read_own(text, start)
    default: Json | Missing | Omitted | Reference = Missing.DEFAULT
    pipe = None
    if start["brace"]:
        pipe, default, position = _read_end(text, start.start(), position, items)
    elif text.startswith(("[", " ", "|"), position):
        if start.start() == 0 and (whole := _read_without_braces(text, position, items)):
            pipe, default = whole
            position = len(text)
        elif text[position] == "[":
            raise BadReference(
                f"{_excerpt(text, position)} is not a step of a path.",
                'Write [0], [-1], [*] or a quoted key such as ["a b"]; before text, use braces: '
                "${OUTPUT[id]}[…].",
            )
    about = start["of"] or OUTPUT
    return Reference(task, path, default, text[start.start() : position], pipe, about), position


def _read_own(text: str, start: re.Match[str]) -> tuple[str, tuple[Step, ...], int]:
    """Read the task and the path of the reference that starts at *start*. Also return where they
    end."""
    position = start.end()
    if start["item"]:
        task = ITEM if start["item"] == "ITEM" else INDEX
        if (group := _GROUP.match(text, position)) is not None:
            task, position = f"{task}[{group[1]}]", group.end()
        return task, *_read_path(text, position)
    id = _ID.match(text, position)
    if id is None:
        raise BadReference(
            f"{_excerpt(text, start.start())} is not a reference: after ${start['of']}[ come the "
            "id of a task and ].",
            f"Write ${start['of']}[id].path, or $${start['of']}[ for the literal text.",
        )
    return id[1], *_read_path(text, id.end())


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


_known_path = lru_cache(maxsize=1_024)(_plain_path)
"""Remembers short paths: the same few stand in most references of a document."""


def _quoted(text: str) -> str:
    try:
        key = loads(text)
    except NotStrict as error:
        raise BadReference(
            f"The key {text[:60]} is not a JSON string: {error}.", 'Quote keys as JSON: ["a b"].'
        ) from None
    return str(key)


def _read_end(
    text: str, start: int, position: int, items: bool
) -> tuple[Pipe | None, Json | Missing | Omitted | Reference, int]:
    """Read the expression and the defaults, if there are any, and the closing brace. Also return
    where it ends."""
    pipe, position = _read_pipe(text, position)
    default, position = _read_defaults(text, start, position, items)
    closing = _CLOSE.match(text, position)
    if closing is None:
        raise BadReference(
            f"{_excerpt(text, start)} is not a reference: its closing brace is missing.",
            'Write ${OUTPUT[id].path}, ${OUTPUT[id].path ?? "default"}, or a quoted key such as '
            '["a-b"].',
        )
    return pipe, default, closing.end()


def _read_without_braces(
    text: str, position: int, items: bool
) -> tuple[Pipe, Json | Missing | Omitted | Reference] | None:
    """Read the expression and the defaults of a reference that, with them, is the whole of *text*;
    None if they are text."""
    if pipe_start(text, position) is None:
        return None
    try:
        pipe, end = _read_pipe(text, position)
    except BadPipe:
        if text[position] == "[" or _CALLS.match(text, position):
            raise
        return None
    default, end = _read_defaults(text, 0, end, items)
    return None if pipe is None or text[end:].strip() or is_text(pipe) else (pipe, default)


def _read_pipe(text: str, position: int) -> tuple[Pipe | None, int]:
    start = pipe_start(text, position)
    if start is None:
        return None, position
    from ..expressions.problems import InvalidExpression

    try:
        return read_pipe(text, start)
    except InvalidExpression as error:
        raise BadPipe(error.finding) from None


def _read_defaults(
    text: str, start: int, position: int, items: bool
) -> tuple[Json | Missing | Omitted | Reference, int]:
    """Read the defaults at *position* of the reference that starts at *start*. Also return where
    they end."""
    default: Json | Missing | Omitted | Reference = Missing.DEFAULT
    links: list[Reference] = []
    while sign := _DEFAULT.match(text, position):
        if (omit := _OMIT.match(text, sign.end())) is not None:
            default, position = Omitted.ARGUMENT, omit.end()
            break
        if (link := _NEXT.match(text, sign.end())) is None:
            default, position = _read_value(text, start, sign.end())
            break
        if len(links) == MAX_CHAIN:
            raise BadReference(
                f"A reference has at most {MAX_CHAIN} others as its defaults.", "Leave some out."
            )
        if link["item"] and not items:
            raise BadReference(
                f"{link[0]} stands for an item, and there is none.",
                "There is an item only with for_each.",
            )
        task, path, end = _read_own(text, link)
        pipe, position = _read_pipe(text, end)
        own = f"${text[link.start() : position].rstrip().lstrip('$')}"
        links.append(Reference(task, path, text=own, pipe=pipe, about=link["of"] or OUTPUT))
    for one in reversed(links):
        default = one._replace(default=default)
    return default, position


def _read_value(text: str, start: int, position: int) -> tuple[Json, int]:
    try:
        _, end = _JSON.raw_decode(text, position)
        return loads(text[position:end]), end
    except (ValueError, RecursionError):
        raise BadReference(
            f"{_excerpt(text, start)} is not a reference: what follows ?? is neither a JSON value "
            "nor a reference.",
            'Write a default as JSON: ${OUTPUT[id].path ?? "none"}, or 0, [] or null; or another '
            "reference: ${OUTPUT[a].path ?? OUTPUT[b].path}.",
        ) from None


def _refuse_a_bare_default(pieces: list[str | Reference]) -> None:
    match pieces:
        case [Reference(text=text), str(rest), *more] if _DEFAULT.match(rest) and not (
            text.startswith("${")
        ):
            rest += "".join(part if isinstance(part, str) else part.text for part in more)
            raise BadReference("A default needs braces.", f"Write ${{{text[1:]}{rest[:60]}}}.")


def _excerpt(text: str, position: int) -> str:
    return dumps(text[position : position + 40] + ("…" if len(text) > position + 40 else ""))
