"""A dry run as lines for a person to read."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.values.problems import some_of
from ..core.values.strict import Json, JsonObject
from .report import notes_report
from .style import TIMES, Line, Look, Styled, counted, milliseconds

MAX_CONFLICTS = 20


def plan_report(plan: JsonObject, name: str) -> Iterator[Line]:
    """Show layers, critical path, conflicts, the estimated duration, and what the DAG changes."""
    estimate = plan["estimate"]
    assert isinstance(estimate, dict)
    tasks, depth, most = (
        int(_number(estimate, key)) for key in ("tasks", "layers", "max_parallelism")
    )
    yield (
        Styled(name, Look.BOLD),
        f": {counted(tasks, 'task')}, {counted(depth, 'layer')}, at most {most} at once",
    )
    for number, layer in enumerate(_list(plan["layers"])):
        yield (Styled(f"{number:>3}", Look.DIM), f"  {'  '.join(_strings(layer))}")
    yield (Styled("critical path", Look.DIM), f"  {' → '.join(_strings(plan['critical_path']))}")
    yield from _conflicts(_objects(plan["conflicts"]))
    yield (Styled("estimate", Look.DIM), f"  {_estimate(estimate)}")
    writes = ", ".join(f"{item['id']} {item['tool']}" for item in _objects(plan["writes"]))
    yield (Styled("changes", Look.DIM), f"  {writes or 'nothing: every tool is read-only'}")
    yield (Styled("in words", Look.DIM),)
    for sentence in _strings(plan["explanation"]):
        yield (f"  {sentence}",)
    yield from notes_report(_strings(plan["notes"]))


def explanation_report(plan: JsonObject) -> Iterator[Line]:
    """Show what the DAG would do, in sentences, and the notes on how it was understood."""
    for sentence in _strings(plan["explanation"]):
        yield (sentence,)
    yield from notes_report(_strings(plan["notes"]))


def _conflicts(conflicts: list[JsonObject]) -> Iterator[Line]:
    for found in conflicts[:MAX_CONFLICTS]:
        line = (
            f"  {found['id']} waits for {found['waits_for']} ({found['resource']}: {found['why']})"
        )
        yield (Styled("conflict", Look.YELLOW), line)
    if len(conflicts) > MAX_CONFLICTS:
        yield (
            Styled(f"  … {len(conflicts) - MAX_CONFLICTS:,} more: see all with --json", Look.DIM),
        )


def _estimate(estimate: JsonObject) -> str:
    if "execution_time_ms" not in estimate:
        return "none: these tools were never called"
    wall, work = (
        milliseconds(_number(estimate, key)) for key in ("execution_time_ms", "sequential_time_ms")
    )
    untimed = _strings(estimate.get("untimed_tools"))
    guessed = f"; never called: {some_of(untimed, 5)}" if untimed else ""
    saved = ""
    if "speedup" in estimate:
        saved = f", {work} one at a time ({_number(estimate, 'speedup'):.1f}{TIMES})"
    return f"{wall} wall{saved}, by the last calls of each tool{guessed}"


def _number(members: JsonObject, key: str) -> float:
    return float(str(members[key]))


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _strings(value: Json) -> list[str]:
    return [str(item) for item in _list(value)]


def _objects(value: Json) -> list[JsonObject]:
    return [item for item in _list(value) if isinstance(item, dict)]
