"""Loose tokens: a text that was refused, cut so that slips can be found in it.

Signs and words of other languages are tokens here (`===`, `??`, `and`, `in`), brackets know their
partners, and the ends of an operand are where the operator next to it would have them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import TypeAlias

from .names import CONSTANTS
from .problems import Edit, Finding
from .quoting import quoted
from .tokens import DIGITS, TOKENS, Token

_LOOSE = re.compile(
    r"(?P<odd>===|!==|=~|!~|=!(?!=)|=>|=<|<>|\?\?|\?\.|\?|\$\{\{|\{\{|\}\}|=(?!=))"
    rf"|{TOKENS.pattern}|(?P<dollar>\$\{{?)|(?P<other>.)",
    re.DOTALL,
)
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "===", "!==", "=!", "=>", "=<", "<>", "=")
COMPARING = frozenset((*_COMPARISONS, "=~", "!~", "in", "is"))
JOINING = frozenset(["&&", "||", "&", "and", "or"])
ENDING = frozenset(("|", ",", ":", "?", "end"))
FUNCTIONS_AS_WORDS = {
    "startswith": "starts_with",
    "endswith": "ends_with",
    "includes": "contains",
    "include": "contains",
    "has": "contains",
    "contains": "contains",
    "matches": "matches",
    "match": "matches",
    "tostring": "to_string",
}
"""Methods and operators of other languages, each with our function."""
LAMBDAS = "Write list[?condition], or map(&expression, list): fields are of the element."
"""The advice for functions with `=>`."""
_ENDS = frozenset(
    ["name", "text", "quoted", "json", "number", "reference", ")", "]", "}", "@", "flatten", "*"]
)
_WORDS = ("and", "or", "in", "is", "if", "else")
_STARTS = frozenset(
    [
        "name",
        "text",
        "quoted",
        "json",
        "number",
        "reference",
        "(",
        "[",
        "{",
        "@",
        "!",
        "filter",
        "flatten",
        "*",
        "not",
    ]
)
_OPENS = {"(": ")", "[": "]", "filter": "]", "{": "}", "${": "}", "{{": "}}", "${{": "}}"}
_CLOSES = frozenset(_OPENS.values())


class Loose:
    """The loose tokens of *text*. The last one is its end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _cut(text)
        self.is_closed = not any(map(_is_broken, self.tokens))
        """Whether every quote is closed, and every name in quotes can be read."""
        self.partners: dict[int, int] = {}
        stack: list[int] = []
        for at, token in enumerate(self.tokens):
            if token.kind in _OPENS:
                stack.append(at)
            elif (
                token.kind in _CLOSES
                and stack
                and _OPENS[self.tokens[stack[-1]].kind] == token.kind
            ):
                self.partners[at] = stack.pop()
                self.partners[self.partners[at]] = at

    def found(self, at: int, message: str, edit: Edit | None, hint: str = "") -> Finding:
        """Return a finding at the token *at*."""
        token = self.tokens[at]
        return Finding(token.start, token.end, message, edit, hint=hint)

    def no_operator(self, at: int, edit: Edit | None, hint: str = "") -> Finding:
        return self.found(at, f"{self.tokens[at].text} is not an operator", edit, hint)

    def replaced(self, start: int, end: int, text: str) -> Edit:
        """Return the edit that puts *text* in the place of the tokens from *start* up to *end*."""
        return Edit(self.tokens[start].start, self.tokens[end - 1].end, text)

    def value(self, start: int, end: int) -> str:
        """Return an item of a list or an argument: a text in double quotes gets single ones."""
        token = self.tokens[start]
        if end - start == 1 and token.kind == "quoted":
            return quoted(json.loads(token.text, strict=False))
        is_constant = end - start == 1 and token.kind == "name"
        return CONSTANTS.get(token.text, token.text) if is_constant else self.between(start, end)

    def kind(self, at: int) -> str:
        return self.tokens[at].kind if 0 <= at < len(self.tokens) else "end"

    def ends_operand(self, at: int) -> bool:
        return self.kind(at) in _ENDS

    def starts_operand(self, at: int) -> bool:
        return self.kind(at) in _STARTS

    def between(self, start: int, end: int) -> str:
        """Return the text of the tokens from *start* up to *end*."""
        return self.text[self.tokens[start].start : self.tokens[end - 1].end] if end > start else ""

    def start_before(self, at: int, stops: Collection[str]) -> int:
        """Return the first token of the operand that ends before the token *at*."""
        while at > 0:
            before = at - 1
            kind = self.kind(before)
            if kind in _CLOSES and before in self.partners:
                at = self.partners[before]
            elif kind in stops or kind in _OPENS:
                break
            else:
                at = before
        return at

    def end_after(self, at: int, stops: Collection[str]) -> int:
        """Return the token behind the operand that starts with the token *at*."""
        while (kind := self.kind(at)) not in stops and kind not in _CLOSES and kind != "end":
            at = self.partners.get(at, at) + 1
        return at

    def path_before(self, at: int) -> int:
        """Return the first token of the path that ends before the token *at*."""
        while at > 0:
            before = at - 1
            if self.kind(before) in _CLOSES:
                if before not in self.partners:
                    return at
                at = self.partners[before]
                is_call = self.kind(at) == "(" and self.kind(at - 1) == "name"
                at -= is_call
                if not is_call and self.kind(at) in ("[", "filter") and self.ends_operand(at - 1):
                    continue
            elif self.kind(before) in _ENDS:
                at = before
                if self.kind(before) == "flatten" and self.ends_operand(at - 1):
                    continue
            else:
                return at
            if self.kind(at - 1) != ".":
                return at
            at -= 1
        return at

    def holds(self, start: int, end: int, kinds: Collection[str]) -> bool:
        """Return whether one of *kinds* is between the tokens *start* and *end*, outside of
        brackets."""
        while start < end:
            if self.kind(start) in kinds:
                return True
            start = max(start, self.partners.get(start, start)) + 1
        return False

    def items(self, opener: int) -> list[tuple[int, int]]:
        """List the items between the brackets from *opener* on, each by its tokens."""
        end = self.partners[opener]
        items, start = [], opener + 1
        while start < end:
            stop = min(self.end_after(start, (",",)), end)
            items.append((start, stop))
            start = stop + 1
        return items


