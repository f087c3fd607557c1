"""The one place that knows which values are secret, and removes them from text.

The exception of a library, the last line of a server on stderr, the error that a server answers
with: each may contain what Plait gave it, such as a header, a variable or a key. No such text
reaches a person, a model or the log before `Secrets.redact`.

A secret may be written in many ways, so both sides are unfolded:

- The *forms* of a value are made once: the value, its bytes and its UTF-16 units as characters,
  hex, and base64, whose characters depend on the position of the value in a group of three bytes.
- The *readings* of a text are made each time: as it is, and with its escapes resolved (those of
  JSON and Python, percent-encoding, web forms), several deep, because errors quote errors. A
  reading remembers where each character comes from, so that a form found in it can be cut out of
  the text itself. Places that are found may overlap; their union is cut out.

Deep readings find ASCII values; others are found one deep, since bytes and characters are escaped
alike. One regular expression for each secret, accepting any escape of each character, would not do:
nested escapes make it ambiguous, and a server could choose a text on which it takes forever. Here
`MOST_READ_CHARS` bounds the work.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

MARK = "***"
LEAST_CHARS = 8
"""A shorter value is more likely to be a word of the text than the secret."""
MOST_CHARS = 64 * 1024
"""A longer text is cut: it could not be searched in time."""
MOST_READ_CHARS = 128 * 1024
"""Most characters in all readings of one text together."""
MOST_DEEP = 3
"""Most levels of escapes in a text that are undone."""
LEAST_CUT = 4
"""A text that was cut may end within a secret: this many characters of it count as the secret."""

_SCHEME = re.compile(r"(?:basic|bearer|digest|token|apikey)[ \t]+(\S.*)", re.IGNORECASE | re.DOTALL)
_BACKSLASHES = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(00[0-9a-fA-F]{6})|(?P<char>.))", re.DOTALL
)
_PERCENTS = re.compile(r"%([0-9a-fA-F]{2})")
_FORM = re.compile(r"%([0-9a-fA-F]{2})|(?P<char>\+)")
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "+": " "}
_ESCAPES = ((_BACKSLASHES, "\\"), (_PERCENTS, "%"), (_FORM, "+"))
"""The kinds of escapes, each with a character. A text without that character reads the same by that
kind, or by the kind before."""
_URL_SAFE = str.maketrans("+/", "-_")

_BEARER = re.compile(r"\b(bearer\s+)(?=[^\s\"']*[0-9])[A-Za-z0-9._~+/-]{12,}=*", re.IGNORECASE)
"""A token of HTTP that no settings name. One without a digit would be hard to tell from words."""

Spans: TypeAlias = list[tuple[int, int]]


class Secrets:
    """The values that must not be shown. They only grow in number: after new settings, a server
    with the old ones may still be stopping, and an old password may still open something."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: frozenset[str] = frozenset()
        self._forms: tuple[str, ...] | None = ()
        self.add(values)

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._values)} values>"

    def add(self, values: Iterable[str]) -> None:
        """Redact *values* from now on, and each line of them by itself, without a leading name of
        an HTTP authentication scheme. Values below `LEAST_CHARS` are left out."""
        new = {
            part
            for value in values
            for part in _parts(value)
            if len(part) >= LEAST_CHARS and not part.isspace()
        }
        if not new <= self._values:
            self._values |= new
            self._forms = None  # made for the first text: most starts have none

    def take_in(self, other: Secrets) -> None:
        """Redact the values of *other* too."""
        self.add(other._values)

    def redact(self, text: str) -> str:
        """Replace each secret in *text* with `***`, however it is written there, and each bearer
        token."""
        return _BEARER.sub(rf"\1{MARK}", self._without_values(text))

    def _without_values(self, text: str) -> str:
        if not self._values:
            return text
        forms = self._forms
        if forms is None:
            forms = self._forms = tuple({form for value in self._values for form in _forms(value)})
        text, rest = text[:MOST_CHARS], text[MOST_CHARS:]
        while spans := [
            span for reading in _readings(text) for form in forms for span in _found(form, reading)
        ]:
            text = _without(text, spans)  # the shorter text may by chance contain another secret
        return f"{text} [{len(rest):,} more characters]" if rest else text

    def redact_all(self, value: Any) -> Any:
        """Redact each text in *value*, JSON or nearly so."""
        match value:
            case str():
                return self.redact(value)
            case dict():
                return {
                    self.redact_all(key): self.redact_all(child) for key, child in value.items()
                }
            case list() | tuple():
                return [self.redact_all(child) for child in value]
            case bool() | int() | float() | None:
                return value
        if not self._values:
            return value
        shown = repr(value)
        redacted = self.redact(shown)
        return value if redacted == shown else redacted


