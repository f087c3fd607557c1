"""Texts that look like references but are not.

Some are ours, misspelt (`$OUTPUT.a`), or have leftovers of another language around them
(`{{$OUTPUT[a].x}}`). Others are references of other engines: `${{ steps.a.outputs.x }}`, `$a.x`,
`{item.x}`. They count only where they name a task of the DAG, or an item where there are items.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..values.schema import Place
from ..values.strict import Json, dumps
from .called import FUNCTION, METHOD, called
from .foreign import MAX_STEPS, Found, foreign, meaning, reference_object
from .joined import REASON, is_in_a_program, joined
from .references import MAX_CHARS, BadReference, Reference, is_one, parse

_ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_GAP = "[ \u00a0\u200b\u2060\ufeff]{0,2}"
"""Spaces, of no width too, that do not show."""
_OURS = re.compile(
    rf"(?<!\$)\$\{{?(?!(?:OUTPUT|STATUS|ERROR)\[)(?P<of>(?i:outputs?|status|errors?))(?:{_GAP}\[|\.|\(|\{{)[\"']?(?P<id>{_ID})[\"']?[\])}}]?"
    r"(?P<path>(?:\.[^\W\d]\w{0,63}|\[[0-9]{1,9}\]){0,16})\}?"
)
_NAME_IT = "Name the task: $OUTPUT[id]."
_STATE = re.compile(r"\$STATES?\[([^\]]{1,128})\]")
"""The end of a task or its output: unclear."""
_NOT_IN_NAMES = "References are read in values, not in names of members."
_NOT_IN_DEFAULTS = "A default is not read for references."
_FUNCTIONS = "Write functions behind a bar, in braces: ${OUTPUT[id].path | length(@)}."
_IN_BRACES = 'Write a default, which is JSON, in braces: ${OUTPUT[id].path ?? "none"}.'
_ALONE = "$OMIT leaves out an argument, so it stands alone in it."
_OF_REPEAT = "$ARGUMENTS is read in repeat, and nowhere else."
_BEFORE = re.compile(
    r"(?:\$\{?|\$?\{\{\s{0,9})(?i:prev|previous|last)(?:\.\w{1,64}){0,16}\s{0,9}\}{0,2}"
    r"|=?\{\{\s{0,9}\$json(?:\.\w{1,64}){0,16}\s{0,9}\}\}"
)
"""A whole text that means the task before this one, by its place: there are several such places."""
_UNNAMED = re.compile(
    r"=?\{\{\s{0,9}\$json\b[^{}\n]{0,200}\}\}"
    r"|\{\{\s{0,9}(?:prev|previous)\.\w[^{}\n]{0,200}\}\}"
    r"|(?:(?<![\w$])\$|\{\{\s{0,9})(?:steps|tasks|nodes|outputs)\[[0-9]{1,9}\]\.\w{1,64}"
)
"""References of other engines, also within texts, that mean a task and do not name it."""
_OF_A_MEMBER = re.compile(
    r"(?<![\w$])\$(?:KEY|VALUE)(?!\w)|(?<![\w$])\$\{(?:KEY|VALUE)\}|\{\{\s{0,9}(?:key|value)\s{0,9}\}\}"
)
"""The key or the value of a member, as loops of other engines name them."""
_MEMBER = "The item is $ITEM; that of an object has $ITEM.key and $ITEM.value."
_ITEM = re.compile(r"(?<!\$)\$\{?(?:ITEM|INDEX)(?!\w)")

_STEPS = r"(?:\.[^\W\d]\w{0,63}|\.[0-9]{1,9}|\[(?:-?[0-9]{1,9}|\*|\"[^\"\n]{0,64}\")\]){0,16}"
_REAL = (
    rf"\$(?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM|INDEX){_STEPS}"
    rf"|\$\{{(?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM|INDEX)[^{{}}\n]{{0,200}}\}}"
)
_WRAPPED = re.compile(
    rf"\$?\{{\{{\{{?\s{{0,9}}({_REAL})\s{{0,9}}\}}\}}\}}?|\$\{{\s{{0,9}}({_REAL})\s{{0,9}}\}}"
)
_EVERY = re.compile(
    rf"(\$\{{?(?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM){_STEPS})(?:\.\*|\[\])(?=[.\[}}]|$)"
)
_OPTIONAL = re.compile(rf"(\$\{{?(?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM){_STEPS})\?(?=\.[^\W\d])")
_ARROW = re.compile(rf"(\$\{{?(?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM){_STEPS})->(?=[^\W\d])")
_POINTED = re.compile(
    rf"(\$\{{?(?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM){_STEPS})\."
    r"(\[(?:-?[0-9]{1,9}|\*|\"[^\"\n]{0,64}\"|'[^'\n]{0,64}')\])"
)
_CURLY = "\u201c\u201d\u201e\u2018\u2019"
"""Typographic quotes."""
_QUOTED = re.compile(rf"(\$\{{?OUTPUT\[)\s*[\"'{_CURLY}]?({_ID})[\"'{_CURLY}]?\s*(\])")
_CURLY_KEY = re.compile(rf"(?<=[\]\w])\[[{_CURLY}]([^\[\]{_CURLY}\"\\]{{1,64}})[{_CURLY}]\]")
_CURLY_DEFAULT = re.compile(
    rf"(\?\?\s{{0,9}})[{_CURLY}]([^{_CURLY}\"\\{{}}\n]{{0,200}})[{_CURLY}](?=\s{{0,9}}\}})"
)
_SINGLE = re.compile(r"(\?\?\s*)'([^'\"\\{}\n]{0,200})'(?=\s*(?:\}|$))")
_OR = re.compile(rf"(\$\{{(?:OUTPUT|STATUS|ERROR)\[{_ID}\]{_STEPS}\s*)\|\|")
_NESTED = re.compile(rf"(\?\?\s*)\$\{{((?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM|INDEX){_STEPS})\}}")
_DEFAULT = re.compile(rf"\$((?:OUTPUT|STATUS|ERROR)\[{_ID}\]{_STEPS}\s*\?\?\s*[^\n{{}}]{{1,200}})")
_FILTER = re.compile(
    rf"(?:{_REAL})(\s*\|\s*(?:upper|lower|trim|length|first|last|join|json|tojson|default|int|title"
    r"|string|float|sort|unique|reverse)\b[^$\n]{0,99})"
)
_DEFAULTED = re.compile(
    rf"(?<!\$)\$((?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM){_STEPS})\s{{0,3}}\?\?\s{{0,3}}"
    r"(-?[0-9]{1,15}(?:\.[0-9]{1,15})?|true\b|false\b|null\b|\"[^\"\\{}\n]{0,200}\"|\[\]|\{\})"
)
"""A default that JSON writes, of a reference without braces."""
_GUARDED = re.compile(rf"(?:{_REAL})\s{{1,3}}\?\?\s{{1,3}}(?=\S)")
_WORDS_BEHIND = re.compile(
    rf"(?:{_REAL})(?:\|(?:upper|lower|trim|length|first|last|join|json|tojson|default|int|title"
    r"|string|float|sort|unique|reverse|count|size)\b"
    r"|\s{0,3}\|\s{0,3}(?:upper|lower|trim|length|tojson|default|reverse|unique|capitalize)\b(?!\())"
)
"""A reference without braces and a filter of other languages, within a longer text."""
_PIPED = re.compile(
    rf"(?<!\$)\$(?P<own>(?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM|INDEX){_STEPS}\s{{0,9}}\|\s{{0,9}}"
    r"(?:(?P<name>[a-z_]{2,20})\((?P<of>(?:[^()\n]|\([^()\n]{0,99}\)){0,200})\)"
    r"|\[\?[\w@!'\"`][^\[\]\n]{0,200}\])(?:\.[^\W\d]\w{0,63}|\[[^\[\]\n]{1,99}\]){0,16})"
)
"""A reference without braces that a function or a filter is applied to, within a longer text."""
_UNDERSCORED = re.compile(
    rf"(?<!\$)\$\{{?(?P<of>OUTPUT|STATUS|ERROR)_(?P<id>{_ID})(?P<path>(?:\[[0-9]{{1,9}}\]{_STEPS})?)\}}?"
)
_OTHER_WORD = re.compile(
    r"(?<![\w$])\$(?:OUT|RESPONSES?|DATA|VALUES?|CALLS?|TOOLS?|STEPS?|VARS?|ERR|INPUTS?)"
    rf"\[(?P<id>[A-Za-z_][A-Za-z0-9_.-]{{0,127}})\](?P<path>{_STEPS})"
)
"""A word of another engine in the place of ours. With braces it is a variable of a shell."""
_OMITTED = re.compile(r"(?<!\$)\$(?:OMIT(?!\w)|\{OMIT\})")
_OMIT = re.compile(
    r"\s{0,9}(?:OMIT(?:TED)?|[\"'`]\$?OMIT[\"'`]|\$?(?i:omit)\(\)|\$\{?(?i:om{1,2}it{1,2}(?:ed|s)?)\}?"
    r"|\{\{\s{0,9}\$?(?i:omit)\s{0,9}\}\}|[{<\[%](?i:omit)[}>\]%]|_{1,2}(?i:omit)_{1,2})\s{0,9}"
)
"""A whole text that says, in other words than `$OMIT`, that the argument is left out."""
_LAST_TEXT = re.compile(r"\"[^\"\n]{0,30}\"(?=\s{0,9}\}\Z)")
_BARE_OMIT = re.compile(r"(\?\?\s{0,9})\$?(?i:omit)(?:\(\))?(?=\s{0,9}\}\Z)")
_ARGUMENTS = re.compile(
    r"(?<!\$)\$\{?ARGUMENTS(?:\.[^\W\d]\w{0,63}|\[[\"'][^\[\]\n]{1,64}[\"']\])\}?"
)
_ALL_ARGUMENTS = re.compile(r"\s{0,9}\$\{?ARGUMENTS\}?\s{0,9}")
"""A whole text: in longer ones it is the argument of a prompt, as other programs write it."""
_F_STRING = re.compile(
    r"\s{0,9}[fF](?P<sign>[\"'])(?P<inside>(?:(?!(?P=sign))[^\n]){1,2000})(?P=sign)\s{0,9}"
)
_INTRINSIC = re.compile(r"\bStates\.[A-Z]\w{1,30}\(")
"""Functions around references of other engines: only the references would be filled in."""
_NUMBER = r"-?\d{1,15}(?:\.\d{1,15})?"
_CALLED = re.compile(
    rf"\$(?:(?:OUTPUT|STATUS|ERROR)\[{_ID}\]|ITEM){_STEPS}\.{METHOD}\((?!s\))[^()\n]{{0,99}}\)"
)
"""A method that is called on a reference, within a longer text."""
_HALF = (
    re.compile(rf"\s*{FUNCTION}\([^()$]{{0,60}}(?:{_REAL})[^()]{{0,99}}\)\s*"),
    re.compile(rf"\s*\$(?:OUTPUT|STATUS|ERROR)\[{_ID}\]{_STEPS}\.{METHOD}\([^()$]{{0,99}}\)\s*"),
    re.compile(rf"\s*\$ITEM{_STEPS}\.{METHOD}\([^()$]{{0,99}}\)\s*"),
    re.compile(rf"\s*(?:{_REAL})\s+[-+*/%]\s+{_NUMBER}\s*"),
    re.compile(rf"\s*(?:{_NUMBER}|{_REAL})\s+[+*%]\s+(?:{_REAL})\s*"),
    re.compile(rf"\s*(?:{_REAL})\s*[+*]\s*{_NUMBER}\s*"),
    re.compile(rf"\s*(?:{_REAL})\s*(?:===?|!==?|>=|<=|&&|\|\|)\s*\S[^\n]{{0,99}}"),
    re.compile(rf"\s*(?:{_REAL})[^\n?]{{0,60}}\s\?\s[^\n:]{{1,60}}\s:\s[^\n]{{1,60}}"),
)
"""Whole texts that compute with a reference: only the reference would be filled in."""
_MAY_COMPUTE = re.compile(r"\s*(?:\$|-?\d|[\w.]{1,20}\()")
"""Their beginnings, for a quick look."""


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
    is_leftover: bool = False
    """Whether a reference in it is filled in all the same, and only the rest is text."""
    reason: str = ""
    """The reason why it is not a reference, where that does not show."""
    without: str | None = None
    """The JSON text that replaces the whole text in a place that is not an argument, which could be
    left out; None if it is not about that."""

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
    if (piped := _piped(place, text, start, items=items)) is not None:
        return piped
    free = _without_references(start, items=items)
    found = list(_misspelt(free, ids))
    is_ours = bool(found)
    found = found or foreign(free, ids, items=items) or list(_in_other_words(free, ids))
    if found:
        ends = [0, *(one.end for one in found)]
        pieces = [text[a : one.start] for a, one in zip(ends, found, strict=False)]
        written_ = [_fitted(one.meant, text[one.end : one.end + 2]) for one in found]
        fixed = "".join(f"{piece}{new}" for piece, new in zip(pieces, written_, strict=True))
        first = found[0]
        shown = text[first.start : first.end]
        if not all(one.certain for one in found) or _INTRINSIC.search(start) is not None:
            reason = f"{first.meant} is the value. {_FUNCTIONS}"
            return Lookalike(place, text, shown, None, None, is_ours, reason=reason)
        if (state := _STATE.fullmatch(shown)) is not None:
            reason = f"Write $STATUS[{state[1]}] for how it ended, or {first.meant} for its output."
            return Lookalike(place, text, shown, None, None, reason=reason)
        fixed += text[ends[-1] :]
        format = _F_STRING.fullmatch(text)
        if format is None and is_in_a_program(start):
            return Lookalike(place, text, shown, None, None, is_ours, reason=REASON)
        if format is not None:
            fixed = fixed[format.start("inside") : len(fixed) - len(text) + format.end("inside")]
        return Lookalike(place, text, shown, first.meant, fixed, is_ours)
    if (parts := joined(start, ids)) is not None:
        return Lookalike(place, text, text.strip(), parts.fixed, parts.fixed, reason=REASON)
    if (format := _F_STRING.fullmatch(start)) is not None:
        inside = format["inside"].replace("{", "{{").replace("}", "}}")
        if foreign(inside, ids, items=items):  # it computes in its braces, as templates do
            return Lookalike(place, text, text.strip(), None, None, reason=_FUNCTIONS)
        if _holds_reference(format["inside"], items=items):
            alone = format["inside"] if not {"{", "\\"} & {*format["inside"]} else None
            return Lookalike(place, text, text.strip(), alone, alone, reason=REASON)
    if (call := called(start, ids, items=items)) is not None:
        return Lookalike(place, text, text.strip(), call.fixed, call.fixed, reason=_FUNCTIONS)
    if _MAY_COMPUTE.match(start) and any(half.fullmatch(start) for half in _HALF):
        return Lookalike(place, text, text.strip(), None, None, reason=_FUNCTIONS)
    if _BEFORE.fullmatch(start.strip()) is not None and len(ids) > 1:
        return Lookalike(place, text, text.strip(), None, None, reason=_NAME_IT)
    if len(ids) > 1 and (unnamed := _UNNAMED.search(free)) is not None:
        return Lookalike(place, text, unnamed[0].strip(), None, None, reason=_NAME_IT)
    if items and (member := _OF_A_MEMBER.search(free)) is not None:
        return Lookalike(place, text, member[0], None, None, reason=_MEMBER)
    if not items and (item := _ITEM.search(start)) is not None:
        reason = "There is an item only with for_each."
        return Lookalike(place, text, item[0], None, None, reason=reason)
    if _OMIT.fullmatch(start) is not None:
        word = "$OMIT" if place and isinstance(place[-1], str) else None
        return Lookalike(place, text, text.strip(), word, word, reason=_ALONE, without="null")
    if (omitted := _OMITTED.search(start)) is not None:
        meant = "$OMIT" if omitted[0] == text.strip() else None
        return Lookalike(place, text, omitted[0], meant, meant, reason=_ALONE)
    given = _ALL_ARGUMENTS.fullmatch(start) or _ARGUMENTS.search(start)
    if given is not None:
        return Lookalike(place, text, given[0].strip(), None, None, reason=_OF_REPEAT)
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


def in_defaults(
    found: Iterable[tuple[Place, Reference]], alone: Mapping[Place, str]
) -> Iterator[Lookalike]:
    """Find references inside of the defaults of those that were *found*. *alone* has the texts
    that are exactly one reference, by place."""
    for place, reference in found:
        default = reference.default
        if isinstance(default, str) and _OMIT.fullmatch(default) is not None:
            reason = "Write it without quotes: ${OUTPUT[id].path ?? OMIT}."
            whole_text = alone.get(place, "")
            fixed, times = _LAST_TEXT.subn("OMIT", whole_text)
            meant = fixed if times and place and isinstance(place[-1], str) else None
            without = dumps(_LAST_TEXT.sub("null", whole_text)) if times else None
            yield Lookalike(
                place, reference.text, default, meant, meant, reason=reason, without=without
            )
        elif isinstance(default, str) and _holds_reference(default, items=True):
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


def repaired(text: Any) -> str | None:
    """Return *text*, which holds a reference that cannot be read, with that put right; None if it
    is unclear how."""
    if not isinstance(text, str):
        return None
    better = _QUOTED.sub(r"\1\2\3", text[:MAX_CHARS])
    better = _CURLY_DEFAULT.sub(r'\1"\2"', _CURLY_KEY.sub(r'["\1"]', better))
    better = _BARE_OMIT.sub(r"\1OMIT", better)
    better = _SINGLE.sub(r'\1"\2"', _OR.sub(r"\1??", better))
    better = _ARROW.sub(r"\1.", _NESTED.sub(r"\1\2", better))
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
    for pattern, new in (
        (_WRAPPED, None),
        (_EVERY, r"\1[*]"),
        (_OPTIONAL, r"\1"),
        (_ARROW, r"\1."),
        (_POINTED, r"\1\2"),
        (_DEFAULTED, r"${\1 ?? \2}"),
    ):
        if (found := pattern.search(start)) is None:
            continue
        fixed = start
        for _ in range(MAX_STEPS):  # a path may hold several
            before, fixed = fixed, pattern.sub(new or _unwrapped, fixed)
            if fixed == before:
                break
        meant = found.expand(new).rstrip(".") if new is not None else _unwrapped(found)
        meant = fixed if is_one(fixed) else meant
        fixed += text[len(start) :]
        return Lookalike(place, text, found[0], meant, fixed, is_leftover=True)
    if (filtered := _FILTER.fullmatch(start)) is not None:
        rest = filtered[1].strip()
        return Lookalike(place, text, rest, None, None, reason=_FUNCTIONS)
    for pattern, reason in (
        (_GUARDED, _IN_BRACES),
        (_WORDS_BEHIND, _FUNCTIONS),
        (_CALLED, _FUNCTIONS),
    ):
        for found in pattern.finditer(start):
            line = start[start.rfind("\n", 0, found.start()) + 1 : found.start()]
            if not line.lstrip().startswith("|"):  # the row of a table
                own, is_filled = found[0].strip(), pattern is not _CALLED
                return Lookalike(place, text, own, None, None, is_leftover=is_filled, reason=reason)
    return None


def _piped(place: Place, text: str, start: str, *, items: bool) -> Lookalike | None:
    """Find a reference without braces that a function or a filter is applied to."""
    if "|" not in start or "$" not in start:
        return None
    from ..expressions.functions import FUNCTIONS

    def is_meant(found: re.Match[str]) -> bool:
        line = start[start.rfind("\n", 0, found.start()) + 1 : found.start()]
        reads = "@" in (found["of"] or "")
        is_known = found["name"] is None or found["name"] in FUNCTIONS
        in_table = line.lstrip().startswith("|")
        has_item = found["own"].startswith(("ITEM", "INDEX"))
        return (reads or (is_known and not in_table)) and (items or not has_item)

    first = next((found for found in _PIPED.finditer(start) if is_meant(found)), None)
    if first is None:
        return None
    meant = f"${{{first['own']}}}"
    fixed = _PIPED.sub(lambda one: f"${{{one['own']}}}" if is_meant(one) else one[0], start)
    try:
        parse(fixed, items=items)
    except BadReference:
        return Lookalike(place, text, first[0], None, None, is_leftover=True, reason=_FUNCTIONS)
    fixed += text[len(start) :]
    return Lookalike(place, text, first[0], meant, fixed, is_leftover=True)


def _without_references(text: str, *, items: bool) -> str:
    """Blank out the references in braces that hold more than a path: what stands in them is
    meant."""
    if "${" not in text or ("??" not in text and "|" not in text):
        return text
    try:
        pieces = parse(text, items=items)
    except BadReference:
        return text
    for piece in pieces:
        if isinstance(piece, Reference) and piece.text.startswith("${"):
            text = text.replace(piece.text, "\0" * len(piece.text), 1)
    return text


def _unwrapped(found: re.Match[str]) -> str:
    return found[1] or found[2]


def _misspelt(text: str, ids: Collection[str]) -> Iterator[Found]:
    for match in _OURS.finditer(text):
        if (id := _known(match["id"], ids)) is not None:
            of = match["of"].upper().removesuffix("S") if match["of"][0] in "oOeE" else "STATUS"
            meant = f"${of}[{id}]{match['id'][len(id) :]}{match['path']}"
            yield Found(match.start(), match.end(), meant)


def _in_other_words(text: str, ids: Collection[str]) -> Iterator[Found]:
    """Find references with other words or signs than ours: `$OUTPUT_a.x`, `$RESPONSE[a].x`."""
    for match in (*_UNDERSCORED.finditer(text), *_OTHER_WORD.finditer(text)):
        if (id := _known(match["id"], ids)) is not None:
            of = match.groupdict().get("of") or ("ERROR" if "$ERR[" in match[0] else "OUTPUT")
            meant = f"${of}[{id}]{match['id'][len(id) :]}{match['path']}"
            yield Found(match.start(), match.end(), meant)


def _fitted(meant: str, following: str) -> str:
    """Return *meant* with braces if what follows would go on with it."""
    goes_on = re.match(r"[\w\[]|\.\w", following)
    return f"${{{meant[1:]}}}" if goes_on is not None else meant


def _known(name: str, ids: Collection[str]) -> str | None:
    """Return the longest beginning of *name*, up to a full stop, that is one of *ids*, or None."""
    while name not in ids:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name
