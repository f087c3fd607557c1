"""Slips in paths: methods, keys and roots as other languages write them."""

from __future__ import annotations

import json
import re

from ..values.problems import slip_of
from .function_names import HINTS, NAMESPACES, bare, meant_by
from .functions import FUNCTIONS
from .loose import COMPARING, LAMBDAS, Loose, Rule, arrow_of
from .names import CONSTANTS
from .problems import Edit, Finding
from .quoting import PLAIN, as_name
from .signatures import EXPRESSION
from .text_functions import TEXT_FUNCTIONS

_SIGNS = re.compile(r"[\\^$.|?*+()\[\]{}]")
"""Signs of regular expressions."""
_POINTER = re.compile(r"\s*(?:/[A-Za-z0-9_~-]{1,64}){1,16}\s*", re.ASCII)
_OF_ELEMENTS = (*TEXT_FUNCTIONS.keys() - {"join"}, "to_number", "round", "age_days")
"""Functions that cannot be meant of a whole list."""


def _method(loose: Loose, at: int) -> Finding | None:
    """Find `.startsWith('x')`: a function is called with its value as an argument."""
    opener = at + 2
    if loose.kind(at + 1) != "name" or loose.kind(opener) != "(" or opener not in loose.partners:
        return None
    written = loose.tokens[at + 1].text
    near = meant_by(written)
    name = written if written in FUNCTIONS else near[0] if near else ""
    function = FUNCTIONS.get(name)
    items = loose.items(opener)
    if loose.kind(at - 2) != "." and loose.tokens[at - 1].text in NAMESPACES and len(near) < 2:
        before = loose.tokens[at - 1].text
        edit = loose.replaced(at - 1, at + 2, name) if function is not None else None
        return loose.found(at - 1, f"functions have no {before}. before them", edit)
    if function is None or len(near) > 1:
        return None
    is_by = [function.wanted(n) == EXPRESSION for n in range(1, len(items) + 1)]
    if [loose.kind(start) == "&" for start, _ in items] != is_by:
        return None
    is_ours = written in FUNCTIONS and function.takes(len(items))
    if is_ours or not function.takes(len(items) + 1):
        return None
    start, end = loose.path_before(at), loose.partners[opener] + 1
    value = loose.between(start, at)
    arguments = [loose.value(*item) for item in items]
    if bare(written) in ("replace", "replaceall") and re.match(r"'[^\\]+$", arguments[0]):
        # elsewhere they take a text
        arguments[0] = _SIGNS.sub(r"\\\g<0>", arguments[0])
    is_over = [
        loose.kind(n) in ("flatten", "filter", "*")
        or (loose.kind(n) == "[" and loose.kind(n + 1) in ("*", ":"))
        for n in range(start, at)
    ]
    message = f"{written}() is not called on a value"
    if any(is_over):
        is_whole = loose.kind(at - 1) in ("]", "flatten") and name not in _OF_ELEMENTS
        if not is_whole and name not in _OF_ELEMENTS:
            return loose.found(at + 1, message, None, f"Write {name}{function.signature}.")
        if not is_whole:
            value, start = "@", at + 1
    given = [*arguments, value] if name == "join" else [value, *arguments]
    edit = loose.replaced(start, end, f"{name}({', '.join(given)})")
    return loose.found(at + 1, message, edit)


def _lambda(loose: Loose, at: int) -> Finding | None:
    """Find `.filter(x => x.a == 1)`, `.map(x => x.a)`, `.find(…)` and `.some(…)`."""
    opener = at + 2
    if loose.kind(at + 1) != "name" or loose.kind(opener) != "(" or opener not in loose.partners:
        return None
    if (arrow := arrow_of(loose, opener + 1)) is None:
        return None
    message, edit = f"{loose.tokens[at + 1].text}() takes no function with =>", None
    start, end = loose.path_before(at), loose.partners[opener] + 1
    value, is_alone = loose.between(start, at), len(loose.items(opener)) == 1
    body = _of_element(loose, arrow, end - 1) if is_alone and value else None
    is_over = any(loose.kind(n) in ("flatten", "filter", "*") for n in range(start, at))
    if body is not None and (not is_over or loose.kind(at - 1) in ("]", "flatten")):
        kept, is_whole = f"{value}[?{body}]", start == 0 and loose.kind(end) == "end"
        is_called = loose.kind(end) == "." and loose.kind(end + 2) == "("
        has_path = loose.kind(end) in (".", "?.", "[") and not is_called
        has_any = f"length({kept}) > 0"
        made = {
            "filter": f"({kept})" if has_path else kept,  # its path is of the list
            "find": f"({kept})[0]",
            "some": has_any if is_whole else f"({has_any})",
            "map": f"map(&{body}, {value})",
        }.get(loose.tokens[at + 1].text)
        edit = None if made is None else loose.replaced(start, end, made)
    return loose.found(at + 1, message, edit, LAMBDAS if edit is None else "")


