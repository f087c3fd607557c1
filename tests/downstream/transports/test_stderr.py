"""What of a server's words on stderr is told when it has ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.downstream.server_requests.requests import REFUSALS
from plait.downstream.transports.stderr import LINES_KEPT, MAX_LINE_BYTES, Stderr

NODE = """node:internal/modules/cjs/loader:1080
  throw err;
  ^

Error: Cannot find module '/srv/index.js'
    at Module.error (node:internal/modules/cjs/loader:1077:15)
    at node:internal/main/run_main_module:23:47 {
  code: 'MODULE_NOT_FOUND',
  requireStack: []
}

Node.js v18.19.0
"""
PYTHON = """Traceback (most recent call last):
  File "/srv/error.py", line 3, in main
    raise ValueError("an error")
ValueError: no token
"""


def words(text: str) -> str:
    stderr = Stderr(lambda line: None)
    stderr.feed(text.encode())
    return stderr.reason()


@pytest.mark.parametrize(
    ("said", "last"),
    [
        (NODE, "Error: Cannot find module '/srv/index.js'"),
        (PYTHON, "ValueError: no token"),
        ("Error: no token\nbye\n", "Error: no token"),
        ("ENOENT: config.json not found\nnpm notice\n", "ENOENT: config.json not found"),
        (
            "thread 'main' panicked at src/main.rs\nnote: run with RUST_BACKTRACE\n",
            "thread 'main' panicked at src/main.rs",
        ),
        ("cannot open display\nbye\n", "cannot open display"),
        ("first error\nsecond error\n", "second error"),
        ("listening\n0 errors\n", "0 errors"),
        ("only this\n \n", "only this"),
    ],
)
def test_the_last_line_that_looks_like_a_reason_is_shown_or_else_the_last_line(
    said: str, last: str
):
    assert words(said) == f"; its last message: {last}"


@pytest.mark.parametrize("refusal", REFUSALS)
def test_lines_about_our_own_refusals_are_not_a_reason(refusal: str):
    line = f"Failed to request roots: McpError: MCP error -32601: {refusal}: roots.\n"
    assert words(line) == ""
    assert words(f"starting\n{line}") == "; its last message: starting"


def test_old_lines_are_not_a_reason():
    assert words("error\n" + "fine\n" * LINES_KEPT) == "; its last message: fine"


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_give_one_short_line(chunks: list[bytes]):
    stderr = Stderr(lambda line: None)
    for chunk in [*chunks, b"x" * 3 * MAX_LINE_BYTES]:
        stderr.feed(chunk)
    assert len(stderr.reason()) <= len("; its last message: ") + 300
    assert "\n" not in stderr.reason()
