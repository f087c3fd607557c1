"""Texts that are almost JSON: how models and their clients misspell it, named and put right.

Some slips change nothing that the text could mean: a code fence, a byte order mark, typographic
quotes, a comma behind the last element, JSON inside of a JSON string. They are corrected and noted.
Others are refused by their name, with the value that was most likely meant: comments, single
quotes, names without quotes, Python's constants, text around the value.

A text is read token by token, in linear time, and only after it was found not to be JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .strict import DOCUMENT_DEPTH, Json, NotStrict, dumps, loads

MAX_CHARS = 200_000
"""Most characters of a text that is read token by token."""
MAX_LAYERS = 3
"""Most JSON strings inside of one another that are unpacked."""

FENCE = "a code fence"
MARK = "a byte order mark"
QUOTES = "typographic quotes"
COMMA = "a trailing comma"
LAYERS = "JSON inside of a JSON string"
_CORRECTED = frozenset({FENCE, MARK, QUOTES, COMMA, LAYERS})
COMMENT = "comments"
SINGLE = "single quotes"
BARE = "names without quotes"
PYTHON = "Python's True, False or None"
AROUND = "text around the JSON"

_FENCED = re.compile(
    r"(?:```|~~~)[ \t]*[\w+-]*[ \t]*\r?\n(?P<inside>.*?)\r?\n?[ \t]*(?:```|~~~)", re.DOTALL
)
_NEXT = re.compile(r"[\"“”„‟«»'\u2018\u2019/#,{}\[\]A-Za-z_$]")
_DOUBLE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_TYPOGRAPHIC = re.compile(r'[“”„‟«»]([^"“”„‟«»\\]*(?:\\.[^"“”„‟«»\\]*)*)[“”‟«»]', re.DOTALL)
_SINGLE = re.compile(
    r"'([^'\\]*(?:\\.[^'\\]*)*)'|[\u2018\u2019]([^\u2018\u2019\\]*(?:\\.[^\u2018\u2019\\]*)*)[\u2018\u2019]",
    re.DOTALL,
)
_ESCAPED_MARK = re.compile(r"\\([“”„‟«»])")
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")
_NAMED = re.compile(r"(?m)(?:^[ \t]*(?:-[ \t]+)?|[(,][ \t]*)[A-Za-z_]\w{0,63}[ \t]{0,9}[=:](?!=)")
"""A name with a value of its own, as in YAML and in calls of functions."""
_BLANK = re.compile(r"\s*")
_CONSTANTS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}


class NearJson(NotStrict):
    """The text is not JSON, but it is known what was meant: `meant`."""

    def __init__(self, message: str, meant: Json) -> None:
        super().__init__(message)
        self.meant = meant


@dataclass(slots=True)
class _Text:
    """A text on its way to JSON: what it is now, and the slips that were put right in it."""

    text: str
    slips: list[str] = field(default_factory=list)
    depth: int = 0
    """Brackets that are open at its end."""

    def note(self, slip: str) -> None:
        if slip not in self.slips:
            self.slips.append(slip)


def read(text: str | bytes, depth: int = DOCUMENT_DEPTH) -> tuple[Json, list[str]]:
    """Decode *text*, which is JSON or almost; also return what was corrected in it. Raises
    `NotStrict`, as `NearJson` if it is known what was meant."""
    slips: list[str] = []
    value: Json = None
    for layer in range(MAX_LAYERS + 1):
        value, found = _decoded(text, depth)
        slips += [slip for slip in found if slip not in slips]
        if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
            break
        if layer < MAX_LAYERS:
            slips += [LAYERS] if LAYERS not in slips else []
            text = value
    return value, slips


def _decoded(text: str | bytes, depth: int) -> tuple[Json, list[str]]:
    try:
        return loads(text, depth), []
    except NotStrict as error:
        flaw = error
    if not str(flaw).startswith("not JSON"):
        raise flaw
    try:
        given = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError:
        raise flaw from None
    whole = _unwrapped(given)
    if (value := _loaded(whole, depth, flaw)) is not None:
        return value, whole.slips
    if len(whole.text) > MAX_CHARS:
        raise flaw
    tidy = _tidied(whole)
    if (value := _loaded(tidy, depth, flaw)) is None:
        tidy = _tidied(_without_words_around(whole))
        value = _loaded(tidy, depth, flaw)
    slips = [slip for slip in tidy.slips if slip not in _CORRECTED]
    if value is None:
        if tidy.depth > 0 and not slips:
            raise NotStrict("not JSON: it ends before all its brackets are closed")
        raise flaw
    if slips:
        raise NearJson(f"not JSON: there {_are(slips)} in it", value)
    return value, tidy.slips


def _are(slips: list[str]) -> str:
    """Format *slips* with their verb: `are comments and single quotes`."""
    verb = "is" if len(slips) == 1 and slips[0] == AROUND else "are"
    return f"{verb} {' and '.join(slips)}"


def _loaded(tidy: _Text, depth: int, flaw: NotStrict) -> Json:
    """Decode *tidy*; None if it is not JSON. Raises `NotStrict` if it is, and not strict."""
    if tidy.text.strip() == "null":
        raise flaw
    try:
        return loads(tidy.text, depth)
    except NotStrict as error:
        if not str(error).startswith("not JSON"):
            raise
    return None


def _unwrapped(text: str) -> _Text:
    """Take off a byte order mark and a code fence around the whole *text*."""
    whole = _Text(text)
    if text.startswith("\ufeff"):
        whole = _Text(text.lstrip("\ufeff"), [MARK])
    whole.text = whole.text.strip()
    if (fenced := _FENCED.fullmatch(whole.text)) is not None:
        whole.text = fenced["inside"].strip()
        whole.note(FENCE)
    return whole


def _without_words_around(whole: _Text) -> _Text:
    """Cut *whole* to the first fenced block, or from the first bracket to the last."""
    text = whole.text
    if (fenced := _FENCED.search(text)) is not None:
        return _Text(fenced["inside"].strip(), [*whole.slips, AROUND])
    starts = [place for mark in "{[" if (place := text.find(mark)) >= 0]
    if not starts or (start := min(starts)) > (end := max(text.rfind("}"), text.rfind("]"))):
        return whole
    if start == 0 and end == len(text) - 1:
        return whole
    before, after = text[:start], text[end + 1 :]
    names = [*_NAMED.finditer(before), *_NAMED.finditer(after)]
    is_lead = len(names) == 1 and text[start] == "{" and not before[names[0].end() :].strip()
    if names and not (is_lead and not _NAMED.search(after)):
        return whole  # a part of something larger, whose other parts would be lost
    return _Text(text[start : end + 1], [*whole.slips, AROUND])


def _tidied(whole: _Text) -> _Text:
    """Return *whole* with every known slip put right, up to a token that cannot be read."""
    text, tidy = whole.text, _Text("", [*whole.slips])
    pieces: list[str] = []
    position = 0
    while (found := _NEXT.search(text, position)) is not None:
        start, mark = found.start(), found[0]
        pieces.append(text[position:start])
        piece, end = _token(text, start, mark, tidy)
        if end == start:  # it opens and is never closed
            tidy.depth += 1
            pieces.append(text[start:])
            position = len(text)
            break
        pieces.append(piece)
        position = end
    pieces.append(text[position:])
    tidy.text = "".join(pieces)
    return tidy


def _token(text: str, start: int, mark: str, tidy: _Text) -> tuple[str, int]:
    """Return the token at *start*, put right, and where it ends: at *start* if it never does."""
    match mark:
        case '"':
            whole = _DOUBLE.match(text, start)
            return (whole[0], whole.end()) if whole is not None else ("", start)
        case "“" | "”" | "„" | "‟" | "«" | "»":
            quoted = _TYPOGRAPHIC.match(text, start)
            tidy.note(QUOTES)
            if quoted is None:
                return "", start
            return f'"{_ESCAPED_MARK.sub(lambda mark: mark[1], quoted[1])}"', quoted.end()
        case "'" | "\u2018" | "\u2019":
            quoted = _SINGLE.match(text, start)
            tidy.note(SINGLE if mark == "'" else QUOTES)
            if quoted is None:
                return "", start
            inside = quoted[1] if quoted[1] is not None else quoted[2]
            return _requoted(inside), quoted.end()
        case "/" | "#":
            return _comment(text, start, tidy)
        case ",":
            return _comma(text, start, tidy)
        case "{" | "[":
            tidy.depth += 1
            return mark, start + 1
        case "}" | "]":
            tidy.depth -= 1
            return mark, start + 1
    word = _WORD.match(text, start)
    assert word is not None
    return _word(word[0], text, word.end(), tidy), word.end()


def _requoted(inside: str) -> str:
    """Quote a text that stood in single quotes, with its escapes, as JSON does."""
    return '"' + re.sub(r'\\(.)|(")', _escape, inside, flags=re.DOTALL) + '"'


def _escape(found: re.Match[str]) -> str:
    if found[2]:
        return '\\"'
    return found[1] if found[1] in "'\u2018\u2019" else found[0]


def _comment(text: str, start: int, tidy: _Text) -> tuple[str, int]:
    if text.startswith("/*", start):
        end = text.find("*/", start + 2)
        tidy.note(COMMENT)
        return (" ", end + 2) if end >= 0 else ("", start)
    if text[start] == "#" or text.startswith("//", start):
        end = text.find("\n", start)
        tidy.note(COMMENT)
        return "", end if end >= 0 else len(text)
    return "/", start + 1


def _comma(text: str, start: int, tidy: _Text) -> tuple[str, int]:
    """Drop a comma that nothing follows. Comments may stand between it and the bracket."""
    end = start + 1
    while True:
        blank = _BLANK.match(text, end)
        end = blank.end() if blank is not None else end
        if not text.startswith(("//", "/*", "#"), end):
            break
        _, after = _comment(text, end, tidy)
        if after == end:
            break
        end = after
    if end < len(text) and text[end] not in "}]":
        return "," + (" " if end > start + 1 else ""), end
    tidy.note(COMMA)
    return "", end


def _word(word: str, text: str, end: int, tidy: _Text) -> str:
    if word in _CONSTANTS:
        tidy.note(PYTHON)
        return _CONSTANTS[word]
    colon = _BLANK.match(text, end)
    if colon is not None and text.startswith(":", colon.end()):
        tidy.note(BARE)
        return dumps(word)
    return word
