"""The question that a person is asked before calls are sent, as a screen for a terminal.

Calls stand under their tool: `+` for one that adds or sends, `~` for one that its server calls
destructive, `<` for a read that is asked for. Many calls of one tool are a table of the arguments
in which they differ; what is the same in all of them is said once.

Names and values are foreign: `shown_values.py` keeps them from steering the terminal, and from
passing for a part of the screen. Every line fits into the width.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..core.language.references import OUTPUT, BadReference, Reference, parse, written_step
from ..core.values.printable import printable
from ..core.values.problems import some_of
from ..core.values.strict import Json
from .shown_values import (
    MOST_CHARS,
    Compared,
    Origin,
    chunks,
    foreign,
    value_lines,
    value_text,
    words,
)
from .style import Line, Look, Styled, counted, fold
from .widths import cut_text, padded, width_of

if TYPE_CHECKING:
    from ..core.results.approval import Approval, AskedCall, LaterTask
    from ..core.tools.catalog import Tool

MOST_ROWS = 12
"""Most calls of one tool that are shown unless all is; so for the following."""
MOST_LATER = 8
MOST_CONFLICTS = 5
MOST_NAMED = 5
MOST_PAGES = 6
"""Most calls with a text of several lines that are shown below one another, not as a table."""
LONGEST_NAME = 20
LONGEST_TITLE = 60
LEAST_CELL = 16
"""Least characters of a cell that is cut: in a narrower one, calls stand below one another."""
LEAST_ROOM = 16
INDENT = 4

_MARKS = {
    "+": Styled("+", Look.GREEN),
    "~": Styled("~", Look.RED),
    "<": Styled("<", Look.BLUE),
}


class Shown(NamedTuple):
    """How a question is shown, and what is known besides it."""

    width: int
    is_whole: bool = False
    """Whether nothing is folded."""
    covers_later: bool = False
    """Whether a yes is also one to the calls that come later."""
    more: str = "d shows all"
    """How to see what is folded."""

    def within(self, indent: int) -> int:
        return max(LEAST_ROOM, self.width - indent)


def approval_screen(approval: Approval, shown: Shown) -> Iterator[Line]:
    """Show the whole question."""
    for line in _screen(approval, shown):
        yield from fold(line, shown.width)


def _screen(approval: Approval, shown: Shown) -> Iterator[Line]:
    yield from _title(approval, shown)
    for calls in _by_tool(approval.calls):
        yield ()
        yield from _calls(calls, shown)
    yield from _later(approval.later, shown)
    yield ()
    yield from _totals(approval, shown)
    yield from _conflicts(approval, shown)
    yield from _reasons(approval, shown)


def call_screen(call: AskedCall, number: int, count: int, shown: Shown) -> Iterator[Line]:
    """Show one of *count* calls that are answered one by one, with all of its values."""
    yield ()
    place = f"  {printable(call.place)}  {number:,} of {count:,}"
    yield from _heading(call.tool, place, (), shown)
    own = _values(call)
    yield from _arguments(own, shown._replace(is_whole=True), INDENT)
    yield from _wrapped(f"why  {_reason(call.why)}", shown, Look.DIM)


def _title(approval: Approval, shown: Shown) -> Iterator[Line]:
    parts = []
    if approval.done:
        parts.append(f"✓ {counted(approval.done, 'task')} done.")
    if approval.changed:
        parts.append(f"{counted(approval.changed, 'task')} changed something so far.")
    else:
        parts.append("Nothing has been changed yet.")
    name = approval.name or "This run"
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() and approval.name:
        name = json.dumps(name, ensure_ascii=False)
    name = cut_text(printable(name), LONGEST_TITLE)
    these = "this call" if len(approval.calls) == 1 else "these calls"
    parts.append(f"{name} {'would' if approval.is_preview else 'wants to'} make {these}:")
    yield from _wrapped(" ".join(parts), shown, Look.BOLD)


def _by_tool(calls: Sequence[AskedCall]) -> Iterator[list[AskedCall]]:
    """Yield the calls of each tool, those of a server together."""
    servers: dict[str, dict[str, list[AskedCall]]] = {}
    for call in calls:
        tools = servers.setdefault(call.tool.server, {})
        tools.setdefault(call.tool.full_name, []).append(call)
    for tools in servers.values():
        yield from tools.values()


def _calls(calls: list[AskedCall], shown: Shown) -> Iterator[Line]:
    """Show the calls of one tool."""
    first = calls[0]
    facts = ["each by itself"] if first.is_single else []
    if len(calls) == 1:
        yield from _heading(first.tool, f"  {printable(first.place)}", facts, shown)
        yield from _arguments(_values(first), shown, INDENT)
        return
    yield from _heading(first.tool, "", [counted(len(calls), "call"), *facts], shown)
    names = list(dict.fromkeys(name for call in calls for name in call.arguments))
    same = [name for name in names if _is_same(name, calls)]
    if same:
        yield (" " * INDENT, Styled("the same in each:", Look.DIM))
        yield from _arguments({name: first.arguments[name] for name in same}, shown, INDENT)
    differing = [name for name in names if name not in same]
    rows = calls if shown.is_whole else calls[:MOST_ROWS]
    yield from _rows(rows, differing, shown)
    if left := len(calls) - len(rows):
        text = f"… {counted(left, 'more call')}: {shown.more}"
        yield from _wrapped(text, shown, Look.DIM, indent=INDENT)


def _is_same(name: str, calls: Sequence[AskedCall]) -> bool:
    """Whether all *calls* have the same value of an argument, also as JSON: `1` is not `true`."""
    first = calls[0].arguments
    if any(name not in call.arguments for call in calls):
        return False
    if any(call.difference is not None and call.difference.argument == name for call in calls):
        return False
    if any(call.arguments[name] != first[name] for call in calls):
        return False
    written = {json.dumps(call.arguments[name], sort_keys=True) for call in calls}
    return len(written) == 1


def _rows(calls: Sequence[AskedCall], names: Sequence[str], shown: Shown) -> Iterator[Line]:
    """Show *calls* as a table of the arguments *names*, or one below the other where that does not
    fit."""
    most = None if shown.is_whole else MOST_CHARS
    header = ["", *(foreign(name, most) for name in names)]
    table = [
        [
            printable(call.place),
            *(_cell(call, name, most) for name in names),
        ]
        for call in calls
    ]
    widths = [max(map(width_of, column)) for column in zip(header, *table, strict=True)]
    room = shown.width - INDENT - 2 * (len(widths) - 1)
    has_pages = len(calls) <= MOST_PAGES and any(
        isinstance(call.arguments.get(name), str) and "\n" in str(call.arguments[name])
        for call in calls
        for name in names
    )
    is_cut = sum(widths) > room and (shown.is_whole or has_pages)
    is_compared = any(call.difference is not None for call in calls)
    has_room = shown.is_whole or len(calls) <= MOST_PAGES
    widths = [] if is_cut or (is_compared and has_room) else _fitted(widths, room)
    if not widths:
        for call in calls:
            yield (
                " " * INDENT,
                Styled(cut_text(printable(call.place), shown.within(INDENT)), Look.DIM),
            )
            own = {name: value for name, value in _values(call).items() if name in names}
            yield from _arguments(own, shown, INDENT + 2)
        return
    if names:
        yield (" " * INDENT, Styled(_row(header, widths), Look.DIM))
    for row in table:
        place, *cells = row
        rest = _row(cells, widths[1:])
        place = padded(cut_text(place, widths[0]), widths[0])
        yield (" " * INDENT, Styled(place, Look.DIM), f"  {rest}".rstrip())


def _cell(call: AskedCall, name: str, most: int | None) -> str:
    if name not in call.arguments:
        return ""
    text, difference = value_text(call.arguments[name], most), call.difference
    if difference is None or difference.argument != name:
        return text
    return f"{difference.counts}: {text}"


def _values(call: AskedCall) -> Mapping[str, Json | Compared]:
    """Return the arguments of *call*, with what it changes in one that is compared."""
    difference = call.difference
    if difference is None or difference.argument not in call.arguments:
        return call.arguments
    value = call.arguments[difference.argument]
    return {**call.arguments, difference.argument: Compared(value, difference)}


def _fitted(widths: list[int], room: int) -> list[int]:
    """Narrow the widest of *widths* until they fit into *room*; empty if they do not."""
    while sum(widths) > room:
        widest = max(widths)
        if widest <= LEAST_CELL:
            return []
        widths[widths.index(widest)] = widest - 1
    return widths


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    texts = (
        padded(cut_text(cell, width), width) for cell, width in zip(cells, widths, strict=True)
    )
    return "  ".join(texts).rstrip()


def _heading(tool: Tool, place: str, facts: Iterable[str], shown: Shown) -> Iterator[Line]:
    """Show the name of *tool*, what it is for, and at the right what is known of its effects."""
    traits = tool.traits
    effects = [name for name, has in _effects(tool) if has]
    mark = _MARKS["<" if traits.read_only else "~" if traits.destructive else "+"]
    name = foreign(tool.full_name, None if shown.is_whole else MOST_CHARS)
    said = ", ".join([*facts, *effects])
    look = Look.RED if traits.destructive else Look.YELLOW if effects else Look.DIM
    gap = shown.width - 2 - width_of(name) - width_of(place) - width_of(said)
    named: Line = (
        mark,
        " ",
        Styled(name, Look.BOLD),
        *([Styled(place, Look.DIM)] if place else []),
    )
    if said and gap >= 2:
        yield (*named, " " * gap, Styled(said, look))
        return
    if 2 + width_of(name) + width_of(place) <= shown.width:
        yield named
    else:
        for number, part in enumerate(chunks(name, shown.within(INDENT))):
            yield (mark if not number else "   ", " ", Styled(part, Look.BOLD))
        if place:
            yield from _wrapped(place.strip(), shown, Look.DIM, indent=2)
    if said:
        yield from _wrapped(said, shown, look, indent=2)


def _effects(tool: Tool) -> Iterator[tuple[str, bool]]:
    traits = tool.traits
    yield "only reads", traits.read_only
    yield "destructive", traits.destructive
    yield "open world", traits.open_world
    yield "unannotated", not traits.annotated


def _arguments(
    arguments: Mapping[str, Json | Compared], shown: Shown, indent: int
) -> Iterator[Line]:
    """Show each argument: its name, and its value next to it or, where that is narrow, below."""
    most = None if shown.is_whole else MOST_CHARS
    names = {name: foreign(name, most) for name in arguments}
    longest = min(LONGEST_NAME, max(map(width_of, names.values()), default=0))
    beside = indent + longest + 2
    is_beside = shown.width - beside >= LEAST_ROOM
    at = beside if is_beside else indent + 2
    for name, value in arguments.items():
        label = names[name]
        lines = value_lines(value, shown.within(at), is_whole=shown.is_whole)
        if is_beside and width_of(label) <= longest:
            yield (" " * indent, Styled(padded(label, longest), Look.DIM), "  ", *next(lines, ()))
        else:
            for part in chunks(label, shown.within(indent)):
                yield (" " * indent, Styled(part, Look.DIM))
        for line in lines:
            yield (" " * at, *line)


def _later(tasks: Sequence[LaterTask], shown: Shown) -> Iterator[Line]:
    """Show the tasks whose values are not known yet: a yes covers them, or they are asked for
    again."""
    covered = [task for task in tasks if shown.covers_later and task.may_be_covered]
    again = [task for task in tasks if not (shown.covers_later and task.may_be_covered)]
    for title, some in (
        ("later, covered by this yes:", covered),
        ("later, asked again with its values:", again),
    ):
        if not some:
            continue
        yield ()
        yield from _wrapped(title, shown, Look.DIM, indent=2)
        listed = some if shown.is_whole else some[:MOST_LATER]
        for task in listed:
            yield from _heading(task.tool, f"  {printable(task.task)}", (), shown)
            yield from _arguments(_with_origins(task.arguments), shown, INDENT)
        if left := len(some) - len(listed):
            text = f"… {counted(left, 'more task')}: {shown.more}"
            yield from _wrapped(text, shown, Look.DIM, indent=INDENT)


def _with_origins(arguments: Json) -> Mapping[str, Json]:
    """Replace the references in *arguments*, as they are written in a document, by their
    origins."""
    if not isinstance(arguments, dict):
        arguments = {} if arguments is None else {"arguments": arguments}
    return {name: _origin(value) or value for name, value in arguments.items()}


def _origin(value: Json) -> Origin | None:
    """Return the origin of *value*, `← task → path`; None if it is not one reference."""
    if not isinstance(value, str):
        return None
    try:
        pieces = parse(value, items=True)
    except BadReference:
        return None
    if len(pieces) != 1 or not isinstance(reference := pieces[0], Reference):
        return None
    if reference.about != OUTPUT or reference.is_guarded or reference.makes_a_value:
        return Origin(f"← {printable(value)}")
    path = "".join(map(written_step, reference.path)).removeprefix(".")
    return Origin(" → ".join(filter(None, [f"← {reference.task}", printable(path)])))


def _totals(approval: Approval, shown: Shown) -> Iterator[Line]:
    """Count the calls, by server and by effect."""
    servers: dict[str, int] = {}
    destructive = open_world = 0
    for call in approval.calls:
        servers[call.tool.server] = servers.get(call.tool.server, 0) + 1
        destructive += call.tool.traits.destructive
        open_world += call.tool.traits.open_world
    by_server = ", ".join(f"{number:,} to {printable(name)}" for name, number in servers.items())
    facts = [f"{counted(len(approval.calls), 'call')}: {by_server}"]
    facts += [f"{destructive:,} destructive"] if destructive else []
    facts += [f"{open_world:,} open world"] if open_world else []
    if approval.reads:
        facts.append(
            f"then {counted(approval.reads, 'task')} that only read{'s' * (approval.reads == 1)}"
        )
    yield from _wrapped(" · ".join(facts), shown)


def _conflicts(approval: Approval, shown: Shown) -> Iterator[Line]:
    most = len(approval.conflicts) if shown.is_whole else MOST_CONFLICTS
    for conflict in approval.conflicts[:most]:
        one, other = (printable(str(conflict.get(name, ""))) for name in ("id", "waits_for"))
        both = foreign(str(conflict.get("resource", "")), MOST_CHARS)
        yield from _wrapped(f"order  {one} after {other}: both use {both}", shown, Look.DIM)
    if left := len(approval.conflicts) - min(most, len(approval.conflicts)):
        yield from _wrapped(f"order  … {left:,} more: {shown.more}", shown, Look.DIM)


def _reasons(approval: Approval, shown: Shown) -> Iterator[Line]:
    """Show each reason once, with its tools if there are several."""
    reasons: dict[str, dict[str, None]] = {}
    asked: list[AskedCall | LaterTask] = [*approval.calls, *approval.later]
    for one in asked:
        reasons.setdefault(one.why, {})[one.tool.full_name] = None
    for why, tools in reasons.items():
        names = [foreign(name, MOST_CHARS) for name in tools]
        named = f" ({some_of(names, MOST_NAMED)})" if len(reasons) > 1 else ""
        yield from _wrapped(f"why  {_reason(why)}{named}", shown, Look.DIM)


def _reason(why: str) -> str:
    return printable(why).removeprefix("asked because ")


def _wrapped(
    text: str, shown: Shown, look: Look | None = None, *, indent: int = 0
) -> Iterator[Line]:
    """Break *text* between words; what follows the first line is indented."""
    for number, part in enumerate(words(text, shown.within(indent + 2))):
        lead = " " * (indent if not number else indent + 2)
        yield (lead, part if look is None else Styled(part, look))
