"""References in the spelling of other engines: `${{ steps.a.outputs.x }}`, `$a.x`, `{item.x}`.

They count only where they name a task of the DAG, or an item where there are items.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from ..values.problems import written
from ..values.strict import Json, NotStrict, dumps, loads
from .references import POINTERS, is_one

MAX_STEPS = 16
"""Most steps in the path of a lookalike."""
MAX_ID_STEPS = 4
"""Most full stops in an id that are tried."""


_NAMED = r"[\w-]{1,64}(?:\??\.[\w-]{1,64}|\[[^\[\]\s]{1,64}\]){0,16}"
_INSIDE = r"\s{0,9}\$?\.?[A-Za-z0-9_](?:[^{}<>$%#@\n]|=>){0,200}?\s{0,9}"
_PRICE = r"[0-9]{1,9}[.,][0-9]"
_PIPED = rf"\s{{0,9}}{_NAMED}\s{{0,9}}\|(?!\|)[^{{}}$\n]{{0,200}}(?:@|\[\?)[^{{}}$\n]{{0,200}}"
"""A name and an expression of ours behind a bar."""
_FOREIGN = re.compile(
    "|".join(
        (
            rf"(?:(?<!\$)\$\{{|\$?\{{\{{\{{?)(?P<piped>{_PIPED})\}}{{1,3}}",
            rf"\$\{{\{{(?P<github>{_INSIDE})\}}\}}",
            rf"\{{\{{(?:\{{|=|-\s)?(?P<mustache>{_INSIDE})\}}?\}}\}}",
            rf"(?<!\$)\$\{{(?!(?:OUTPUT|STATUS|ERROR)\[|(?:ITEM|INDEX)(?!\w))(?P<braced>{_INSIDE})\}}",
            rf"(?<!\$)\$\((?P<tekton>{_INSIDE})\)",
            r"(?<!\$)\$\[(?P<bracketed>[A-Za-z0-9_.-]{1,128})\](?P<rest>(?:\.\w{1,64}){0,16})",
            rf"#\{{(?P<ruby>{_INSIDE})\}}",
            rf"(?<![\w@])@\{{(?P<atted>{_INSIDE})\}}(?!\}})",
            rf"(?<![${{#])(?:(?<![\w%])%)?\{{(?P<single>{_INSIDE})\}}(?!\}})",
            rf"(?<!\$)\$ref:(?P<ref>{_NAMED})",
            rf"(?<![\w$])\$(?!(?:OUTPUT|STATUS|ERROR)\[|(?:ITEM|INDEX)(?!\w)|{_PRICE})(?P<bare>\.?{_NAMED})",
            r"(?<![\w#&])#(?P<rewoo>E[0-9]{1,4}(?:\.[^\W\d][\w-]{0,63}|\[[0-9]{1,9}\]){0,16})(?!\w)",
            r"(?<![\w$\[.{])(?P<undollared>(?:OUTPUT|RESULT)S?\[[A-Za-z0-9_.-]{1,128}\](?:\.\w{1,64}){0,16})",
            rf"<<\s{{0,9}}(?P<angles>{_NAMED})\s{{0,9}}>>",
            rf"<(?P<angled>{_NAMED})>",
            rf"(?<![\w%])%(?P<percent>{_NAMED})%(?!\w)",
            rf"<%[=-]?\s{{0,9}}(?P<erb>{_NAMED})\s{{0,9}}-?%>",
            rf"\[\[\s{{1,9}}(?P<double>{_NAMED})\s{{1,9}}\]\]",
            r"(?<!%)%\((?P<python>[\w.-]{1,64})\)[sdrf](?!\w)",
            r"\$\(\((?P<arithmetic>[^()\n]{1,200})\)\)",
            r"\{%[-+]?\s{0,9}(?P<block>[^{}%\n]{1,200}?)\s{0,9}[-+]?%\}",
            r"\{\{[#^]\s{0,9}(?P<section>[^{}\n]{1,200})\}\}",
        )
    )
)
_WHOLE = re.compile(rf"@(?P<at>{_NAMED})|\[\[(?P<double>{_NAMED})\]\]")
"""Forms that count as a whole text alone: in longer ones they are names and links."""
_BY_NAME = re.compile(
    r"(?:\A=)?\{\{\s{0,9}\$(?:node\[[\"'](?P<node>[\w.-]{1,64})[\"']\]|\([\"'](?P<call>[\w.-]{1,64})[\"']\))"
    r"(?:\.(?:item|first\(\)|last\(\)|all\(\)))?(?:\.json)?(?P<path>[^{}\s]{0,200})\s{0,9}\}\}"
    r"|(?<![\w@])@\{?(?:outputs|body|activity|actions|result)\([\"'](?P<azure>[\w.-]{1,64})[\"']\)"
    r"(?P<rest>(?:\??\.\w{1,64}|\??\[[\"']?[\w/-]{1,64}[\"']?\]){0,16})\}?"
    r"|(?<![\w$])\$(?:node\[[\"'](?P<alone>[\w.-]{1,64})[\"']\]|\([\"'](?P<called>[\w.-]{1,64})[\"']\))"
    r"(?:\.(?:item|first\(\)|last\(\)|all\(\)))?(?:\.json)?"
    r"(?P<after>(?:\??\.\w{1,64}|\[[\"']?[\w/-]{1,64}[\"']?\]){0,16})"
)
"""References that name a task in quotes: of n8n and of Azure."""
_LOOP = re.compile(
    r"\s*=?\$?\{\{\s{0,9}(?:@(?P<index>index|key)|(?:this|matrix|\$json)(?P<path>(?:\.[\w-]{1,64}){0,8}))"
    r"\s{0,9}\}\}\s*"
)
"""A whole text that is the item of a loop in templates, matrices and n8n. In longer texts these are
parts of templates."""
_FILTERED = re.compile(
    r"(?P<value>[^|?&=!<>]+?)\s*(?P<sign>\|\||\?\?|\||&&|[=!]=)\s*(?P<rest>.*)", re.DOTALL
)
_IN_A_SHELL = re.compile(r"(?P<name>[A-Za-z_]\w{0,63}):[-=](?P<default>.*)")
"""A variable of a shell with a default, as it stands in braces."""
_FALLBACK = re.compile(r"(?:default|d)\(\s*(.*?)\s*(?:,\s*[Tt]rue\s*)?\)", re.DOTALL)
_KEEPS = frozenset(["int", "float", "string", "str", "tojson", "to_json", "json", "safe", "bool"])
"""Filters that say what a value of its own does by itself: its type is kept."""
_FORMAT = re.compile(
    r"(?P<value>[^:!{}]+)(?:![rsa])?(?P<spec>(?::(?:[^{}\s]?[<>=^])?[-+]?#?0?\d{0,9}[,_]?(?:\.\d{1,9})?"
    r"[bcdeEfFgGnosxX%]?)?)"
)
"""A value with a conversion or a format, as Python writes it: `{a.x:.2f}`."""
_WORD = re.compile(
    r"(?<![\w.'\"\]-])[A-Za-z_][\w-]{0,63}(?:\??\.[\w-]{1,64}|\[[^\[\]\s]{1,64}\]){0,16}"
)
_CALL = re.compile(
    r"\s{0,9}(?i:(?:json|object|array|math)\.\w{1,30}|string|number|boolean|len|length|count|size"
    r"|sum|str|int|float|bool|keys|values|list|sorted|max|min|join|upper|lower)\("
)
"""Functions that are common in what other engines compute; any other may be of a program."""
_QUOTED = re.compile(r"(?<!\[)(?:'[^'\n]{0,200}'|\"[^\"\n]{0,200}\")(?!\])")
_COMPUTED = frozenset({"github", "mustache", "block", "section", "braced", "arithmetic"})
"""Forms in which other engines compute: `{{ a.x + 1 }}`, `{% if a.x %}`, `${a.x || 'none'}`. In
shells, `${a:-none}` is a variable, so braces alone count only with a path."""
_FILTERING = frozenset({"github", "mustache", "braced", "piped"})
_OF_ITEMS = frozenset({"github", "mustache", "braced"})
"""The forms that have no loops of their own."""
_WITH_A_PATH = frozenset({"angled", "angles", "percent", "at", "double"})
"""Forms that are common in texts, and name a task only with a path: `<a>` may be a tag."""
_XCOM = re.compile(
    r"(?:ti|task_instance)\.xcom_pull\(\s*(?:task_ids\s*=\s*)?(?P<list>\[?)\s*[\"'](?P<id>[^\"']{1,64})"
    r"[\"'](?P<rest>[^\n]{0,99}?)\)(?P<path>(?:\.[\w-]{1,64}|\[[^\[\]\s]{1,64}\]){0,16})"
)
_CALLED = re.compile(
    r"\$?(?:(?:get_?)?(?:task|step|node|job|output|result)s?|(?:output|result)_?of|get|ref|xcom)"
    r"\(\s{0,9}[\"'](?P<id>[\w.-]{1,64})[\"']\s{0,9}\)"
    r"(?P<path>(?:\.[\w-]{1,64}|\[[^\[\]\s]{1,64}\]){0,16})"
)
"""A function that gives the output of the task that it is called with: `outputs('a').x`."""
_DONE = re.compile(r"(?<=[\w-])\.(?:result|output)\(\)")
"""A call that takes the output of a finished task in programs: `a.result().x`."""
_SEGMENT = re.compile(
    r"\??\.?(?P<name>[\w-]+)|\[\s*(?:(?P<key>-?[\w./-]+|\*)|[\"'](?P<quoted>[^\[\]\"']+)[\"'])\s*\]"
)
_CONTAINERS = frozenset(
    [
        "step",
        "steps",
        "task",
        "tasks",
        "node",
        "nodes",
        "job",
        "jobs",
        "needs",
        "output",
        "outputs",
        "result",
        "results",
        "ref",
        "state",
        "context",
        "ctx",
        "dag",
        "workflow",
    ]
)
"""Names under which other engines keep the outputs of all tasks."""
_OUTPUTS = ("output", "outputs")
_ITEMS = ("item", "items", "each", "element", "loop.item", "each.value")
_INDICES = ("index", "idx", "loop.index", "loop.index0", "each.key")


def meaning(text: str, ids: Collection[str], *, items: bool = False) -> str | None:
    """Return the reference that the whole of *text*, without delimiters, means; None if it names
    none of the tasks *ids*."""
    if (call := _XCOM.fullmatch(text.strip())) is not None:
        if call["list"] and "," in call["rest"].partition("]")[0]:
            return None  # it takes several
        path = _steps(call["path"]) or [] if call["path"] else []
        path = path[1:] if call["list"] and path[:1] == ["0"] else path  # the only task
        inside = _path(path, is_kept_apart=True)
        return f"$OUTPUT[{call['id']}]{inside}" if call["id"] in ids else None
    if (call := _CALLED.fullmatch(text.strip())) is not None and call["id"] in ids:
        inside = _path(_steps(call["path"]) or [], is_kept_apart=True) if call["path"] else ""
        return f"$OUTPUT[{call['id']}]{inside}"
    if (steps := _steps(_DONE.sub("", text))) is None:
        return None
    for skipped in (0, 1, 2):
        if skipped == 1 and steps[0].casefold() not in _CONTAINERS:
            continue
        if skipped == 2 and steps[:2] != ["states", "input"]:
            continue
        rest = steps[skipped:]
        for count in range(min(len(rest), MAX_ID_STEPS), 0, -1):
            if (id := ".".join(rest[:count])) in ids:
                return f"$OUTPUT[{id}]{_path(rest[count:], is_kept_apart=bool(skipped))}"
    return _item(steps) if items else None


def reference_object(value: Json, ids: Collection[str], *, items: bool) -> str | None:
    """Return the reference that an object such as `{"$ref": "a.x"}` means; None if unclear."""
    names = [name for name in value if name in POINTERS] if isinstance(value, dict) else []
    if not isinstance(value, dict) or len(names) != 1 or value.keys() - {names[0], "path"}:
        return None
    inside, more = value[names[0]], value.get("path")
    if names[0] == "Fn::GetAtt" and isinstance(inside, list):
        inside = ".".join(map(str, inside[:MAX_STEPS]))
    if not isinstance(inside, str):
        return None
    text = inside.removeprefix("#").strip("/").replace("/", ".")
    if isinstance(more, str) and more:
        text += f".{more.removeprefix('$').lstrip('.')}"
    return meaning(text, ids, items=items)


class Found(NamedTuple):
    """A piece of a text and its meaning: if not `certain`, more than a reference was meant."""

    start: int
    end: int
    meant: str
    certain: bool = True


def foreign(text: str, ids: Collection[str], *, items: bool) -> list[Found]:
    """Find the references of other engines in *text*, in its order."""
    if items and (loop := _LOOP.fullmatch(text)) is not None:
        return [_of_loop(loop, len(text))]
    others = list(_others(text, ids, items=items))
    if "{{" not in text and "@" not in text and "$node" not in text and "$(" not in text:
        return others
    named = list(_by_name(text, ids))
    taken = [range(found.start, found.end) for found in named]
    free = [found for found in others if not any(found.start in one for one in taken)]
    return sorted([*named, *free])


def _of_loop(match: re.Match[str], end: int) -> Found:
    if match["index"] is not None:
        return Found(0, end, "$INDEX")
    if "matrix" in match[0]:  # the name of a variable, whose value is the item
        name = match["path"].lstrip(".").casefold()
        return Found(0, end, "$ITEM", name in _ITEMS)
    return Found(0, end, f"$ITEM{written(match['path'].split('.')[1:])}")


def _by_name(text: str, ids: Collection[str]) -> Iterator[Found]:
    for match in _BY_NAME.finditer(text):
        id = match["node"] or match["call"] or match["azure"] or match["alone"] or match["called"]
        if id not in ids:
            continue
        path = (match["path"] or match["rest"] or match["after"] or "").replace("?", "")
        steps = _steps(path) if path else []
        if steps is None:
            yield Found(match.start(), match.end(), f"$OUTPUT[{id}]", certain=False)
            continue
        steps = [part for step in steps for part in step.split("/")]
        if match["azure"] and steps[:1] == ["body"]:
            steps = steps[1:]
        meant = f"$OUTPUT[{id}]{_path(steps, is_kept_apart=True)}"
        yield Found(match.start(), match.end(), meant)


def _others(text: str, ids: Collection[str], *, items: bool) -> Iterator[Found]:
    for match in _FOREIGN.finditer(text):
        form = match.lastgroup if match.lastgroup != "rest" else "bracketed"
        body = f"{match[str(form)]}{match['rest'] or ''}"
        end = match.end()
        if form == "mustache":
            body = body.removesuffix(" -")  # as `{{- x -}}` leaves out the spaces around it
        if form == "bare":
            body = body.rstrip("-.")
            end = match.start() + 1 + len(body)
        if form in _FILTERING and (parts := _FILTERED.fullmatch(body)) is not None:
            if (meant := _meant(str(form), parts["value"], ids, items=items)) is not None:
                yield Found(*match.span(), *_filtered(meant, parts["sign"], parts["rest"].strip()))
                continue
        elif form == "braced" and (variable := _IN_A_SHELL.fullmatch(body)) is not None:
            if (id := variable["name"]) in ids:
                default = dumps(variable["default"].strip())
                yield Found(*match.span(), f"${{OUTPUT[{id}] ?? {default}}}")
            continue
        if form == "section" or (form == "block" and not body.startswith("$")):
            meant = None
        else:
            meant = _meant(str(form), body, ids, items=items)
        if meant is None and (inner := _computed(str(form), body, ids, items=items)) is not None:
            yield Found(*match.span(), inner, certain=False)
            continue
        if meant is None and form == "bare":  # a shorter name may be one: `$a-b`
            body = re.split(r"-", body, maxsplit=1)[0]
            meant, end = meaning(body, ids, items=items), match.start() + 1 + len(body)
        if meant is not None:
            yield Found(match.start(), end, meant)
    if (whole := _WHOLE.fullmatch(text.strip())) is not None:
        form = str(whole.lastgroup)
        meant = _meant(form, whole[form], ids, items=items)
        if meant is not None:
            yield Found(0, len(text), meant)


def _computed(form: str, body: str, ids: Collection[str], *, items: bool) -> str | None:
    """Return the reference that *body* computes with or formats; None if it names no task."""
    if form in {"single", "braced"} and (formatted := _FORMAT.fullmatch(body)) is not None:
        meant = _meant(form, formatted["value"], ids, items=items)
        has_path = meant is not None and not meant.endswith("]")
        if meant is not None or form == "single":
            return meant if has_path or formatted["spec"][:2] in {":.", ":,"} else None
    if (call := _XCOM.search(body)) is not None:
        return f"$OUTPUT[{call['id']}]" if call["id"] in ids else None
    if form in _COMPUTED:
        has_items = items and form in _OF_ITEMS
        inside = _QUOTED.sub("", body)
        calls = _CALL.match(inside) is not None
        for word in _WORD.finditer(inside):
            name = word[0]
            if inside[word.end() : word.end() + 1] == "(":  # a function, or a method of a value
                name = name.rpartition(".")[0]
            meant = meaning(name, ids, items=has_items) if name else None
            has_path = meant is not None and not meant.endswith("]")
            if meant is not None and (form != "braced" or has_path or "." in word[0] or calls):
                return meant
    return None


def _filtered(meant: str, sign: str, rest: str) -> tuple[str, bool]:
    """Read what is done with the reference that is *meant*, and return what means that: a default,
    or the reference itself; and whether that is all of it."""
    if sign == "|" and all(name.strip() in _KEEPS for name in rest.split("|")):
        return meant, True
    fallback = _FALLBACK.fullmatch(rest) if sign == "|" else None
    if fallback is None and sign == "|" and ("@" in rest or rest.startswith("[")):
        ours = f"${{{meant[1:]} | {rest}}}"
        return (ours, True) if is_one(ours) else (meant, False)
    if fallback is None and sign not in {"||", "??"}:
        return meant, False
    text = rest if fallback is None else fallback[1]
    if len(text) > 1 and text[0] == text[-1] == "'" and not {"'", "\\"} & {*text[1:-1]}:
        text = dumps(text[1:-1])
    try:
        value = loads(text)
    except NotStrict:
        return meant, False
    return f"${{{meant[1:]} ?? {dumps(value)}}}", True


def _meant(form: str, body: str, ids: Collection[str], *, items: bool) -> str | None:
    if form == "rewoo":
        return meaning(body, ids) or meaning(body[1:], ids)
    found = meaning(body, ids, items=items)
    if found is not None and form in _WITH_A_PATH and found.endswith("]"):
        return None
    return found


def _steps(text: str) -> list[str] | None:
    """Split *text* into the steps of a path; None if it is not one."""
    text = text.strip().removeprefix("$").removeprefix(".")
    steps: list[str] = []
    position = 0
    while position < len(text):
        step = _SEGMENT.match(text, position)
        if step is None or len(steps) >= MAX_STEPS:
            return None
        steps.append(step["name"] or step["key"] or step["quoted"])
        position = step.end()
    return steps or None


def _path(steps: list[str], *, is_kept_apart: bool) -> str:
    """Write the *steps* behind a task as a path. Other engines put the outputs of a task into a
    member of it; below one that holds all tasks (*is_kept_apart*) it may have other names too."""
    names = (*_OUTPUTS, *(("result", "results") if is_kept_apart else ()))
    if steps and steps[0] in names:
        steps = steps[1:]
        if steps and steps[0] == "parameters":
            steps = steps[1:]
    path = written(
        [
            int(step) if step.removeprefix("-").isdecimal() and len(step) < 10 else step
            for step in steps
        ]
    )
    return path.replace('["*"]', "[*]")


def _item(steps: list[str]) -> str | None:
    """Return the item, or its index, that *steps* mean."""
    folded = [step.casefold() for step in steps]
    two = ".".join(folded[:2])
    for names, meant in ((_INDICES, "$INDEX"), (_ITEMS, "$ITEM")):
        if two in names and len(steps) > 1:
            return f"{meant}{_path(steps[2:], is_kept_apart=False)}"
        if folded[0] in names and (meant == "$ITEM" or len(steps) == 1):
            return f"{meant}{_path(steps[1:], is_kept_apart=False)}"
    return None
