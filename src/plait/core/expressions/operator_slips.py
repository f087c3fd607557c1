"""Slips in operators: signs and words of other languages between values."""

from __future__ import annotations

import re

from .loose import (
    COMPARING,
    ENDING,
    FUNCTIONS_AS_WORDS,
    JOINING,
    LAMBDAS,
    Loose,
    Rule,
    is_arrow,
)
from .names import CONSTANTS
from .problems import Edit, Finding
from .quoting import quoted

_OPERATORS = {
    "=": "==",
    "===": "==",
    "!==": "!=",
    "=!": "!=",
    "<>": "!=",
    "=>": ">=",
    "=<": "<=",
    "and": "&&",
    "or": "||",
}
_QUOTES = {"\u201c": "\u201d", "\u201d": "\u201d", "\u2018": "\u2019", "\u2019": "\u2019"}
"""Typographic quotes, each with the one that closes it."""
_BETWEEN_SLASHES = re.compile(r"/(?P<pattern>(?:[^/\\]|\\.)+)/(?P<flags>[gimsuy]*)")
_NOT = ("!", "not")
_TERM = frozenset((*ENDING, *JOINING, *COMPARING, "??", *_NOT))
_SIDE = frozenset((*ENDING, *JOINING, "??"))


def _operator(loose: Loose, at: int) -> Finding | None:
    """Find an operator of another language. All of them are written ours at once."""
    is_bare = loose.tokens[at].kind == "=>" and loose.kind(at + 1) in ("name", "(", "{")
    if is_arrow(loose, at) or is_bare:
        return loose.no_operator(at, None, LAMBDAS)
    pieces, position, end = [], loose.tokens[at].start, at
    for number, token in enumerate(loose.tokens[at:], at):
        ours = _OPERATORS.get(token.kind)
        if ours is not None and not is_arrow(loose, number):
            pieces += [loose.text[position : token.start], ours]
            position, end = token.end, number
    edit = loose.replaced(at, end + 1, "".join(pieces))
    return loose.no_operator(at, edit)


def _single_ampersand(loose: Loose, at: int) -> Finding | None:
    if not (loose.ends_operand(at - 1) and loose.starts_operand(at + 1)):
        return None
    token = loose.tokens[at]
    return loose.no_operator(at, Edit(token.start, token.end, "&&"))


def _not(loose: Loose, at: int) -> Finding | None:
    end = loose.end_after(at + 1, _SIDE)
    if end == at + 1 or loose.kind(at + 1) == "in":
        return None
    operand = loose.between(at + 1, end)
    is_group = loose.kind(at + 1) == "(" and loose.partners.get(at + 1) == end - 1
    is_compared = loose.holds(at + 1, end, COMPARING)
    right = f"!({operand})" if is_compared and not is_group else f"!{operand}"
    return loose.no_operator(at, loose.replaced(at, end, right))


def _in(loose: Loose, at: int) -> Finding | None:
    is_not = loose.kind(at - 1) == "not"
    before = at - is_not
    start, end = loose.start_before(before, _TERM), loose.end_after(at + 1, _TERM)
    if start == before or end == at + 1:
        return None
    left, right = loose.between(start, before), loose.between(at + 1, end)
    sign = "!" if is_not else ""
    right = f"{sign}contains({right}, {left})"
    if loose.kind(at + 1) in ("[", "(", "{") and loose.partners.get(at + 1) == end - 1:
        items = [loose.value(*item) for item in loose.items(at + 1)]
        if len(items) == 1 and (loose.kind(at + 1) == "[" or loose.kind(at + 2) != "name"):
            right = f"{left} {'!=' if is_not else '=='} {items[0]}"
        elif len(items) > 1:
            right = f"{sign}contains([{', '.join(items)}], {left})"
    return loose.no_operator(at, loose.replaced(start, end, right))


def _is(loose: Loose, at: int) -> Finding | None:
    is_not = loose.kind(at + 1) == "not"
    start = at + 1 + is_not
    operator = "!=" if is_not else "=="
    word = loose.tokens[start].text
    if word.casefold() == "defined":
        word, operator = "null", "==" if is_not else "!="
    right = f"{operator} {CONSTANTS.get(word, word)}"
    return loose.no_operator(at, loose.replaced(at, start + 1, right))


def _compared_again(loose: Loose, at: int) -> Finding | None:
    """Find `a == 'x' || == 'y'`."""
    if loose.kind(at + 1) not in COMPARING:
        return None
    start = loose.start_before(at, _SIDE)
    sign = next((n for n in range(start, at) if loose.holds(n, n + 1, COMPARING)), start)
    if sign == start:
        return None
    after = loose.tokens[at + 1]
    edit = Edit(after.start, after.start, f"{loose.between(start, sign)} ")
    return loose.found(at + 1, f"before {after.text} a value is missing", edit)


def _default(loose: Loose, at: int) -> Finding | None:
    """Find `a ?? b`, which takes b for null alone."""
    start = loose.start_before(at, _TERM)
    values, end = [loose.between(start, at)], at
    while loose.kind(end) == "??":
        begin, end = end + 1, loose.end_after(end + 1, _TERM)
        values.append(loose.between(begin, end))
    right = f"not_null({', '.join(values)})"
    edit = loose.replaced(start, end, right) if all(values) else None
    return loose.no_operator(at, edit)


