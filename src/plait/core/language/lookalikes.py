"""Texts that look like references but are not.

Some are ours, misspelt (`$OUTPUT.a`), or have leftovers of another language around them
(`{{$OUTPUT[a].x}}`). Others are references of other engines: `${{ steps.a.outputs.x }}`, `$a.x`,
`{item.x}`. They count only where they name a task of the DAG, or an item where there are items.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..values.problems import written
from ..values.schema import Place
from ..values.strict import Json, dumps
from .references import BadReference, Reference, parse

MAX_CHARS = 10_000
"""Most characters of a text that are examined: an intended reference is not further in."""
MAX_STEPS = 16
"""Most steps in the path of a lookalike."""
MAX_ID_STEPS = 4
"""Most full stops in an id that are tried."""

_ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_NAMED = r"[\w-]{1,64}(?:\??\.[\w-]{1,64}|\[[^\[\]\s]{1,64}\]){0,16}"
_INSIDE = r"\s{0,9}\$?\.?[A-Za-z0-9_][^{}<>$%#@\n]{0,200}?\s{0,9}"
_OURS = re.compile(
    rf"(?<!\$)\$\{{?(?!OUTPUT\[)(?i:outputs?)(?:\[|\.|\(|\{{)[\"']?(?P<id>{_ID})[\"']?[\])}}]?"
    r"(?P<path>(?:\.[^\W\d]\w{0,63}|\[[0-9]{1,9}\]){0,16})\}?"
)
_FOREIGN = re.compile(
    "|".join(
        (
            rf"\$\{{\{{(?P<github>{_INSIDE})\}}\}}",
            rf"\{{\{{\{{?(?P<mustache>{_INSIDE})\}}?\}}\}}",
            rf"(?<!\$)\$\{{(?!OUTPUT\[|(?:ITEM|INDEX)(?!\w))(?P<braced>{_INSIDE})\}}",
            rf"(?<!\$)\$\((?P<tekton>{_INSIDE})\)",
            r"(?<!\$)\$\[(?P<bracketed>[A-Za-z0-9_.-]{1,128})\](?P<rest>(?:\.\w{1,64}){0,16})",
            rf"#\{{(?P<ruby>{_INSIDE})\}}",
            rf"(?<![${{#])\{{(?P<single>{_INSIDE})\}}(?!\}})",
            rf"(?<!\$)\$ref:(?P<ref>{_NAMED})",
            rf"(?<![\w$])\$(?!OUTPUT\[|(?:ITEM|INDEX)(?!\w))(?P<bare>\.?{_NAMED})",
            r"(?<![\w#&])#(?P<rewoo>E[0-9]{1,4})(?!\w)",
            r"(?<![\w$\[.{])(?P<undollared>(?:OUTPUT|RESULT)S?\[[A-Za-z0-9_.-]{1,128}\](?:\.\w{1,64}){0,16})",
            rf"<(?P<angled>{_NAMED})>",
            rf"(?<![\w%])%(?P<percent>{_NAMED})%(?!\w)",
        )
    )
)
_AT = re.compile(rf"@(?P<at>{_NAMED})")
_WITH_A_PATH = frozenset({"angled", "percent", "at"})
"""Forms that are common in texts, and name a task only with a path: `<a>` may be a tag."""
_XCOM = re.compile(
    r"ti\.xcom_pull\(\s*(?:task_ids\s*=\s*)?\[?[\"'](?P<id>[^\"']{1,64})[\"'].{0,99}\)"
)
_SEGMENT = re.compile(r"\??\.?(?P<name>[\w-]+)|\[\s*[\"']?(?P<key>[^\[\]\"']+)[\"']?\s*\]")
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
POINTERS = frozenset({"$ref", "$from", "$task", "$step", "$output", "$OUTPUT"})
"""Members of objects that stand for a reference."""
_NAME_IT = "Name the task: $OUTPUT[id]."
_NOT_IN_NAMES = "References are read in values, not in names of members."
_NOT_IN_DEFAULTS = "A default is not read for references."
_FUNCTIONS = "Apply functions with select, in the task that gives the output."
_OUTPUTS = ("output", "outputs")
_ITEMS = ("item", "items", "each", "element", "loop.item", "each.value")
_INDICES = ("index", "idx", "loop.index", "loop.index0", "each.key")
_BEFORE = re.compile(
    r"(?:\$\{?|\$?\{\{\s{0,9})(?i:prev|previous|last)(?:\.\w{1,64}){0,16}\s{0,9}\}{0,2}"
)
"""A whole text that means the task before this one, by its place: there are several such places."""
_ITEM = re.compile(r"(?<!\$)\$\{?(?:ITEM|INDEX)(?!\w)")

_STEPS = r"(?:\.[^\W\d]\w{0,63}|\.[0-9]{1,9}|\[(?:-?[0-9]{1,9}|\*|\"[^\"\n]{0,64}\")\]){0,16}"
_REAL = (
    rf"\$(?:OUTPUT\[{_ID}\]|ITEM|INDEX){_STEPS}"
    rf"|\$\{{(?:OUTPUT\[{_ID}\]|ITEM|INDEX)[^{{}}\n]{{0,200}}\}}"
)
_WRAPPED = re.compile(
    rf"\$?\{{\{{\{{?\s{{0,9}}({_REAL})\s{{0,9}}\}}\}}\}}?|\$\{{\s{{0,9}}({_REAL})\s{{0,9}}\}}"
)
_EVERY = re.compile(rf"(\$\{{?(?:OUTPUT\[{_ID}\]|ITEM){_STEPS})(?:\.\*|\[\])(?=[.\[}}]|$)")
_OPTIONAL = re.compile(rf"(\$\{{?(?:OUTPUT\[{_ID}\]|ITEM){_STEPS})\?(?=\.[^\W\d])")
_QUOTED = re.compile(rf"(\$\{{?OUTPUT\[)\s*[\"']({_ID})[\"']\s*(\])")
_DEFAULT = re.compile(rf"\$(OUTPUT\[{_ID}\]{_STEPS}\s*\?\?\s*[^\n{{}}]{{1,200}})")
_FILTER = re.compile(
    rf"(?:{_REAL})(\s*\|\s*(?:upper|lower|trim|length|first|last|join|json|tojson|default|int|title"
    r"|string|float|sort|unique|reverse)\b[^$\n]{0,99})"
)


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Text that looks like a reference: `found` in `text`, which is at `place`. `meant` is the
    intended reference; None for an item outside of `for_each`, and where it is unclear. `fixed` is
    the whole text with references in place of all of its lookalikes; None if that is unclear."""

    place: Place
    text: str
    found: str
    meant: str | None
    fixed: str | None
    is_ours: bool = False
    """Whether it is our own form, misspelt: no other text looks like that."""
    reason: str = ""
    """The reason why it is not a reference, where that does not show."""

    @property
    def advice(self) -> str:
        """The right form, or the reason, as a sentence."""
        return self.reason if self.meant is None else f"Write {self.meant}."


