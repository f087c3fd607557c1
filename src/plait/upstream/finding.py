"""Answers of `search_tools` and `describe_tools`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import anyio
import mcp_types as types

from ..core.tools.catalog import ServerInfo, ServerState, Tool
from ..core.tools.circuit import circuit_document
from ..core.values.problems import Problem, some_of
from ..core.values.schema import Schema
from ..core.values.strict import Json, JsonObject
from .answers import answer
from .budget import fit

if TYPE_CHECKING:
    from ..core.tools.search import SearchResult

LearnedShape: TypeAlias = Callable[[Tool], Schema | None]
"""Gives the shape that outputs of a tool had so far; None if unknown."""

MAX_LINE = 200
"""Most characters of a description or an error in a list."""


def search_answer(
    found: SearchResult, limit: int, shape_of: LearnedShape, notice: str = ""
) -> types.CallToolResult:
    """Answer with one line for each tool, under its need; without needs, with one for each server.
    A *notice* is among the notes."""
    notes = [notice] if notice else []
    if not found.needs:
        document: JsonObject = {
            "servers": [_server(info) for info in found.servers],
            "total": found.total,
            **({"notes": list[Json](notes)} if notes else {}),
        }
        states = [_server_line(info) for info in found.servers] or ["No servers are configured."]
        end = " ".join([f"{found.total:,} tools in all.", *notes])
        return answer(fit(document, limit), text=_joined(states, limit, lambda _: end))
    several = len(found.needs) > 1
    matched = [tool for _, matches in found.needs for tool in matches]
    signatures = {tool.full_name: tool.signature_with(shape_of(tool)) for tool in matched}
    tools: list[Json] = []
    lines: list[str] = []
    line_of: dict[str, int] = {}
    for need, matches in found.needs:
        lines += [f"{_line(need)}:"] if several else []
        for tool in matches:
            signature = signatures[tool.full_name]
            members: JsonObject = {
                "name": tool.full_name,
                "signature": signature,
                "description": _line(tool.description),
                "writes": not tool.is_read_only,
            }
            tools.append({**members, "need": _line(need)} if several else members)
            if tool.full_name in line_of:
                lines.append(f"{tool.full_name} (above)")
                continue
            description = f" - {_line(tool.description)}" if tool.description else ""
            writes = "" if tool.is_read_only else " [w]"
            lines.append(f"{_line(signature, 3 * MAX_LINE)}{description}{writes}")
            line_of[tool.full_name] = len(lines)
        lines += [] if matches else ["nothing found"]
    if missing := [info for info in found.servers if not info.is_known]:
        servers = some_of([f"{info.name} ({info.condition})" for info in missing], 8)
        notes.append(f"Not searched, because not connected: {servers}.")
        if any(info.state is ServerState.CONNECTING for info in missing):
            notes.append("Ask again in some seconds.")
    if found.unsearched:
        needs = some_of([f'"{_line(need, 60)}"' for need in found.unsearched], 5)
        most = len(found.needs)
        notes.append(f"Not searched, because a query has at most {most} needs: {needs}.")
    document = {
        "tools": tools,
        "total": found.total,
        **({"notes": list[Json](notes)} if notes else {}),
    }

    def last(kept: int) -> str:
        shown = sum(line <= kept for line in line_of.values())
        return " ".join([f"{shown:,} of {found.total:,} tools shown.", *notes])

    return answer(fit(document, limit), text=_joined(lines, limit, last))


def describe_answer(
    tools: Sequence[Tool],
    unknown: Sequence[Problem],
    names: Sequence[str],
    limit: int,
    shape_of: LearnedShape,
) -> types.CallToolResult:
    """Answer with the full definitions of *tools*, and for each *unknown* name with what it may
    have meant."""
    shown = ("title", "description", "inputSchema", "outputSchema", "annotations")
    definitions: list[Json] = []
    for tool in tools:
        definition = {
            "name": tool.full_name,
            **{name: tool.definition[name] for name in shown if name in tool.definition},
        }
        if (shape := shape_of(tool)) is not None:
            definition["outputShape"] = shape.definition
        definitions.append(definition)
    document: JsonObject = {"tools": definitions}
    if unknown:
        document["unknown"] = [_unknown(problem, names) for problem in unknown]
    return answer(fit(document, limit), is_error=not tools)


def _server(info: ServerInfo) -> JsonObject:
    members: JsonObject = {
        "name": info.name,
        "state": str(info.state),
        **circuit_document(info.open_until, anyio.current_time()),
        "tools": info.tools,
    }
    return {**members, "error": _line(info.error)} if info.error else members


def _server_line(info: ServerInfo) -> str:
    tools = f"{info.tools:,} tool{'' if info.tools == 1 else 's'}"
    return f"{info.name}: {info.condition}, {tools}" + (
        f" ({_line(info.error)})" if info.error else ""
    )


def _unknown(problem: Problem, names: Sequence[str]) -> JsonObject:
    index = int(problem.path.partition("[")[2].rstrip("]") or 0)
    members: JsonObject = {"name": names[index][:120], "message": problem.message}
    return {**members, "hint": problem.hint} if problem.hint else members


def _line(text: str, most: int = MAX_LINE) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _joined(lines: list[str], limit: int, last: Callable[[int], str]) -> str:
    """Join the first *lines* that fit, the number of lines left out, and the text that *last* makes
    of the number of lines kept."""
    room = limit - len(last(len(lines))) - 40
    kept = 0
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept += 1
    left_out = [f"… {len(lines) - kept:,} more lines"] if kept < len(lines) else []
    return "\n".join([*lines[:kept], *left_out, last(kept)])
