"""What passes a model is counted between the client and its gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from evals import tap


def answer(**result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result}


TEXT, IMAGE = {"type": "text", "text": "né"}, {"type": "image", "data": "AAAA"}


@pytest.mark.parametrize(
    ("method", "message", "read"),
    [
        ("tools/call", answer(content=[TEXT, TEXT], structuredContent={"a": 1}), "néné"),
        ("tools/call", answer(content=[IMAGE], structuredContent={"a": [1, 2]}), '{"a":[1,2]}'),
        ("tools/call", answer(content=[IMAGE]), ""),
        ("tools/call", {"id": 1, "error": {"code": -1, "message": "no"}}, "no"),
        ("tools/list", answer(tools=[{"name": "t"}]), '[{"name":"t"}]'),
        ("initialize", answer(instructions="do"), "do"),
        ("ping", answer(), ""),
    ],
    ids=["texts", "structured", "image", "error", "list", "instructions", "other"],
)
def test_a_model_reads_texts_or_else_structured_content(
    method: str, message: dict[str, Any], read: str
):
    assert tap.read_text(method, message) == read


def test_every_line_passes_as_it_is_and_answers_are_counted(tmp_path: Path):
    request = {"jsonrpc": "2.0", "id": 7, "method": "tools/call",
               "params": {"name": "t", "arguments": {"é": 1}}}  # fmt: skip
    reply = {"jsonrpc": "2.0", "id": 7, "result": {"content": [TEXT]}}
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
    lines = "".join(json.dumps(message) + "\n" for message in (note, reply))
    gateway = f"import sys; got = sys.stdin.read(); print(got, end=''); print({lines!r}, end='')"
    log, sent = tmp_path / "passed.jsonl", json.dumps(request) + "\n"
    done = subprocess.run(
        [sys.executable, tap.__file__, str(log), sys.executable, "-c", gateway],
        input=sent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == sent + lines
    [entry] = map(json.loads, log.read_text().splitlines())
    assert entry == {"method": "tools/call", "tool": "t", "written": len('t{"é":1}'), "read": 2}


def test_the_end_of_the_gateway_is_that_of_the_tap(tmp_path: Path):
    command = [sys.executable, tap.__file__, str(tmp_path / "log"), "sh", "-c", "exit 3"]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 3
