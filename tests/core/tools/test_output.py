"""What references see of the result of a call."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.tools.output import MAX_ERROR_CHARS, Output, read_output
from plait.core.values.strict import MAX_VALUES, dumps
from plait.errors import InvalidOutput, OutputTooLarge, ToolError
from tests.fakes import structured, text, tool

from ..strategies import nested
from ..tables import table

IMAGE = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
AUDIO = {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}
LINK = {"type": "resource_link", "uri": "file:///x", "name": "x"}


def read(result: Any, max_bytes: int = 1000, **options: Any) -> Output:
    return read_output(result, tool("s:t", **options), max_bytes)


@table(
    ("result", "value"),
    [
        (structured({"a": 1}), {"a": 1}),
        (structured([1, 2]), [1, 2]),
        ({"structuredContent": {"a": 1}, "content": [{"type": "text", "text": "other"}]}, {"a": 1}),
        (text("plain"), "plain"),
        (text(' {"a": [1]} '), {"a": [1]}),
        (text("[1, 2]"), [1, 2]),
        (text("5"), "5"),
        (text("null"), "null"),
        (text('"quoted"'), '"quoted"'),
        (text('{"a": 1, "a": 2}'), '{"a": 1, "a": 2}'),
        (text("{not json"), "{not json"),
        (text('\ufeff{"a": 1}'), {"a": 1}),
        (text("\ufeffa"), "\ufeffa"),
        (text("[NaN]"), "[NaN]"),
        (text("[" * 70 + "]" * 70), "[" * 70 + "]" * 70),
        (text(""), ""),
        (text("a", "b"), [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        ({"content": []}, None),
        ({}, None),
        ({"structuredContent": None, "content": [{"type": "text", "text": "x"}]}, "x"),
        ({"content": [LINK]}, [LINK]),
        ({"content": None}, None),
        ({"content": "nonsense", "structuredContent": {"a": 1}}, {"a": 1}),
    ],
)
def test_the_output_is_the_structured_content_else_the_text_else_the_blocks(
    result: Any, value: Any
) -> None:
    assert read(result).value == value


@table(
    ("content", "wrapped"),
    [({"result": [1]}, True), ({"result": 1, "more": 2}, False), ({"x": 1}, False), ([1], False)],
)
def test_only_a_lone_result_is_taken_as_a_wrapper(content: Any, wrapped: bool) -> None:
    assert read(structured(content)).is_wrapped is wrapped


def test_text_that_looks_like_a_wrapper_is_text() -> None:
    assert read(text('{"result": 1}')).is_wrapped is False


def test_images_and_audio_are_kept_apart_from_the_output() -> None:
    output = read(
        {
            "content": [{"type": "text", "text": "x"}, IMAGE, AUDIO, LINK],
            "structuredContent": {"a": 1},
        }
    )
    assert output.value == {"a": 1}
    assert output.attachments == (IMAGE, AUDIO)


def test_the_size_is_that_of_the_output_as_json() -> None:
    assert read(structured({"a": "é"})).size_bytes == len(dumps({"a": "é"}).encode())


def test_an_output_above_its_limit_is_refused() -> None:
    assert read(text("x" * 998), max_bytes=1000).size_bytes == 1000
    with pytest.raises(OutputTooLarge, match=r"s:t returned 1,001 bytes; at most 1,000 are kept"):
        read(text("x" * 999), max_bytes=1000)


@table(
    ("result", "said"),
    [
        (text("EACCES: /x", is_error=True), "EACCES: /x"),
        (text("one", "two", is_error=True), "one\ntwo"),
        ({"isError": True, "content": "no luck"}, "no luck"),
        ({"isError": True, "content": [IMAGE]}, "the tool failed without saying why"),
        ({"isError": True}, "the tool failed without saying why"),
        ({"isError": True, "structuredContent": {"why": "x"}}, '{"why": "x"}'),
        (text("lone \ud800", is_error=True), "lone ?"),
    ],
)
def test_a_tools_own_error_is_passed_on(result: Any, said: str) -> None:
    with pytest.raises(ToolError) as failed:
        read(result)
    assert failed.value.message == said


@table("content", ["text", "", ["text"], {"type": "text", "text": "x"}, 5, [5, LINK]])
def test_content_that_cannot_be_read_is_not_lost_without_a_word(content: Any) -> None:
    with pytest.raises(InvalidOutput, match="s:t returned content that is not a list of objects"):
        read({"content": content})


def test_a_tools_own_error_is_cut() -> None:
    with pytest.raises(ToolError) as failed:
        read(text("x" * 5000, is_error=True))
    assert len(failed.value.message) == MAX_ERROR_CHARS
    assert failed.value.message.endswith("…")


@table(
    ("value", "place"),
    [
        ({"a": [float("nan")]}, r"a\[0\] is nan"),
        ({"a": "\ud800"}, "a holds a lone surrogate"),
        (nested(181), "nested deeper than 180"),
    ],
)
def test_an_answer_that_is_not_strict_json_fails_its_task_with_the_place(
    value: Any, place: str
) -> None:
    with pytest.raises(InvalidOutput, match=place):
        read({"structuredContent": value}, max_bytes=10_000)


def test_an_answer_that_breaks_the_tools_own_schema_is_kept() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert read(structured({"n": 1}), output=schema).value == {"n": 1}
    with pytest.raises(
        InvalidOutput, match='s:t broke its own output schema: n must be an integer; it is "x"'
    ) as failed:
        read(structured({"n": "x"}), output=schema)
    assert failed.value.output == {"n": "x"}
    with pytest.raises(InvalidOutput, match="n is missing"):
        read(structured({}), output=schema)


def test_text_without_structured_content_is_not_held_to_the_output_schema() -> None:
    assert read(text("x"), output={"type": "object", "required": ["n"]}).value == "x"


def test_the_memory_of_an_output_counts_its_values_and_attachments() -> None:
    many = read(structured({"v": [{}] * 100}), max_bytes=10_000)
    assert many.memory_bytes > 100 * 64 > 10 * many.size_bytes
    long = read(text("x," * 400))
    assert long.memory_bytes == long.size_bytes
    pictured = read({"structuredContent": {"a": 1}, "content": [{**IMAGE, "data": "a" * 5_000}]})
    assert pictured.memory_bytes > 5_000 > pictured.size_bytes


def test_json_as_text_of_too_many_values_is_refused_before_it_is_read() -> None:
    bomb = "[" + "{}," * MAX_VALUES + "{}]"
    with pytest.raises(
        OutputTooLarge, match="s:t returned JSON as text, and it holds more than 250,000 values"
    ):
        read(text(bomb), max_bytes=10**7)
    table = "id,name\n" * MAX_VALUES  # commas of a text are no values
    assert read(text(table), max_bytes=10**7).value == table
