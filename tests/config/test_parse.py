"""The syntax of settings files, and where a mistake in it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config.parse import MAX_YAML_BYTES, MAX_YAML_VALUES, is_clients, parse
from plait.errors import ConfigError

from ..core.strategies import json_values


def parsed(folder: Path, name: str, text: str | bytes) -> Any:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return parse(file, file.read_bytes())


@pytest.mark.parametrize(
    ("name", "is_a_clients"),
    [
        ("mcp.json", True),
        ("a.jsonc", True),
        ("config.yaml", True),
        ("config.yml", True),
        ("servers.toml", False),
        ("servers", False),
    ],
)
def test_the_ending_of_its_name_says_what_a_file_is(name: str, is_a_clients: bool):
    assert is_clients(Path(name)) is is_a_clients


ANY = ("a.toml", "a = 1\n"), ("a.json", '{"a": 1}'), ("a.yaml", "a: 1\n")


@pytest.mark.parametrize(("name", "text"), ANY)
def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path, name: str, text: str):
    assert parsed(tmp_path, name, text) == {"a": 1}
    assert parsed(tmp_path, name, "\ufeff" + text) == {"a": 1}


def test_comments_and_last_commas_of_json_are_skipped(tmp_path: Path):
    text = r"""{
      // "a": 0,
      "a": ["x", /* why,} */ "//kept", "/*kept*/", "kept,]", "\"// kept",],
    }"""
    assert parsed(tmp_path, "mcp.json", text) == {
        "a": ["x", "//kept", "/*kept*/", "kept,]", '"// kept']
    }


MARKS = st.lists(st.sampled_from(["//", "/*", "*/", ",", "]", "}", '"', "\\", "a"])).map("".join)


@given(json_values(leaves=MARKS, keys=MARKS))
def test_text_within_quotes_is_never_taken_for_a_comment(
    tmp_path_factory: pytest.TempPathFactory, value: Any
):
    folder = tmp_path_factory.getbasetemp()
    for text in (json.dumps({"x": value}), json.dumps({"x": value}, indent=1)):
        assert parsed(folder, "drawn.json", text) == {"x": value}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "[gateway\n", "is not TOML: "),
        ("a.toml", "a = 1\na = 2\n", "is not TOML: Cannot overwrite a value (at line 2, column 6)"),
        ("a.json", '{\n // why\n "a": x}', "is not JSON: Expecting value (at line 3, column 7)"),
        ("a.json", '{"a": /* 1\n\n */ x}', "is not JSON: Expecting value (at line 3, column 5)"),
        ("a.json", "[]", "is not JSON: it is not an object"),
        ("a.json", '{"a": ' + "[" * 100_000, "is nested too deeply"),
        ("a.json", '{"a": ' + "9" * 5_000 + "}", "is not JSON: Exceeds the limit"),
        ("a.toml", b"a = '\xff'", "is not UTF-8 at byte 5"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_refused_with_the_place(
    tmp_path: Path, name: str, text: str | bytes, said: str
):
    with pytest.raises(ConfigError) as refused:
        parsed(tmp_path, name, text)
    assert str(refused.value).startswith(f"{tmp_path / name}: {said}")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.json",
            '{"s": {"a": 1,\n"b": 2,\n"a": 3}}',
            'the key "a" is twice in one object (lines 1, 3)',
        ),
        ("a.json", '{"a": {"x": 1}, "a": {}}', 'the key "a" is twice in one object (line 1)'),
        (
            "a.yaml",
            "s:\n  a: secret-1\n  a: secret-2\n",
            'the key "a" is twice in one object (line 3',
        ),
        ("a.toml", "a = 1\na = 2\n", "Cannot overwrite a value"),
    ],
)
def test_a_key_that_is_there_twice_is_an_error(tmp_path: Path, name: str, text: str, said: str):
    with pytest.raises(ConfigError) as error:
        parsed(tmp_path, name, text)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_one_key_in_several_objects_is_no_error(tmp_path: Path):
    assert parsed(tmp_path, "a.json", '{"a": {"x": 1}, "b": {"x": 2}}')["b"] == {"x": 2}


def test_yaml_is_read_as_its_later_version_says(tmp_path: Path):
    text = "a: on\nb: 'x'\nc: [1, ~, 2024-01-01]\n3: {d: no}\n"
    values = {"a": "on", "b": "x", "c": [1, None, "2024-01-01"], "3": {"d": "no"}}
    assert parsed(tmp_path, "a.yaml", text) == values


BOMB = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 8)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2\n", "is not YAML: expected ',' or ']', but got ':' (at line 2, column 2)"),
        ("a: !!python/object:os.system {}\n", "is not YAML: could not determine a constructor"),
        ("- a\n", "is not YAML: it is not a mapping"),
        ("a: 1\n---\nb: 2\n", "is not YAML: but found another document"),
        (BOMB, f"is not YAML: it holds more than {MAX_YAML_VALUES:,} values"),
        ("a: &a [*a]\n", "a.yaml: is n"),
        ("#" * (MAX_YAML_BYTES + 1), f"is not YAML: it has more than {MAX_YAML_BYTES:,} char"),
    ],
)
def test_yaml_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(ConfigError) as error:
        parsed(tmp_path, "a.yaml", text)
    assert said in str(error.value)