def _of_element(loose: Loose, arrow: int, end: int) -> str | None:
    """Return what stands from *arrow* up to *end* as an expression of the element; None if it reads
    anything else."""
    in_brackets = loose.kind(arrow - 1) == ")"
    if in_brackets and loose.partners[arrow - 1] != arrow - 3:
        return None  # it has several parameters, or takes one apart
    name = loose.tokens[arrow - 1 - in_brackets].text
    pieces, position = [], loose.tokens[arrow].end
    for at in range(arrow + 1, end):
        token = loose.tokens[at]
        if token.kind in ("=>", "{", ";", "reference", "dollar"):
            return None
        is_root = token.kind == "name" and loose.kind(at - 1) not in (".", "?.")
        is_function = token.text in FUNCTIONS and loose.kind(at + 1) == "("
        if not is_root or token.text in CONSTANTS or is_function:
            continue
        if token.text != name:
            return None  # a variable from outside
        has_path = loose.kind(at + 1) in (".", "?.") and loose.kind(at + 2) == "name"
        has_path = has_path and loose.kind(at + 3) != "("
        pieces += [loose.text[position : token.start], "" if has_path else "@"]
        position = loose.tokens[at + 1].end if has_path else token.end
    pieces.append(loose.text[position : loose.tokens[end].start])
    return "".join(pieces).strip() or None


def _key_of_root(loose: Loose, at: int) -> str | None:
    """Return the name in the brackets that start at *at* behind a root: `['k']` or `["k"]`."""
    if loose.kind(at + 1) not in ("text", "quoted") or loose.kind(at + 2) != "]":
        return None
    text = loose.tokens[at + 1].text
    return as_name(json.loads(text, strict=False) if text[0] == '"' else text[1:-1])


def _text_in_brackets(loose: Loose, at: int) -> Finding | None:
    """Find `a['b']`, which is `a.b`."""
    is_key = loose.kind(at + 1) == "text" and loose.kind(at + 2) == "]"
    if not is_key or not loose.ends_operand(at - 1):
        return None
    key = loose.tokens[at + 1].text[1:-1].replace("\\'", "'")
    right = f".{key}" if PLAIN.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"
    edit = loose.replaced(at, at + 3, right)
    return loose.found(at + 1, "a key in brackets has double quotes", edit)


def _leading_dot(loose: Loose, at: int) -> Finding | None:
    """Find jq's `.items`, and `x | .items`."""
    before = loose.kind(at - 1)
    if loose.ends_operand(at - 1) or before == "." or before == "reference":
        return None
    start = loose.tokens[at].start
    if (edit := _of_stream(loose, at)) is not None:
        return loose.found(at, "no full stop stands before the first name", edit)
    following = loose.kind(at + 1)
    if following == "number":
        if loose.tokens[at + 1].start != loose.tokens[at].end:
            return None
        return loose.found(at, "a number starts with a digit", Edit(start, start, "0"))
    if following == "[" and (name := _key_of_root(loose, at + 1)) is not None:
        message = "no full stop stands before the first name"
        return loose.found(at, message, loose.replaced(at, at + 4, name))
    if following in ("name", "quoted", "[", "filter", "flatten"):
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
    return loose.found(at, "no full stop stands before the first name", edit)