def arrow_of(loose: Loose, start: int) -> int | None:
    """Return the token `=>` of the function that starts with the token *start*; None if no function
    does: `x => x.a`, `(x, y) => x`."""
    at = (loose.partners.get(start, start) if loose.kind(start) == "(" else start) + 1
    return at if loose.kind(at) == "=>" else None


def is_arrow(loose: Loose, at: int) -> bool:
    """Return whether the token *at* is the `=>` of a function that is an argument."""
    start = loose.partners.get(at - 1, at - 1)
    is_first = loose.kind(start - 1) == "(" and loose.kind(start - 2) == "name"
    return arrow_of(loose, start) == at and (is_first or loose.kind(start - 1) == ",")


def _is_broken(token: Token) -> bool:
    if token.kind != "quoted":
        return token.kind == "other" and token.text in "'\"`"
    try:
        json.loads(token.text, strict=False).encode()  # no half of a surrogate pair
    except ValueError:
        return True
    return False


def _cut(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        after_dot = bool(tokens) and tokens[-1].kind == "." and tokens[-1].end == position
        digits = DIGITS.match(text, position) if after_dot else None
        found = digits or _LOOSE.match(text, position)
        assert found is not None
        kind = "number" if digits else str(found.lastgroup)
        word = found[0]
        if word == "}}" and "{{" not in text:
            word = "}"  # two objects end
        if kind != "space":
            kind = word if kind in ("sign", "odd", "dollar") else kind
            tokens.append(Token(kind, word, position, position + len(word)))
        position += len(word)
    tokens.append(Token("end", "", len(text), len(text)))
    return _with_words(tokens)


def _with_words(tokens: list[Token]) -> list[Token]:
    """Return *tokens* where names that can only be operators are operators."""
    made: list[Token] = []
    for at, token in enumerate(tokens):
        word = token.text.casefold()
        if token.kind == "name" and tokens[at - 1].kind != ".":
            following = tokens[at + 1]
            joins = bool(made) and made[-1].kind in _ENDS and following.kind in _STARTS
            after_not = bool(made) and made[-1].kind == "not"
            if (word in _WORDS and joins) or (word == "in" and after_not):
                token = token._replace(kind=word)
            elif joins and word.replace("_", "") in FUNCTIONS_AS_WORDS:
                token = token._replace(kind="infix")
            elif word == "not" and following.kind in _STARTS:
                token = token._replace(kind="not")
        made.append(token)
    return made


Rule: TypeAlias = Callable[[Loose, int], Finding | None]
"""A rule finds a slip at one token, or None."""
