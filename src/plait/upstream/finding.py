"""What `search_tools` and `describe_tools` answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import mcp_types as types

from ..core.tools.catalog import ServerInfo, ServerState, Tool
from ..core.values.problems import Problem, some_of
from ..core.values.schema import Schema
from ..core.values.strict import Json, JsonObject
from .answers import answer
from .budget import fit

if TYPE_CHECKING:
    from ..core.tools.search import SearchResult

RecentUris: TypeAlias = Callable[[Tool], Schema | None]
"""The shape that outputs of a tool had so far."""

MAX_LINE = 200
"""Of a description or an error, in a line of a list."""


def search_answer(found: SearchResult, limit: int, seen: RecentUris) -> types.CallToolResult:
    """One line a tool, under its need; without a need, one line a server."""
    if not found.needs:
        document: JsonObject = {
            "servers": [_server(info) for info in found.servers],
            "total": found.total,
        }
        states = [_server_line(info) for info in found.servers] or ["No servers are configured."]
        return answer(
            fit(document, limit),
            text=_joined(states, limit, lambda _: f"{found.total:,} tools in all."),
        )
    several = len(found.needs) > 1
    matched = [tool for _, matches in found.needs for tool in matches]
    signatures = {tool.full_name: tool.signature_with(seen(tool)) for tool in matched}
    tools: list[Json] = [
        _tool(tool, signatures, need if several else None)
        for need, matches in found.needs
        for tool in matches
    ]
    lines: list[str] = []
    line_of: dict[str, int] = {}
    for need, matches in found.needs:
        lines += [f"{_line(need)}:"] if several else []
        for tool in matches:
            lines.append(
                _tool_line(tool, signatures[tool.full_name], is_above=tool.full_name in line_of)
            )
            line_of.setdefault(tool.full_name, len(lines))
        lines += [] if matches else ["nothing found"]
    document = {"tools": tools, "total": found.total}
    unsearched = _unsearched(found)
    if unsearched:
        document["notes"] = [unsearched]

    def last(kept: int) -> str:
        shown = sum(line <= kept for line in line_of.values())
        said = [f"{shown:,} of {found.total:,} tools shown.", _missing(found.servers), unsearched]
        return " ".join(filter(None, said))

    return answer(fit(document, limit), text=_joined(lines, limit, last))


def describe_answer(
    tools: Sequence[Tool],
    unknown: Sequence[Problem],
    names: Sequence[str],
    limit: int,
    seen: RecentUris,
) -> types.CallToolResult:
    """Full definitions, under their full names; and for each name that none has, what it may have
    meant."""
    document: JsonObject = {"tools": [_definition(tool, seen(tool)) for tool in tools]}
    if unknown:
        document["unknown"] = [_unknown(problem, names) for problem in unknown]
    return answer(fit(document, limit), is_error=not tools)


def _tool(tool: Tool, signatures: Mapping[str, str], need: str | None) -> JsonObject:
    members: JsonObject = {
        "name": tool.full_name,
        "signature": signatures[tool.full_name],
        "description": _line(tool.description),
        "writes": not tool.is_read_only,
    }
    return members if need is None else {**members, "need": _line(need)}


def _tool_line(tool: Tool, signature: str, *, is_above: bool) -> str:
    """The tool in one line; of one that was shown for an earlier need, its name alone."""
    if is_above:
        return f"{tool.full_name} (above)"
    description = f" - {_line(tool.description)}" if tool.description else ""
    return f"{_line(signature, 3 * MAX_LINE)}{description}{'' if tool.is_read_only else ' [w]'}"


def _server(info: ServerInfo) -> JsonObject:
    members: JsonObject = {"name": info.name, "state": str(info.state), "tools": info.tools}
    return {**members, "error": _line(info.error)} if info.error else members


def _server_line(info: ServerInfo) -> str:
    tools = f"{info.tools:,} tool{'' if info.tools == 1 else 's'}"
    return f"{info.name}: {info.state}, {tools}" + (f" ({_line(info.error)})" if info.error else "")


def _missing(servers: Sequence[ServerInfo]) -> str:
    absent = [
        f"{info.name} ({info.state})" for info in servers if info.state is not ServerState.READY
    ]
    return f"Not searched, because not connected: {some_of(absent, 8)}." if absent else ""


def _unsearched(found: SearchResult) -> str:
    if not found.unsearched:
        return ""
    needs = some_of([f'"{_line(need, 60)}"' for need in found.unsearched], 5)
    return f"Not searched, because a query has at most {len(found.needs)} needs: {needs}."


def _definition(tool: Tool, seen: Schema | None) -> JsonObject:
    shown = ("title", "description", "inputSchema", "outputSchema", "annotations")
    definition = {
        "name": tool.full_name,
        **{name: tool.definition[name] for name in shown if name in tool.definition},
    }
    return definition if seen is None else {**definition, "outputShape": seen.definition}


def _unknown(problem: Problem, names: Sequence[str]) -> JsonObject:
    index = int(problem.path.partition("[")[2].rstrip("]") or 0)
    members: JsonObject = {"name": names[index][:120], "message": problem.message}
    return {**members, "hint": problem.hint} if problem.hint else members


def _line(text: str, most: int = MAX_LINE) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _joined(lines: list[str], limit: int, last: Callable[[int], str]) -> str:
    """The first of *lines* that fit, how many are left out, and what *last* says after so many."""
    room = limit - len(last(len(lines))) - 40
    kept = 0
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept += 1
    left_out = [f"… {len(lines) - kept:,} more lines"] if kept < len(lines) else []
    return "\n".join([*lines[:kept], *left_out, last(kept)])
