"""Which keys of outputs are names of fields, and which are data."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from plait.core.tools.fields import (
    MAX_NAME_CHARS,
    MAX_NAME_DIGITS,
    is_field,
    looks_like_name,
    words_in,
    words_of,
)

from ..strategies import WORDS
from ..tables import table


@table(
    "key",
    [
        "ada@example.com",
        "/home/ada/notes.txt",
        "src/main.py",
        "notes.txt",
        "2024-01-01",
        "2024_01_01",
        "d2024",
        "550e8400-e29b-41d4-a716-446655440000",
        "x550e8400e29b41d4",
        "https://example.com/?q=1",
        "10.0.0.1",
        "4711",
        "Ada Lovelace",
        "What is this?",
        "secret=hunter2",
        "id" * 21,
        "",
        "\n",
        "x2024y1",
        "id\n",
    ],
)
def test_a_key_that_looks_like_data_is_not_a_name(key: str):
    assert not looks_like_name(key)


@given(WORDS)
def test_a_name_is_short_and_has_few_digits(key: str):
    if looks_like_name(key * 8):
        assert len(key * 8) <= MAX_NAME_CHARS
        assert sum(char.isdigit() for char in key * 8) <= MAX_NAME_DIGITS


@table(
    "key", ["id", "user_id", "userId", "HTMLUrl", "html-url", "x", "issues", "repositories", "@id"]
)
def test_a_name_made_of_common_words_is_a_field(key: str):
    assert looks_like_name(key)
    assert is_field(key)


@table("key", ["ada", "user_ada", "userAda", "zork", "x9", "___", "", "Zoë"])
def test_a_name_with_any_other_word_is_data(key: str):
    assert not is_field(key)


@table(
    ("text", "words"),
    [
        ("The tides of a harbour.", ["the", "tides", "of", "a", "harbour"]),
        ("htmlURL", ["html", "url"]),
        ("HTMLUrl", ["html", "url"]),
        ("user_id-2", ["user", "id", "2"]),
        ("__", []),
    ],
)
def test_names_and_sentences_are_split_into_words(text: str, words: list[str]):
    assert list(words_of(text)) == words


def test_the_words_of_a_definition_make_names_of_fields():
    definition: Any = {
        "description": "The tides of harbours and quays.",
        "inputSchema": {"properties": {"zorkName": {"enum": ["mizzles"]}}},
    }
    words = words_in(definition)
    for key in ("tide", "tides", "harbour_id", "zork", "mizzle", "quay"):
        assert is_field(key, words)
        assert not is_field(key)
    assert not is_field("grockle", words)


def test_the_words_of_an_enormous_definition_are_read_in_part():
    assert words_in({"text": "word " * 1_000 + "mizzle"}) == {"text", "word"}
    keys: Any = {f"k{n}": {} for n in range(10**4)}
    assert 100 < len(words_in({"inputSchema": {"properties": keys}})) < 1_000
