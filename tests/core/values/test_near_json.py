"""Texts that are almost JSON: what is corrected, what is refused by its name, and at what cost."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.near_json import MAX_LAYERS, NearJson, read
from plait.core.values.strict import NotStrict

from ...profiles import share_of_examples
from ..steps import steps
from ..strategies import json_values
from ..tables import table


@table(
    ("text", "value", "slips"),
    [
        ('{"a": 1}', {"a": 1}, []),
        ('"x"', "x", []),
        ('```json\n{"a": 1}\n```', {"a": 1}, ["a code fence"]),
        ('~~~\r\n{"a": 1}\r\n~~~\n', {"a": 1}, ["a code fence"]),
        ('\ufeff{"a": 1}', {"a": 1}, ["a byte order mark"]),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}, ["a byte order mark"]),
        ("{“a”: “x, \\“y\\””}", {"a": "x, “y”"}, ["typographic quotes"]),
        ("{\u2018a\u2019: 1}", {"a": 1}, ["typographic quotes"]),
        ('{"a": "he said “hi”", “b”: 1}', {"a": "he said “hi”", "b": 1}, ["typographic quotes"]),
        ('{"a": [1, 2,],}', {"a": [1, 2]}, ["a trailing comma"]),
        ('{"a": 1},', {"a": 1}, ["a trailing comma"]),
        ('{"a": ",}"}', {"a": ",}"}, []),
        (json.dumps(json.dumps({"a": 1})), {"a": 1}, ["JSON inside of a JSON string"]),
    ],
)
def test_what_changes_no_meaning_is_corrected(
    text: str | bytes, value: Any, slips: list[str]
) -> None:
    assert read(text) == (value, slips)


@table(
    ("text", "slip", "meant"),
    [
        ("{'a': 'it\\'s \"x\"'}", "single quotes", {"a": 'it\'s "x"'}),
        ('{"a": 1, // one\n /* x */ "b": "http://x"}', "comments", {"a": 1, "b": "http://x"}),
        ("[1,\n # last\n]", "comments", [1]),
        ("{a: 1, b-c: 2}", "names without quotes", {"a": 1, "b-c": 2}),
        ('{"a": None, "b": True}', "Python's True", {"a": None, "b": True}),
        ('Here\'s the DAG: {"a": 1}. Good?', "text around", {"a": 1}),
        ('Sure:\n{"a": 1}', "text around", {"a": 1}),
        ('run(dag={"a": 1})', "text around", {"a": 1}),
        ('Sure:\n```json\n{"a": {}}\n```\nThat is {it}.', "text around", {"a": {}}),
    ],
)
def test_what_may_change_the_meaning_is_refused_by_name(text: str, slip: str, meant: Any) -> None:
    with pytest.raises(NearJson, match=slip) as refused:
        read(text)
    assert refused.value.meant == meant


@table(
    ("text", "said"),
    [
        ("", "not JSON: Expecting value"),
        ("hello", "not JSON: Expecting value"),
        ("```\n```", "not JSON: "),
        ('{"a": [1, 2', "it ends before all its brackets are closed"),
        ('{"a": "x', "it ends before all its brackets are closed"),
        ('{"a": 1, "a": 2,}', "a appears twice"),
        ('{"a": NaN,}', "a is NaN"),
        ('{"a": 1} {"b": 2}', "Extra data"),
        ('dry_run: true\ntasks: [{"id": "a"}]', "not JSON: "),
        ('tasks: [{"id": "a"}]', "not JSON: "),
        ('execute_dag(tasks=[{"id": "a"}], dry_run=True)', "not JSON: "),
        ('run({"a": 1}, dry_run=True)', "not JSON: "),
        ('tasks:\n  - id: a\n    arguments: {"app": "x"}', "not JSON: "),
    ],
)
def test_all_else_is_refused_as_it_is(text: str, said: str) -> None:
    with pytest.raises(NotStrict, match=said) as refused:
        read(text)
    assert not isinstance(refused.value, NearJson)


def test_strings_inside_of_strings_are_unpacked_a_few_times() -> None:
    text = '{"a": 1}'
    for _ in range(MAX_LAYERS):
        text = json.dumps(text)
    assert read(text)[0] == {"a": 1}
    assert read(json.dumps(text))[0] == '{"a": 1}'


@share_of_examples(0.4)
@given(json_values().filter(lambda value: isinstance(value, list | dict)), st.integers(0, 3))
def test_json_means_the_same_with_and_without_slips(value: Any, indent: int) -> None:
    text = json.dumps(value, indent=indent or None)
    assert repr(read(f"\ufeff```json\n{text},\n```")[0]) == repr(read(text)[0]) == repr(value)


@share_of_examples(0.4)
@given(st.text(st.sampled_from("\"'“”{}[]:,/*#\\ \na1`~\u2018\u2019")))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(NotStrict):
        assert isinstance(read(text)[1], list)


@table(
    "part",
    ['"', "/*", "'", "“", '{"a":', ",", ",//", '\\"', '"\\"', "```\n", ", ", "a", "[", "#\n"],
)
def test_the_steps_grow_with_the_length_of_a_hostile_text_alone(part: str) -> None:
    def refused(count: int) -> None:
        with pytest.raises(NotStrict):
            read(part * count)

    assert steps(lambda: refused(160)) < 2.5 * steps(lambda: refused(80)) + 400
