"""Runs as lines of JSON, to be kept elsewhere and looked at there: `export` writes them, `take_in`
reads them into a history.

The first line of a run has what it began with; then follow the definitions of its tools, unless an
earlier run has had them, its attempts, its events and its settled
tasks, and how it ended. Each line is an object with one member, whose name says what it is. A run
that is taken in is the first of a chain of its own, and final: the machine that it comes from could
go on with it, too, and then calls would be sent twice. Nothing is taken out of the values.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any

from ...core.history import (
    RUNNING,
    Admission,
    Beginning,
    CallKey,
    Durable,
    Effect,
    Ending,
    Happened,
    Intent,
    KeptCall,
    KeptEvent,
    KeptRun,
    Kind,
    Outcome,
    Row,
    Settled,
)
from ...core.history_store import History
from ...core.scheduling.events import Failure, Status
from ...core.tools.output import Output
from ...core.values.principal import Principal
from ...core.values.strict import Json, NotStrict, encode, loads
from .packing import members_of_output, output_of

VERSION = 1
DEPTH = 200
"""The deepest nesting of a line: somewhat more than an output may have."""
_SHARED = {field.name for field in fields(Beginning)} - {
    "document",
    "is_taken_in",
    "definitions",
}


class NotExported(ValueError):
    """A line was not written by `export`; the message says which, and why."""


async def export(history: History, run_ids: Iterable[str]) -> AsyncIterator[bytes]:
    """Write the runs, each as lines, without those that still run or are unknown."""
    written: set[str] = set()
    """The digests of the definitions that were written."""
    for run_id in run_ids:
        kept = await history.run(run_id)
        if kept is None or kept.entry.status == RUNNING:
            continue
        yield _line("run", _run(kept))
        digest = kept.entry.catalog_digest
        if digest not in written and (tools := await history.definitions(run_id)) is not None:
            yield _line("tools", {"digest": digest, "definitions": tools})
            written.add(digest)
        for call in await history.calls(run_id, values=True):
            yield _line("call", _call(call))
        for event in await history.events(run_id):
            yield _line("event", _event(event))
        for settled in await history.settled(run_id):
            yield _line("settled", _settled(settled))
        yield _line("end", _end(kept))


async def take_in(history: History, lines: Iterable[str | bytes]) -> list[str]:
    """Read the runs in *lines* into *history*, but for those that it has; returns their ids. Raises
    `NotExported`, and then the runs before that line are taken in."""
    found: list[str] = []
    tools: dict[str, list[Json]] = {}
    run: _Incoming | None = None
    for number, line in enumerate(lines, 1):
        try:
            parts = [*_object(loads(line, DEPTH)).items()]
            if len(parts) != 1:
                raise ValueError("it is to be an object with one member")
            what, members = parts[0][0], _object(parts[0][1])
            if what == "run":
                run = _Incoming(members)
                continue
            if run is None:
                raise ValueError("its run is missing")
            if what == "tools":
                tools[members["digest"]] = members["definitions"]
                continue
            run.add(what, members)
        except (NotStrict, ValueError, TypeError, KeyError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            if "__init__()" in why:  # Python's own words
                why = "its members are not those that export writes"
            raise NotExported(f"line {number} is not a line of a run: {why}") from error
        if what == "end" and await history.run(run.beginning.id) is None:
            known = partial(list[Json], tools.get(run.beginning.catalog_digest, ()))
            log = history.begin(replace(run.beginning, definitions=known))
            for row in run.rows():
                log.put(row)
            await log.committed()
            found.append(log.id)
    return found


class _Incoming:
    """A run whose lines are being read."""

    def __init__(self, members: dict[str, Any]) -> None:
        if members.pop("version") != VERSION:
            raise ValueError("it is of another version of Plait")
        self.beginning = replace(
            Beginning(**members),
            kind=Kind(members["kind"]),
            durable=Durable(members["durable"]),
            principal=Principal(members["principal"]),
            is_taken_in=True,
        )
        self._placed: list[tuple[int, Row]] = []
        self._last: list[Row] = []

    def rows(self) -> list[Row]:
        """Return its rows in their order."""
        return [
            *[row for _, row in sorted(self._placed, key=lambda placed: placed[0])],
            *self._last,
        ]

    def add(self, what: str, members: Mapping[str, Any]) -> None:
        match what:
            case "call":
                self._add_call(**members)
            case "event":
                key = None if members["key"] is None else _key(members["key"])
                event = Happened(members["at"], members["kind"], key, members["detail"])
                self._placed.append((members["number"], event))
            case "settled":
                self._last.append(
                    Settled(
                        members["task"],
                        members["at"],
                        Status(members["status"]),
                        _failure(members["error"]),
                        output_of(members["output"]),
                    )
                )
            case "end":
                self._last.append(Ending(**members))
            case _:
                raise ValueError(f'"{what[:40]}" is unknown')

    def _add_call(
        self,
        key: Json,
        attempt: int,
        tool: str,
        effect: str,
        admitted: int,
        admitted_at: float,
        sent_at: float | None,
        ended: int | None,
        ended_at: float | None,
        arguments_digest: str,
        arguments: Json,
        output: Json,
        error: Json,
        cached: bool,
    ) -> None:
        name = _key(key)
        values, digest = ({}, arguments_digest) if arguments is None else (_object(arguments), None)
        admission = Admission(name, attempt, admitted_at, tool, Effect(effect), values, digest)
        self._placed.append((admitted, admission))
        if sent_at is not None and effect != Effect.READ:
            self._placed.append((admitted, Intent(name, attempt, sent_at)))
        if ended is not None and ended_at is not None:
            left = output_of(output)
            outcome = Outcome(name, attempt, ended_at, left, _failure(error), cached, sent_at)
            self._placed.append((ended, outcome))


def _run(kept: KeptRun) -> dict[str, Any]:
    entry = {name: value for name, value in asdict(kept.entry).items() if name in _SHARED}
    members = {"document": kept.document, "keeps_values": kept.entry.has_values}
    return {"version": VERSION, **entry, **members}


def _call(call: KeptCall) -> dict[str, Any]:
    members = asdict(replace(call, output=None))
    del members["run"]
    return members | {"key": list(call.key), "output": _members(call.output)}


def _event(kept: KeptEvent) -> dict[str, Any]:
    at, kind, key, detail = kept.event
    name = None if key is None else list(key)
    return {"number": kept.number, "at": at, "kind": kind, "key": name, "detail": detail}


def _settled(settled: Settled) -> dict[str, Any]:
    error = None if settled.error is None else asdict(settled.error)
    return settled._asdict() | {"error": error, "output": _members(settled.output)}


def _end(kept: KeptRun) -> dict[str, Any]:
    entry = kept.entry
    at = None if entry.ended is None else entry.ended - entry.began
    members = {"at": at, "status": entry.status, "record": kept.record}
    return members | {"calls": entry.calls, "failed": entry.failed}


def _line(what: str, members: dict[str, Any]) -> bytes:
    return encode({what: _plain(members)}) + b"\n"


def _plain(value: Any) -> Json:
    """Replace tuples and enums by lists and texts."""
    match value:
        case dict():
            return {name: _plain(member) for name, member in value.items()}
        case list() | tuple():
            return [_plain(member) for member in value]
        case str():
            return str(value)
    plain: Json = value
    return plain


def _members(output: Output | None) -> Json:
    return None if output is None else members_of_output(output)


def _key(value: Any) -> CallKey:
    task, item, at, round = value
    return CallKey(task, item, tuple(at), round)


def _failure(value: Any) -> Failure | None:
    return None if value is None else Failure(**value)


def _object(value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("an object is missing")
    return value