def _parts(value: str) -> Iterator[str]:
    """Find the parts of *value* that are secret by themselves."""
    for part in (value, value.strip(), *map(str.strip, value.splitlines())):
        if (found := _SCHEME.fullmatch(part)) is None or len(found[1]) < LEAST_CHARS:
            yield part
            continue
        yield found[1]
        if part[:5].lower() == "basic":
            yield from _user_and_password(found[1])


def _user_and_password(text: str) -> Iterator[str]:
    """Decode HTTP's Basic authentication: `user:password`, and the password."""
    try:
        decoded = base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield decoded
    yield decoded.partition(":")[2]


def _forms(value: str) -> Iterator[str]:
    """Write *value* in all ways, except with escapes."""
    try:
        raw = value.encode("utf-8", "surrogateescape")  # as it was in the environment
    except UnicodeEncodeError:
        raw = value.encode("utf-8", "surrogatepass")
    yield value
    if not value.isascii():
        yield value.encode("utf-8", "replace").decode()
        yield raw.decode("utf-8", "replace")
        yield raw.decode("latin-1")
        units = value.encode("utf-16-le", "surrogatepass")
        yield "".join(chr(unit) for (unit,) in struct.iter_unpack("<H", units))
    yield raw.hex()
    yield raw.hex().upper()
    for form in _in_base64(raw):
        yield form
        yield form.rstrip("=")
        yield form.translate(_URL_SAFE)
        yield form.translate(_URL_SAFE).rstrip("=")


def _in_base64(raw: bytes) -> Iterator[str]:
    """Encode *raw* by itself; and after 0, 1 and 2 bytes, the characters that it alone decides."""
    yield base64.b64encode(raw).decode()
    for before in range(3):
        first, last = (0, 2, 3)[before], (before + len(raw)) * 8 // 6
        yield base64.b64encode(b"\0" * before + raw).decode()[first:last]


class _Reading(NamedTuple):
    """A text with some escapes resolved. `places[n]` is the index in the original of its nth
    character; the last one is the length of the original."""

    text: str
    places: Sequence[int]
    depth: int


def _readings(text: str) -> Iterator[_Reading]:
    """Read *text* in all ways, those first that resolve the fewest escapes."""
    waiting = deque([_Reading(text, range(len(text) + 1), 0)])
    seen, room = {text}, MOST_READ_CHARS
    while waiting:
        yield (reading := waiting.popleft())
        for pattern, sign in _ESCAPES if reading.depth < MOST_DEEP else ():
            if sign not in reading.text or len(reading.text) > room:
                continue
            room -= len(reading.text)
            resolved = _resolved(reading, pattern)
            if resolved.text not in seen:
                seen.add(resolved.text)
                waiting.append(resolved)


def _resolved(reading: _Reading, pattern: re.Pattern[str]) -> _Reading:
    text, before, depth = reading
    pieces: list[str] = []
    places: list[int] = []
    at = 0
    for found in pattern.finditer(text):
        pieces += text[at : found.start()], _meant(found)
        places += before[at : found.start()]
        places.append(before[found.start()])
        at = found.end()
    pieces.append(text[at:])
    places += before[at:]
    return _Reading("".join(pieces), places, depth + 1)


def _meant(found: re.Match[str]) -> str:
    """Resolve one escape to its character."""
    if found.lastgroup == "char":
        return _CONTROLS.get(found["char"], found["char"])
    number = int(found[found.lastindex or 0], 16)
    return chr(number) if number <= 0x10FFFF else "\ufffd"


def _found(form: str, reading: _Reading) -> Iterator[tuple[int, int]]:
    """Find *form* in the original, even if the text was cut in the middle of it."""
    text, places, _ = reading
    at = text.find(form)
    while at >= 0:
        yield places[at], places[at + len(form)]
        at = text.find(form, at + 1)
    at = text.find(form[:LEAST_CUT], max(0, len(text) - len(form) + 1))
    while at >= 0:
        if form.startswith(text[at:]):
            yield places[at], places[-1]
            return
        at = text.find(form[:LEAST_CUT], at + 1)


def _without(text: str, spans: Spans) -> str:
    pieces: list[str] = []
    end = 0
    for start, stop in sorted(spans):
        if start > end or not pieces:
            pieces += text[end:start], MARK
        end = max(end, stop)
    return "".join((*pieces, text[end:]))
