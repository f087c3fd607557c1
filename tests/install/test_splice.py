"""Changes to files that leave every byte outside of the entries as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.install import splice
from plait.install.changes import Change, Drop, Extend, Impossible, Put, Retract, are_same
from plait.install.clients import CLIENTS, Format, Start
from plait.install.entries import BOM, Unreadable, values_of
from plait.install.positions import edited
from plait.install.splice import spliced
from tests.profiles import share_of_examples

from .drawn_files import Drawn, drawn_files
from .homes import machine, user_place

JSON, TOML, YAML = Format.JSON, Format.TOML, Format.YAML
OURS = {"command": "/bin/plait", "args": ["serve", "--profile", "x"], "tools": {"y": {"z": "w"}}}


def bones(data: bytes) -> bytes:
    """All of *data* but blanks, line ends and commas, which items are joined by."""
    return bytes(byte for byte in data if byte not in b" \t\r\n,")


@share_of_examples(20)
@given(drawn_files(), st.data())
def test_what_is_not_of_an_entry_stays_byte_for_byte(file: Drawn, data: st.DataObject):
    names = tuple(data.draw(st.lists(st.sampled_from([*file.servers]), unique=True)))
    at = (file.root,)
    drops: list[Change] = [Drop(at, name) for name in names]
    without = spliced(file.data, file.kind, drops)
    if not names:
        assert without == file.data
    assert bones(without) == bones(file.bytes_without(names))
    made = spliced(file.data, file.kind, [Put(at, "plait", OURS), *drops])
    kept = {name: server for name, server in file.servers.items() if name not in names}
    values = values_of(made, file.kind)
    assert are_same(values, {**file.others, file.root: {**kept, "plait": OURS}})
    assert made.startswith(BOM) is file.has_mark
    if file.line_end == "\r\n":
        assert made.count(b"\n") == made.count(b"\r\n")
    else:
        assert b"\r" not in made
    back = spliced(made, file.kind, [Drop(at, "plait")])
    assert bones(back) == bones(without)


@share_of_examples(5)
@given(drawn_files())
def test_the_same_change_again_changes_nothing_in_value(file: Drawn):
    put = Put((file.root,), "plait", OURS)
    once = spliced(file.data, file.kind, [put])
    again = spliced(once, file.kind, [put])
    assert are_same(values_of(once, file.kind), values_of(again, file.kind))


CASES: list[tuple[str, Format, bytes, list[Change], bytes]] = [
    (
        "an object without line breaks gets no line breaks",
        JSON,
        b'{"s": {"a": 1}, "z": 2}',
        [Put(("s",), "p", {"x": [1]})],
        b'{"s": {"a": 1, "p": {"x": [1]}}, "z": 2}',
    ),
    (
        "a comment beside the last member stays beside it",
        JSON,
        b'{\n  "s": {\n    "a": 1 // mine\n  }\n}\n',
        [Put(("s",), "p", 2)],
        b'{\n  "s": {\n    "a": 1, // mine\n    "p": 2\n  }\n}\n',
    ),
    (
        "a trailing comma stays a trailing comma",
        JSON,
        b'{\n\t"a": 1,\n}',
        [Put((), "p", 2)],
        b'{\n\t"a": 1,\n\t"p": 2,\n}',
    ),
    (
        "the last member goes with the comma before it",
        JSON,
        b'{\n  "a": 1, // mine\n  "b": 2\n}',
        [Drop((), "b")],
        b'{\n  "a": 1 // mine\n}',
    ),
    ("an empty object", JSON, b"{}", [Put(("s",), "p", 1)], b'{"s": {"p": 1}}'),
    (
        "an empty object of a file with lines",
        JSON,
        b'{\n  "s": {},\n  "z": 1\n}',
        [Put(("s",), "p", 1)],
        b'{\n  "s": {\n    "p": 1\n  },\n  "z": 1\n}',
    ),
    (
        "an object with a comment alone",
        JSON,
        b'{\r\n  "s": {\r\n    // none\r\n  }\r\n}',
        [Put(("s",), "p", 1)],
        b'{\r\n  "s": {\r\n    // none\r\n    "p": 1\r\n  }\r\n}',
    ),
    (
        "null where an object belongs",
        JSON,
        b'{"s": null}',
        [Put(("s",), "p", 1)],
        b'{"s": {"p": 1}}',
    ),
    ("an empty file", JSON, b"", [Put(("s",), "p", 1)], b'{\n  "s": {\n    "p": 1\n  }\n}\n'),
    (
        "a list gets what it has not",
        JSON,
        b'{"p": {"allow": ["a"]}}',
        [Extend(("p", "allow"), ("a", "b"))],
        b'{"p": {"allow": ["a", "b"]}}',
    ),
    (
        "a missing list is made",
        JSON,
        b'{"x": 1}',
        [Extend(("p", "allow"), ("a", "b"))],
        b'{"x": 1, "p": {"allow": ["a", "b"]}}',
    ),
    (
        "items go out of a list",
        JSON,
        b'{"l": [\n  "a",\n  "b", // mine\n  "c"\n]}',
        [Retract(("l",), ("a", "c"))],
        b'{"l": [\n  "b" // mine\n]}',
    ),
    (
        "a key that is dotted stays where it is",
        TOML,
        b'm.build.command = "a"\nmodel = "x"\n',
        [Put(("m",), "p", {"command": "p"})],
        b'm.build.command = "a"\nmodel = "x"\n\n[m.p]\ncommand = "p"\n',
    ),
    (
        "a comment above the next table stays",
        TOML,
        b"[m.a]\nx = 1\n\n# about b\n[m.b]\ny = 2",
        [Drop(("m",), "a"), Put(("m",), "p", {"z": 3})],
        b"\n# about b\n[m.b]\ny = 2\n\n[m.p]\nz = 3\n",
    ),
    (
        "an inline table gets an inline member",
        TOML,
        b"m = { a = { x = 1 } } # all\n",
        [Put(("m",), "p", {"y": {"z": "w"}}), Drop(("m",), "a")],
        b'm = { p = { y = { z = "w" } } } # all\n',
    ),
    (
        "a list in a table",
        TOML,
        b'[policy]\ndeny = [\n  "x", # mine\n]\n[z]\n',
        [Extend(("policy", "deny"), ("y",)), Extend(("policy", "ask"), ("w",))],
        b'[policy]\ndeny = [\n  "x", # mine\n  "y",\n]\nask = ["w"]\n[z]\n',
    ),
    ("a pair at the top", TOML, b"[a]\nb = 1\n", [Put((), "c", 2)], b"c = 2\n[a]\nb = 1\n"),
    (
        "indentation and forms of others stay",
        YAML,
        b"e:\n    a:\n        x:   ~\n    # mine\n    b: {y: 1}\nz:   1",
        [Put(("e",), "p", {"cmd": "q"}), Drop(("e",), "a")],
        b"e:\n    # mine\n    b: {y: 1}\n    p:\n      cmd: q\nz:   1",
    ),
    (
        "empty braces",
        YAML,
        b"e: {}  # x\n",
        [Put(("e",), "p", {"q": 1})],
        b"e:  # x\n  p:\n    q: 1\n",
    ),
    ("nothing", YAML, b"e:\nz: 1\n", [Put(("e",), "p", {"q": 1})], b"e:\n  p:\n    q: 1\nz: 1\n"),
    (
        "braces",
        YAML,
        b"e: {a: {b: 1}, c: 2}\n",
        [Put(("e",), "p", 3), Drop(("e",), "a")],
        b'e: {c: 2, "p": 3}\n',
    ),
    (
        "JSON as YAML",
        YAML,
        b'{"e": {"a": 1}}',
        [Put(("e",), "p", 2)],
        b'{"e": {"a": 1, "p": 2}}',
    ),
    (
        "a list of servers",
        YAML,
        b"s:\r\n- name: a\r\n  x: 1\r\n# mine\r\n- name: b\r\nz: 1\r\n",
        [Put(("s",), "p", {"name": "p"}, True), Drop(("s",), "a", True)],
        b"s:\r\n# mine\r\n- name: b\r\n- name: p\r\nz: 1\r\n",
    ),
    (
        "a list of servers that is missing",
        YAML,
        b"name: x",
        [Put(("s",), "p", {"name": "p"}, True)],
        b"name: x\ns:\n- name: p\n",
    ),
    (
        "texts in a list",
        YAML,
        b"user:\n  always_allow:\n  - a\n  never: []\n",
        [Extend(("user", "always_allow"), ("b",)), Extend(("user", "never"), ("c",))],
        b"user:\n  always_allow:\n  - a\n  - b\n  never:\n    - c\n",
    ),
]


@pytest.mark.parametrize(
    ("kind", "data", "changes", "made"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_change_reads_as_if_written_by_hand(
    kind: Format, data: bytes, changes: list[Change], made: bytes
):
    assert spliced(data, kind, changes) == made


@pytest.mark.parametrize("name", [one.name for one in CLIENTS])
def test_the_entry_of_each_client_goes_into_an_empty_file_and_comes_out_again(
    name: str, tmp_path: Path
):
    client = next(one for one in CLIENTS if one.name == name)
    place = user_place(name, machine(tmp_path))
    entry = client.entry(Start("/bin/plait", ("serve",)))
    made = spliced(b"", place.format, [Put(place.root, "plait", entry, place.is_list)])
    assert b"plait" in made
    out = spliced(made, place.format, [Drop(place.root, "plait", place.is_list)])
    assert b"plait" not in out


@pytest.mark.parametrize(
    ("kind", "data", "change", "said"),
    [
        (JSON, b'{"s": {}}', Drop(("s",), "a"), "s.a is not there"),
        (JSON, b'{"s": [1]}', Put(("s",), "a", 1), "is not an object"),
        (JSON, b'{"s": {"l": 1}}', Extend(("s", "l"), (1,)), "is not a list"),
        (TOML, b"[[m.a]]\nx = 1\n", Drop(("m",), "a"), "array of tables"),
        (YAML, b"e:\n  a: &x {b: 1}\n  c: *x\n", Drop(("e",), "a"), "would be broken"),
        (YAML, b"e: {a: 1}\n---\ne: {}\n", Put(("e",), "a", 1), "not YAML"),
        (YAML, b"base: &b\n  a: {}\ne: *b\n", Put(("e",), "p", {}), "where no object is"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(
    kind: Format, data: bytes, change: Change, said: str
):
    with pytest.raises((Impossible, Unreadable), match=said):
        spliced(data, kind, [change])


def test_a_text_that_would_mean_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch):
    real = edited

    def wrong(data: bytes, edits: Any) -> bytes:
        return real(data, edits).replace(b'"z": 1', b'"z": 2')

    monkeypatch.setattr(splice, "edited", wrong)
    with pytest.raises(Impossible, match="something else"):
        spliced(b'{"s": {}, "z": 1}', JSON, [Put(("s",), "p", 1)])


def test_a_large_file_is_changed_in_time():
    many = {f"project-{i}": {"history": ["x" * 50] * 10} for i in range(5_000)}
    data = json.dumps({"projects": many, "mcpServers": {"a": {}}}, indent=2).encode()
    assert len(data) > 3_000_000
    made = spliced(data, JSON, [Put(("mcpServers",), "p", {}), Drop(("mcpServers",), "a")])
    assert len(made) == len(data)
