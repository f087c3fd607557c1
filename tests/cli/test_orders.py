"""Commands as values: each is the same once it was written down and read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plait.cli.documents import Changes, Source
from plait.cli.orders import (
    AnyCommand,
    Approve,
    Call,
    Deny,
    Explain,
    Plan,
    Run,
    Servers,
    StreamForm,
    Tools,
    read_order,
    written,
)

SOURCE = Source("a.json", b'\xff\x00{"tasks": []}')
FORM = {"encoding": "ascii", "is_terminal": True}


def read(command: str, **more: object) -> AnyCommand:
    order = {
        "command": json.loads(command),
        "as_json": False,
        "debug": False,
        "out": FORM,
        "err": FORM,
        "columns": 80,
        "environ": {"TERM": "dumb"},
    }
    found = read_order(json.dumps(order | more).encode())
    assert found.out == found.err == StreamForm("ascii", True)
    return found.command


@pytest.mark.parametrize(
    "command",
    [
        Run(SOURCE, Changes(True, 2, 1.5, ("a.b=c",), "power", "r_1", True), True, True),
        Run(SOURCE, Changes()),
        Plan(SOURCE),
        Explain(SOURCE),
        Tools("read files", "s"),
        Tools(),
        Call("s:t", ("a=\u00e9", "{}"), Path("out.png")),
        Call("s:t"),
        Approve("r_1", True),
        Deny("r_1"),
        Servers(),
    ],
)
def test_a_command_is_the_same_at_the_gateway(command: AnyCommand):
    assert read(written(command)) == command


def test_a_command_that_is_no_text_cannot_be_written():
    with pytest.raises(ValueError, match="surrogates"):
        written(Call("s:t", ("\udc80",)))


@pytest.mark.parametrize("command", ['{"name": "halt"}', '{"name": "call"}', "1"])
def test_an_order_of_another_version_is_refused(command: str):
    with pytest.raises(ValueError, match="command"):
        read(command)
