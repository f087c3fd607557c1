"""The reading of an expression over the shapes of its input, before anything runs.

Each node gets the shape of its current value and gives the shape of its result. A mistake becomes a
`Finding`: certain where it follows from declared shapes or from the text alone, a note where a
shape was learned or is open. Where only one thing can be meant, the finding has an edit, and the
edited expression is valid.

Here is the walk that infers shapes. What it checks on the way stands apart: names (`names.py`),
comparisons (`comparisons.py`), projections (`projections.py`), arguments (`results.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..values.problems import slip_of
from .backslashes import check_backslashes, check_newline, check_replacement, is_like_pattern
from .comparisons import SEARCHES, check_comparison, check_search
from .constants import Constants
from .evaluation import Expression
from .findings import Findings
from .functions import FUNCTIONS
from .names import ENVELOPES, MAX_GUESSED, GroupOf, Names, in_group
from .nodes import (
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
from .problems import Edit, Finding
from .projections import elements_of, is_misplaced
from .quoting import as_name, member_of
from .results import check_kind, is_swapped, result_of
from .roots import starts_at_root
from .scopes import Scope, looked_through
from .shapes import ANY, Shape, There, either, list_of, not_null, object_of, of, of_value, or_null
from .signatures import EXPRESSION, PATTERN, TEXT


class Reading(NamedTuple):
    """The shape of the result of an expression, and the mistakes in it, in the order of its
    text."""

    shape: Shape
    findings: tuple[Finding, ...]
    known: frozenset[int] = frozenset()
    """The places of the names that are known to be there, or to be optional."""


def read(
    expression: Expression,
    shape: Shape,
    references: Mapping[Key, Shape],
    own: str | None = None,
    *,
    is_test: bool = False,
    is_output: bool = True,
    source: str | None = None,
    group_of: GroupOf = lambda id: None,
) -> Reading:
    """Read *expression* over a value of *shape*, which is the whole of an output or not.
    *references* has the shape of each reference that is allowed in it; *own* is the id of the task
    whose answer it selects from, or asks about if it `is_test`; *source* is a reference to the
    value, if it may be written in the expression."""
    reader = _Reader(expression.text, references, own=own, group_of=group_of)
    if is_output and not expression.reads_result:
        shape = looked_through(shape)
    reader.check_references(expression)
    scope = Scope(shape, is_answer=True, source=source)
    check = reader.constants.check if is_test else reader.constants.check_select
    check(expression.tree, scope)
    result = reader.read(expression.tree, scope)
    return reader.reading(result)


def read_condition(
    expression: Expression,
    dependencies: Mapping[str, Shape],
    tasks: Collection[str],
    references: Mapping[Key, Shape],
    group_of: GroupOf = lambda id: None,
) -> Reading:
    """Read a `when` over the outputs of *dependencies*. *tasks* are all ids of the document."""
    reader = _Reader(expression.text, references, tasks, is_condition=True, group_of=group_of)
    reader.check_references(expression)
    scope = Scope(object_of(dependencies), is_tasks=True)
    reader.constants.check(expression.tree, scope)
    reader.constants.note_switch(expression.tree)
    result = reader.read(expression.tree, scope)
    return reader.reading(result)


class _Reader:
    """One walk over one expression; it collects findings."""

    def __init__(
        self,
        text: str,
        references: Mapping[Key, Shape],
        tasks: Collection[str] = (),
        *,
        is_condition: bool = False,
        own: str | None = None,
        group_of: GroupOf = lambda id: None,
    ) -> None:
        self.findings = Findings(text)
        arguments = references.get(Key(Source.ARGUMENTS), ANY).members
        self._names = Names(self.findings, tasks, own, arguments, group_of)
        self._group_of = group_of
        self.constants = Constants(self.findings, tasks)
        self._references = references
        self._is_condition = is_condition
        self._tasks = tasks
        self._own = Key(Source.OUTPUT, own) if own is not None else None
        self._safe: set[int] = set()
        """The nodes that need no parentheses around a pipe."""

    def reading(self, shape: Shape) -> Reading:
        return Reading(shape, self.findings.in_order(), frozenset(self.findings.known))

    def check_references(self, expression: Expression) -> None:
        if all(key in self._references for key in expression.references):
            return
        for node in walk(expression.tree):
            if isinstance(node, Reference) and node.key == self._own:
                is_start = any(node is start for start in starts_at_root(expression.tree))
                self._names.say_own(node, is_certain=is_start)
            elif isinstance(node, Reference) and node.key not in self._references:
                source, id = node.key
                is_task = node.key.task is not None
                ids = [key.id for key in self._references if key.source is source and key.id]
                ids += [*self._tasks][:MAX_GUESSED] if is_task else []
                near = slip_of(id, dict.fromkeys(ids)) if id else None
                edit = str(Key(source, near)) if near else None
                message, hint = f'unknown task "{id}"', ""
                if (group := self._group_of(id)) is not None and is_task:
                    hint = in_group(group)
                if not is_task:
                    message, hint = f"there is no {node.key} here", self._why_not_here(source)
                if id and ids and not is_task:
                    hint = f"Groups with for_each around this: {', '.join(sorted(ids))}."
                self.findings.say(
                    node.start, node.end, message, edit, hint=hint if not edit else ""
                )

    def _why_not_here(self, source: Source) -> str:
        if source is Source.ARGUMENTS:
            return "Only the expressions of repeat have the arguments of the call."
        if self._is_condition:
            return "when is read once, before the items: filter their list in for_each."
        return "There is one only with for_each."

    def read(self, node: Node, scope: Scope) -> Shape:
        match node:
            case Current():
                return scope.shape
            case Field():
                is_covered = id(node) in self.findings.covered
                return ANY if is_covered else self._names.field(node, scope)
            case Literal(value=value):
                check_newline(node, self.findings)
                return of_value(value)
            case Reference(key=key):
                if key != self._own:
                    return self.referenced(key)
                return scope.shape if scope.is_answer else ANY
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
            case Selection(items=[Literal(value=str(name))]) if node.is_step:
                message = "a name in brackets after a full stop is a list of a text"
                return self.findings.say(node.start, node.end, message, as_name(name))
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
                    if self._names.is_count(item, shape):
                        shape = self._names.say_count(item, shape, (item.start, item.start))
                    else:
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
        return looked_through(shape)

    def path(self, node: Path, scope: Scope) -> Shape:
        first, *rest = node.steps
        if (
            scope.is_tasks
            and isinstance(first, Field)
            and (other := self._names.task_of(node, first, scope)) is not None
        ):
            shape, taken = other
            rest = rest[taken:]
        elif isinstance(first, Reference):
            shape = (
                self.read(first, scope)
                if first.key == self._own
                else self.referenced(first.key, rest)
            )
        elif scope.is_tasks and isinstance(first, Field):
            shape = scope.shape.member(first.name)
            shape = shape if _is_field(rest, "result") else looked_through(shape)
        else:
            return self.steps(rest, self.read(first, scope), scope, first.start)
        if shape.known == {"text"} and _is_field(rest, "text"):
            rest = rest[1:]  # .text of a text is the text
        return self.steps(rest, shape, scope, first.start)

    def steps(
        self, rest: Sequence[Node], shape: Shape, scope: Scope, start: int | None = None
    ) -> Shape:
        """Return the shape at the end of the steps *rest* from a value of *shape*. Their path
        starts at *start*."""
        for number, step in enumerate(rest):
            if start is not None and step is rest[-1] and self._names.is_count(step, shape):
                is_of_each = self.findings.text[start - 1 : start] == "."
                counted = None if is_of_each else (start, step.start - 1)
                return self._names.say_count(step, shape, counted)
            inner = scope.beneath(shape)
            if (
                isinstance(step, Field)
                and step.name in ENVELOPES
                and shape.has(step.name) is not There.YES
                and number == 0
            ):
                after = rest[1] if len(rest) > 1 else None
                if shape.has(step.name) is There.NO and (
                    after is None
                    or (isinstance(after, Field) and shape.has(after.name) is There.YES)
                ):
                    before = self.findings.text.rindex(".", 0, step.start + 1)
                    self.findings.say(
                        step.start,
                        step.end,
                        f"an output has no {step.name} around it",
                        Edit(before, step.end, ""),
                    )
                    continue
            shape = self.read(step, inner)
        return shape

    def index(self, node: Index, scope: Scope) -> Shape:
        shape = scope.shape
        if "list" not in shape.kinds:
            hint = "A text has slices: [:7]." if shape.known == {"text"} else ""
            return self.findings.say(
                node.start,
                node.end,
                f"{shape} has no elements",
                is_note=shape.is_learned,
                hint=hint,
            )
        return or_null(shape.elements)

    def projection(self, node: Projection, scope: Scope) -> Shape:
        base = self.read(node.base, scope)
        if node.over is Over.SLICE and "text" in base.kinds and "list" not in base.kinds:
            if isinstance(node.rest, Current):
                return replace(base, options=None)
            return self.read(node.rest, scope.beneath(base))
        elements = elements_of(node, base, self.findings)
        if elements is None:
            return ANY
        if node.condition is not None:
            inner = self._holder(node.base, scope).within(elements)
            self.constants.check(node.condition, inner)
            self.read(node.condition, inner)
        is_whole = node.start == 0 and node.end == len(self.findings.text)
        is_alone = is_whole or id(node) in self._safe
        if is_misplaced(node, elements, self.findings, is_alone=is_alone):
            return ANY
        if self._names.is_count(node.rest, elements, {"object"}):
            return self._names.say_count(node.rest, base, (node.start, node.at[1]))
        rest = self.read(node.rest, scope.within(not_null(elements)))
        made = list_of(not_null(rest))
        wanted = "object" if node.over is Over.VALUES else "list"
        return or_null(made) if "null" in base.kinds or not base.known <= {wanted} else made

    def _holder(self, base: Node, scope: Scope) -> Scope:
        """Return the scope of the value that has the list *base* as a member: in that of another
        if that has it as a member, and so on to *scope*."""
        around = scope
        first, *rest = base.steps if isinstance(base, Path) else (base,)
        source: str | None = None
        match first:
            case Reference(key=key) if key != self._own:
                shape = self.referenced(key, rest)
                source = str(key) if key.source in (Source.OUTPUT, Source.ITEM) else None
            case Field(name=name) if scope.is_tasks:
                shape, source = looked_through(scope.shape.member(name)), f"$OUTPUT[{name}]"
            case Field(name=name):
                shape = scope.shape.member(name)
                source = member_of(scope.source, name) if scope.source else None
            case _:
                return scope
        for step in rest:
            if not isinstance(step, Field):
                break
            around = Scope(shape, around, source=source)
            shape = shape.member(step.name)
            source = member_of(source, step.name) if source else None
        return around

    # Comparisons.

    def compare(self, node: Compare, scope: Scope) -> Shape:
        before = len(self.findings)
        left = self.operand(node.left, node.right, scope)
        right = self.operand(node.right, node.left, scope)
        if self.findings.are_notes(before) and id(node) not in self.findings.covered:
            check_comparison(node, left, right, self.findings)
        return of("boolean") if node.operator in ("==", "!=") else of("boolean", "null")

    def check_list(self, node: Node) -> None:
        if isinstance(node, Index) and self.findings.text[node.start] == "[":
            said = self.findings.written(node)
            self.findings.say(
                node.start,
                node.end,
                f"{said} is an element of the value here",
                is_note=True,
                hint=f"A list is written `{said}`.",
            )

    def operand(self, node: Node, other: Node, scope: Scope) -> Shape:
        if isinstance(node, Projection) and self.findings.written(node) == "[]":
            self.findings.say(*node.at, "[] goes over a list; an empty one is written `[]`", "`[]`")
            return of("list")
        self.check_list(node)
        if isinstance(node, Field):
            if node.is_quoted and (said := self._names.meant_as_text(node, scope)) is not None:
                return said
            return self._names.field(node, scope, compared=not isinstance(other, Literal))
        return self.read(node, scope)

    # Functions.

    def call(self, node: Call, scope: Scope) -> Shape:
        function = FUNCTIONS[node.name]
        before = len(self.findings)
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
            elif wanted in (TEXT, PATTERN) or (node.name == "contains" and number == 1):
                given.append(self.text_argument(argument, scope, is_pattern=wanted == PATTERN))
            else:
                given.append(self.read(argument, scope))
        if not is_swapped(node, given, self.findings):
            for number, argument in enumerate(node.arguments):
                check_kind(node, argument, function.wanted(number), given[number], self.findings)
        for number, argument in enumerate(node.arguments):
            if isinstance(argument, Ampersand):
                elements = (
                    given[lists[0]].elements if lists and "list" in given[lists[0]].kinds else ANY
                )
                given[number] = self.read(argument.operand, scope.within(elements))
        if node.name == "replace":
            check_replacement(node, self.findings)
        if node.name in SEARCHES and self.findings.are_notes(before):
            check_search(node, given[0], given[1], self.findings)
        result = result_of(node.name, function, given)
        # What is unknown is taken to be what the function wants, so that its result has a kind that
        # can be said and fixed: only a null that is known makes the result null.
        is_null = any(
            "null" in shape.kinds and shape != ANY
            for n, shape in enumerate(given)
            if function.wanted(n) not in ("any", EXPRESSION)
        )
        return or_null(result) if is_null else result

    def text_argument(self, argument: Node, scope: Scope, *, is_pattern: bool = False) -> Shape:
        if isinstance(argument, Field) and argument.is_quoted:
            is_certain = is_pattern and is_like_pattern(argument.name)
            said = self._names.meant_as_text(argument, scope, is_certain=is_certain)
            if said is not None:
                return said
        if isinstance(argument, Literal) and isinstance(argument.value, str) and is_pattern:
            check_backslashes(argument, self.findings)
            return of_value(argument.value)
        self.check_list(argument)
        return self.read(argument, scope)


def _is_field(steps: Sequence[Node], name: str) -> bool:
    return bool(steps) and isinstance(steps[0], Field) and steps[0].name == name
