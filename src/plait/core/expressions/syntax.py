"""The parser: from the tokens of an expression to its tree, in Pratt's way.

The grammar is JMESPath's, with these differences:

- `!` binds weaker than a path, so `!a.b[0]` is `!(a.b[0])`; JMESPath reads `(!a).b[0]`, which is
  never true.
- Operands may be bare numbers, `true`, `false`, `null`, and references (`$OUTPUT[a]`, `$ITEM`,
  `$INDEX` and so on). A path goes on from a reference as from any other operand.
- `a.0` is `a[0]` and `a["b c"]` is `a."b c"`, as in the paths of references.
- `[a, b]` and `{a: b}` are null for null only as steps of a path: `{id: $ITEM.id, n: length(@)}`
  keeps its item.
- A quoted text may hold references (`words.py`).
"""

from __future__ import annotations

import json

from .function_names import NAMESPACES
from .nodes import (
    Ampersand,
    And,
    Call,
    Compare,
    Current,
    Field,
    Index,
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
)
from .piped import check_piped
from .problems import Edit, InvalidExpression, invalid
from .tokens import Token, tokenize
from .words import index_of, json_of, key_of, name_of, number_of, text_of

MAX_CHARS = 10_000
MAX_NESTING = 100
MAX_STEPS = 500

_WORDS = {"true": True, "false": False, "null": None}

_POWER = {
    "|": 1, "||": 2, "&&": 3,
    "==": 5, "!=": 5, "<": 5, "<=": 5, ">": 5, ">=": 5,
    "flatten": 9, "*": 20, "filter": 21, ".": 40, "[": 55,
}  # fmt: skip
_NOT = 8  # above comparisons, below all that continues a path
_ENDS_PROJECTION = 10


def parse(text: str) -> Node:
    """Parse *text* to a tree, in time linear in its length. Raises `InvalidExpression`."""
    if len(text) > MAX_CHARS:
        raise invalid(0, 0, f"an expression has at most {MAX_CHARS:,} characters")
    if not text.strip():
        raise invalid(0, 0, "the expression is empty")
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
        token = self.token
        wish = f"; {wanted} is missing" if wanted in {")", "]", "}", ":"} else ""
        if token.kind == "end":
            return invalid(token.start, token.end, f"the expression ends too early{wish}")
        if wanted == "key" and token.kind == "text":
            key = json.dumps(token.text[1:-1], ensure_ascii=False)
            return invalid(
                token.start,
                token.end,
                "a key has double quotes or none",
                Edit(token.start, token.end, key),
            )
        return invalid(token.start, token.end, f"{token.text[:40]} does not fit here{wish}")

    def nest(self, levels: int) -> None:
        self._nesting += levels
        if self._nesting > MAX_NESTING:
            raise invalid(
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
                return Field(start, end, name_of(token), is_quoted=True)
            case "text":
                return text_of(token)
            case "json":
                return Literal(start, end, json_of(token))
            case "number":
                return Literal(start, end, number_of(token))
            case "reference":
                return Reference(start, end, key_of(token.text))
            case "@":
                return Current(start, end)
            case "(":
                inner = self.expression(0)
                inner.start, inner.end = start, self.expect(")").end
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
            names.append(token.text if token.kind == "name" else name_of(token))
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
                    return _path(left, Field(key.start, key.end, name_of(key), is_quoted=True))
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
        for item in items[1:] if sign == "|" else ():
            check_piped(item)
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
                return _path(left, Index(token.start, token.end, index_of(token)))
            case "name" if self.ahead() != "(":
                self.next()
                return _path(left, Field(token.start, token.end, token.text))
            case "{":
                self.next()
                return _path(left, self.members(token.start, is_step=True))
            case "quoted" | "name":
                if isinstance(left, Field) and left.name in NAMESPACES and token.kind == "name":
                    message = f"functions have no {left.name}. before them"
                    edit = Edit(left.start, token.start, "")
                    raise invalid(left.start, left.end, message, edit)
                return _path(left, self.operand())
            case "[" if self.ahead() == "number" and self.ahead(2) == "]":
                before = self._tokens[self._at - 1]
                raise invalid(
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
                parts[-1] = index_of(token)
            else:
                raise self.unexpected("]")
            self.next()
        end = self.next().end
        if len(parts) == 1:
            assert parts[0] is not None
            return _path(left, Index(start, end, parts[0]))
        if len(parts) == 3 and parts[2] == 0:
            raise invalid(start, end, "a slice cannot have the step 0")
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


def _path(left: Node, step: Node) -> Node:
    if isinstance(left, Current) and left.start == left.end:
        return step  # the unwritten @ before [0] or at the start of a projection's rest
    if isinstance(left, Path):
        if len(left.steps) >= MAX_STEPS:
            raise invalid(step.start, step.end, f"a path has at most {MAX_STEPS} steps")
        return Path(left.start, step.end, (*left.steps, step))
    return Path(left.start, step.end, (left, step))
