"""Stands between a client and its gateway, passes every line on as it is, and notes what passes a
model: `python tap.py LOG COMMAND [ARGUMENT ...]`.

Each answer to a request becomes a JSON line in LOG: the method, the name of the tool, and the
characters that a model writes and reads.

- Written: the name of the tool, and its arguments as compact JSON.
- Read: the texts of the content; where there is no text the structured content, as compact JSON;
  the message of an error. Of `tools/list` and `initialize` the definitions and the instructions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


class Tap:
    """The requests that are open, and the log of those that were answered."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._open: dict[Any, dict[str, Any]] = {}

    def request(self, message: dict[str, Any]) -> None:
        if "id" in message and "method" in message:
            self._open[message["id"]] = message

    def answer(self, message: dict[str, Any]) -> None:
        request = None if "method" in message else self._open.pop(message.get("id"), None)
        if request is None:
            return
        params = request.get("params") or {}
        is_call = request["method"] == "tools/call"
        written = params["name"] + compact(params.get("arguments") or {}) if is_call else ""
        entry = {
            "method": request["method"],
            "tool": params["name"] if is_call else None,
            "written": len(written),
            "read": len(read_text(request["method"], message)),
        }
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


def read_text(method: str, message: dict[str, Any]) -> str:
    """Return what a model reads of the answer to a request of that *method*."""
    if "error" in message:
        return str(message["error"].get("message", ""))
    result = message["result"]
    match method:
        case "initialize" | "server/discover":
            return str(result.get("instructions") or "")
        case "tools/list":
            return compact(result["tools"])
        case "tools/call":
            texts = [b["text"] for b in result.get("content", []) if b.get("type") == "text"]
            return "".join(texts) if texts else compact(result.get("structuredContent"))
    return ""


def compact(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def copy(source: IO[bytes], target: IO[bytes], note: Callable[[Any], None]) -> None:
    """Pass each line of *source* on to *target*, once it has been noted, until there are no
    more."""
    for line in source:
        note(json.loads(line))
        target.write(line)
        target.flush()
    target.close()


def main() -> int:
    tap = Tap(Path(sys.argv[1]))
    pipe = subprocess.PIPE
    with subprocess.Popen(sys.argv[2:], stdin=pipe, stdout=pipe) as gateway:
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        threading.Thread(
            target=copy, args=(sys.stdin.buffer, gateway.stdin, tap.request), daemon=True
        ).start()
        copy(gateway.stdout, sys.stdout.buffer, tap.answer)
    return gateway.returncode


if __name__ == "__main__":
    # Not `sys.exit`: the thread may still read standard input, and the interpreter would abort.
    os._exit(main())
