"""`plait call`: one call, with its arguments as people type them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from ..core.results.progress import Progress
from ..core.results.record import RunStatus
from ..core.results.result import RunResult
from ..core.tools.catalog import Tool
from ..core.values.strict import Json, JsonObject, NotStrict, loads
from ..engine.gateway import Gateway
from ..errors import InvalidDag
from .approving import Asking
from .binary import binaries, files_of, without_binary
from .documents import STDIN, is_no_text, literal, read_input
from .exits import Misused
from .invocation import Invocation
from .live import row, showing, starting_rows
from .report import abandoned, errors_report, notes_report
from .style import Line, Verbatim, counted, pretty

CALL = "call"
EXAMPLE = """Write key=value, or a JSON object such as '{"path": "README.md"}'."""


async def call_tool(
    gateway: Gateway,
    invocation: Invocation,
    name: str,
    words: Sequence[str],
    to: Path | None,
    *,
    again: bool = False,
) -> int:
    """Call the tool *name* once with the arguments in *words*; with *again* also if an equal call
    was interrupted a while ago. Show its result, text as it is and anything else as JSON, or write
    it to the file *to*."""
    servers = {name.partition(":")[0]} & gateway.catalog().servers.keys()
    run_id: str | None = None
    latest: str | None = None
    remarks: list[str] = []
    asking = Asking(gateway, invocation)

    def show(result: RunResult) -> None:
        _show(invocation, replace(result, notes=(*result.notes, *remarks)), name, to)

    def take(progress: Progress) -> None:
        nonlocal latest
        latest = progress.latest

    def rows(seconds: float) -> list[Line]:
        if asking.is_open:
            return []
        starting = starting_rows(gateway, seconds, servers or None)
        if starting or run_id is None:
            return starting
        record = gateway.record(run_id)
        return [row(record, record.tasks[CALL], name, latest)]

    try:
        async with showing(invocation.console.err, rows):
            if any("=" in word for word in words) and gateway.catalog().find(name) is None:
                await gateway.settled(servers or None)
            arguments = read_arguments(words, gateway.catalog().find(name))
            task = {"id": CALL, "tool": name, "arguments": literal(arguments), "literal": True}
            try:
                await invocation.begin()
                document = {"tasks": [task], "again": again}
                submitted = await gateway.submit(document, invocation.caller)
            except InvalidDag as error:
                raise _of_a_call(error) from None
            run_id = submitted.run_id
            remarks += [submitted.remark] if submitted.remark is not None else []
            invocation.last_words = lambda: show(abandoned(gateway.result(submitted.run_id)))
            result = await asking.ended(run_id, take)
    except anyio.get_cancelled_exc_class():
        if run_id is not None and not asking.is_left(run_id):
            with anyio.CancelScope(shield=True):  # bounded by the gateway
                stopped = abandoned(await gateway.cancel(run_id))
                await invocation.work(partial(show, stopped))
        raise
    if result.status is RunStatus.WAITING and not invocation.as_json:
        await invocation.work(partial(asking.show, result, is_whole=False))
    else:
        await invocation.work(partial(show, result))
    return asking.exit_of(result)


def _show(invocation: Invocation, result: RunResult, name: str, to: Path | None) -> None:
    out, err = invocation.console.out, invocation.console.err
    if invocation.as_json:
        out.json(result.document("full"))
    if CALL in result.outputs:
        value, attachments = result.outputs[CALL], result.attachments.get(CALL, ())
        if to is not None:
            text = "\n".join(pretty(value, out.width)) + "\n"
            files = files_of(value, attachments, text, to)
            invocation.save(files)
            err.line(f"saved in {', '.join(str(path) for path, _ in files)}")
        elif not invocation.as_json:
            out.lines((Verbatim(line),) for line in pretty(without_binary(value), out.width))
            if found := [*binaries(value)] or [*binaries([*attachments])]:
                err.line(f"{counted(len(found), 'binary part')}: save it with -o FILE")
    err.lines(notes_report(result.notes))
    named = [replace(error, id=name) for error in result.errors]
    err.lines(errors_report(named, {name: result.tasks[0].status}))


def _of_a_call(error: InvalidDag) -> InvalidDag:
    """Name the places in *error* as they are on the command line."""
    problems = [
        replace(problem, path=problem.path.removeprefix("tasks[0]."), id=None)
        for problem in error.problems
    ]
    return InvalidDag(problems, [note.removeprefix("tasks[0]: ") for note in error.notes])


def read_words(words: Sequence[str]) -> list[str]:
    """Replace `@FILE` and `-` among *words* by what they hold. Raises `Misused`."""
    return [_held(word) for word in words]


def _held(word: str) -> str:
    if word == STDIN:
        if sys.stdin.isatty():
            print("Reading arguments from the terminal; Ctrl-D ends them.", file=sys.stderr)
    elif is_no_text(word):
        raise _bad(f"{word!a} is not UTF-8.")
    elif not word.startswith("@"):
        return word
    path = word.removeprefix("@")
    try:
        return read_input(path, "ARGUMENTS").decode()
    except UnicodeDecodeError:
        name = "standard input" if path == STDIN else path
        raise _bad(f"{name} cannot be read: it is not UTF-8.") from None


def read_arguments(words: Sequence[str], tool: Tool | None) -> JsonObject:
    """Read *words*, JSON objects and `key=value`, in this order. A value is of the type that the
    schema of *tool* gives it. Raises `Misused`."""
    arguments: JsonObject = {}
    for word in words:
        key, equals, value = word.partition("=")
        if word.lstrip()[:1] in {"{", "["} or not equals or not key:
            arguments |= _object(word)
        else:
            arguments[key] = _typed(value, _types(tool, key))
    return arguments


def _object(text: str) -> JsonObject:
    try:
        value = loads(text)
    except NotStrict as error:
        raise _bad(f"this is {error}. {EXAMPLE}") from None
    if not isinstance(value, dict):
        raise _bad(f"this is not a JSON object. {EXAMPLE}")
    return value


def _types(tool: Tool | None, key: str) -> set[str]:
    """Return the types that the schema of *tool* allows for *key*; empty if it does not say."""
    schema: Any = {} if tool is None else tool.definition.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    wanted = properties.get(key) if isinstance(properties, dict) else None
    if not isinstance(wanted, dict):
        return set()
    kinds = wanted.get("type", [])
    if not kinds and all(isinstance(each, str) for each in wanted.get("enum", [0])):
        return {"string"}
    return set(kinds) if isinstance(kinds, list) else {str(kinds)}


def _typed(text: str, types: set[str]) -> Json:
    """Read *text* as JSON unless only a text is wanted; what is not JSON is text."""
    if types == {"string"}:
        return text
    try:
        value = loads(text)
    except NotStrict:
        return [text] if types == {"array"} else text
    return value


def _bad(message: str) -> Misused:
    return Misused(message, hint="ARGUMENTS")
