"""Slips: what people write who know another language, and what it is here.

Each rule looks at the loose tokens of a text that was refused. It finds a sign or a word that no
expression has at that place, and gives the edit where only one thing can be meant. One slip is
reported at a time: the fixed text is read again (`fixes.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable

from ..values.problems import slip_of
from .functions import EXPRESSION, FUNCTIONS, OTHER_WORDS
from .loose import COMPARING, ENDING, JOINING, Loose
from .names import CONSTANTS, PLAIN, quoted
from .problems import Edit, Finding

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
_METHODS = {
    "startswith": "starts_with",
    "endswith": "ends_with",
    "includes": "contains",
    "include": "contains",
    "has": "contains",
    "tostring": "to_string",
}
_OF_ELEMENTS = ("starts_with", "ends_with", "to_string", "to_number", "split")
"""Functions that cannot be meant of a whole list."""
_NOT = ("!", "not")
_TERM = frozenset((*ENDING, *JOINING, *COMPARING, "??", *_NOT))
_SIDE = frozenset((*ENDING, *JOINING, "??"))


def find_slip(text: str) -> Finding | None:
    """Return the first slip in *text*, which was refused."""
    loose = Loose(text)
    if not loose.is_closed:
        return None
    for at in range(len(loose.tokens)):
        for rule in _RULES.get(loose.kind(at), ()):
            if (found := rule(loose, at)) is not None:
                return found
    return None


def _found(loose: Loose, at: int, message: str, edit: Edit | None, hint: str = "") -> Finding:
    token = loose.tokens[at]
    return Finding(token.start, token.end, message, edit, hint=hint)


def _replaced(loose: Loose, start: int, end: int, text: str) -> Edit:
    """Return the edit that puts *text* in the place of the tokens from *start* up to *end*."""
    return Edit(loose.tokens[start].start, loose.tokens[end - 1].end, text)


def _no_operator(loose: Loose, at: int) -> str:
    return f"{loose.tokens[at].text} is not an operator"


def _as_text(loose: Loose, start: int, end: int) -> str:
    """Return an item of a list or an argument: a text in double quotes gets single ones."""
    token = loose.tokens[start]
    if end - start == 1 and token.kind == "quoted":
        return quoted(json.loads(token.text, strict=False))
    return CONSTANTS.get(token.text, token.text) if end - start == 1 else loose.between(start, end)


# Operators.


def _operator(loose: Loose, at: int) -> Finding | None:
    """Find an operator of another language. All of them are written ours at once."""
    pieces, position, end = [], loose.tokens[at].start, at
    for number, token in enumerate(loose.tokens[at:], at):
        if (ours := _OPERATORS.get(token.kind)) is not None:
            pieces += [loose.text[position : token.start], ours]
            position, end = token.end, number
    edit = _replaced(loose, at, end + 1, "".join(pieces))
    return _found(loose, at, _no_operator(loose, at), edit)


def _single_ampersand(loose: Loose, at: int) -> Finding | None:
    if not (loose.ends_operand(at - 1) and loose.starts_operand(at + 1)):
        return None
    token = loose.tokens[at]
    return _found(loose, at, _no_operator(loose, at), Edit(token.start, token.end, "&&"))


def _not(loose: Loose, at: int) -> Finding | None:
    end = loose.end_after(at + 1, _SIDE)
    if end == at + 1 or loose.kind(at + 1) == "in":
        return None
    operand = loose.between(at + 1, end)
    is_group = loose.kind(at + 1) == "(" and loose.partners.get(at + 1) == end - 1
    is_compared = loose.holds(at + 1, end, COMPARING)
    right = f"!({operand})" if is_compared and not is_group else f"!{operand}"
    return _found(loose, at, _no_operator(loose, at), _replaced(loose, at, end, right))


def _in(loose: Loose, at: int) -> Finding | None:
    is_not = loose.kind(at - 1) == "not"
    before = at - is_not
    start, end = loose.start_before(before, _TERM), loose.end_after(at + 1, _TERM)
    if start == before or end == at + 1:
        return None
    left, right = loose.between(start, before), loose.between(at + 1, end)
    sign = "!" if is_not else ""
    right = f"{sign}contains({right}, {left})"
    if loose.kind(at + 1) in ("[", "(") and loose.partners.get(at + 1) == end - 1:
        items = [_as_text(loose, *item) for item in loose.items(at + 1)]
        if len(items) == 1 and (loose.kind(at + 1) == "[" or loose.kind(at + 2) != "name"):
            right = f"{left} {'!=' if is_not else '=='} {items[0]}"
        elif len(items) > 1:
            right = f"{sign}contains([{', '.join(items)}], {left})"
    return _found(loose, at, _no_operator(loose, at), _replaced(loose, start, end, right))


def _is(loose: Loose, at: int) -> Finding | None:
    is_not = loose.kind(at + 1) == "not"
    start = at + 1 + is_not
    operator = "!=" if is_not else "=="
    word = loose.tokens[start].text
    if word.casefold() == "defined":
        word, operator = "null", "==" if is_not else "!="
    right = f"{operator} {CONSTANTS.get(word, word)}"
    return _found(loose, at, _no_operator(loose, at), _replaced(loose, at, start + 1, right))


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
    return _found(loose, at + 1, f"before {after.text} a value is missing", edit)


def _default(loose: Loose, at: int) -> Finding | None:
    """Find `a ?? b`, which takes b for null alone."""
    start = loose.start_before(at, _TERM)
    values, end = [loose.between(start, at)], at
    while loose.kind(end) == "??":
        begin, end = end + 1, loose.end_after(end + 1, _TERM)
        values.append(loose.between(begin, end))
    right = f"not_null({', '.join(values)})"
    edit = _replaced(loose, start, end, right) if all(values) else None
    return _found(loose, at, _no_operator(loose, at), edit)


def _choice(loose: Loose, at: int) -> Finding | None:
    """Find `a ? x : y`, which is `a && x || y` if x is a constant that counts as true."""
    start = loose.start_before(at, frozenset(("|", ",", ":", "?", "end")))
    colon = loose.end_after(at + 1, frozenset((":", ",", "?")))
    end = loose.end_after(colon + 1, frozenset(("|", ",")))
    message = _no_operator(loose, at)
    condition, other = loose.between(start, at), loose.between(colon + 1, end)
    if loose.kind(colon) != ":" or not condition or not other:
        return _found(loose, at, message, None)
    chosen = _as_text(loose, at + 1, colon)
    if loose.holds(start, at, JOINING - {"&&", "and"}):
        condition = f"({condition})"
    opposite = f"!{condition}"
    if loose.holds(start, at, JOINING | COMPARING) and not condition.startswith("("):
        opposite = f"!({condition})"
    if loose.holds(colon + 1, end, ("?",)):
        other = f"({other})"
    is_constant = colon == at + 2 and loose.kind(at + 1) in ("text", "quoted", "number")
    match chosen, _as_text(loose, colon + 1, end):
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
            return _found(loose, at, message, None, hint)
    return _found(loose, at, message, _replaced(loose, start, end, right))


# Paths.


def _method(loose: Loose, at: int) -> Finding | None:
    """Find `.startsWith('x')`: a function is called with its value as an argument."""
    opener = at + 2
    if loose.kind(at + 1) != "name" or loose.kind(opener) != "(" or opener not in loose.partners:
        return None
    written = loose.tokens[at + 1].text
    word = written.replace("_", "").casefold()
    near = OTHER_WORDS.get(word, ())
    name = written if written in FUNCTIONS else _METHODS.get(word, near[0] if near else "")
    function = FUNCTIONS.get(name)
    items = loose.items(opener)
    if function is None or len(near) > 1 or EXPRESSION in function.wants:
        return None
    is_ours = written in FUNCTIONS and function.takes(len(items))
    if is_ours or not function.takes(len(items) + 1):
        return None
    start, end = loose.path_before(at), loose.partners[opener] + 1
    value = loose.between(start, at)
    arguments = [_as_text(loose, *item) for item in items]
    is_over = [
        loose.kind(n) in ("flatten", "filter", "*")
        or (loose.kind(n) == "[" and loose.kind(n + 1) in ("*", ":"))
        for n in range(start, at)
    ]
    message = f"{written}() is not called on a value"
    if any(is_over):
        is_whole = loose.kind(at - 1) in ("]", "flatten") and name not in _OF_ELEMENTS
        if not is_whole and name not in _OF_ELEMENTS:
            return _found(loose, at + 1, message, None, f"Write {name}{function.signature}.")
        if not is_whole:
            value, start = "@", at + 1
    given = [*arguments, value] if name == "join" else [value, *arguments]
    edit = _replaced(loose, start, end, f"{name}({', '.join(given)})")
    return _found(loose, at + 1, message, edit)


def _text_in_brackets(loose: Loose, at: int) -> Finding | None:
    """Find `a['b']`, which is `a.b`."""
    is_key = loose.kind(at + 1) == "text" and loose.kind(at + 2) == "]"
    if not is_key or not loose.ends_operand(at - 1):
        return None
    key = loose.tokens[at + 1].text[1:-1].replace("\\'", "'")
    right = f".{key}" if PLAIN.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"
    edit = _replaced(loose, at, at + 3, right)
    return _found(loose, at + 1, "a key in brackets has double quotes", edit)


def _leading_dot(loose: Loose, at: int) -> Finding | None:
    """Find jq's `.items`, and `x | .items`."""
    before = loose.kind(at - 1)
    if loose.ends_operand(at - 1) or before == "." or before == "reference":
        return None
    start = loose.tokens[at].start
    following = loose.kind(at + 1)
    if following in ("name", "quoted", "[", "filter", "flatten", "number"):
        end = loose.tokens[at].end
        if before == "|" and loose.ends_operand(at - 2):
            start = loose.tokens[at - 2].end
            end = start + len(loose.text[start : loose.tokens[at].start])
            if following in ("[", "filter", "flatten"):
                end = loose.tokens[at].end
        edit = Edit(start, end, "")
    elif loose.starts_operand(at + 1) or following == ".":
        return None
    else:
        edit = Edit(start, start + 1, "@")
    return _found(loose, at, "no full stop stands before the first name", edit)


