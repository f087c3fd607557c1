"""Names: what a field that is not there may have been meant as.

A name may be misspelt, belong to the value around the elements, be a text without its quotes, a
list whose elements have it, or, in a condition, no dependency.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import TypeAlias

from ..values.problems import nearest, slip_of, some_of
from ..values.strict import dumps
from .findings import Findings
from .functions import FUNCTIONS
from .nodes import Field, Node, Path, Reference
from .problems import Edit, InvalidExpression
from .quoting import PLAIN, as_name, member_of, quoted
from .roots import fields_at_root
from .scopes import Scope, looked_through
from .shapes import ANY, Shape, There, of
from .syntax import parse

ENVELOPES = frozenset(
    [
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
    ]
)
"""Words that other engines put around or before an output."""
CONSTANTS = {
    **dict.fromkeys(("True", "TRUE"), "true"),
    **dict.fromkeys(("False", "FALSE"), "false"),
    **dict.fromkeys(("None", "NULL", "Null", "nil", "undefined"), "null"),
}
"""Constants of other languages, as they are written here."""

GroupOf: TypeAlias = Callable[[str], str | None]
"""Gives the group with a task of an id, which only those in the group may name; None if none."""
_ENDS = frozenset(("outcome", "conclusion", "status", "result"))
"""Names by which other engines say how a task ended."""
NO_TASK = "Begin each name with the id of a task, such as a.total."
MAX_GUESSED = 200
"""Most tasks among which a misspelt name is searched, for each expression of a document."""

_COUNTS = frozenset(("length", "size", "count", "len"))
"""Members that lists and texts have in other languages."""


class Names:
    """A check of the names in one expression. *tasks* are the ids that a condition may name, *own*
    is the id of the task whose answer a `select` sees."""

    def __init__(
        self,
        findings: Findings,
        tasks: Collection[str],
        own: str | None,
        arguments: Collection[str] = (),
        group_of: GroupOf = lambda id: None,
    ) -> None:
        self._findings = findings
        self._arguments = arguments
        """The arguments of the call, in the expressions of `repeat`."""
        self._group_of = group_of
        self._tasks = tasks
        self._own = own

    def field(self, node: Field, scope: Scope, *, compared: bool = False) -> Shape:
        shape, name = scope.shape, node.name
        there = shape.has(name)
        if there is There.YES:
            self._findings.known.add(node.start)
            return looked_through(shape.member(name)) if scope.is_tasks else shape.member(name)
        if scope.is_tasks:
            found = self.task_of(node, node, scope, compared=compared)
            return found[0] if found is not None else ANY
        if (said := self.outer_name(node, scope, there)) is not None:
            return said
        if name in CONSTANTS and not node.is_quoted and (compared or there is not There.UNKNOWN):
            message = f"{name} is written {CONSTANTS[name]}"
            return self._findings.say(node.start, node.end, message, CONSTANTS[name])
        if there is There.UNKNOWN and self._is_function(node) and self._ends(node):
            message = f"{name} is a function here"
            hint = f'The member of that name is written "{name}".'
            return self._findings.say(node.start, node.end, message, f"{name}(@)", hint=hint)
        if there is There.UNKNOWN or (
            there is There.DOUBTFUL and shape.is_learned and shape.of_members is not None
        ):
            return shape.member(name)
        near = slip_of(name, shape.members)
        is_own = scope.is_answer and near is None and name == self._own
        if (is_own and self._goes_on_in(shape, node)) or (
            scope.is_answer and near is None and there is There.NO and (is_own or name in ENVELOPES)
        ):
            self.say_own(node, is_certain=True, is_note=shape.is_learned)
            return shape
        if near is None and there is There.NO and name in self._arguments:
            message = f"the answer has no {name}; the argument of the call is $ARGUMENTS.{name}"
            return self._findings.say(node.start, node.end, message, member_of("$ARGUMENTS", name))
        if compared and near is None and there is There.NO and not shape.is_learned:
            return self._findings.say(
                node.start, node.end, f"unknown field {name} to compare with", quoted(name)
            )
        if there is There.NO and name == "text" and scope.is_answer and shape.known == {"text"}:
            message = "the output is the text itself"
            return self._findings.say(node.start, node.end, message, "@", is_note=shape.is_learned)
        if there is There.NO and self._is_function(node):
            message = f"{name} is not a field; a function is called: {name}(@)"
            return self._findings.say(node.start, node.end, message, f"{name}(@)")
        if there is There.NO:
            what = (
                f"{shape} has no fields" if "object" not in shape.kinds else f"unknown field {name}"
            )
            if shape.known == {"list"}:
                before = self._findings.text[: node.start].rstrip()
                is_key = node.is_quoted and re.search(r"[\w\])}\"]\[$", before) is not None
                start = len(before) - 1 if is_key or before.endswith(".") else node.start
                end = node.end + is_key
                has_it = shape.elements.has(name) is There.YES
                over = Edit(start, end, f"[].{as_name(name)}") if has_it else None
                return self._findings.say(
                    node.start,
                    node.end,
                    f"a list has no field {name}; [] goes over its elements",
                    over,
                    is_note=shape.is_learned,
                )
            edit = (dumps(near) if node.is_quoted else as_name(near)) if near else None
            if edit is None and node.is_quoted and is_path(name, scope):
                edit = name
            hint = f"Fields: {some_of(shape.members, 12)}." if shape.members else ""
            return self._findings.say(
                node.start, node.end, what, edit, is_note=shape.is_learned, hint=hint
            )
        near_names = nearest(name, shape.members)
        there_are = f"Fields: {', '.join([*shape.members][:12])}."
        hint = f"Did you mean {near_names[0]}?" if near_names else there_are
        self._findings.say(
            node.start,
            node.end,
            f"no field {name} is {'known' if shape.is_learned else 'declared'}",
            is_note=True,
            hint=hint,
        )
        return shape.member(name)

    def _is_function(self, node: Field) -> bool:
        """Return whether *node* stands as a filter of another language: `title | lower`."""
        function = None if node.is_quoted else FUNCTIONS.get(node.name)
        before = self._findings.text[: node.start].rstrip()
        is_piped = before.endswith("|") and not before.endswith("||")
        return is_piped and function is not None and function.takes(1)

    def _goes_on_in(self, shape: Shape, node: Field) -> bool:
        """Return whether the path goes on behind *node* with a name that *shape* itself has."""
        text = self._findings.text
        behind = PLAIN.match(text, node.end + 1) if text[node.end : node.end + 1] == "." else None
        return behind is not None and shape.has(behind[0]) is There.YES

    def _ends(self, node: Field) -> bool:
        """Return whether no path goes on behind *node*."""
        return self._findings.text[node.end : node.end + 1] not in (".", "[")

    def say_own(self, node: Field | Reference, *, is_certain: bool, is_note: bool = False) -> None:
        """Report *node*, which names the output that a `select` is applied to already."""
        text = self._findings.text
        after = text[node.end : node.end + 1]
        edit = None
        if is_certain and after == "." and PLAIN.match(text, node.end + 1):
            edit = Edit(node.start, node.end + 1, "")
        elif is_certain:
            edit = Edit(node.start, node.end, "" if after == "[" else "@")
        named = self._findings.written(node)
        message = f"it is read from the output itself, which has no {named} around it"
        hint = "" if edit else "Names inside [?…] are looked up in each element."
        self._findings.say(node.start, node.end, message, edit, is_note=is_note, hint=hint)

    def is_count(self, node: Node, shape: Shape, kinds: Collection[str] = ("list", "text")) -> bool:
        """Return whether *node* is not a field of *shape*, which is one of *kinds*, but a count as
        in other languages: `items.length`."""
        return (
            isinstance(node, Field)
            and node.name in _COUNTS
            and shape.has(node.name) is There.NO
            and bool(shape.known)
            and shape.known.issubset(kinds)
        )

    def say_count(self, node: Node, shape: Shape, counted: tuple[int, int] | None) -> Shape:
        """Report the count *node*. *counted* is the place of what is counted, None in doubt."""
        text = self._findings.text
        edit = None
        if counted is not None:
            value = text[slice(*counted)]
            is_whole = bool(value) and value.count("(") == value.count(")")
            edit = (
                Edit(counted[0], node.end, f"length({value})")
                if is_whole
                else Edit(node.start, node.end, "length(@)")
            )
        message = f"{self._findings.written(node)} is not a field; length(…) counts"
        self._findings.say(node.start, node.end, message, edit, is_note=shape.is_learned)
        return of("integer")

    def outer_name(self, node: Field, scope: Scope, there: There) -> Shape | None:
        """Report *node* if it names a member of the value around the elements."""
        outer = scope.around
        while outer is not None and outer.shape.has(node.name) is not There.YES:
            outer = outer.around
        if outer is None:
            return None
        source = f"$OUTPUT[{node.name}]" if outer.is_tasks else None
        if outer.source is not None:
            source = member_of(outer.source, node.name)
        message = f"{node.name} is read from each element here; only the value around has it"
        if there is There.UNKNOWN and "object" in scope.shape.kinds:
            hint = f"Write {source}." if source else ""
            return self._findings.say(node.start, node.end, message, is_note=True, hint=hint)
        hint = (
            ""
            if source
            else "A reference has one value at every depth: use $OUTPUT[id], or for_each and $ITEM."
        )
        return self._findings.say(node.start, node.end, message, source, hint=hint)

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
                self._findings.say(
                    first.start, step.end, f"{id} is one id and has double quotes", dumps(id)
                )
                return scope.shape.members.get(id, ANY), count
        after = steps[0] if steps and isinstance(steps[0], Field) else None
        if name in ENVELOPES:
            members = scope.shape.members
            if after is not None and (
                meant := after.name
                if after.name in members or after.name in self._tasks
                else slip_of(after.name, members)
            ):
                end_of = steps[1] if len(steps) == 2 else None
                if isinstance(end_of, Field) and end_of.name in _ENDS and after.name == meant:
                    how = Edit(first.start, end_of.end, f"$STATUS[{meant}]")
                    self._findings.say(first.start, first.end, f"{name} is not a dependency", how)
                    return of("text"), 2
                inner = steps[1] if len(steps) > 2 and isinstance(steps[1], Field) else None
                is_inside = inner is not None and inner.name in ("outputs", "output")
                last = inner if inner is not None and is_inside else after
                end = last.end + (self._findings.text[last.start - 1] == "[")
                around = Edit(first.start, end, as_name(meant))
                self._findings.say(first.start, first.end, f"{name} is not a dependency", around)
                return members.get(meant, ANY), 1 + is_inside
            if len(scope.shape.members) == 1:
                [(id, shape)] = scope.shape.members.items()
                self._findings.say(
                    first.start, first.end, f"{name} is not a dependency", as_name(id)
                )
                return shape, 0
        guessed = self._tasks if len(self._tasks) <= MAX_GUESSED else ()
        near = slip_of(name, scope.shape.members) or slip_of(name, guessed)
        if name in CONSTANTS and not first.is_quoted:
            edit: str | None = CONSTANTS[name]
        elif first.is_quoted and is_path(name, scope, self._tasks):
            edit = name
        elif (compared and not steps) and (first.is_quoted or near is None):
            edit = quoted(name)
        else:
            edit = as_name(near) if near else None
        known = some_of(scope.shape.members, 12)
        hint = f"Dependencies: {known}." if known else NO_TASK
        if edit is None and (group := self._group_of(name)) is not None:
            hint = in_group(group)
        self._findings.say(first.start, first.end, f"{name} is not a dependency", edit, hint=hint)
        if near is not None and near in scope.shape.members and edit == as_name(near):
            return scope.shape.members[near], 0
        return ANY, 0 if near else len(steps)

    def meant_as_text(self, node: Field, scope: Scope, *, is_certain: bool = False) -> Shape | None:
        """Report `"text"`, which is a field, where a text must have been meant. It is certain that
        it was if no field has such a name, as if it has no letter."""
        there = scope.shape.has(node.name)
        outer = scope.around
        while outer is not None:
            if outer.shape.has(node.name) is There.YES:
                return None
            outer = outer.around
        if there is There.YES or (scope.is_tasks and node.name in self._tasks):
            return None
        is_certain = (
            is_certain
            or re.search(r"\w", node.name) is None
            or scope.is_tasks
            or (there is There.NO and not scope.shape.is_learned)
            or bool(PLAIN.fullmatch(node.name))
        )
        message = f'"{node.name}" is a field; a text has single quotes'
        edit = quoted(node.name) if is_certain else None
        hint = "" if is_certain else f"Write {quoted(node.name)} if the text is meant."
        return self._findings.say(
            node.start, node.end, message, edit, is_note=not is_certain, hint=hint
        )


def in_group(group: str) -> str:
    """Return the hint for the id of a task in *group*, which others do not see."""
    return f"That task is in the group {group}: refer to $OUTPUT[{group}], its value."


def is_path(value: object, scope: Scope, tasks: Collection[str] = ()) -> bool:
    """Return whether *value* is a text that is certainly a path in quotes: *scope*, or *tasks*
    where it has them, has what it starts from."""
    if not isinstance(value, str):
        return False
    try:
        roots = fields_at_root(parse(value))
    except InvalidExpression:
        return False
    return bool(roots) and all(
        scope.shape.has(root.name) is There.YES or (scope.is_tasks and root.name in tasks)
        for root in roots
    )