def lookalikes(
    texts: Iterable[tuple[Place, str]], ids: Collection[str], *, items: bool
) -> Iterator[Lookalike]:
    """Find what looks like a reference to one of the tasks *ids*, or like an item if there are
    *items*; at most one in each of *texts*."""
    for place, text in texts:
        if (found := in_text(place, text, ids, items=items)) is not None:
            yield found


def in_text(place: Place, text: str, ids: Collection[str], *, items: bool) -> Lookalike | None:
    """Find what looks like a reference in *text*, which is at *place*."""
    start = text[:MAX_CHARS]
    if (leftover := _leftover(place, text, start)) is not None:
        return leftover
    found = list(_misspelt(start, ids))
    is_ours = bool(found)
    found = found or list(_foreign(start, ids, items=items))
    if found:
        ends = [0, *(end for _, end, _ in found)]
        pieces = [text[a:b] for a, (b, _, _) in zip(ends, found, strict=False)]
        written_ = [_fitted(meant, text[end : end + 2]) for _, end, meant in found]
        fixed = "".join(f"{piece}{new}" for piece, new in zip(pieces, written_, strict=True))
        first, end, meant = found[0]
        return Lookalike(place, text, text[first:end], meant, fixed + text[ends[-1] :], is_ours)
    if _BEFORE.fullmatch(start.strip()) is not None and len(ids) > 1:
        return Lookalike(place, text, text.strip(), None, None, reason=_NAME_IT)
    if not items and (item := _ITEM.search(start)) is not None:
        reason = "There is an item only with for_each."
        return Lookalike(place, text, item[0], None, None, reason=reason)
    return None


