"""What is left of runs whose gateways were killed: the log of the servers, the history, and what
the same runs are where nothing dies."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import anyio

from plait.core.history import Effect
from plait.core.results.record import RunRecord
from plait.core.values.principal import USER
from plait.engine.gateway import Gateway
from plait.engine.recalling import kept_record
from plait.stores.history.reading import Reading
from plait.stores.in_memory import InMemoryRuns

from ..clock import VirtualLoop
from ..engine.stories import SELECT, Broken, Seen, answer, how_answered, name_of
from ..fakes import FakeServers, structured, text, tool
from .crash_server import HINTS

BRANCHES = ("for_each", "repeat", "tasks", "value")


class Line(NamedTuple):
    """A line in the log of the servers."""

    seen: Seen
    arguments: dict[str, Any]
    key: str | None
    """The key that makes the call idempotent."""
    flag: bool | None


@dataclass
class Outcome:
    """What has become of a run."""

    status: str
    tasks: dict[str, dict[str, Any]]
    """The status of each task, and the codes of its errors."""
    outputs: dict[str, Any]
    is_short_of_retries: bool = False
    """Whether a retry was not made, since its server had had too many."""


def read_log(
    log: Path, numbers: Mapping[int, int]
) -> tuple[dict[int, list[Line]], dict[int, float]]:
    """Return the lines of each story, and when a server killed each gateway. *numbers* are those of
    the gateways, by their processes."""
    lines: defaultdict[int, list[Line]] = defaultdict(list)
    killed: dict[int, float] = {}
    for written in log.read_text().splitlines():
        line = json.loads(written)
        life = numbers[line["gateway"]]
        if line["what"] == "killed":
            killed.setdefault(life, line["at"])
            continue
        arguments = line["arguments"]
        seen = Seen(line["what"], f"s:{line['tool']}", name_of(arguments), life, line["at"])
        kept = Line(seen, arguments, line["key"], line.get("flag"))
        lines[arguments["story"]].append(kept)
    return lines, killed


def has_written(reading: Reading, run_id: str) -> bool:
    """Whether a run sent a call that may change something."""
    return any(
        call.effect is not Effect.READ and call.sent_at is not None
        for call in reading.calls(run_id, values=False)
    )


def outcome_of(reading: Reading, run_id: str) -> Outcome:
    """Return what the history says of the last run that went on from *run_id*."""
    chain = reading.chain(run_id, USER)
    assert chain is not None
    head = chain.head
    if head.record is None:
        raise Broken(f"{head.entry.id} is {head.entry.status}")
    record = kept_record(head, head.record)
    outputs = {
        id: output.value
        for id in record.tasks
        if (output := reading.output(head.entry.id, id)) is not None
    }
    return _outcome(record, outputs)


def _outcome(record: RunRecord, outputs: Mapping[str, Any]) -> Outcome:
    tasks, hints = {}, []
    for id, task in record.tasks.items():
        errors = [task.error] if task.error is not None else []
        errors += [error for _, error in task.items.errors] if task.items is not None else []
        hints += [error.hint or "" for error in errors]
        codes = {error.code for error in errors}
        tasks[id] = {"status": str(task.status), "codes": codes}
    is_short = any("too many calls" in hint for hint in hints)
    return Outcome(str(record.status), tasks, dict(outputs), is_short)


def references(documents: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """Return what the runs of *documents* become where nothing dies, each by itself in memory."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return [runner.run(_reference(document)) for document in documents]


async def _reference(document: Mapping[str, Any]) -> Outcome:
    servers, arrived = FakeServers(), Counter[str]()

    async def called(**arguments: Any) -> Any:
        name = name_of(arguments)
        arrived[name] += 1
        how = how_answered(arguments, arrived[name])
        await anyio.sleep(arguments["ms"] / 1_000)
        if how == "badly":
            return text("no", is_error=True)
        return structured(answer(arguments, Random(0), how))

    for name, hints in HINTS.items():
        for server in "su":
            servers.add(tool(f"{server}:{name}", {"key": {}}, closed=False, **hints), called)
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        result = await gateway.execute({**document, "durable": "off"})
    return _outcome(result.record, result.outputs)


def check_answer(answer: Mapping[str, Any], found: Outcome) -> None:
    """Check that a client was told what the history says."""
    if answer["status"] != found.status:
        raise Broken(f"a client got {answer['status']}, and the history has {found.status}")
    for task in answer["tasks"]:
        kept = found.tasks.get(task["id"])  # a task in a group has none of its own
        if kept is not None and task["status"] != kept["status"]:
            raise Broken(f"a client got {task}, and the history has {found.tasks[task['id']]}")


def check_keys(lines: Sequence[Line]) -> None:
    """Check that each call that may change something has a key of its own, and only one."""
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for line in lines:
        if line.seen.tool != "s:read" and "polls" not in line.arguments:
            if line.key is None:
                raise Broken(f"{line.seen.call} has no key")
            keys[line.seen.call].add(line.key)
    several = {call: found for call, found in keys.items() if len(found) > 1}
    if several or len(set.union(set(), *keys.values())) < len(keys):
        raise Broken(f"keys are not one for each call: {dict(keys)}")


def check_values(document: Mapping[str, Any], lines: Sequence[Line], found: Outcome) -> None:
    """Check that each single call which succeeded has the output that was its last answer."""
    last = {line.seen.call: line for line in lines if line.seen.what == "well"}
    for task in document["tasks"]:
        id = task["id"]
        line = last.get(f"{id}/0")
        is_single = not any(name in task for name in BRANCHES)
        if not is_single or line is None or found.tasks[id]["status"] != "success":
            continue
        expected = {**answer(line.arguments, Random(0)), "flag": line.flag}
        if task.get("select") == SELECT:
            expected = {name: expected[name] for name in ("mark", "flag", "list")}
        if found.outputs.get(id) != expected:
            raise Broken(f"{id} has not the output of its call: {found.outputs.get(id)}")


def told(lines: Sequence[Line], deaths: Mapping[int, float]) -> str:
    """Tell what the servers saw of one story, and when its gateways died, from its beginning."""
    began = lines[0].seen.at if lines else 0.0
    rows = [
        (seen.at, f"gateway {seen.life}: {seen.tool} {seen.call} {seen.what}, key {str(key)[:8]}")
        for seen, _, key, _ in lines
    ]
    lives = {line.seen.life for line in lines}
    rows += [(at, f"gateway {life} was killed") for life, at in deaths.items() if life in lives]
    return "\n".join(f"{1_000 * (at - began):9.1f} ms  {row}" for at, row in sorted(rows))
