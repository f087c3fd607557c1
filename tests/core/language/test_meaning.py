"""What is written in two ways and means the same is equal."""

from __future__ import annotations

from typing import Any

from plait.core.language.meaning import meant, meant_arguments

from ..tables import table


@table(
    ("one", "other"),
    [
        ("$OUTPUT[i].total", "${OUTPUT[i].total}"),
        ("n: $OUTPUT[i].a[0]", "n: ${OUTPUT[i]['a'][0]}"),
        ("${OUTPUT[i] ?? 0}", "${OUTPUT[i]??0}"),
        ("${OUTPUT[i].x ?? $ITEM.y}", "${OUTPUT[i].x ?? ITEM.y}"),
        ({"a": [1.0, "x"]}, {"a": [1, "x"]}),
    ],
)
def test_ways_to_write_one_value_are_equal(one: Any, other: Any):
    assert meant(one) == meant(other)


@table(
    ("one", "other"),
    [
        ("$OUTPUT[i].total", "$OUTPUT[i].totals"),
        ("$OUTPUT[i]", "$STATUS[i]"),
        ("${OUTPUT[i] ?? 0}", "${OUTPUT[i] ?? '0'}"),
        ("${OUTPUT[i] ?? 0}", "$OUTPUT[i]"),
        ("${OUTPUT[i] | length(@)}", "${OUTPUT[i] | sum(@)}"),
        ("$$OUTPUT[i]", "$OUTPUT[i]"),
        ("a $OUTPUT[i]", "b $OUTPUT[i]"),
        (1, True),
        (1, 1.5),
        ({"a": None}, {}),
        ("$OUTPUT[", "${OUTPUT["),
    ],
)
def test_values_that_differ_differ(one: Any, other: Any):
    assert repr(meant(one)) != repr(meant(other))


def test_arguments_that_are_left_out_are_as_if_not_written():
    assert meant_arguments({"a": None, "b": "$OMIT", "c": "x"}) == {"c": "x"}
    assert meant_arguments("$OUTPUT[i]") == meant("${OUTPUT[i]}")