def _dollar(loose: Loose, at: int) -> Finding | None:
    """Find a `$` that starts no reference: JSONPath's, or another spelling of ours."""
    token, after = loose.tokens[at], loose.tokens[at + 1]
    following = loose.kind(at + 1)
    if following == "name" and after.start == token.end:
        second = loose.tokens[at + 2]
        if (
            after.text.casefold() == "output"
            and second.kind == "."
            and loose.kind(at + 3) == "name"
        ):
            id = loose.tokens[at + 3].text
            edit = _replaced(loose, at, at + 4, f"$OUTPUT[{id}]")
            return _found(loose, at, f"the id of a task stands in brackets: $OUTPUT[{id}]", edit)
        near = slip_of(after.text, ("OUTPUT",) if second.kind == "[" else ("ITEM", "INDEX"))
        if near is not None and near != after.text:
            edit = Edit(token.start, after.end, f"${near}")
            return _found(loose, at, f"${after.text} is not a reference", edit)
        edit = Edit(token.start, token.end, "")
        return _found(loose, at, "$ is not needed before a name", edit)
    if following == "." and loose.kind(at + 2) in ("name", "quoted", "*"):
        edit = Edit(token.start, after.end, "")
        return _found(loose, at, "$. is not needed before a name", edit)
    if following in ("[", "filter", "flatten"):
        return _found(loose, at, "$ is not needed here", Edit(token.start, token.end, ""))
    if following != "." and not loose.starts_operand(at + 1):
        message = "the current value is written @"
        return _found(loose, at, message, Edit(token.start, token.end, "@"))
    return None


