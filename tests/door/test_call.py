"""The command lines of `plait call` that need no more than a gateway that runs."""

from __future__ import annotations

import pytest

from plait.cli.orders import Call, read_order
from plait.door.call import call, order_of
from plait.door.commands import Lost

from .person import gateway


@pytest.mark.parametrize(
    ("line", "words", "as_json"),
    [
        ("s:t", (), False),
        ("s:t a=1", ("a=1",), False),
        ("--json s:t a=1 b", ("a=1", "b"), True),
        ('s:t {"a":"\u00e9\\n"} x=--y', ('{"a":"\u00e9\\n"}', "x=--y"), False),
    ],
)
def test_a_plain_call_is_ordered_as_the_ordinary_command_line_would(
    line: str, words: tuple[str, ...], as_json: bool
):
    written = order_of(line.split(" "), {"PLAIT_ISOLATED": "0"})
    assert written is not None
    order = read_order(written)
    assert order.command == Call("s:t", words)
    assert (order.as_json, order.debug) == (as_json, False)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--json",
        "--help",
        "s:t -",
        "s:t @file",
        "s:t -o out.png",
        "s:t --isolated",
        "s:t --config x.toml",
        "s:t -- -x",
        "s:t \udc80",
    ],
)
def test_everything_else_goes_to_the_ordinary_command_line(line: str):
    assert order_of(line.split(" "), {}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PLAIT_ISOLATED", "1"),
        ("PLAIT_ISOLATED", "perhaps"),
        ("PLAIT_DEBUG", "1"),
        ("PLAIT_LOG_LEVEL", "info"),
        ("_PLAIT_COMPLETE", "complete_bash"),
    ],
)
def test_variables_that_change_a_command_line_lead_there_too(name: str, value: str):
    assert order_of(["s:t"], {name: value}) is None


@pytest.mark.usefixtures("person")
def test_a_wrong_command_line_is_explained_elsewhere():
    with gateway(("y", "ARGUMENTS\0this is not JSON.")):
        assert call(["s:t", "{"]) is None
    with gateway(("z", "3")):
        assert call(["s:t"]) == 3
    with gateway(("t", "")), pytest.raises(Lost):
        call(["s:t"])