def in_names(
    value: Json, keys: Iterable[Place], ids: Collection[str], *, items: bool
) -> Iterator[Lookalike]:
    """Find references in the names of members, which stand at *keys* in *value*, and objects that
    stand for a reference."""
    for place in keys:
        holder: Any = value
        for step in place[:-1]:
            holder = holder[step]
        name = str(place[-1])
        if (meant := reference_object(holder, ids, items=items)) is not None:
            yield Lookalike(place[:-1], dumps(holder), dumps(holder), meant, meant)
        elif _holds_reference(name, items=items) or in_text(place, name, ids, items=items):
            yield Lookalike(place, name, name, None, None, reason=_NOT_IN_NAMES)


def in_defaults(found: Iterable[tuple[Place, Reference]]) -> Iterator[Lookalike]:
    """Find references inside of the defaults of those that were *found*."""
    for place, reference in found:
        default = reference.default
        if isinstance(default, str) and _holds_reference(default, items=True):
            yield Lookalike(place, reference.text, default, None, None, reason=_NOT_IN_DEFAULTS)


def whole(text: str, ids: Collection[str]) -> str | None:
    """Return the reference that the whole of *text* was meant to be; None if unclear."""
    found = in_text((), text.strip(), ids, items=False)
    if found is None or found.fixed is None:
        return meaning(text, ids)
    try:
        pieces = parse(found.fixed)
    except BadReference:
        return None
    return found.fixed if len(pieces) == 1 and isinstance(pieces[0], Reference) else None


def _holds_reference(text: str, *, items: bool) -> bool:
    try:
        return any(isinstance(piece, Reference) for piece in parse(text, items=items))
    except BadReference:
        return True


def meaning(text: str, ids: Collection[str], *, items: bool = False) -> str | None:
    """Return the reference that the whole of *text*, without delimiters, means; None if it names
    none of the tasks *ids*."""
    if (call := _XCOM.fullmatch(text.strip())) is not None:
        return f"$OUTPUT[{call['id']}]" if call["id"] in ids else None
    if (steps := _steps(text)) is None:
        return None
    for skipped in (0, 1):
        if skipped and steps[0].casefold() not in _CONTAINERS:
            break
        rest = steps[skipped:]
        for count in range(min(len(rest), MAX_ID_STEPS), 0, -1):
            if (id := ".".join(rest[:count])) in ids:
                return f"$OUTPUT[{id}]{_path(rest[count:], is_kept_apart=bool(skipped))}"
    return _item(steps) if items else None


def task_named(text: str, ids: Collection[str]) -> str | None:
    """Return the task that *text* names where an id should stand; None if unclear."""
    try:
        pieces = parse(text)
    except BadReference:
        pieces = ()
    if len(pieces) == 1 and isinstance(pieces[0], Reference):
        return pieces[0].task if pieces[0].task in ids else None
    meant = whole(text, ids)
    return meant[len("$OUTPUT[") : meant.index("]")] if meant is not None else None


def reference_object(value: Json, ids: Collection[str], *, items: bool) -> str | None:
    """Return the reference that an object such as `{"$ref": "a.x"}` means; None if unclear."""
    names = [name for name in value if name in POINTERS] if isinstance(value, dict) else []
    if not isinstance(value, dict) or len(names) != 1 or value.keys() - {names[0], "path"}:
        return None
    inside, more = value[names[0]], value.get("path")
    if not isinstance(inside, str):
        return None
    text = inside.removeprefix("#").strip("/").replace("/", ".")
    if isinstance(more, str) and more:
        text += f".{more.removeprefix('$').lstrip('.')}"
    return meaning(text, ids, items=items)