def _choice(loose: Loose, at: int) -> Finding | None:
    """Find `a ? x : y`, which is `a && x || y` if x is a constant that counts as true."""
    if loose.kind(at - 1) == "[":
        return loose.found(at, "a filter starts with [?", loose.replaced(at - 1, at + 1, "[?"))
    start = loose.start_before(at, frozenset(("|", ",", ":", "?", "end")))
    colon = loose.end_after(at + 1, frozenset((":", ",", "?")))
    end = loose.end_after(colon + 1, frozenset(("|", ",")))
    condition, other = loose.between(start, at), loose.between(colon + 1, end)
    if loose.kind(colon) != ":" or not condition or not other:
        return loose.no_operator(at, None)
    chosen = loose.value(at + 1, colon)
    if loose.holds(start, at, JOINING - {"&&", "and"}):
        condition = f"({condition})"
    opposite = f"!{condition}"
    if loose.holds(start, at, JOINING | COMPARING) and not condition.startswith("("):
        opposite = f"!({condition})"
    if loose.holds(colon + 1, end, ("?",)):
        other = f"({other})"
    is_constant = colon == at + 2 and loose.kind(at + 1) in ("text", "quoted", "number")
    match chosen, loose.value(colon + 1, end):
        case "true", "false":
            right = condition
        case "false", "true":
            right = opposite
        case "true", _:
            right = f"{condition} || {other}"
        case "false", _:
            right = f"{opposite} && {other}"
        case _ if is_constant and chosen != "''":
            right = f"{condition} && {chosen} || {other}"
        case _:
            hint = "Write (condition && value || other), where value is never empty."
            return loose.no_operator(at, None, hint)
    return loose.no_operator(at, loose.replaced(start, end, right))


def _optional(loose: Loose, at: int) -> Finding | None:
    """Find `a?.b`."""
    sign = "" if loose.kind(at + 1) in ("[", "filter") else "."
    hint = "A path is null where it leads nowhere."
    return loose.no_operator(at, loose.replaced(at, at + 1, sign), hint)


def _infix(loose: Loose, at: int) -> Finding | None:
    """Find `a contains 'x'`."""
    name = FUNCTIONS_AS_WORDS[loose.tokens[at].text.replace("_", "").casefold()]
    start, end = loose.start_before(at, _TERM), loose.end_after(at + 1, _TERM)
    right = f"{name}({loose.between(start, at)}, {loose.value(at + 1, end)})"
    return loose.no_operator(at, loose.replaced(start, end, right))


def _regex(loose: Loose, at: int) -> Finding | None:
    """Find `a =~ 'x'` and `a !~ /x/i`."""
    sign = "!" if loose.kind(at) == "!~" else ""
    start, end = loose.start_before(at, _TERM), loose.end_after(at + 1, _TERM)
    value, after = loose.between(start, at), loose.tokens[at + 1]
    if (written := _BETWEEN_SLASHES.match(loose.text, after.start)) is not None:
        flags = "".join(flag for flag in "ims" if flag in written["flags"])
        pattern = (f"(?{flags})" if flags else "") + written["pattern"].replace("\\/", "/")
        edit = Edit(
            loose.tokens[start].start, written.end(), f"{sign}matches({value}, {quoted(pattern)})"
        )
    elif value and end > at + 1:
        edit = loose.replaced(start, end, f"{sign}matches({value}, {loose.value(at + 1, end)})")
    else:
        return None
    return loose.no_operator(at, edit)


def _conditional(loose: Loose, at: int) -> Finding | None:
    """Find `x if a else y`, which is `a && x || y` if x is a constant that counts as true."""
    start = loose.start_before(at, ENDING)
    middle = loose.end_after(at + 1, frozenset((*ENDING, "else")))
    end = loose.end_after(middle + 1, ENDING)
    is_constant = at == start + 1 and loose.kind(start) in ("text", "quoted", "number")
    if loose.kind(middle) != "else" or not is_constant or loose.value(start, at) == "''":
        return None
    condition, other = loose.between(at + 1, middle), loose.between(middle + 1, end)
    if loose.holds(at + 1, middle, ("||", "or")):
        condition = f"({condition})"
    right = f"{condition} && {loose.value(start, at)} || {other}"
    return loose.no_operator(at, loose.replaced(start, end, right))


def _empty_object(loose: Loose, at: int) -> Finding | None:
    """Find `a == {}`."""
    if loose.kind(at + 1) != "}":
        return None
    return loose.found(at, "an empty object is written `{}`", loose.replaced(at, at + 2, "`{}`"))


def _sign_of_others(loose: Loose, at: int) -> Finding | None:
    """Find typographic quotes, the end of a statement, and `~`, which means several things."""
    token = loose.tokens[at]
    if token.text == "~" and loose.ends_operand(at - 1):
        return loose.no_operator(at, None, "Write matches(value, 'regex'), or != for unequal.")
    if token.text == ";" and loose.kind(at + 1) == "end":
        return loose.found(at, "; is not needed", Edit(token.start, token.end, ""))
    closing = _QUOTES.get(token.text)
    end = -1 if closing is None else loose.text.find(closing, token.end)
    if end > 0:
        text = quoted(loose.text[token.end : end])
        edit = Edit(token.start, end + 1, text)
        return loose.found(at, f"{token.text} is not a quote here", edit)
    return None


OPERATOR_RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(_OPERATORS, (_operator,)),
    "&": (_single_ampersand,),
    "not": (_not,),
    "in": (_in,),
    "is": (_is,),
    "infix": (_infix,),
    "=~": (_regex,),
    "!~": (_regex,),
    "if": (_conditional,),
    "&&": (_compared_again,),
    "||": (_compared_again,),
    "??": (_default,),
    "?": (_choice,),
    "?.": (_optional,),
    "{": (_empty_object,),
    "other": (_sign_of_others,),
}
