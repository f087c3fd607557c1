"""The tree of an expression.

Every node has the position of its text. The nodes of the `jmespath` library have none, and each
rule that differs (`syntax.py`) changes its lexer or its parser, so it serves only as the oracle of
the tests.

The tree is as deep as the *nesting* of the text and no deeper: chains (`a.b.c`, `a | b | c`, `a &&
b && c`) are one node with many parts. Nesting is bounded, so that nothing that walks a tree meets
Python's recursion limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Source(StrEnum):
    """The kinds of values that references start from."""

    OUTPUT = "OUTPUT"
    STATUS = "STATUS"
    ERROR = "ERROR"
    ITEM = "ITEM"
    INDEX = "INDEX"
    ARGUMENTS = "ARGUMENTS"
    """The arguments of the call whose output is read: only in `repeat`."""


_OF_TASKS = frozenset((Source.OUTPUT, Source.STATUS, Source.ERROR))


class Key(NamedTuple):
    """The start of a reference: `$OUTPUT[id]`, `$STATUS[id]`, `$ERROR[id]`, `$ITEM` or `$INDEX`,
    also of a group by its id (`$ITEM[id]`), or `$ARGUMENTS`."""

    source: Source
    id: str = ""

    @property
    def task(self) -> str | None:
        """The id of the task that it depends on, if it does on one."""
        return self.id if self.source in _OF_TASKS else None

    def __str__(self) -> str:
        return f"${self.source}" + (f"[{self.id}]" if self.id else "")


@dataclass(slots=True, eq=False)
class Node:
    """A part of an expression, with the position of its text and of the parentheses around it. Once
    parsed, it is never changed."""

    start: int
    end: int


@dataclass(slots=True, eq=False)
class Current(Node):
    """The current value: `@`, or nothing at all at the start of `[0]`."""


@dataclass(slots=True, eq=False)
class Field(Node):
    name: str
    is_quoted: bool = False


@dataclass(slots=True, eq=False)
class Literal(Node):
    value: Any


@dataclass(slots=True, eq=False)
class Reference(Node):
    key: Key


@dataclass(slots=True, eq=False)
class Index(Node):
    index: int


@dataclass(slots=True, eq=False)
class Embedded(Reference):
    """A reference within a quoted text, with its path."""

    steps: tuple[Field | Index, ...]


@dataclass(slots=True, eq=False)
class Text(Node):
    """A quoted text with references in it."""

    parts: tuple[str | Embedded, ...]


@dataclass(slots=True, eq=False)
class Path(Node):
    """Steps, each applied to the result of the one before."""

    steps: tuple[Node, ...]


class Over(StrEnum):
    """The elements that a projection goes over."""

    LIST = "[*]"
    VALUES = "*"
    FLAT = "[]"
    FILTER = "[?]"
    SLICE = "[:]"


@dataclass(slots=True, eq=False)
class Projection(Node):
    """`rest` for each element of `base`, without nulls. `at` is the position of its own sign
    (`[*]`, `[?…]`)."""

    over: Over
    base: Node
    rest: Node
    at: tuple[int, int]
    condition: Node | None = None
    bounds: tuple[int | None, int | None, int | None] = (None, None, None)


@dataclass(slots=True, eq=False)
class Selection(Node):
    """`[a, b]`. As a step of a path (`x.[a, b]`) it is null where x is."""

    items: tuple[Node, ...]
    is_step: bool = False


@dataclass(slots=True, eq=False)
class Members(Node):
    """`{a: x, b: y}`. As a step of a path (`x.{a: y}`) it is null where x is."""

    names: tuple[str, ...]
    items: tuple[Node, ...]
    is_step: bool = False


@dataclass(slots=True, eq=False)
class Not(Node):
    operand: Node


@dataclass(slots=True, eq=False)
class And(Node):
    items: tuple[Node, ...]


@dataclass(slots=True, eq=False)
class Or(Node):
    items: tuple[Node, ...]


@dataclass(slots=True, eq=False)
class Compare(Node):
    operator: str
    left: Node
    right: Node
    at: tuple[int, int]


@dataclass(slots=True, eq=False)
class Pipe(Node):
    items: tuple[Node, ...]


@dataclass(slots=True, eq=False)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]


@dataclass(slots=True, eq=False)
class Ampersand(Node):
    """`&a.b`: an expression as an argument, evaluated once an element."""

    operand: Node


_PARTS: dict[type[Node], tuple[str, ...]] = {
    Text: ("parts",),
    Path: ("steps",),
    Projection: ("base", "rest", "condition"),
    Selection: ("items",),
    Members: ("items",),
    Not: ("operand",),
    And: ("items",),
    Or: ("items",),
    Compare: ("left", "right"),
    Pipe: ("items",),
    Call: ("arguments",),
    Ampersand: ("operand",),
}


def children(node: Node) -> Iterator[Node]:
    for name in _PARTS.get(type(node), ()):
        part = getattr(node, name)
        if isinstance(part, Node):
            yield part
        elif part is not None:
            yield from (inner for inner in part if isinstance(inner, Node))


def walk(node: Node) -> Iterator[Node]:
    """Yield *node* and all beneath it."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        if type(node) in _PARTS:
            stack.extend(reversed([*children(node)]))
