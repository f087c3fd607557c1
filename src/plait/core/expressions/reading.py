"""The reading of an expression over the shapes of its input, before anything runs.

Each node gets the shape of its current value and gives the shape of its result. A mistake becomes a
`Finding`: certain where it follows from declared shapes or from the text alone, a note where a
shape was learned or is open. Where only one thing can be meant, the finding has an edit, and the
edited expression is valid.

The walk keeps the scopes around a name (`Scope.around`) because of the worst trap of the language:
a name inside `[?…]` that belongs to the value around it. There it is null.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..values.problems import nearest, slip_of, some_of
from ..values.strict import dumps
from .evaluation import Expression, fields_at_root
from .functions import DESCRIBED, FUNCTIONS, TEXT, Function
from .problems import Edit, Finding
from .shapes import ANY, Shape, There, either, list_of, not_null, object_of, of, of_value, or_null
from .syntax import (
    Ampersand,
    And,
    Call,
    Compare,
    Current,
    Embedded,
    Field,
    Index,
    Key,
    Literal,
    Members,
    Node,
    Not,
    Or,
    Over,
    Path,
    Pipe,
    Projection,
    Reference,
    Selection,
    Source,
    Text,
    walk,
)

_PLAIN = re.compile(r"[^\W\d]\w*")
_ENVELOPES = {
    "output",
    "outputs",
    "result",
    "results",
    "task",
    "tasks",
    "step",
    "steps",
    "needs",
    "nodes",
    "data",
}
"""Words that other engines put around or before an output."""
_CONSTANTS = {"True": "true", "False": "false", "None": "null"}
"""Constants of Python, as they are written here."""
_WANTED = {
    "text": {"text"},
    "number": {"number"},
    "object": {"object"},
    "text or list": {"text", "list"},
    "text, list or object": {"text", "list", "object"},
}


class Scope(NamedTuple):
    """The value that names are looked up in, and the scopes around it."""

    shape: Shape
    around: Scope | None = None
    is_tasks: bool = False
    """Whether the members are dependencies: the whole value of a `when`."""

    def within(self, shape: Shape) -> Scope:
        return Scope(shape, self)

    def beneath(self, shape: Shape) -> Scope:
        """Return the scope of the next step of a path: another value, with the same around it."""
        return Scope(shape, self.around)


class Reading(NamedTuple):
    """The shape of the result of an expression, and the mistakes in it, in the order of its
    text."""

    shape: Shape
    findings: tuple[Finding, ...]


def read(expression: Expression, shape: Shape, references: Mapping[Key, Shape]) -> Reading:
    """Read *expression* over a value of *shape*. *references* has the shape of each reference that
    is allowed in it."""
    reader = _Reader(expression.text, references)
    if not any(field.name == "result" for field in fields_at_root(expression.tree)):
        shape = _looked_through(shape)
    reader.check_references(expression)
    result = reader.read(expression.tree, Scope(shape))
    return Reading(result, reader.in_order())


def read_condition(
    expression: Expression,
    dependencies: Mapping[str, Shape],
    tasks: Collection[str],
    references: Mapping[Key, Shape],
) -> Reading:
    """Read a `when` over the outputs of *dependencies*. *tasks* are all ids of the document."""
    reader = _Reader(expression.text, references, tasks, is_condition=True)
    reader.check_references(expression)
    scope = Scope(object_of(dependencies), is_tasks=True)
    result = reader.read(expression.tree, scope)
    return Reading(result, reader.in_order())


def _looked_through(shape: Shape) -> Shape:
    """Return the shape in the wrapper `{"result": x}`, if *shape* is that of a wrapper."""
    if [*shape.members] != ["result"] or shape.kinds != {"object"}:
        return shape
    inner = shape.members["result"]
    return inner if shape.is_closed or "null" not in inner.kinds else either(shape, inner)


class _Reader:
    """One walk over one expression; it collects findings."""

    def __init__(
        self,
        text: str,
        references: Mapping[Key, Shape],
        tasks: Collection[str] = (),
        *,
        is_condition: bool = False,
    ) -> None:
        self._text = text
        self._references = references
        self._tasks = tasks
        self._is_condition = is_condition
        self._safe: set[int] = set()
        """The nodes that need no parentheses around a pipe."""
        self._findings: list[Finding] = []

    def in_order(self) -> tuple[Finding, ...]:
        return tuple(sorted(self._findings, key=lambda finding: (finding.start, finding.is_note)))

    def say(
        self,
        start: int,
        end: int,
        message: str,
        edit: str | Edit | None = None,
        *,
        is_note: bool = False,
        hint: str = "",
    ) -> Shape:
        if isinstance(edit, str):
            edit = Edit(start, end, edit)
        self._findings.append(Finding(start, end, message, edit, is_note, hint))
        return ANY

    def written(self, node: Node) -> str:
        return self._text[node.start : node.end]

    def check_references(self, expression: Expression) -> None:
        for node in walk(expression.tree):
            if isinstance(node, Reference) and node.key not in self._references:
                if node.key.source is not Source.OUTPUT:
                    hint = (
                        "when is read once, before the items: filter their list with select."
                        if self._is_condition
                        else "There is one only with for_each."
                    )
                    self.say(node.start, node.end, f"there is no {node.key} here", hint=hint)
                    continue
                ids = [key.id for key in self._references if key.source is Source.OUTPUT]
                near = slip_of(node.key.id, ids)
                edit = str(Key(Source.OUTPUT, near)) if near else None
                self.say(node.start, node.end, f'unknown task "{node.key.id}"', edit)

    def read(self, node: Node, scope: Scope) -> Shape:
        match node:
            case Current():
                return scope.shape
            case Field():
                return self.field(node, scope)
            case Literal(value=value):
                self.check_newline(node)
                return of_value(value)
            case Reference(key=key):
                return self.referenced(key)
            case Text(parts=parts):
                for part in parts:
                    if isinstance(part, Embedded):
                        self.steps(part.steps, self.referenced(part.key, part.steps), scope)
                return of("text")
            case Index():
                return self.index(node, scope)
            case Path():
                return self.path(node, scope)
            case Projection():
                return self.projection(node, scope)
            case Selection(items=items):
                made = list_of(either(*(self.read(item, scope) for item in items)))
                return or_null(made) if node.is_step and "null" in scope.shape.kinds else made
            case Members(names=names, items=items):
                made = object_of(
                    {name: self.read(item, scope) for name, item in zip(names, items, strict=True)}
                )
                return or_null(made) if node.is_step and "null" in scope.shape.kinds else made
            case Not(operand=operand):
                self.read(operand, scope)
                return of("boolean")
            case And(items=items) | Or(items=items):
                shapes = [self.read(item, scope) for item in items]
                if isinstance(node, Or):
                    return either(*(not_null(shape) for shape in shapes[:-1]), shapes[-1])
                return either(*shapes)
            case Compare():
                return self.compare(node, scope)
            case Pipe(items=items):
                self._safe.update(id(item) for item in items)
                shape = self.read(items[0], scope)
                for item in items[1:]:
                    shape = self.read(item, scope.beneath(shape))
                return shape
            case Call():
                return self.call(node, scope)
            case Ampersand(operand=operand):
                return self.read(operand, scope)
        raise AssertionError(node)

    def referenced(self, key: Key, steps: Sequence[Node] = ()) -> Shape:
        """Return the shape of a reference, as *steps* enter it."""
        shape = self._references.get(key, ANY)
        if key.source is not Source.OUTPUT or _is_field(steps, "result"):
            return shape
        return _looked_through(shape)

    def check_newline(self, node: Node) -> None:
        text = self.written(node)
        if text.startswith("'") and (found := re.search(r"\\[nt]", text)):
            at = node.start + found.start()
            sign = "\n" if found[0] == "\\n" else "\t"
            self.say(
                at,
                at + 2,
                f"{found[0]} in a text is a backslash and a letter",
                Edit(at, at + 2, sign),
                is_note=True,
                hint="In JSON, write one backslash for a line break.",
            )

    def path(self, node: Path, scope: Scope) -> Shape:
        first, *rest = node.steps
        if (
            scope.is_tasks
            and isinstance(first, Field)
            and (other := self.task_of(node, first, scope)) is not None
        ):
            shape, taken = other
            rest = rest[taken:]
        elif isinstance(first, Reference):
            shape = self.referenced(first.key, rest)
        elif scope.is_tasks and isinstance(first, Field):
            shape = scope.shape.member(first.name)
            shape = shape if _is_field(rest, "result") else _looked_through(shape)
        else:
            return self.steps(rest, self.read(first, scope), scope)
        if shape.known == {"text"} and _is_field(rest, "text"):
            rest = rest[1:]  # .text of a text is the text
        return self.steps(rest, shape, scope)

    def steps(self, rest: Sequence[Node], shape: Shape, scope: Scope) -> Shape:
        """Return the shape at the end of the steps *rest* from a value of *shape*."""
        for number, step in enumerate(rest):
            inner = scope.beneath(shape)
            if (
                isinstance(step, Field)
                and step.name in _ENVELOPES
                and shape.has(step.name) is not There.YES
                and number == 0
            ):
                after = rest[1] if len(rest) > 1 else None
                if shape.has(step.name) is There.NO and (
                    after is None
                    or (isinstance(after, Field) and shape.has(after.name) is There.YES)
                ):
                    before = self._text.rindex(".", 0, step.start + 1)
                    self.say(
                        step.start,
                        step.end,
                        f"an output has no {step.name} around it",
                        Edit(before, step.end, ""),
                    )
                    continue
            shape = self.read(step, inner)
        return shape

    def field(self, node: Field, scope: Scope, *, compared: bool = False) -> Shape:
        shape, name = scope.shape, node.name
        there = shape.has(name)
        if there is There.YES:
            return _looked_through(shape.member(name)) if scope.is_tasks else shape.member(name)
        if scope.is_tasks:
            found = self.task_of(node, node, scope, compared=compared)
            return found[0] if found is not None else ANY
        if (said := self.outer_name(node, scope, there)) is not None:
            return said
        if there is There.UNKNOWN or (
            there is There.DOUBTFUL and shape.is_learned and shape.of_members is not None
        ):
            return shape.member(name)
        near = slip_of(name, shape.members)
        if compared and near is None and there is There.NO and not shape.is_learned:
            return self.say(
                node.start, node.end, f"unknown field {name} to compare with", _quoted(name)
            )
        if there is There.NO:
            what = (
                f"{shape} has no fields" if "object" not in shape.kinds else f"unknown field {name}"
            )
            if shape.known == {"list"}:
                is_step = self._text[node.start - 1 : node.start] == "."
                over = (
                    Edit(node.start - is_step, node.start, "[].")
                    if shape.elements.has(name) is There.YES
                    else None
                )
                return self.say(
                    node.start,
                    node.end,
                    f"a list has no field {name}; [] goes over its elements",
                    over,
                    is_note=shape.is_learned,
                )
            in_brackets = self._text[node.start - 1 : node.start] == "["
            edit = (dumps(near) if in_brackets else _name(near)) if near else None
            hint = f"Fields: {some_of(shape.members, 12)}." if shape.members else ""
            return self.say(node.start, node.end, what, edit, is_note=shape.is_learned, hint=hint)
        near_names = nearest(name, shape.members)
        there_are = f"Fields: {', '.join([*shape.members][:12])}."
        hint = f"Did you mean {near_names[0]}?" if near_names else there_are
        self.say(
            node.start,
            node.end,
            f"no field {name} is {'known' if shape.is_learned else 'declared'}",
            is_note=True,
            hint=hint,
        )
        return shape.member(name)

    def outer_name(self, node: Field, scope: Scope, there: There) -> Shape | None:
        """Report *node* if it names a member of the value around the elements."""
        outer = scope.around
        while outer is not None and outer.shape.has(node.name) is not There.YES:
            outer = outer.around
        if outer is None:
            return None
        source = f"$OUTPUT[{node.name}]" if outer.is_tasks else None
        message = f"{node.name} is read from each element here; only the value around has it"
        if there is There.UNKNOWN and "object" in scope.shape.kinds:
            hint = f"Write {source}." if source else ""
            return self.say(node.start, node.end, message, is_note=True, hint=hint)
        hint = (
            ""
            if source
            else "A reference has one value at every depth: use $OUTPUT[id], or for_each and $ITEM."
        )
        return self.say(node.start, node.end, message, source, hint=hint)

    def task_of(
        self, node: Node, first: Field, scope: Scope, *, compared: bool = False
    ) -> tuple[Shape, int] | None:
        """Report a path in a `when` that does not start from a dependency. Return the shape of the
        task that was meant, and how many more steps its id takes."""
        name = first.name
        steps = node.steps[1:] if isinstance(node, Path) else ()
        names = [name]
        if scope.shape.has(name) is There.YES:
            return None
        for count, step in enumerate(steps, 1):
            if not isinstance(step, Field):
                break
            names.append(step.name)
            id = ".".join(names)
            if id in scope.shape.members or id in self._tasks:
                self.say(first.start, step.end, f"{id} is one id and has double quotes", dumps(id))
                return scope.shape.members.get(id, ANY), count
        after = steps[0] if steps and isinstance(steps[0], Field) else None
        if name in _ENVELOPES:
            if after is not None and after.name in scope.shape.members:
                self.say(
                    first.start,
                    first.end,
                    f"{name} is not a dependency",
                    Edit(first.start, after.start, ""),
                )
                return scope.shape.members[after.name], 1
            if len(scope.shape.members) == 1:
                [(id, shape)] = scope.shape.members.items()
                self.say(first.start, first.end, f"{name} is not a dependency", _name(id))
                return shape, 0
        near = slip_of(name, scope.shape.members) or slip_of(name, self._tasks)
        if name in _CONSTANTS and not first.is_quoted:
            edit: str | None = _CONSTANTS[name]
        elif (compared and not steps) and (first.is_quoted or near is None):
            edit = _quoted(name)
        else:
            edit = _name(near) if near else None
        known = some_of(scope.shape.members, 12)
        hint = f"Dependencies: {known}." if known else "Name the tasks it reads in depends_on."
        self.say(first.start, first.end, f"{name} is not a dependency", edit, hint=hint)
        if near is not None and near in scope.shape.members and edit == _name(near):
            return scope.shape.members[near], 0
        return ANY, 0 if near else len(steps)

    def index(self, node: Index, scope: Scope) -> Shape:
        shape = scope.shape
        if "list" not in shape.kinds:
            hint = "A text has slices: [:7]." if shape.known == {"text"} else ""
            return self.say(
                node.start,
                node.end,
                f"{shape} has no elements",
                is_note=shape.is_learned,
                hint=hint,
            )
        return or_null(shape.elements)

    def projection(self, node: Projection, scope: Scope) -> Shape:
        base = self.read(node.base, scope)
        over = node.over
        if over is Over.VALUES:
            elements = (
                either(*base.members.values())
                if base.members and base.is_closed
                else base.of_members or ANY
            )
            wanted = "object"
        else:
            elements, wanted = base.elements if "list" in base.kinds else ANY, "list"
        if over is Over.SLICE and "text" in base.kinds and "list" not in base.kinds:
            return (
                self.read(node.rest, scope.beneath(base))
                if not isinstance(node.rest, Current)
                else replace(base, options=None)
            )
        if wanted not in base.kinds and base.known:
            sign = self._text[node.at[0] : node.at[1]][:20]
            hint = (
                "lines(@) makes a list of a text."
                if base.known == {"text"} and wanted == "list"
                else ""
            )
            if isinstance(node.base, Members) or (
                isinstance(node.base, Path) and isinstance(node.base.steps[-1], Members)
            ):
                hint = (
                    f"It is applied to each element here; write | before {sign} for the whole list."
                )
            self.say(
                *node.at,
                f"{base} is not {DESCRIBED[wanted]}: {sign} gives null",
                is_note=base.is_learned,
                hint=hint,
            )
            return ANY
        if over is Over.FLAT and elements.known == {"list"}:
            elements = elements.elements
        elif over is Over.FLAT and "list" in elements.kinds:
            elements = replace(ANY, is_learned=elements.is_learned)
        inner = scope.within(not_null(elements))
        if node.condition is not None:
            self.read(node.condition, scope.within(elements))
        if self.is_misplaced(node, elements):
            return ANY
        rest = self.read(node.rest, inner)
        made = list_of(not_null(rest))
        return or_null(made) if "null" in base.kinds or not base.known <= {wanted} else made

    def is_misplaced(self, node: Projection, elements: Shape) -> bool:
        """Report an index, a slice or a filter right behind `[?…]` or `[]` if it is applied to each
        element."""
        if node.over not in (Over.FILTER, Over.FLAT):
            return False
        rest = node.rest
        while isinstance(rest, Path | Projection):
            rest_base = rest.steps[0] if isinstance(rest, Path) else rest.base
            if isinstance(rest, Projection) and isinstance(rest_base, Current):
                break
            rest = rest_base
        is_slice = isinstance(rest, Projection) and rest.over is Over.SLICE
        is_filter = isinstance(rest, Projection) and rest.over is Over.FILTER
        if not (isinstance(rest, Index) or is_slice or is_filter):
            return False
        if elements.known == {"list"} or (is_slice and elements.known == {"text"}):
            return False
        end = node.at[1]
        sign = self._text[end : rest.at[1] if isinstance(rest, Projection) else rest.end][:30]
        if (
            is_filter
            and isinstance(rest, Projection)
            and node.condition is not None
            and rest.condition is not None
        ):
            both = " && ".join(
                f"({self.written(c)})" if isinstance(c, Or) else self.written(c)
                for c in (node.condition, rest.condition)
            )
            edit = Edit(node.condition.start, rest.condition.end, both)
        else:
            piped = f"{self._text[node.start : end]} | {self._text[end : node.end]}"
            edit = Edit(
                node.start,
                node.end,
                piped
                if (node.start == 0 and node.end == len(self._text)) or id(node) in self._safe
                else f"({piped})",
            )
        is_note = is_slice and "text" in elements.kinds
        self.say(
            end,
            end + len(sign),
            f"{sign} is applied to each element here, not to the list",
            edit,
            is_note=is_note,
        )
        return True

    # Comparisons.

    def compare(self, node: Compare, scope: Scope) -> Shape:
        before = len(self._findings)
        left = self.operand(node.left, node.right, scope)
        right = self.operand(node.right, node.left, scope)
        result = of("boolean") if node.operator in ("==", "!=") else of("boolean", "null")
        if len(self._findings) > before and not all(
            problem.is_note for problem in self._findings[before:]
        ):
            return result
        is_note = left.is_learned or right.is_learned
        ends = "never true" if node.operator != "!=" else "always true"
        if node.operator not in ("==", "!="):
            if not left.known & right.known & {"number", "text"} and left.known and right.known:
                self.say(
                    node.start,
                    node.end,
                    f"{left} {node.operator} {right} is never true",
                    self.unquoted(node, left, right),
                    is_note=is_note,
                )
            return result
        if not left.known & right.known and left.known and right.known:
            self.say(
                node.start,
                node.end,
                f"{left} {node.operator} {right} is {ends}",
                self.unquoted(node, left, right),
                is_note=is_note,
            )
        elif (
            left.options
            and right.options
            and left.known == right.known
            and not {*left.options} & {*right.options}
        ):
            literal = node.right if isinstance(node.right, Literal) else node.left
            other = left if literal is node.right else right
            near = (
                slip_of(str(literal.value), map(str, other.options or ()))
                if isinstance(literal, Literal)
                else None
            )
            edit = (
                Edit(literal.start, literal.end, _quoted(near))
                if near and other.known == {"text"}
                else None
            )
            self.say(
                node.start,
                node.end,
                f"{left} {node.operator} {right} is {ends}",
                edit,
                is_note=is_note,
            )
        return result

    def check_list(self, node: Node) -> None:
        if isinstance(node, Index) and self._text[node.start] == "[":
            said = self.written(node)
            self.say(
                node.start,
                node.end,
                f"{said} is an element of the value here",
                is_note=True,
                hint=f"A list is written `{said}`.",
            )

    def operand(self, node: Node, other: Node, scope: Scope) -> Shape:
        self.check_list(node)
        if isinstance(node, Field):
            if node.is_quoted and (said := self.meant_as_text(node, scope)) is not None:
                return said
            return self.field(node, scope, compared=not isinstance(other, Literal))
        return self.read(node, scope)

    def meant_as_text(self, node: Field, scope: Scope) -> Shape | None:
        """Report `"text"`, which is a field, where a text must have been meant."""
        there = scope.shape.has(node.name)
        outer = scope.around
        while outer is not None:
            if outer.shape.has(node.name) is There.YES:
                return None
            outer = outer.around
        if there is There.YES or (scope.is_tasks and node.name in self._tasks):
            return None
        is_certain = (
            scope.is_tasks
            or (there is There.NO and not scope.shape.is_learned)
            or bool(_PLAIN.fullmatch(node.name))
        )
        message = f'"{node.name}" is a field; a text has single quotes'
        edit = _quoted(node.name) if is_certain else None
        hint = "" if is_certain else f"Write {_quoted(node.name)} if the text is meant."
        return self.say(node.start, node.end, message, edit, is_note=not is_certain, hint=hint)

    def unquoted(self, node: Compare, left: Shape, right: Shape) -> Edit | None:
        """Return the edit that writes the literal in the type of the other side, if it can be."""
        for literal, other in ((node.right, left), (node.left, right)):
            if isinstance(literal, Literal):
                value = literal.value
                if other.known == {"text"} and type(value) in (int, float):
                    return Edit(literal.start, literal.end, _quoted(dumps(value)))
                if (
                    other.known == {"number"}
                    and type(value) is str
                    and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value)
                ):
                    return Edit(literal.start, literal.end, value)
                if other.known == {"boolean"} and value in ("true", "false"):
                    return Edit(literal.start, literal.end, str(value))
        return None

    # Functions.

    def call(self, node: Call, scope: Scope) -> Shape:
        function = FUNCTIONS[node.name]
        given: list[Shape] = []
        lists = [
            n
            for n, a in enumerate(node.arguments)
            if function.wanted(n) in ("list", "list of numbers or of texts")
        ]
        for number, argument in enumerate(node.arguments):
            self._safe.add(id(argument))
            wanted = function.wanted(number)
            if isinstance(argument, Ampersand):
                given.append(ANY)
            elif wanted == TEXT or (node.name == "contains" and number == 1):
                given.append(self.text_argument(argument, scope))
            else:
                given.append(self.read(argument, scope))
            self.check_kind(node, argument, wanted, given[-1])
        for number, argument in enumerate(node.arguments):
            if isinstance(argument, Ampersand):
                elements = (
                    given[lists[0]].elements if lists and "list" in given[lists[0]].kinds else ANY
                )
                given[number] = self.read(argument.operand, scope.within(elements))
        result = _result(node.name, function, given)
        is_null = any(
            "null" in shape.kinds and shape != ANY
            for n, shape in enumerate(given)
            if function.wanted(n) not in ("any", "&expression")
        )
        return or_null(result) if is_null else result

    def text_argument(self, argument: Node, scope: Scope) -> Shape:
        if (
            isinstance(argument, Field)
            and argument.is_quoted
            and (said := self.meant_as_text(argument, scope)) is not None
        ):
            return said
        self.check_list(argument)
        return self.read(argument, scope)

    def check_kind(self, node: Call, argument: Node, wanted: str, given: Shape) -> None:
        kinds = _WANTED.get(wanted, {"list"} if wanted.startswith("list") else None)
        if kinds is None or not given.known or given.known & kinds:
            return
        hint = (
            "lines(text) makes a list of a text."
            if "list" in kinds and given.known == {"text"}
            else ""
        )
        self.say(
            argument.start,
            argument.end,
            f"{node.name}() wants {DESCRIBED[wanted]}, and this is {given}",
            is_note=given.is_learned,
            hint=hint,
        )


def _is_field(steps: Sequence[Node], name: str) -> bool:
    return bool(steps) and isinstance(steps[0], Field) and steps[0].name == name


def _result(name: str, function: Function, given: list[Shape]) -> Shape:
    """Return the shape of the result of a function."""
    first = given[0]
    match function.gives:
        case "text" | "boolean" | "integer":
            return of(function.gives)
        case "number or null":
            return of("number", "integer", "null")
        case "sum":
            return (
                of("integer")
                if first.elements.kinds <= {"integer", "null"}
                else of("integer", "number")
            )
        case "list of texts":
            return list_of(of("text"))
        case "same":
            return replace(not_null(first), options=None)
        case "element or null":
            return or_null(first.elements)
        case "list of mapped":
            return list_of(given[0])
        case "list of members":
            return list_of(
                either(*first.members.values())
                if first.members and first.is_closed
                else first.of_members or ANY
            )
        case "either":
            return either(*(not_null(shape) for shape in given[:-1]), given[-1])
        case "merged":
            if all(shape.is_closed for shape in given):
                return object_of({k: v for shape in given for k, v in shape.members.items()})
            return of("object")
        case "list":
            return of("list")
    return ANY


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name not in ("true", "false", "null") else dumps(name)
