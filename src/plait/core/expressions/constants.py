"""Constants in conditions: an operand, a comparison or a whole condition that is the same whatever
the tasks give.

A condition with one is a mistake in its words: `a.x == 'b' || 'e'` is always true, and
`'a.total' > '100'` compares two texts. Only `true` and `false` are meant as they stand: they switch
a task on or off.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from .findings import Findings
from .functions import FUNCTIONS
from .names import is_path
from .nodes import (
    And,
    Call,
    Compare,
    Current,
    Field,
    Index,
    Literal,
    Node,
    Not,
    Or,
    Path,
    Pipe,
    Reference,
    children,
)
from .problems import Edit
from .quoting import quoted
from .scopes import Scope
from .shapes import There

MAX_REPEATED = 500
"""Most characters that an edit repeats for each constant."""
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_ORDERS = {"<", "<=", ">", ">="}
_SWITCHES = {"true": "true", "false": "false", "1": "true", "0": "false"}
"""Constants that can only be meant as a switch."""


@dataclass(frozen=True, slots=True)
class Constants:
    """A check of the conditions of one expression. *tasks* are the ids that a condition may
    name."""

    findings: Findings
    tasks: Collection[str]
    _known: dict[int, bool] = field(default_factory=dict)

    def check(self, node: Node, scope: Scope) -> None:
        """Report the constants in the condition *node*, whose names are looked up in *scope*."""
        if self.is_constant(node):
            if not _is_switch(node):
                self._report(node, self._meant(node, scope))
            return
        match node:
            case Pipe(items=[*_, end]) if self.is_constant(end) and not _is_switch(end):
                self._report(end, None)
            case Not(operand=operand):
                self.check(operand, scope)
            case And(items=items) | Or(items=items):
                last: Node | None = None
                for item in items:
                    if self._is_unknown(item, scope) and (edit := self._compared(item, node, last)):
                        self._report(item, edit)
                    elif not self.is_constant(item):
                        self.check(item, scope)
                        last = item
                    elif not _is_switch(item):
                        edit = self._compared(item, node, last)
                        self._report(item, edit or self._meant(item, scope))
            case Compare():
                self._check_choice(node)

    def note_switch(self, tree: Node) -> None:
        """Note that the whole condition *tree* of a task is decided by a `true` or `false`."""
        if (ends := _decided(tree)) is not None and len(self.findings) == 0:
            message = "it is always true: the task needs no when"
            if not ends:
                message = "it is never true: the task never runs"
            self.findings.say(tree.start, tree.end, message, is_note=True)

    def is_constant(self, node: Node) -> bool:
        """Return whether *node* reads neither the value, nor a reference, nor the time."""
        match node:
            case Literal():
                return True
            case Field() | Current() | Index() | Reference():
                return False
            case Path(steps=steps):
                return self.is_constant(steps[0])
            case Call(name=name) if FUNCTIONS[name].reads_start:
                return False
        if (known := self._known.get(id(node))) is None:
            known = self._known[id(node)] = all(map(self.is_constant, children(node)))
        return known

    def _report(self, node: Node, edit: Edit | None) -> None:
        written = self.findings.written(node)[:80]
        what = "compares constants" if isinstance(node, Compare) else "is a constant here"
        hint = "" if edit else "A condition compares values, as in a.total > 100."
        self.findings.say(node.start, node.end, f"{written} {what}", edit, hint=hint)
        self.findings.covered.add(id(node))

    def _is_unknown(self, node: Node, scope: Scope) -> bool:
        """Return whether *node* is a name that nothing has."""
        return (
            isinstance(node, Field)
            and node.name not in self.tasks
            and scope.shape.has(node.name) is There.NO
            and not scope.shape.is_learned
        )

    def _compared(self, item: Node, whole: And | Or, last: Node | None) -> Edit | None:
        """Return the edit that compares *item* like *last*, which stands before it, as in `x ==
        'a' || 'b'`."""
        if last is None or last.end - last.start > MAX_REPEATED:
            return None
        if not isinstance(item, Literal | Field):
            return None
        text = quoted(item.name) if isinstance(item, Field) else self.findings.written(item)
        value = item.name if isinstance(item, Field) else item.value
        match last:
            case Compare(operator=operator) if operator == (
                "==" if isinstance(whole, Or) else "!="
            ):
                for side, other in ((last.left, last.right), (last.right, last.left)):
                    if not self.is_constant(side) and _is_like(other, value):
                        compared = f"{self.findings.written(side)} {operator} {text}"
                        return Edit(item.start, item.end, compared)
            case Call(name="contains" | "starts_with" | "ends_with" as name, arguments=arguments):
                if _is_like(arguments[1], value) and (name == "contains" or isinstance(whole, Or)):
                    called = f"{name}({self.findings.written(arguments[0])}, {text})"
                    return Edit(item.start, item.end, called)
        return None

    def _check_choice(self, node: Compare) -> None:
        """Report `x == ('a' || 'b')`, which compares with the first alone."""
        for value, choice in ((node.left, node.right), (node.right, node.left)):
            if (
                not isinstance(choice, Or)
                or not self.is_constant(choice)
                or self.is_constant(value)
            ):
                continue
            sign = {"==": " || ", "!=": " && "}.get(node.operator)
            edit = None
            if sign is not None and value.end - value.start <= MAX_REPEATED:
                start = f"{self.findings.written(value)} {node.operator} "
                each = [start + self.findings.written(item) for item in choice.items]
                edit = Edit(node.start, node.end, f"({sign.join(each)})")
            self._report(choice, edit)

    def _meant(self, node: Node, scope: Scope) -> Edit | None:
        """Return the edit that takes a path out of its quotes, or writes a switch."""
        if isinstance(node, Literal):
            if self._is_path(node, scope):
                return Edit(node.start, node.end, f"{node.value}")
            switch = _SWITCHES.get(str(node.value)) if type(node.value) in (str, int) else None
            return Edit(node.start, node.end, switch) if switch else None
        if not isinstance(node, Compare):
            return None
        texts = [self.findings.written(node.left), self.findings.written(node.right)]
        sides = (node.left, node.right)
        paths = [self._is_path(side, scope) for side in sides]
        if sum(paths) != 1:
            return None
        for number, side in enumerate(sides):
            if isinstance(side, Literal) and isinstance(side.value, str):
                is_number = node.operator in _ORDERS and _NUMBER.fullmatch(side.value)
                if paths[number] or is_number:
                    texts[number] = side.value
        compared = f" {node.operator} ".join(texts)
        has_parentheses = self.findings.text[node.start] == "("
        return Edit(node.start, node.end, f"({compared})" if has_parentheses else compared)

    def _is_path(self, node: Node, scope: Scope) -> bool:
        return isinstance(node, Literal) and is_path(node.value, scope, self.tasks)

    def check_select(self, node: Node, scope: Scope) -> None:
        """Report a `select` that is a path in quotes, and so a text. Any other constant may be
        meant."""
        if self._is_path(node, scope):
            self._report(node, self._meant(node, scope))


def _is_switch(node: Node) -> bool:
    while isinstance(node, Not):
        node = node.operand
    return isinstance(node, Literal) and isinstance(node.value, bool)


def _decided(node: Node) -> bool | None:
    """Return what the switches in *node* make of it; None if they leave it open."""
    match node:
        case Literal(value=bool(value)):
            return value
        case Not(operand=operand):
            inner = _decided(operand)
            return None if inner is None else not inner
        case And(items=items) | Or(items=items):
            ends = isinstance(node, Or)
            parts = {_decided(item) for item in items}
            return ends if ends in parts else None if None in parts else not ends
    return None


def _is_like(node: Node, value: object) -> bool:
    """Return whether *node* is a constant of the type of *value*, a text maybe with the wrong
    quotes."""
    if isinstance(node, Field):
        return node.is_quoted and isinstance(value, str)
    return isinstance(node, Literal) and type(node.value) is type(value)