def _of_stream(loose: Loose, at: int) -> Edit | None:
    """Read jq's full stop at *at* where a pipe hands on one element at a time: `[.items[] | .n]`
    collects them, and `.items[] | {n: .number}` makes an object of each."""
    opener = at - 1
    if opener == 0 and loose.kind(0) == "[" and loose.partners.get(0) == len(loose.tokens) - 2:
        end = loose.partners[0]
        is_stream = any(loose.kind(n) == "flatten" for n in range(at, end))
        if is_stream and len(loose.items(0)) == 1:
            return Edit(0, len(loose.text), loose.between(at, end))
    around = next(
        (n for n in range(at - 1, 1, -1) if loose.kind(n) == "{" and loose.partners.get(n, 0) > at),
        None,
    )
    if around is None or loose.kind(around - 1) != "|" or loose.kind(around - 2) != "flatten":
        return None
    start, after = loose.tokens[around - 2].end, loose.tokens[around].start
    return Edit(start, loose.tokens[at].end, f".{loose.text[after : loose.tokens[at].start]}")


def _pointer(loose: Loose, at: int) -> Finding | None:
    """Find a JSON Pointer: `/items/0/title`."""
    if at or (found := _POINTER.fullmatch(loose.text)) is None:
        return None
    path = ""
    for step in found[0].strip().split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        path += f"[{name}]" if name.isdecimal() else f".{as_name(name)}"
    edit = Edit(0, len(loose.text), path.removeprefix("."))
    return loose.found(at, "a path has full stops between its names", edit)


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
            edit = loose.replaced(at, at + 4, f"$OUTPUT[{id}]")
            return loose.found(at, f"the id of a task stands in brackets: $OUTPUT[{id}]", edit)
        of_tasks, others = ("OUTPUT", "STATUS", "ERROR"), ("ITEM", "INDEX", "ARGUMENTS")
        if after.text in of_tasks:
            message = f"${after.text} wants the id of a task"
            if second.kind == "." and loose.kind(at + 3) == "name":
                meant = f"${after.text}[{loose.tokens[at + 3].text}]"
                return loose.found(at, message, loose.replaced(at, at + 4, meant))
            return loose.found(at, message, None, f"Write ${after.text}[id].")
        near = slip_of(after.text, of_tasks if second.kind == "[" else others)
        if near is not None and near != after.text:
            edit = Edit(token.start, after.end, f"${near}")
            return loose.found(at, f"${after.text} is not a reference", edit)
        edit = Edit(token.start, token.end, "")
        return loose.found(at, "$ is not needed before a name", edit)
    if following == "." and loose.kind(at + 2) in ("name", "quoted", "*"):
        edit = Edit(token.start, after.end, "")
        return loose.found(at, "$. is not needed before a name", edit)
    if following == "[" and (name := _key_of_root(loose, at + 1)) is not None:
        message = "$ is not needed before a name"
        return loose.found(at, message, loose.replaced(at, at + 4, name))
    if following in ("[", "filter", "flatten"):
        return loose.found(at, "$ is not needed here", Edit(token.start, token.end, ""))
    if following != "." and not loose.starts_operand(at + 1):
        message = "the current value is written @"
        return loose.found(at, message, Edit(token.start, token.end, "@"))
    return None


def _braces(loose: Loose, at: int) -> Finding | None:
    """Find `${x}`, `{{x}}` and `${{x}}` around an expression."""
    end = loose.partners.get(at)
    if end is None or end == at + 1:
        return None
    inner = loose.between(at + 1, end)
    is_reference = loose.kind(at) == "${" and loose.tokens[at + 1].text in (
        "OUTPUT",
        "STATUS",
        "ERROR",
        "ITEM",
        "INDEX",
        "ARGUMENTS",
    )
    for name in range(at + 1, end):
        advice = HINTS.get(bare(loose.tokens[name].text))
        is_called = loose.kind(name) == "name" and loose.kind(name + 1) == "("
        if advice is not None and is_called and loose.kind(name - 1) != ".":
            return loose.found(name, f"unknown function {loose.tokens[name].text}", None, advice)
    if is_reference:
        message, inner = "a reference in an expression has no braces", f"${inner}"
    else:
        message = "an expression has no braces around it"
    return loose.found(at, message, loose.replaced(at, end + 1, inner))