def _braces(loose: Loose, at: int) -> Finding | None:
    """Find `${x}`, `{{x}}` and `${{x}}` around an expression."""
    end = loose.partners.get(at)
    if end is None or end == at + 1:
        return None
    inner = loose.between(at + 1, end)
    is_reference = loose.kind(at) == "${" and loose.tokens[at + 1].text in (
        "OUTPUT",
        "ITEM",
        "INDEX",
    )
    if is_reference:
        message, inner = "a reference in an expression has no braces", f"${inner}"
    else:
        message = "an expression has no braces around it"
    return _found(loose, at, message, _replaced(loose, at, end + 1, inner))


def _reference_without_dollar(loose: Loose, at: int) -> Finding | None:
    token = loose.tokens[at]
    is_id = loose.kind(at + 1) == "[" and loose.kind(at + 2) in ("name", "number", "text", "quoted")
    if (
        token.text != "OUTPUT"
        or not is_id
        or loose.kind(at + 3) != "]"
        or loose.kind(at - 1) == "."
    ):
        return None
    id = loose.tokens[at + 2].text.strip("'\"")
    edit = _replaced(loose, at, at + 4, f"$OUTPUT[{id}]")
    return _found(loose, at, "a reference starts with $", edit)


def _whole_in_backquotes(loose: Loose, at: int) -> Finding | None:
    token = loose.tokens[at]
    inner = token.text[1:-1].strip()
    if len(loose.tokens) > 2 or not inner or inner[0] in '{["$' or PLAIN.fullmatch(inner):
        return None
    message = "an expression has no backquotes around it"
    return _found(loose, at, message, Edit(token.start, token.end, inner))


_RULES: dict[str, tuple[Callable[[Loose, int], Finding | None], ...]] = {
    **dict.fromkeys(_OPERATORS, (_operator,)),
    "&": (_single_ampersand,),
    "not": (_not,),
    "in": (_in,),
    "is": (_is,),
    "&&": (_compared_again,),
    "||": (_compared_again,),
    "??": (_default,),
    "?": (_choice,),
    "?.": (
        lambda loose, at: _found(
            loose,
            at,
            "?. is not an operator",
            _replaced(loose, at, at + 1, "" if loose.kind(at + 1) in ("[", "filter") else "."),
            "A path is null where it leads nowhere.",
        ),
    ),
    ".": (_method, _leading_dot),
    "[": (_text_in_brackets,),
    "$": (_dollar,),
    "${": (_braces,),
    "{{": (_braces,),
    "${{": (_braces,),
    "name": (_reference_without_dollar,),
    "json": (_whole_in_backquotes,),
}
