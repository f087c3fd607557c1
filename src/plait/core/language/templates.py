"""Values with references in them: compiled once, and filled in when their task is ready.

Text that is filled in is never parsed for references.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from ...errors import ExpressionFailed, OutputTooLarge, ReferenceFailed
from ..tools.output import Output
from ..values.problems import some_of
from ..values.schema import Place
from ..values.strict import Json, dumps
from .pipes import Pipe
from .references import (
    INDEX,
    ITEM,
    MAX_CHARS,
    NO_DEFAULT,
    OUTPUT,
    POINTERS,
    BadReference,
    Every,
    Omitted,
    Reference,
    Step,
    parse,
    plain_reference,
    written_step,
)
from .scope import Scope, evaluated, look_for_names

OMIT = "$OMIT"
"""The text in the place of an argument that is left out."""
MAX_ARGUMENT_BYTES = 8 * 2**20
_HAS_PARTS = (dict, list)
_MARK = re.compile(r"\{|<|%|@|#|\[|\+|~|&|OMIT|omit\(|Omit\(|_omit_|\)\s{0,9}\Z")
"""The beginnings of references of other engines, some of which begin with a `$`, as ours do; the
signs that join texts; the words for what is left out; and the end of a call of a function."""


Filling: TypeAlias = "tuple[Place, Reference | tuple[str | Reference, ...]]"
"""The place of a text in a value, and what replaces it: part of an output, or pieces to join."""


@dataclass(slots=True)  # one is made for each task, and a frozen one takes twice as long
class Template:
    """A value whose references have been found, to be filled in once their outputs exist. It is
    never changed."""

    value: Json
    fill: tuple[Filling, ...] | None = None
    """The parts to fill in, in document order; None if the value stays as it is."""
    texts: tuple[tuple[Place, str], ...] = ()
    """The texts, as written, that are not exactly one reference, for `lookalikes.py`."""
    keys: tuple[Place, ...] = ()
    """The members whose names hold a `$`, or stand for a reference in another engine: references
    are not read in names."""
    found: tuple[tuple[Place, Reference], ...] = ()
    """Each reference, also those that are defaults of others or stand in their expressions, with
    its place in the value."""
    unread: tuple[Place, ...] = ()
    """The places of references that cannot be read."""
    omitted: tuple[Place, ...] = ()
    """The places of `$OMIT`."""
    is_plain: bool = True
    """Whether its references are to outputs and items, without expressions, and with no default
    that is a text, a reference or `OMIT`, as most: a short cut past what is asked about others."""

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple([reference for _, reference in self.found])

    @property
    def heads(self) -> Iterator[tuple[Place, Reference]]:
        """Yield the references that are replaced by values, each with its place; they may have
        others as their defaults."""
        for place, part in self.fill or ():
            for piece in (part,) if isinstance(part, Reference) else part:
                if isinstance(piece, Reference):
                    yield place, piece

    @property
    def has_pipes(self) -> bool:
        return not self.is_plain and any(reference.pipe is not None for _, reference in self.found)

    @property
    def has_copies(self) -> bool:
        """Whether a call with it has values of its own, beyond parts of outputs: texts with
        references in them, lists made by `[*]`, results of expressions."""
        return any(
            not isinstance(part, Reference) or part.makes_a_value for _, part in self.fill or ()
        )

    @property
    def has_text_defaults(self) -> bool:
        """Whether a reference that stands alone has a text as its default. Others are in
        `texts`."""
        return not self.is_plain and any(
            isinstance(part, Reference) and isinstance(part.last, str)
            for _, part in self.fill or ()
        )

    @property
    def unknown(self) -> frozenset[Place]:
        """The places whose values are known only when the template is filled in, or not at all."""
        return frozenset([place for place, _ in self.fill or ()] + [*self.unread])

    def resolve(self, scope: Scope) -> Json:
        """Fill in the references and return the value. Raises `ReferenceFailed` or
        `OutputTooLarge`."""
        return self.value if self.fill is None else _filled(self.value, self.fill, scope)


def compile_value(
    value: Json, *, items: bool = False
) -> tuple[Template, list[tuple[Place, BadReference]]]:
    """Compile *value* to a template; also return its bad references, each with its place."""
    texts: list[tuple[Place, str]] = []
    keys: list[Place] = []
    _collect(value, (), texts, keys)
    if not texts:
        return Template(value, keys=tuple(keys)), []
    plain = [(place, one) for place, text in texts if (one := plain_reference(text)) is not None]
    if len(plain) == len(texts):  # as in most tasks
        found = tuple(plain)
        return Template(value, found, keys=tuple(keys), found=found), []
    return _compile_all(value, texts, keys, dict(plain), items)


def _compile_all(
    value: Json,
    texts: list[tuple[Place, str]],
    keys: list[Place],
    plain: Mapping[Place, Reference],
    items: bool,
) -> tuple[Template, list[tuple[Place, BadReference]]]:
    """Compile *value*, in which *texts* and *keys* were found, as `compile_value` does. *plain* has
    those of *texts* that are plain references."""
    rest: list[tuple[Place, str]] = []
    parts: list[Filling] = []
    literals: list[Filling] = []
    bad: list[tuple[Place, BadReference]] = []
    omitted: list[Place] = []
    for place, text in texts:
        if place in plain:
            parts.append((place, plain[place]))
            continue
        if text.endswith(OMIT) and text in (OMIT, f"${OMIT}"):
            if text == OMIT:
                omitted.append(place)
            else:
                literals.append((place, (OMIT,)))
            continue
        try:
            pieces = parse(text, items=items)
        except BadReference as error:
            bad.append((place, error))
            continue
        if len(pieces) == 1 and isinstance(pieces[0], Reference):
            parts.append((place, pieces[0]))
            continue
        rest.append((place, text))
        if len(pieces) > 1:
            parts.append((place, pieces))
        elif pieces[0] != text:
            literals.append((place, pieces))
    if literals:  # escapes: what they stand for is known now
        value = _filled(value, tuple(literals), Scope({}))
    found: list[tuple[Place, Reference]] = []
    is_plain = not omitted
    for place, part in parts:
        for piece in (part,) if isinstance(part, Reference) else part:
            if isinstance(piece, Reference):
                found.append((place, piece))
                if piece.about != OUTPUT or isinstance(piece.default, str | Omitted):
                    is_plain = False
                if piece.pipe is not None or isinstance(piece.default, Reference):
                    is_plain = False
                    found += [(place, link) for link in _linked(piece)]
    unread = tuple([place for place, _ in bad])
    fill = tuple(parts) or None
    template = Template(
        value, fill, tuple(rest), tuple(keys), tuple(found), unread, tuple(omitted), is_plain
    )
    return template, bad


def _linked(reference: Reference) -> Iterator[Reference]:
    """Yield the references that are defaults of *reference*, and those in expressions."""
    for link in reference.chain:
        if link is not reference:
            yield link
        for key in link.pipe.expression.references if link.pipe is not None else ():
            if key.task is None:
                yield Reference(str(key), text=str(key))
            else:
                yield Reference(key.task, text=str(key), about=key.source)


def items_in(value: Json) -> Json:
    """Return the items of a `for_each` over *value*: those of an object are `{key, value}`."""
    if not isinstance(value, dict):
        return value
    return [{"key": key, "value": part} for key, part in value.items()]


def with_items(template: Template) -> Template:
    """Return *template*, an object as `for_each`, as the list of its items."""
    if not isinstance(template.value, dict):
        return template
    places = {key: (index, "value") for index, key in enumerate(template.value)}
    fill = template.fill and tuple(
        [((*places[str(place[0])], *place[1:]), part) for place, part in template.fill]
    )
    found = tuple([((*places[str(place[0])], *place[1:]), one) for place, one in template.found])
    return replace(template, value=items_in(template.value), fill=fill, found=found)


def is_one_reference(template: Template) -> bool:
    """Return whether the whole value of *template* is one reference."""
    return (
        template.fill is not None
        and isinstance(template.fill[0][1], Reference)
        and (template.fill[0][0] == ())
    )


def follow(output: Output, reference: Reference) -> Json:
    """Return the part of *output* that *reference* names. Raises `ReferenceFailed`."""
    value: Any = output.value
    path = reference.path
    if path and output.is_wrapped and path[0] != "result":
        value = value["result"]
    if path and path[0] == "text" and isinstance(value, str):
        path = path[1:]
    part = value
    try:
        for step in path:
            if isinstance(part, str):
                break  # characters of a text are not parts of it
            part = part[step]
        else:
            found: Json = part
            return found
    except (LookupError, TypeError):
        pass  # at `[*]`, or where a part is missing
    return _walk(value, path, reference)


def value_of(reference: Reference, scope: Scope) -> Json:
    """Return what *reference* stands for, or the first of its defaults that is there. Raises
    `ReferenceFailed`."""
    default = reference.default
    if default is NO_DEFAULT:
        return _own_value(reference, scope)
    try:
        value = _own_value(reference, scope)
    except ReferenceFailed:
        value = None
    if value is not None:
        return value
    if isinstance(default, Reference):
        return value_of(default, scope)
    return cast(Json, default)  # `OMIT` goes no further than `_filled`


def _own_value(reference: Reference, scope: Scope) -> Json:
    output = scope.outputs.get(reference.task)
    if output is not None and reference.about == OUTPUT:  # as most
        value = follow(output, reference)
        if reference.pipe is None:
            return value
        is_wrapped = output.is_wrapped and not reference.path
        return _piped(reference, reference.pipe, value, scope, is_wrapped=is_wrapped)
    if reference.task is ITEM:
        value = _walk(scope.item, reference.path, reference)
    elif reference.task is INDEX:
        value = _walk(scope.index, reference.path, reference)
    elif reference.about != OUTPUT:
        end = scope.end(reference.about, reference.task)
        value = None if end is None else _walk(end, reference.path, reference)
    else:
        raise ReferenceFailed(
            f"{reference.text}: {reference.task} did not succeed, so it has no output"
        )
    return value if reference.pipe is None else _piped(reference, reference.pipe, value, scope)


def _piped(
    reference: Reference, pipe: Pipe, value: Json, scope: Scope, *, is_wrapped: bool = False
) -> Json:
    """Put *value* through the expression of *reference*. Raises `ExpressionFailed`, or
    `ReferenceFailed` for a quoted text with a missing reference."""
    try:
        where = reference.text
        found = evaluated(
            pipe.expression, value, scope, pipe.names, is_wrapped=is_wrapped, where=where
        )
        if not found and reference.default is NO_DEFAULT:
            look_for_names(pipe.expression, value, scope, where, is_wrapped=is_wrapped)
        return found
    except (ExpressionFailed, ReferenceFailed) as error:
        raise type(error)(f"{reference.text}: {error.message}", hint=error.hint) from None


def _collect(value: Json, place: Place, texts: list[tuple[Place, str]], keys: list[Place]) -> None:
    """Add to *texts* those in *value* that may contain references, each with its place, and to
    *keys* the places of members whose names hold a `$`."""
    if isinstance(value, str):
        if "$" in value or _MARK.search(value, 0, MAX_CHARS) is not None:
            texts.append((place, value))
    elif isinstance(value, dict):
        for key, child in value.items():
            if "$" in key or key in POINTERS:
                keys.append((*place, key))
            if isinstance(child, str):
                if "$" in child or _MARK.search(child, 0, MAX_CHARS) is not None:
                    texts.append(((*place, key), child))
            elif isinstance(child, _HAS_PARTS):
                _collect(child, (*place, key), texts, keys)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            if isinstance(child, str):
                if "$" in child or _MARK.search(child, 0, MAX_CHARS) is not None:
                    texts.append(((*place, index), child))
            elif isinstance(child, _HAS_PARTS):
                _collect(child, (*place, index), texts, keys)


def _filled(value: Json, parts: tuple[Filling, ...], scope: Scope) -> Json:
    """Return a copy of *value* with *parts* filled in. Containers without any are not copied."""
    if not parts[0][0]:
        first = parts[0][1]
        return value_of(first, scope) if isinstance(first, Reference) else _joined(first, scope)
    whole: Any = value.copy()  # type: ignore[union-attr]  # it has parts
    copies = [whole]
    before: Place = ()
    for place, pieces in parts:
        if len(place) > 1 or len(copies) > 1:
            _open(copies, before, place)
        piece: Any = (
            value_of(pieces, scope) if isinstance(pieces, Reference) else _joined(pieces, scope)
        )
        if isinstance(piece, Omitted):
            del copies[-1][place[-1]]
        else:
            copies[-1][place[-1]] = piece
        before = place
    filled: Json = whole
    return filled


def _open(copies: list[Any], before: Place, place: Place) -> None:
    """Extend *copies* from the path of *before* to that of *place*, copying each container once."""
    shared = 0
    while shared < min(len(copies), len(place)) - 1 and place[shared] == before[shared]:
        shared += 1
    del copies[shared + 1 :]
    for step in place[shared:-1]:
        copies[-1][step] = inner = copies[-1][step].copy()
        copies.append(inner)


def _joined(pieces: tuple[str | Reference, ...], scope: Scope) -> str:
    parts: list[str] = []
    size = 0
    for piece in pieces:
        value = piece if isinstance(piece, str) else _in_text(piece, scope)
        parts.append(value if isinstance(value, str) else dumps(value))
        size += len(parts[-1])
        if size > MAX_ARGUMENT_BYTES:
            raise OutputTooLarge(
                f"the text grows above {MAX_ARGUMENT_BYTES // 2**20} MiB when its references are "
                "filled in",
                hint="Refer to a smaller part of the output, or shrink it with select.",
            )
    return "".join(parts)


def _in_text(reference: Reference, scope: Scope) -> Json:
    """Return what *reference* stands for in a text, where the wrapper that a server put around its
    answer is not meant."""
    value = value_of(reference, scope)
    for link in reference.chain:
        output = None if link.path or link.pipe is not None else scope.outputs.get(link.task)
        if output is not None and output.is_wrapped and value is output.value:
            return output.value["result"]  # type: ignore[index,call-overload]  # as is_wrapped says
    return value


def _walk(
    value: Json, path: tuple[Step, ...], reference: Reference, walked: tuple[Step, ...] = ()
) -> Json:
    for number, step in enumerate(path):
        match step:
            case str() if isinstance(value, dict) and step in value:
                value = value[step]
            case int() if isinstance(value, list) and -len(value) <= step < len(value):
                value = value[step]
            case Every.ELEMENT if isinstance(value, list):
                here, rest = (*walked, *path[:number]), path[number + 1 :]
                return [
                    _walk(element, rest, reference, (*here, index))
                    for index, element in enumerate(value)
                ]
            case _:
                raise _missing(reference, (*walked, *path[:number]), step, value)
    return value


def _missing(
    reference: Reference, walked: tuple[Step, ...], step: Step, value: Json
) -> ReferenceFailed:
    where = f"${reference.about}[{reference.task}]" if not reference.is_item else reference.task
    where += "".join(map(written_step, walked))
    match value:
        case dict():
            there = f"an object with the keys {some_of(value, 20)}" if value else "an empty object"
        case list():
            there = f"a list of {len(value)}" + (
                " (0 to " + str(len(value) - 1) + ")" if value else ""
            )
        case str():
            there = "text" if len(value) > 60 else f"the text {dumps(value)}"
        case _:
            there = dumps(value)
    hint = 'Fix the path, or give a default: ${OUTPUT[id].path ?? "value"}.'
    if isinstance(step, str) and isinstance(value, str | int | float):
        braced = f"${{{where.removeprefix('$')}}}{written_step(step)}"
        hint = f"Where text goes on behind a reference, write braces: {braced}."
    return ReferenceFailed(
        f"{reference.text}: there is no {written_step(step)} in {where}, which is {there}",
        hint=hint,
    )