def _reference_without_dollar(loose: Loose, at: int) -> Finding | None:
    token = loose.tokens[at]
    is_id = loose.kind(at + 1) == "[" and loose.kind(at + 2) in ("name", "number", "text", "quoted")
    if (
        token.text not in ("OUTPUT", "STATUS", "ERROR")
        or not is_id
        or loose.kind(at + 3) != "]"
        or loose.kind(at - 1) == "."
    ):
        return None
    id = loose.tokens[at + 2].text.strip("'\"")
    edit = loose.replaced(at, at + 4, f"${token.text}[{id}]")
    return loose.found(at, "a reference starts with $", edit)


def _whole_in_backquotes(loose: Loose, at: int) -> Finding | None:
    token = loose.tokens[at]
    inner = token.text[1:-1].strip()
    if len(loose.tokens) > 2 or not inner or inner[0] in '{["$':
        return None
    message = "an expression has no backquotes around it"
    return loose.found(at, message, Edit(token.start, token.end, inner))


def _text_as_step(loose: Loose, at: int) -> Finding | None:
    """Find `a.'b'`."""
    if loose.kind(at + 1) != "text" or not loose.ends_operand(at - 1):
        return None
    key = loose.tokens[at + 1].text[1:-1]
    right = f".{key}" if PLAIN.fullmatch(key) else f".{json.dumps(key, ensure_ascii=False)}"
    return loose.found(at + 1, "a name has no single quotes", loose.replaced(at, at + 2, right))


def _filter_without_sign(loose: Loose, at: int) -> Finding | None:
    """Find `a[b == 1]`."""
    end = loose.partners.get(at)
    if end is None or not loose.ends_operand(at - 1) or loose.kind(at + 1) == "?":
        return None
    if not loose.holds(at + 1, end, COMPARING):
        return None
    sign = loose.tokens[at]
    return loose.found(at, "a filter starts with [?", Edit(sign.end, sign.end, "?"))


def _swapped(loose: Loose, at: int) -> Finding | None:
    """Find `map(items, &name)` and `sort_by(&name, items)`."""
    function = FUNCTIONS.get(loose.tokens[at].text)
    if function is None or EXPRESSION not in function.wants or at + 1 not in loose.partners:
        return None
    items = loose.items(at + 1)
    wanted = function.wants.index(EXPRESSION)
    by = [number for number, (start, _) in enumerate(items) if loose.kind(start) == "&"]
    if len(items) != 2 or by != [1 - wanted]:
        return None
    texts = f"{loose.between(*items[1])}, {loose.between(*items[0])}"
    edit = loose.replaced(items[0][0], items[1][1], texts)
    return loose.found(at, "its arguments have another order", edit)


def _short_members(loose: Loose, at: int) -> Finding | None:
    """Find `{a, b: c}`, where a is `a: a`."""
    if loose.partners.get(at, at + 1) == at + 1:
        return None
    items = loose.items(at)
    short = {start for start, end in items if end == start + 1 and loose.kind(start) == "name"}
    others = [item for item in items if item[0] not in short]
    if not short or not all(loose.kind(start + 1) == ":" for start, _ in others):
        return None
    first = loose.tokens[min(short)].text
    pieces = [
        f"{loose.between(*item)}: {loose.between(*item)}"
        if item[0] in short
        else loose.between(*item)
        for item in items
    ]
    edit = loose.replaced(items[0][0], items[-1][1], ", ".join(pieces))
    return loose.found(min(short), f"a member has a name and a value: {first}: {first}", edit)


def _trailing_comma(loose: Loose, at: int) -> Finding | None:
    if loose.kind(at + 1) not in ("}", "]", ")") or not loose.ends_operand(at - 1):
        return None
    token = loose.tokens[at]
    return loose.found(at, "no comma stands at the end", Edit(token.start, token.end, ""))


PATH_RULES: dict[str, tuple[Rule, ...]] = {
    ".": (_lambda, _method, _text_as_step, _leading_dot),
    "[": (_text_in_brackets, _filter_without_sign),
    "{": (_short_members,),
    ",": (_trailing_comma,),
    "$": (_dollar,),
    "${": (_braces,),
    "{{": (_braces,),
    "${{": (_braces,),
    "name": (_reference_without_dollar, _swapped),
    "json": (_whole_in_backquotes,),
    "other": (_pointer,),
}
