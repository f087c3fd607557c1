"""Values of fields of the language that are of the wrong type, and what they were meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..values.problems import nearest, slip_of
from ..values.strict import Json, JsonObject, NotStrict, loads

_DURATION = re.compile(
    r"\s*(?P<number>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>[a-z]*)\.?\s*", re.IGNORECASE
)
_SECONDS: dict[str, float] = {
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds", "millisecond"), 0.001),
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_WORDS: dict[str, bool] = {
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
}
OPTIONS: dict[str, str] = {
    **dict.fromkeys(("success", "on_success", "all_successful", "all_succeeded"), "all_success"),
    **dict.fromkeys(("all_completed", "all_finished", "any", "finished"), "all_done"),
    **{rule: rule for rule in ("none_failed", "one_success", "all_failed", "always")},
    **dict.fromkeys(("finally", "cleanup", "clean_up", "teardown", "always_run"), "always"),
    **dict.fromkeys(("failure", "failed", "on_failure", "any_failed"), "one_failed"),
    **dict.fromkeys(("continue", "ignore", "null", "drop", "keep_going"), "skip"),
    **dict.fromkeys(("stop", "abort", "error", "raise"), "fail"),
    **dict.fromkeys(("parallel", "dag"), "eager"),
    **dict.fromkeys(("layer", "levels", "stages"), "layers"),
    **dict.fromkeys(("verbose", "all"), "full"),
    **dict.fromkeys(("brief", "short", "summary"), "concise"),
}
"""Options that other engines name differently."""


def meant_for(value: Json, field: str, options: Sequence[str] = ()) -> Iterator[Json]:
    """List the values that *value* of *field* may have been meant to be, the likeliest first;
    *options* are those that the field has, if it has any."""
    if isinstance(value, str):
        text = value.strip()
        if field == "id" and text != value:
            yield text
        yield from _option(text, options)
        if text.casefold() in _WORDS:
            yield _WORDS[text.casefold()]
        if (field.endswith("_s") or field == "cache") and (
            duration := _DURATION.fullmatch(text)
        ) is not None:
            factor = _SECONDS.get(duration["unit"].casefold())
            if factor is not None:
                seconds = float(duration["number"]) * factor
                yield int(seconds) if seconds.is_integer() else seconds
        yield from _decoded(text)
    elif isinstance(value, dict):
        yield from _of_object(value, field)
    elif isinstance(value, float) and value.is_integer():
        yield int(value)
    elif isinstance(value, int) and not isinstance(value, bool) and value in (0, 1):
        yield bool(value)


def _of_object(value: JsonObject, field: str) -> Iterator[Json]:
    """List the texts that an object in the place of one may mean: a tool with its server, and an
    expression for each member."""
    texts = {name: text for name, text in value.items() if isinstance(text, str)}
    if texts.keys() != value.keys():
        return
    if field == "tool":
        server, tool = texts.pop("server", None), texts.pop("name", None) or texts.pop("tool", None)
        if tool and not texts:
            yield tool if server is None or ":" in tool else f"{server}:{tool}"
    elif field == "select" and texts and all(map(_PLAIN.fullmatch, texts)):
        yield f"{{{', '.join(f'{name}: {text}' for name, text in texts.items())}}}"


def _option(text: str, options: Sequence[str]) -> Iterator[str]:
    word = text.casefold().replace("-", "_").replace(" ", "_")
    known = {option.casefold(): option for option in options}
    if word in known or word in OPTIONS:
        named = known.get(word) or OPTIONS[word]
        yield from [named] if named in options else ()
    elif (meant := slip_of(word, options)) is not None:
        yield meant
    elif len(near := nearest(word, options, 2)) == 1:
        yield near[0]


def _decoded(text: str) -> Iterator[Json]:
    try:
        yield loads(text)
    except NotStrict:
        return
