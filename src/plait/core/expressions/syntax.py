"""Expressions as text and as trees: a lexer of one regular expression and a Pratt parser.

The grammar is JMESPath's, with these differences:

- `!` binds weaker than a path, so `!a.b[0]` is `!(a.b[0])`; JMESPath reads `(!a).b[0]`, which is
  never true.
- Operands may be bare numbers, `true`, `false`, `null`, and references (`$OUTPUT[a]`, `$ITEM`,
  `$INDEX`). A path goes on from a reference as from any other operand.
- `a.0` is `a[0]` and `a["b c"]` is `a."b c"`, as in the paths of references.
- `[a, b]` and `{a: b}` are null for null only as steps of a path: `{id: $ITEM.id, n: length(@)}`
  keeps its item.
- A quoted text may hold references; they are parsed here and get their values when the expression
  runs.

Every node has the position of its text. The nodes of the `jmespath` library have none, and each
rule above changes its lexer or its parser, so it serves only as the oracle of the tests.

The tree is as deep as the *nesting* of the text and no deeper: chains (`a.b.c`, `a | b | c`, `a &&
b && c`) are one node with many parts. Nesting is bounded, so that nothing that walks a tree meets
Python's recursion limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from ..values.strict import NotStrict, loads
from .problems import Edit, Finding, InvalidExpression

MAX_CHARS = 10_000
MAX_NESTING = 100
MAX_STEPS = 500
MAX_DIGITS = 400


class Source(StrEnum):
    """The kinds of values that references start from."""

    OUTPUT = "OUTPUT"
    ITEM = "ITEM"
    INDEX = "INDEX"


class Key(NamedTuple):
    """The start of a reference: `$OUTPUT[id]`, `$ITEM` or `$INDEX`."""

    source: Source
    id: str = ""

    def __str__(self) -> str:
        return f"${self.source}" + (f"[{self.id}]" if self.id else "")


@dataclass(slots=True, eq=False)
class Node:
    """A part of an expression, with the position of its text. It is never changed."""

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
        stack.extend(reversed([*children(node)]))


class Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


_ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_TARGET = rf"(?:OUTPUT\[{_ID}\]|(?:ITEM|INDEX)(?!\w))"
_NAME = r"[^\W\d]\w*"
_TOKENS = re.compile(
    rf"(?P<space>[ \t\r\n]+)|(?P<reference>\${_TARGET})|(?P<name>{_NAME})"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<text>'(?:[^'\\]|\\.)*+')|(?P<quoted>\"(?:[^\"\\]|\\.)*+\")|(?P<json>`(?:[^`\\]|\\.)*+`)"
    r"|(?P<filter>\[\?)|(?P<flatten>\[\])|(?P<sign>\|\||&&|[=!<>]=|[.*@|&<>!,:(){}\[\]])",
    re.DOTALL,
)
_DIGITS = re.compile(r"-?[0-9]+")
_IN_TEXT = re.compile(
    r"\$(?P<escape>\$)(?=\{?(?:OUTPUT|ITEM|INDEX))"
    rf"|\$(?P<brace>\{{)?(?P<reference>{_TARGET})"
)
_STEP = re.compile(
    rf"\.(?P<name>{_NAME})|\.(?P<digits>[0-9]{{1,9}})"
    r"|\[(?P<index>-?[0-9]{1,9})\]|\[(?P<key>\"(?:[^\"\\]|\\.)*+\")\]"
)
_WORDS = {"true": True, "false": False, "null": None}
_SLIPS = {"and": "&&", "or": "||", "not": "!"}

_POWER = {
    "|": 1, "||": 2, "&&": 3,
    "==": 5, "!=": 5, "<": 5, "<=": 5, ">": 5, ">=": 5,
    "flatten": 9, "*": 20, "filter": 21, ".": 40, "[": 55,
}  # fmt: skip
_NOT = 8  # above comparisons, below all that continues a path
_ENDS_PROJECTION = 10


def tokenize(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        after_dot = position > 0 and text[position - 1] == "." and tokens[-1].kind == "."
        digits = _DIGITS.match(text, position) if after_dot else None
        found = _TOKENS.match(text, position)
        if digits is not None:
            tokens.append(Token("number", digits[0], position, digits.end()))
            position = digits.end()
        elif found is not None:
            kind = str(found.lastgroup)
            if kind != "space":
                tokens.append(
                    Token(found[0] if kind == "sign" else kind, found[0], position, found.end())
                )
            position = found.end()
        else:
            raise _unreadable(text, position)
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


def _unreadable(text: str, at: int) -> InvalidExpression:
    rest = text[at:]
    if rest[0] in "'\"`":
        return _invalid(at, at + 1, f"the {rest[0]} is never closed")
    if rest[0] == "=":
        return _invalid(at, at + 1, "= is not an operator", Edit(at, at + 1, "=="))
    if braced := re.match(rf"\$\{{({_TARGET}[^{{}}?|]*)\}}", rest):
        return _invalid(
            at,
            at + braced.end(),
            "a reference in an expression has no braces",
            Edit(at, at + braced.end(), f"${braced[1].strip()}"),
        )
    if json_path := re.match(rf"\$\.?(?={_NAME})(?!OUTPUT|ITEM|INDEX)", rest):
        end = at + json_path.end()
        return _invalid(
            at, end, f"{rest[: json_path.end()]} is not needed before a name", Edit(at, end, "")
        )
    if rest.startswith("$"):
        hint = "Write names only (a.ok, items[0]), or a reference: $OUTPUT[id].x, $ITEM."
        return _invalid(at, at + 1, "$ starts no reference here", hint=hint)
    if rest[0] in "+-/":
        hint = 'Write a name with a sign in it in double quotes: "content-type".'
        return _invalid(at, at + 1, f"{rest[0]} is not an operator", hint=hint)
    return _invalid(at, at + 1, f"{rest[0]!r} does not fit here")


def _invalid(
    start: int, end: int, message: str, edit: Edit | None = None, hint: str = ""
) -> InvalidExpression:
    return InvalidExpression(Finding(start, end, message, edit, hint=hint))


def parse(text: str) -> Node:
    """Parse *text* to a tree, in time linear in its length. Raises `InvalidExpression`."""
    if len(text) > MAX_CHARS:
        raise _invalid(0, 0, f"an expression has at most {MAX_CHARS:,} characters")
    if not text.strip():
        raise _invalid(0, 0, "the expression is empty")
    parser = _Parser(text)
    node = parser.expression(0)
    if parser.token.kind != "end":
        raise parser.unexpected()
    return node


class _Parser:
    """A reader of the tokens of one expression, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._at = 0
        self._nesting = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    def ahead(self, count: int = 1) -> str:
        return self._tokens[min(self._at + count, len(self._tokens) - 1)].kind

    def next(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            raise self.unexpected(kind)
        return self.next()

    def unexpected(self, wanted: str = "") -> InvalidExpression:
        token, before = self.token, self._tokens[max(self._at - 1, 0)]
        wish = f"; {wanted} is missing" if wanted in {")", "]", "}", ":"} else ""
        if token.kind == "end":
            return _invalid(token.start, token.end, f"the expression ends too early{wish}")
        for slip in (before, token):
            if slip.kind == "name" and slip.text in _SLIPS:
                return _invalid(
                    slip.start,
                    slip.end,
                    f"{slip.text} is not an operator",
                    Edit(slip.start, slip.end, _SLIPS[slip.text]),
                )
        if wanted == "key" and token.kind == "text":
            key = json.dumps(token.text[1:-1], ensure_ascii=False)
            return _invalid(
                token.start,
                token.end,
                "a key has double quotes or none",
                Edit(token.start, token.end, key),
            )
        return _invalid(token.start, token.end, f"{token.text[:40]} does not fit here{wish}")

    def nest(self, levels: int) -> None:
        self._nesting += levels
        if self._nesting > MAX_NESTING:
            raise _invalid(
                self.token.start,
                self.token.end,
                f"it is nested more than {MAX_NESTING} levels deep",
            )

    def expression(self, power: int) -> Node:
        before = self._nesting
        self.nest(1)
        left = self.operand()
        while power < _POWER.get(self.token.kind, 0):
            left = self.continued(left)
        self._nesting = before
        return left

    # Operands.

    def operand(self) -> Node:
        token = self.next()
        start, end = token.start, token.end
        match token.kind:
            case "name":
                if self.token.kind == "(":
                    return self.call(token)
                if token.text in _WORDS:
                    return Literal(start, end, _WORDS[token.text])
                return Field(start, end, token.text)
            case "quoted":
                return Field(start, end, self.unquoted(token), is_quoted=True)
            case "text":
                return self.text(token)
            case "json":
                return Literal(start, end, self.json(token))
            case "number":
                return Literal(start, end, self.number(token))
            case "reference":
                return Reference(start, end, _key(token.text))
            case "@":
                return Current(start, end)
            case "(":
                inner = self.expression(0)
                self.expect(")")
                return inner
            case "!":
                operand = self.expression(_NOT)
                return Not(start, operand.end, operand)
            case "&":
                operand = self.expression(0)
                return Ampersand(start, operand.end, operand)
            case "{":
                return self.members(start)
            case "*":
                return self.projected(Over.VALUES, Current(start, start), (start, end), 20)
            case "flatten" | "filter":
                self._at -= 1
                return self.continued(Current(start, start))
            case "[":
                return self.bracket(start)
        self._at -= token.kind != "end"
        raise self.unexpected()

    def bracket(self, start: int) -> Node:
        """Read on after a `[` that starts an operand: an index, a slice, `[*]`, or a list of
        expressions."""
        here = Current(start, start)
        if self.token.kind == ":" or (self.token.kind == "number" and self.ahead() in ("]", ":")):
            return self.index_or_slice(here, start)
        if self.token.kind == "*" and self.ahead() == "]":
            self.next()
            return self.projected(Over.LIST, here, (start, self.expect("]").end), 20)
        return self.selection(start)

    def selection(self, start: int, *, is_step: bool = False) -> Node:
        items = [self.expression(0)]
        while self.token.kind == ",":
            self.next()
            items.append(self.expression(0))
        return Selection(start, self.expect("]").end, tuple(items), is_step)

    def members(self, start: int, *, is_step: bool = False) -> Node:
        names: list[str] = []
        items: list[Node] = []
        while True:
            if self.token.kind not in ("name", "quoted"):
                raise self.unexpected("key")
            token = self.next()
            names.append(token.text if token.kind == "name" else self.unquoted(token))
            self.expect(":")
            items.append(self.expression(0))
            if self.token.kind != ",":
                return Members(start, self.expect("}").end, tuple(names), tuple(items), is_step)
            self.next()

    def call(self, name: Token) -> Node:
        self.expect("(")
        arguments: list[Node] = []
        while self.token.kind != ")":
            arguments.append(self.expression(0))
            if self.token.kind != ")":
                self.expect(",")
                if self.token.kind == ")":
                    raise self.unexpected()
        return Call(name.start, self.expect(")").end, name.text, tuple(arguments))

    # The rest of a path, and operators.

    def continued(self, left: Node) -> Node:
        token = self.next()
        match token.kind:
            case "|":
                return Pipe(*self.chain(left, "|"))
            case "||":
                return Or(*self.chain(left, "||"))
            case "&&":
                return And(*self.chain(left, "&&"))
            case "==" | "!=" | "<" | "<=" | ">" | ">=":
                self.nest(1)
                right = self.expression(5)
                return Compare(
                    left.start, right.end, token.kind, left, right, (token.start, token.end)
                )
            case "flatten":
                self.nest(1)
                return self.projected(Over.FLAT, left, (token.start, token.end), 9)
            case "filter":
                self.nest(1)
                condition = self.expression(0)
                at = (token.start, self.expect("]").end)
                return self.projected(Over.FILTER, left, at, 21, condition)
            case ".":
                return self.member(left)
            case "[":
                if self.token.kind in ("number", ":"):
                    return self.index_or_slice(left, token.start)
                if self.token.kind == "quoted" and self.ahead() == "]":
                    key = self.next()
                    self.next()
                    return _path(
                        left, Field(key.start, key.end, self.unquoted(key), is_quoted=True)
                    )
                self.expect("*")
                self.nest(1)
                return self.projected(Over.LIST, left, (token.start, self.expect("]").end), 20)
        self._at -= 1
        raise self.unexpected()

    def chain(self, left: Node, sign: str) -> tuple[int, int, tuple[Node, ...]]:
        """Read on after the first *sign* of `a | b | c`."""
        items = [left, self.expression(_POWER[sign])]
        while self.token.kind == sign:
            self.next()
            items.append(self.expression(_POWER[sign]))
        return left.start, items[-1].end, tuple(items)

    def member(self, left: Node) -> Node:
        """Read on after a full stop."""
        token = self.token
        match token.kind:
            case "*":
                self.next()
                self.nest(1)
                return self.projected(Over.VALUES, left, (token.start, token.end), 20)
            case "number":
                self.next()
                return _path(left, Index(token.start, token.end, self.whole(token)))
            case "name" if self.ahead() != "(":
                self.next()
                return _path(left, Field(token.start, token.end, token.text))
            case "{":
                self.next()
                return _path(left, self.members(token.start, is_step=True))
            case "quoted" | "name":
                return _path(left, self.operand())
            case "[" if self.ahead() == "number" and self.ahead(2) == "]":
                before = self._tokens[self._at - 1]
                raise _invalid(
                    before.start,
                    token.start,
                    "no full stop stands before an index",
                    Edit(before.start, token.start, ""),
                )
            case "[":
                self.next()
                return _path(left, self.selection(token.start, is_step=True))
        raise self.unexpected()

    def index_or_slice(self, left: Node, start: int) -> Node:
        """Read on after `[`, at a number or a colon."""
        parts: list[int | None] = [None]
        while self.token.kind != "]":
            token = self.token
            if token.kind == ":" and len(parts) < 3:
                parts.append(None)
            elif token.kind == "number" and parts[-1] is None:
                parts[-1] = self.whole(token)
            else:
                raise self.unexpected("]")
            self.next()
        end = self.next().end
        if len(parts) == 1:
            assert parts[0] is not None
            return _path(left, Index(start, end, parts[0]))
        if len(parts) == 3 and parts[2] == 0:
            raise _invalid(start, end, "a slice cannot have the step 0")
        self.nest(1)
        first, last, step = [*parts, None][:3]
        return self.projected(Over.SLICE, left, (start, end), 20, bounds=(first, last, step))

    def projected(
        self,
        over: Over,
        base: Node,
        at: tuple[int, int],
        power: int,
        condition: Node | None = None,
        bounds: tuple[int | None, int | None, int | None] = (None, None, None),
    ) -> Node:
        rest: Node = Current(at[1], at[1])
        kind = self.token.kind
        before = self._nesting
        if _POWER.get(kind, 0) >= _ENDS_PROJECTION:
            if kind == ".":
                self.next()
                rest = self.member(rest)
            else:
                rest = self.continued(rest)
            while power < _POWER.get(self.token.kind, 0):
                rest = self.continued(rest)
        self._nesting = before
        return Projection(base.start, max(at[1], rest.end), over, base, rest, at, condition, bounds)

    # Words.

    def whole(self, token: Token) -> int:
        if not _DIGITS.fullmatch(token.text) or len(token.text) > 10:
            raise _invalid(token.start, token.end, f"{token.text[:20]} is not an index")
        return int(token.text)

    def number(self, token: Token) -> int | float:
        if len(token.text) > MAX_DIGITS:
            raise _invalid(token.start, token.end, "the number has too many digits")
        value = int(token.text) if _DIGITS.fullmatch(token.text) else float(token.text)
        if value in (float("inf"), float("-inf")):
            raise _invalid(token.start, token.end, "the number is too large")
        return value

    def unquoted(self, token: Token) -> str:
        self.no_reference(token)
        try:
            return str(json.loads(token.text, strict=False))
        except ValueError:
            message = f"{token.text[:40]} is not a JSON string"
            raise _invalid(token.start, token.end, message) from None

    def json(self, token: Token) -> Any:
        self.no_reference(token)
        try:
            return loads(token.text[1:-1].replace("\\`", "`"))
        except NotStrict:
            word = token.text[1:-1].strip()
            edit = (
                Edit(token.start, token.end, f"'{word}'")
                if re.fullmatch(r"[\w ./-]+", word)
                else None
            )
            message = f"{token.text[:40]} is not a JSON value"
            raise _invalid(token.start, token.end, message, edit) from None

    def no_reference(self, token: Token) -> None:
        inner = token.text[1:-1].strip('"')
        if found := _IN_TEXT.search(inner):
            whole = re.fullmatch(rf"\${_TARGET}(?:{_STEP.pattern})*", inner)
            edit = Edit(token.start, token.end, inner) if whole else None
            raise _invalid(
                token.start,
                token.end,
                f"{found[0]} is not a reference between {token.text[0]}",
                edit,
                "Write a reference without quotes, or in single quotes within a text.",
            )

    def text(self, token: Token) -> Node:
        raw = token.text[1:-1]
        parts: list[str | Embedded] = []
        literal: list[str] = []
        position = 0
        while found := _IN_TEXT.search(raw, position):
            literal.append(raw[position : found.start()])
            position = found.end()
            if found["escape"]:
                literal.append("$")
                continue
            at = token.start + 1 + found.start()
            steps: list[Field | Index] = []
            while step := _STEP.match(raw, position):
                group = str(step.lastgroup)
                where = (token.start + 1 + step.start(group), token.start + 1 + step.end(group))
                if group in ("name", "key"):
                    name = step["name"] or json.loads(step["key"])
                    steps.append(Field(*where, name, is_quoted=group == "key"))
                else:
                    steps.append(Index(*where, int(step["digits"] or step["index"])))
                position = step.end()
            if found["brace"]:
                if not raw.startswith("}", position):
                    raise _invalid(
                        at,
                        at + 2,
                        "no brace closes the reference after its path",
                        hint="In a text, a reference has a path and no default: write (x || 'y').",
                    )
                position += 1
            key = _key("$" + found["reference"])
            parts += [
                _unescaped("".join(literal)),
                Embedded(at, token.start + 1 + position, key, tuple(steps)),
            ]
            literal = []
        literal.append(raw[position:])
        parts.append(_unescaped("".join(literal)))
        kept = tuple(part for part in parts if part != "")
        if any(isinstance(part, Embedded) for part in kept):
            return Text(token.start, token.end, kept)
        return Literal(
            token.start, token.end, "".join(part for part in kept if isinstance(part, str))
        )


def _path(left: Node, step: Node) -> Node:
    if isinstance(left, Current) and left.start == left.end:
        return step  # the unwritten @ before [0] or at the start of a projection's rest
    if isinstance(left, Path):
        if len(left.steps) >= MAX_STEPS:
            raise _invalid(step.start, step.end, f"a path has at most {MAX_STEPS} steps")
        return Path(left.start, step.end, (*left.steps, step))
    return Path(left.start, step.end, (left, step))


def _key(text: str) -> Key:
    source, _, id = text[1:].partition("[")
    return Key(Source(source), id.removesuffix("]"))


def _unescaped(text: str) -> str:
    return text.replace("\\'", "'")
