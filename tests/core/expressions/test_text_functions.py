"""The functions of texts, and those that search texts."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.core.expressions.evaluation import expression

from ...profiles import CHARACTERS
from ..tables import table
from .given import assert_fails, assert_gives

LOG = "t=1 WARN slow\n\nt=22 ERROR disk é full\n"


@table(
    ("text", "value", "found"),
    [
        ("lines(@)", "a\n\n b\r\n", ["a", " b"]),
        ("lines(@)", "", []),
        ("lines(c)[?starts_with(@, '[F]')]", {"c": "[D] a\n[F] b"}, ["[F] b"]),
        ("split(@, ', ')", "a, b", ["a", "b"]),
        ("split(@, '')", "ab", ["a", "b"]),
        ("split(name, '/')[-1]", {"name": "x/y"}, "y"),
        ("trim(@)", " \ta b\n", "a b"),
        ("lower(@)", "ÀB", "àb"),
        ("upper(@)", "straße", "STRASSE"),
        ("join(', ', @)", ["a", None, 1, True], "a, 1, true"),
        ("join(': ', [a, b])", {"a": "x"}, "x"),
        ("to_string(@)", {"a": None}, '{"a":null}'),
        ("matches(@, 'ERR')", LOG, True),
        ("matches(@, '^ERR')", LOG, False),
        ("matches(@, '(?i)err')", LOG, True),
        ("lines(@)[?matches(@, '^t=\\d\\d ')]", LOG, ["t=22 ERROR disk é full"]),
        ("find(@, '\\d+')", LOG, "1"),
        ("find(@, 't=(\\d\\d)')", LOG, "22"),
        ("find(@, 'é')", LOG, "é"),
        ("find(@, 'nothing')", LOG, None),
        ("find(@, '(x)?t')", LOG, None),
        ("find_all(@, '[A-Z]+')", LOG, ["WARN", "ERROR"]),
        ("find_all(@, 't=(\\d+)')", LOG, ["1", "22"]),
        ("find_all(@, 't=(22)?')", LOG, ["22"]),
        ("find_all(@, 'nothing')", LOG, []),
        ("replace(@, '[aeiou]', '')", "banana", "bnn"),
        ("replace(@, '(\\w+)@(\\w+)', '\\2 at \\1')", "me@home", "home at me"),
        ("replace(@, 'a', '<\\0>')", "aba", "<a>b<a>"),
        ("replace(@, 'a', '\\\\')", "aba", "\\b\\"),
        ("replace(@, 'a', '\\n')", "a", "\\n"),
        ("replace(@, '(x)?a', '[\\1]')", "aba", "[]b[]"),
        ("replace(@, '', '-')", "é😀", "-é-😀-"),
        ("replace(@, '^', '> ')", "a\nb", "> a\nb"),
        ("replace(@, '(?m)^', '> ')", "a\nb", "> a\n> b"),
        ("from_json(@).a[0]", '{"a": [1]}', 1),
        ("from_json(@)", " [1.50] ", [1.5]),
        ("from_json(@)", "12345678901234567890123", 12345678901234567890123),
        ("from_json(@)", '\ufeff{"a": 1}', {"a": 1}),
        ("from_json(@)", "{", None),
        ("from_json(@)", "", None),
        ("from_json(@)", "[NaN]", None),
        ("from_json(@)", '{"a": 1, "a": 2}', None),
        ("from_json(@)", '"\\ud800"', None),
        ("from_json(@)", "[" * 9999, None),
        ("from_json(@)", "[" * 200 + "]" * 200, None),
    ],
)
def test_a_function_of_texts_gives(text: str, value: Any, found: Any) -> None:
    assert_gives(text, value, found)


@table(
    ("text", "value", "message"),
    [
        ("join('', @)", [[1]], "join() wants texts, numbers or booleans; the list holds a list"),
        ("matches('x', @)", "(", "matches() wants a regex: missing ): ( (at character 1)"),
        ("[].find('x', @)", ["a", "(?=a)"], "find() wants a regex: invalid perl operator: (?=: lo"),
        ("replace('x', 'x', @)", "\\1", "replace() has no group for \\1: the regex has no groups"),
        ("replace('x', @, '\\2')", "(x)", "replace() has no group for \\2: the regex has 1 group "),
    ],
)
def test_texts_that_do_not_fit_are_an_error(text: str, value: Any, message: str) -> None:
    assert_fails(text, value, message)


@settings(deadline=None)
@given(
    st.sampled_from(["a", "b+", "[ab]", "a|bb", "(a)(b)?", "^a", "a$", "é", r"\w"]),
    st.sampled_from(["", "x", "<\\1>", "éé", "\\\\"]),
    st.text("abé c", max_size=20),
)
def test_replace_is_that_of_python(regex: str, replacement: str, text: str) -> None:
    if "1" in replacement and "(" not in regex:
        return
    flags = 0 if "é" in regex else re.ASCII
    want = re.sub(regex, replacement, text, flags=flags)
    value: Any = {"text": text, "with": replacement, "regex": regex}
    assert expression('replace(text, regex, "with")').evaluate(value) == want
    found = [m[1 if "(" in regex else 0] for m in re.finditer(regex, text, flags)]
    assert expression("find_all(text, regex)").evaluate(value) == found
    assert expression("find(text, regex)").evaluate(value) == (found[0] if found else None)
    assert expression("matches(text, regex)").evaluate(value) is bool(found)


@given(st.text(CHARACTERS, max_size=20), st.text("ab,", min_size=1, max_size=2))
def test_join_undoes_split(text: str, separator: str) -> None:
    value: Any = {"text": text, "by": separator}
    assert expression("join(by, split(text, by))").evaluate(value) == text


SHORT = st.text(CHARACTERS, max_size=5)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | SHORT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SHORT, inner),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)
@given(_JSON)
def test_from_json_reads_what_to_string_writes(value: Any) -> None:
    if not isinstance(value, str):
        assert expression("from_json(to_string(@))").evaluate(value) == value
    assert expression("from_json(@)").evaluate(json.dumps(value)) == value
