"""The lines of texts in a TOML file, whatever form its tables have."""

from __future__ import annotations

import pytest

from plait.config.lines import lines_of

IN_A_TABLE = """\
# deny = ["a"]
[policy]
deny = ["a"]
ask = [
    "b",  # "c" is not the next one
    'c',
]
"""


@pytest.mark.parametrize(
    ("toml", "lines"),
    [
        (IN_A_TABLE, [3, 5, 6]),
        ('policy.deny = ["a"]\n\npolicy.ask = ["b", "c"]\n', [1, 3, 3]),
        ('policy = { deny = ["a"], ask = ["b", "c"] }\n', [1, 1, 1]),
        (
            'x = """\n[policy]\ndeny = ["a"]\n"""\n[policy]\ndeny = ["a"]\nask = ["b", "c"]\n',
            [6, 7, 7],
        ),
        ('[policy]\n"deny" = ["a"]\nask = ["b",\n\n"c"]\n[tools."a"]\nx = "b"\n', [2, 3, 5]),
        ('[policy]\r\ndeny = ["a"]\r\nask = ["b", "c"]\r\n', [2, 3, 3]),
    ],
)
def test_each_text_has_its_line(toml: str, lines: list[int]):
    places = [("policy", "deny", 0), ("policy", "ask", 0), ("policy", "ask", 1)]
    found = lines_of(toml, dict(zip(places, "abc", strict=True)))
    assert found == dict(zip(places, lines, strict=True))


def test_a_text_that_is_written_twice_has_its_own_line_each_time():
    toml = '[policy]\nask = ["a",\n"a"]\ndeny = ["a"]\n'
    places = [("policy", "ask", 0), ("policy", "ask", 1), ("policy", "deny", 0)]
    assert lines_of(toml, dict.fromkeys(places, "a")) == dict(zip(places, (2, 3, 4), strict=True))


def test_a_text_that_is_escaped_or_somewhere_else_has_none():
    toml = '[policy]\nask = ["\\u0061", """b"""]\n'
    assert lines_of(toml, {("policy", "ask", 0): "a", ("policy", "ask", 7): "b"}) == {}


def test_a_mark_that_breaks_the_file_finds_nothing():
    assert lines_of('[a."b"]\nx = 1\n[a.b', {("a", "b"): "b"}) == {}
