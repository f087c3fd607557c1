"""Slips in arithmetic: signs between numbers, which have functions here, or between texts."""

from __future__ import annotations

from .loose import COMPARING, ENDING, JOINING, Loose, Rule
from .problems import Finding

_STOPS = frozenset((*ENDING, *JOINING, *COMPARING, "??", "!", "not"))
_FUNCTIONS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_NAME_OR_DIFFERENCE = 'Write "a-b" for a name with a sign in it, subtract(a, b) for a difference.'
_CALCULATE = "Write add(a, b), subtract(a, b), multiply(a, b) or divide(a, b)."


def _arithmetic(loose: Loose, at: int) -> Finding | None:
    """Find `a + b`. All signs between its operands are written as functions at once."""
    sign = _sign(loose, at)
    if sign is None:
        return None
    token = loose.tokens[at]
    around = loose.text[token.start - 1] + loose.text[token.start + 1 : token.start + 2]
    message = f"{sign} is not an operator"
    if sign == "-" and not around.isspace() and "".join(around.split()) == around:
        return loose.found(at, message, None, _NAME_OR_DIFFERENCE)
    start, end = loose.start_before(at, _STOPS), loose.end_after(at, _STOPS)
    operands, signs = _cut(loose, start, end)
    right = _written(operands, signs)
    if "%" in signs:
        return loose.found(at, message, None, "No function gives the remainder of a division.")
    if right is None or not loose.ends_operand(end - 1):
        return loose.found(at, message, None, _CALCULATE)
    return loose.found(at, message, loose.replaced(start, end, right))


def _sign(loose: Loose, at: int) -> str | None:
    """Return the sign between operands that the token *at* is, or starts with: `a -1`."""
    token = loose.tokens[at]
    if not loose.ends_operand(at - 1):
        return None
    if token.kind == "number" and token.text.startswith("-"):
        return "-"
    if token.kind == "*" and not loose.starts_operand(at + 1):
        return None
    return token.text if token.text in ("+", "-", "*", "/", "%") else None


def _cut(loose: Loose, start: int, end: int) -> tuple[list[str], list[str]]:
    """Return the operands between the tokens *start* and *end*, and the signs between them."""
    operands: list[str] = []
    signs: list[str] = []
    at = begin = start
    while at <= end:
        sign = _sign(loose, at) if begin < at < end else None
        if sign is None and at < end:
            at = loose.partners.get(at, at) + 1
            continue
        is_negative = bool(signs) and loose.tokens[begin - 1].text != signs[-1]  # the - of a -1
        operands.append(loose.value(begin, min(at, end)).removeprefix("-" if is_negative else ""))
        signs += [] if sign is None else [sign]
        begin = at if loose.kind(at) == "number" else at + 1
        at += 1
    return operands, signs


def _written(operands: list[str], signs: list[str]) -> str | None:
    """Return *operands* with functions in the place of *signs*, those of products first; None in
    doubt."""
    if not {*signs} <= _FUNCTIONS.keys() or not all(operands):
        return None
    if any(operand.startswith("'") for operand in operands):
        return f"join('', [{', '.join(operands)}])" if {*signs} == {"+"} else None
    for some in ("*/", "+-"):
        made, left = operands[:1], []
        for sign, operand in zip(signs, operands[1:], strict=True):
            if sign in some:
                made[-1] = f"{_FUNCTIONS[sign]}({made[-1]}, {operand})"
            else:
                made.append(operand)
                left.append(sign)
        operands, signs = made, left
    return operands[0]


ARITHMETIC_RULES: dict[str, tuple[Rule, ...]] = dict.fromkeys(
    ("other", "*", "number"), (_arithmetic,)
)
