"""`plait plan`, `plait tools` and `plait servers`: commands that only show something."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import typer

from ..config import Config
from ..core.tools.catalog import ServerInfo, ServerState, Tool
from ..core.values.problems import did_you_mean
from ..core.values.strict import Json, JsonObject
from ..engine.gateway import Gateway
from .documents import Document, Source, read_document
from .exits import Exit
from .live import showing, starting_rows
from .planned import explanation_report, plan_report
from .session import Session
from .style import Line, Look, Styled, counted, one_line

MAX_FOUND = 20

_STATE_MARKS = {
    ServerState.READY: Styled("✓", Look.GREEN),
    ServerState.CONNECTING: Styled("●", Look.BLUE),
    ServerState.RETRYING: Styled("✗", Look.RED),
    ServerState.IDLE: Styled("○", Look.DIM),
    ServerState.STOPPED: Styled("✗", Look.RED),
}


async def plan_dag(gateway: Gateway, session: Session, source: Source) -> int:
    """Check the DAG in *source* and show how it would run."""
    return await show_plan(gateway, session, source.name, read_document(source))


async def show_plan(gateway: Gateway, session: Session, name: str, document: Document) -> int:
    async with showing(session.console.err, partial(starting_rows, gateway)):
        plan = await gateway.plan(document.value)
    if session.as_json:
        session.console.out.json(plan)
    else:
        session.console.out.lines(plan_report(plan, name))
    return Exit.SUCCESS


async def explain_dag(gateway: Gateway, session: Session, source: Source) -> int:
    """Check the DAG in *source* and say in sentences what it would do."""
    document = read_document(source)
    async with showing(session.console.err, partial(starting_rows, gateway)):
        plan = await gateway.plan(document.value)
    if session.as_json:
        session.console.out.json({name: plan[name] for name in ("status", "explanation", "notes")})
    else:
        session.console.out.lines(explanation_report(plan))
    return Exit.SUCCESS


async def list_tools(gateway: Gateway, session: Session, words: str, server: str | None) -> int:
    """Show the tools that *words* find, best first, with signatures; or all, a line each. Tools
    that the policy denies are not shown."""
    async with showing(session.console.err, partial(starting_rows, gateway)):
        await gateway.settled()
    catalog = gateway.catalog()
    if server is not None and server not in catalog.servers:
        hint = (
            did_you_mean(server, catalog.servers)
            or f"Servers: {', '.join(catalog.servers) or 'none'}."
        )
        raise typer.BadParameter(f'unknown server "{server}". {hint}', param_hint="--server")
    allowed = [
        tool for tool in catalog.tools.values() if gateway.denied_by(tool.server, tool.name) is None
    ]
    if words:
        found = await gateway.search(words, server=server, limit=MAX_FOUND)
        tools = list(dict.fromkeys(tool for _, matches in found.needs for tool in matches))
    else:
        tools = [tool for tool in allowed if server in {None, tool.server}]
    out, err = session.console.out, session.console.err
    signatures = {
        tool.full_name: tool.signature_with(gateway.learned.shape(tool)) for tool in tools
    }
    if session.as_json:
        documents: list[Json] = [_tool(tool, signatures[tool.full_name]) for tool in tools]
        out.json({"tools": documents, "total": len(allowed)})
    else:
        out.lines(_found(tools, signatures, out.width) if words else _listed(tools, out.width))
        err.line(f"{counted(len(tools), 'tool')}{f' of {len(allowed):,}' if words else ''}")
    there = {ServerState.READY, ServerState.IDLE}
    absent = [info for info in catalog.servers.values() if info.state not in there]
    err.lines(
        (f"{info.name} is {info.state}: {info.error or 'it has not answered yet'}",)
        for info in absent
    )
    return Exit.SUCCESS


async def list_servers(gateway: Gateway, session: Session) -> int:
    """Show the state of each server. If one does not start, that is a result, not a failure."""
    async with showing(session.console.err, partial(starting_rows, gateway)):
        await gateway.settled()
    catalog = gateway.catalog()
    servers = list(catalog.servers.values())
    disabled = [name for name, settings in session.config.servers.items() if not settings.enabled]
    out = session.console.out
    if session.as_json:
        documents: list[Json] = [_server(info) for info in servers]
        documents += [{"name": name, "state": "disabled"} for name in disabled]
        notes: list[Json] = list(_notes(session.config))
        out.json(
            {
                "config": session.config.source,
                "servers": documents,
                **({"notes": notes} if notes else {}),
            }
        )
        return Exit.SUCCESS
    out.lines(_server_lines(servers, disabled))
    session.console.err.line(f"from {session.config.source}")
    session.console.err.lines((f"note: {note}",) for note in _notes(session.config))
    return Exit.SUCCESS


def _notes(config: Config) -> Iterator[str]:
    """Yield the notes on the settings, and one if nothing can be kept from start to start."""
    yield from config.notes
    folder = config.state_folder
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            why = None if os.access(folder, os.W_OK) else os.strerror(errno.EACCES)
        except OSError as error:
            why = error.strerror
        if why is not None:
            yield f"{folder} cannot be written ({why}): what servers list is not remembered"


def _listed(tools: list[Tool], width: int) -> Iterator[Line]:
    longest = min(48, max((len(tool.full_name) for tool in tools), default=0))
    for tool in tools:
        name = tool.full_name.ljust(longest)
        mark = Styled("   " if tool.is_read_only else "[w]", Look.YELLOW)
        room = max(20, width - len(name) - 8)
        yield (
            Styled(name, Look.BOLD),
            "  ",
            mark,
            "  ",
            one_line(_first_sentence(tool.description), room),
        )


def _found(tools: list[Tool], signatures: Mapping[str, str], width: int) -> Iterator[Line]:
    for tool in tools:
        _, _, rest = signatures[tool.full_name].partition(tool.full_name)
        mark = () if tool.is_read_only else (Styled(" [w]", Look.YELLOW),)
        yield (Styled(tool.full_name, Look.BOLD), *mark)
        yield (f"    {one_line(rest, 4 * width)}",)
        if tool.description:
            yield ("    ", Styled(one_line(tool.description, 2 * width), Look.DIM))


def _first_sentence(text: str) -> str:
    first, stop, _ = " ".join(text.split()).partition(". ")
    return first + stop.strip()


def _tool(tool: Tool, signature: str) -> JsonObject:
    return {
        "name": tool.full_name,
        "signature": signature,
        "writes": not tool.is_read_only,
        "definition": tool.definition,
    }


def _server_lines(servers: Iterable[ServerInfo], disabled: Iterable[str]) -> Iterator[Line]:
    shown = list(servers)
    longest = max((len(info.transport) for info in shown), default=0)
    for info in shown:
        facts = (
            info.name.ljust(16),
            str(info.state).ljust(10),
            info.transport.ljust(longest),
            (info.protocol or "").ljust(10),
        )
        rest = f"  {counted(info.tools, 'tool')}" + (f"  {info.title}" if info.title else "")
        yield (
            _STATE_MARKS[info.state],
            " ",
            Styled(facts[0], Look.BOLD),
            "  ",
            "  ".join(facts[1:]),
            rest,
        )
        yield from ((f"      {line}",) for line in (info.error or "").splitlines())
        yield from (("      ", Styled(warning, Look.YELLOW)) for warning in info.warnings)
    yield from ((Styled("-", Look.DIM), f" {name.ljust(16)}  disabled") for name in disabled)


def _server(info: ServerInfo) -> JsonObject:
    members: JsonObject = {
        "name": info.name,
        "state": str(info.state),
        "transport": info.transport,
        "protocol": info.protocol,
        "title": info.title,
        "tools": info.tools,
        "error": info.error,
        "warnings": list[Json](info.warnings),
        "pid": info.pid,
    }
    return {name: value for name, value in members.items() if value is not None}