def repaired(text: Any) -> str | None:
    """Return *text*, which holds a reference that cannot be read, with that put right; None if it
    is unclear how."""
    if not isinstance(text, str):
        return None
    better = _QUOTED.sub(r"\1\2\3", text[:MAX_CHARS])
    better = _EVERY.sub(r"\1[*]", _OPTIONAL.sub(r"\1", better))
    if (default := _DEFAULT.fullmatch(better)) is not None:
        better = f"${{{default[1]}}}"
    try:
        parse(better)
    except BadReference:
        return None
    return better if better != text and len(text) <= MAX_CHARS else None


def _leftover(place: Place, text: str, start: str) -> Lookalike | None:
    """Find a real reference with a leftover of another language around it or behind it."""
    if "$" not in start:
        return None
    for pattern, new in ((_WRAPPED, None), (_EVERY, r"\1[*]"), (_OPTIONAL, r"\1")):
        if (found := pattern.search(start)) is None:
            continue
        fixed = start
        for _ in range(MAX_STEPS):  # a path may hold several
            before, fixed = fixed, pattern.sub(new or _unwrapped, fixed)
            if fixed == before:
                break
        meant = found.expand(new) if new is not None else _unwrapped(found)
        return Lookalike(place, text, found[0], meant, fixed + text[len(start) :], is_ours=True)
    if (filtered := _FILTER.fullmatch(start)) is not None:
        rest = filtered[1].strip()
        return Lookalike(place, text, rest, None, None, is_ours=True, reason=_FUNCTIONS)
    return None


def _unwrapped(found: re.Match[str]) -> str:
    return found[1] or found[2]


def _misspelt(text: str, ids: Collection[str]) -> Iterator[tuple[int, int, str]]:
    for match in _OURS.finditer(text):
        if (id := _known(match["id"], ids)) is not None:
            meant = f"$OUTPUT[{id}]{match['id'][len(id) :]}{match['path']}"
            yield match.start(), match.end(), meant


def _foreign(text: str, ids: Collection[str], *, items: bool) -> Iterator[tuple[int, int, str]]:
    for match in _FOREIGN.finditer(text):
        form = match.lastgroup if match.lastgroup != "rest" else "bracketed"
        body = f"{match[str(form)]}{match['rest'] or ''}"
        end = match.end()
        if form == "bare":
            body = body.rstrip("-.")
            end = match.start() + 1 + len(body)
        meant = _meant(str(form), body, ids, items=items)
        if meant is None and form == "bare":  # a shorter name may be one: `$a-b`
            body = re.split(r"-", body, maxsplit=1)[0]
            meant, end = meaning(body, ids, items=items), match.start() + 1 + len(body)
        if meant is not None:
            yield match.start(), end, meant
    if (whole := _AT.fullmatch(text.strip())) is not None:
        meant = _meant("at", whole["at"], ids, items=items)
        if meant is not None:
            yield 0, len(text), meant


def _meant(form: str, body: str, ids: Collection[str], *, items: bool) -> str | None:
    if form == "rewoo":
        id = next((id for id in (body, body[1:]) if id in ids), None)
        return None if id is None else f"$OUTPUT[{id}]"
    found = meaning(body, ids, items=items)
    if found is not None and form in _WITH_A_PATH and found.endswith("]"):
        return None
    return found


def _fitted(meant: str, following: str) -> str:
    """Return *meant* with braces if what follows would go on with it."""
    goes_on = re.match(r"[\w\[]|\.\w", following)
    return f"${{{meant[1:]}}}" if goes_on is not None else meant


def _steps(text: str) -> list[str] | None:
    """Split *text* into the steps of a path; None if it is not one."""
    text = text.strip().removeprefix("$").removeprefix(".")
    steps: list[str] = []
    position = 0
    while position < len(text):
        step = _SEGMENT.match(text, position)
        if step is None or len(steps) >= MAX_STEPS:
            return None
        steps.append(step["name"] or step["key"])
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
    return written([int(step) if step.isdecimal() and len(step) < 10 else step for step in steps])


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


def _known(name: str, ids: Collection[str]) -> str | None:
    """Return the longest beginning of *name*, up to a full stop, that is one of *ids*, or None."""
    while name not in ids:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name
