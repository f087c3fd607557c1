"""Definitions that a server lists: fetched from every page, raw, and each one checked by itself.

A malformed definition of a tool is left out with a warning; the others stay.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from ...core.tools.catalog import Tool
from ...core.values.printable import printable
from ...core.values.schema import Schema
from ...core.values.strict import JsonObject, NotStrict, dumps, measure
from ...errors import InvalidOutput

MAX_TOOLS = 2_000
"""Most tools of one server."""
MAX_ENTRIES = 10_000
"""Most entries of any other list."""
MAX_LIST_BYTES = 64 * 2**20
MAX_PAGES = 200
MAX_WARNINGS = 50
MAX_DESCRIPTION = 4 * 1024
SCHEMA_DEPTH = 64

_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,256}")


async def fetch_definitions(
    ask: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
    member: str = "tools",
    most: int = MAX_TOOLS,
) -> list[Any]:
    """Fetch all entries of one list as they came, up to the page that exceeds *most*.

    *ask* sends one request with the given params; *member* of each result holds entries. Raises
    `InvalidOutput`, and whatever *ask* raises.
    """
    entries: list[Any] = []
    seen: set[str] = set()
    cursor: str | None = None
    room = MAX_LIST_BYTES
    for _ in range(MAX_PAGES):
        page = await ask({} if cursor is None else {"cursor": cursor})
        found = page.get(member)
        found = [] if found is None else found  # as Go writes an empty list, or leaves it out
        if not isinstance(found, list):
            raise InvalidOutput(f"it gave no list of {member}")
        try:
            room -= measure(found)
        except NotStrict:  # estimate it: strict or not, it takes memory
            room -= sum(len(str(entry)) for entry in found)
        if room < 0:
            raise InvalidOutput(f"its list of {member} is longer than {MAX_LIST_BYTES:,} bytes")
        entries += found
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str) or cursor in seen or len(entries) > most:
            break
        seen.add(cursor)
    return entries


def read_entries(entries: list[Any], key: str, most: int = MAX_ENTRIES) -> tuple[JsonObject, ...]:
    """Select the *entries* that can be passed on: strict JSON objects with a string under *key*,
    the first for each string."""
    read: dict[str, JsonObject] = {}
    for entry in entries[:most]:
        name = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(name, str) or name in read:
            continue
        try:
            measure(entry, SCHEMA_DEPTH)
        except NotStrict:
            continue
        read[name] = entry
    return tuple(read.values())


def as_listed(definitions: list[Any], tools: Iterable[Tool]) -> tuple[JsonObject, ...]:
    """The definitions that *tools* were read from, whole and in the server's order."""
    kept = {tool.name: tool.definition for tool in tools}
    listed: list[JsonObject] = []
    for definition in definitions[:MAX_TOOLS]:
        name = definition.get("name") if isinstance(definition, dict) else None
        if isinstance(name, str) and name in kept:
            usable, _ = _with_a_usable_output(definition)
            if _shortened(usable) == kept[name]:
                del kept[name]
                listed.append(usable)
    return tuple(listed)


def read_tools(
    server: str,
    definitions: list[Any],
    *,
    shared_as: str = "",
) -> tuple[list[Tool], list[str]]:
    """Return the usable tools, sorted by name, and warnings about tools that are left out and
    values that cannot be checked."""
    tools: dict[str, Tool] = {}
    warnings: list[str] = []
    for number, definition in enumerate(definitions[:MAX_TOOLS]):
        if complaints := list(_complaints(definition)):
            name = definition.get("name") if isinstance(definition, dict) else None
            label = printable(str(name)[:80]) if name else f"number {number}"
            warnings.append(printable(f"tool {label} was left out: {complaints[0]}"))
        else:
            usable, reason = _with_a_usable_output(definition)
            tool = Tool(server, definition["name"], _shortened(usable), shared_as=shared_as)
            tools[tool.name] = tool
            if reason is not None:
                warnings.append(f"the outputSchema of tool {tool.name} is not used: {reason}")
            for field, schema in (("inputSchema", tool.input), ("outputSchema", tool.output)):
                if schema is None or (reason := schema.unusable or schema.ignored) is None:
                    continue
                how = "not checked" if schema.unusable else "checked in part"
                warnings.append(f"values of tool {tool.name} are {how}: its {field}: {reason}")
    if len(definitions) > MAX_TOOLS:
        warnings.append(f"the server lists more than {MAX_TOOLS:,} tools; the rest was left out")
    if len(warnings) > MAX_WARNINGS:
        warnings[MAX_WARNINGS:] = [f"{len(warnings) - MAX_WARNINGS:,} more warnings like these"]
    return [tools[name] for name in sorted(tools)], warnings


def renewed(before: tuple[Tool, ...], now: Iterable[Tool]) -> tuple[Tool, ...]:
    """Return the tools of *now*, or *before* itself if nothing changed.

    An unchanged tool stays the same object, with everything that was compiled for it.
    """
    known = {tool.name: tool for tool in before}
    tools = tuple(_same_or_new(known.get(tool.name), tool) for tool in now)
    is_same = len(tools) == len(before) and all(
        new is old for new, old in zip(tools, before, strict=True)
    )
    return before if is_same else tools


def _same_or_new(before: Tool | None, tool: Tool) -> Tool:
    if (
        before is None
        or before.definition != tool.definition
        or dumps(before.definition) != dumps(tool.definition)  # because 1 equals True
    ):
        return tool
    return before


def _complaints(definition: Any) -> Iterator[str]:
    """Find the reasons why a tool cannot be used."""
    if not isinstance(definition, dict):
        yield "its definition is not an object"
        return
    name = definition.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield "its name is missing or holds blanks"
        return
    try:
        measure(definition, SCHEMA_DEPTH)
    except NotStrict as error:
        yield str(error)
        return
    for field in ("inputSchema", "outputSchema"):
        schema = definition.get(field)
        if schema is None and field == "outputSchema":
            continue
        if not isinstance(schema, dict):
            yield f"its {field} is not an object"
        elif field == "inputSchema" and schema.get("type", "object") != "object":
            yield "its inputSchema is not of type object"


def _with_a_usable_output(definition: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Leave out an `outputSchema` that is not a JSON Schema of its draft, for which clients would
    refuse the whole list; also return why it is not."""
    schema = definition.get("outputSchema")
    reason = Schema(schema).malformed if isinstance(schema, dict) else None
    if reason is None:
        return definition, None
    return {name: part for name, part in definition.items() if name != "outputSchema"}, reason


def _shortened(definition: dict[str, Any]) -> dict[str, Any]:
    description = definition.get("description")
    if isinstance(description, str) and len(description) > MAX_DESCRIPTION:
        return {**definition, "description": description[: MAX_DESCRIPTION - 1] + "…"}
    return definition
