"""The syntax of settings files, and where a mistake in it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config.parse import is_json, parse
from plait.errors import ConfigError

from ..core.strategies import json_values


def parsed(folder: Path, name: str, text: str | bytes) -> Any:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return parse(file, file.read_bytes())


@pytest.mark.parametrize(
    ("name", "is_read_as_json"),
    [("mcp.json", True), ("a.jsonc", True), ("servers.toml", False), ("servers", False)],
)
def test_the_ending_of_its_name_says_what_a_file_is(name: str, is_read_as_json: bool):
    assert is_json(Path(name)) is is_read_as_json


@pytest.mark.parametrize(("name", "text"), [("a.toml", "a = 1\n"), ("a.json", '{"a": 1}')])
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
