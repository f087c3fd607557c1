"""`plait plan`, `plait tools` and `plait servers`: commands that only show something."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import anyio

from ..config import Config
from ..core.tools.catalog import ServerInfo, ServerState, Tool, shown
from ..core.tools.circuit import circuit_document
from ..core.values.problems import did_you_mean, some_of
from ..core.values.strict import Json, JsonObject, present
from ..engine.gateway import Gateway
from .documents import Document, Source, read_document
from .exits import Exit, Misused
from .invocation import Invocation
from .live import showing, starting_rows
from .planned import explanation_report, plan_report
from .style import Line, Look, Styled, counted, one_line
from .widths import padded, width_of

MAX_FOUND = 20
DISABLED = "disabled"

STATE_MARKS = {
    ServerState.READY: Styled("✓", Look.GREEN),
    ServerState.NOT_STARTED: Styled("○", Look.DIM),
    ServerState.CONNECTING: Styled("●", Look.BLUE),
    ServerState.RETRYING: Styled("✗", Look.RED),
    ServerState.IDLE: Styled("○", Look.DIM),
    ServerState.STOPPED: Styled("✗", Look.RED),
    ServerState.NEEDY: Styled("✗", Look.RED),
    ServerState.REFUSED: Styled("✗", Look.RED),
}


async def plan_dag(gateway: Gateway, invocation: Invocation, source: Source) -> int:
    """Check the DAG in *source* and show how it would run."""
    invocation.document = source.name
    document = await invocation.work(partial(read_document, source))
    return await show_plan(gateway, invocation, source.name, document)


async def show_plan(gateway: Gateway, invocation: Invocation, name: str, document: Document) -> int:
    async with showing(invocation.console.err, partial(starting_rows, gateway)):
        plan = await gateway.plan(document.value)
    out = invocation.console.out
    if invocation.as_json:
        await invocation.work(partial(out.json, plan))
    else:
        await invocation.work(lambda: out.lines(plan_report(plan, name)))
    return Exit.SUCCESS


async def explain_dag(gateway: Gateway, invocation: Invocation, source: Source) -> int:
    """Check the DAG in *source* and say in sentences what it would do."""
    invocation.document = source.name
    document = await invocation.work(partial(read_document, source))
    async with showing(invocation.console.err, partial(starting_rows, gateway)):
        plan = await gateway.plan(document.value)
    out = invocation.console.out
    if invocation.as_json:
        out.json({name: plan[name] for name in ("status", "explanation", "notes")})
    else:
        out.lines(explanation_report(plan))
    return Exit.SUCCESS


async def list_tools(
    gateway: Gateway, invocation: Invocation, config: Config, words: str, server: str | None
) -> int:
    """Show the tools that *words* find, best first, with signatures; or all, a line each. Tools
    that the policy denies are not shown. Without any server, the notes on *config* say why."""
    async with showing(invocation.console.err, partial(starting_rows, gateway)):
        await gateway.settled()
    catalog = gateway.catalog()
    if server is not None and server not in catalog.servers:
        hint = (
            did_you_mean(server, catalog.servers)
            or f"Servers: {', '.join(catalog.servers) or 'none'}."
        )
        raise Misused(f'unknown server "{server}". {hint}', hint="--server")
    allowed = [
        tool for tool in catalog.tools.values() if gateway.denied_by(tool.server, tool.name) is None
    ]
    if words:
        found = await gateway.search(words, server=server, limit=MAX_FOUND)
        tools = list(dict.fromkeys(tool for _, matches in found.needs for tool in matches))
    else:
        tools = [tool for tool in allowed if server in {None, tool.server}]
    out, err = invocation.console.out, invocation.console.err
    signatures = {
        tool.full_name: tool.signature_with(gateway.learned.shape(tool)) for tool in tools
    }
    if invocation.as_json:
        documents: list[Json] = [_tool(tool, signatures[tool.full_name]) for tool in tools]
        await invocation.work(partial(out.json, {"tools": documents, "total": len(allowed)}))
    else:
        out.lines(_found(tools, signatures, out.width) if words else _listed(tools, out.width))
        err.line(f"{counted(len(tools), 'tool')}{f' of {len(allowed):,}' if words else ''}")
    if not catalog.servers and not invocation.as_json:
        err.line(f"no servers in {config.source}")
        err.lines((f"note: {note}",) for note in config.notes)
    there = {ServerState.READY, ServerState.IDLE}
    absent = [info for info in catalog.servers.values() if info.state not in there]
    err.lines(
        (f"{info.name}: {info.condition}: {info.error or 'it has not answered yet'}",)
        for info in absent
    )
    return Exit.SUCCESS


async def list_servers(gateway: Gateway, invocation: Invocation, config: Config) -> int:
    """Show the state of each server of *config*. If one does not start, that is a result, not a
    failure."""
    from ..config.rule_notes import unmatched

    async with showing(invocation.console.err, partial(starting_rows, gateway)):
        await gateway.settled()
    out = invocation.console.out
    documents = [server_document(info) for info in gateway.catalog().servers.values()]
    documents += [
        {"name": name, "state": DISABLED}
        for name, settings in config.servers.items()
        if not settings.enabled
    ]
    found = (*_notes(config), *unmatched(config, gateway.catalog()))
    if invocation.as_json:
        servers, notes = list[Json](documents), list[Json](found)
        noted: JsonObject = {"notes": notes} if notes else {}
        out.json({"config": config.source, "servers": servers, **noted})
        return Exit.SUCCESS
    out.lines(server_lines(documents))
    source = f"from {config.source}" if documents else f"no servers in {config.source}"
    invocation.console.err.line(source)
    invocation.console.err.lines((f"note: {note}",) for note in found)
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
    longest = min(48, max((width_of(tool.full_name) for tool in tools), default=0))
    for tool in tools:
        name = padded(tool.full_name, longest)
        mark = Styled("   " if tool.is_read_only else "[w]", Look.YELLOW)
        room = max(20, width - width_of(name) - 8)
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


def server_lines(servers: Sequence[JsonObject]) -> Iterator[Line]:
    """Show *servers*, as `server_document` makes them."""
    longest = max((len(str(server.get("transport", ""))) for server in servers), default=0)
    for server in servers:
        name, state = str(server["name"]).ljust(16), str(server["state"])
        if state == DISABLED:
            yield (Styled("-", Look.DIM), f" {name}  {state}")
            continue
        facts = (
            condition_of(server).ljust(11),
            str(server["transport"]).ljust(longest),
            str(server.get("protocol", "")).ljust(10),
        )
        tools, title = server["tools"], server.get("title")
        rest = f"  {counted(tools if isinstance(tools, int) else 0, 'tool')}"
        yield (
            STATE_MARKS[ServerState(state)],
            " ",
            Styled(name, Look.BOLD),
            "  ",
            "  ".join(facts),
            rest + (f"  {title}" if title else ""),
        )
        yield from ((f"      {line}",) for line in str(server.get("error", "")).splitlines())
        match server:
            case {"circuit": "open", "retry_after_s": float(left_s)}:
                circuit = f"circuit open: its last calls failed, the next may go in {left_s:g} s"
                yield ("      ", Styled(circuit, Look.YELLOW))
            case {"circuit": "half_open"}:
                circuit = "circuit half open: its last calls failed, the next one is a probe"
                yield ("      ", Styled(circuit, Look.YELLOW))
        warnings = server["warnings"]
        for warning in warnings if isinstance(warnings, list) else ():
            yield ("      ", Styled(str(warning), Look.YELLOW))


def condition_of(server: JsonObject) -> str:
    """Return the state in *server*, as `server_document` makes it, for a reader."""
    needs = server.get("needs")
    if not isinstance(needs, list):
        return str(server["state"])
    return f"needs {some_of([str(one) for one in needs], 3)}"


def server_document(info: ServerInfo) -> JsonObject:
    """Return the state of a server as a JSON document."""
    return present(
        name=shown(info.name),
        state=str(info.state),
        transport=info.transport,
        protocol=info.protocol,
        title=info.title,
        tools=info.tools,
        error=info.error,
        warnings=list[Json](info.warnings),
        pid=info.pid,
        needs=list[Json](info.needs) or None,
        **circuit_document(info.open_until, anyio.current_time()),
    )
