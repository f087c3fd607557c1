"""A question about calls in plain sentences, for clients that show a text and a choice.

Values are foreign: they are shown with their control characters escaped, cut, and each on its line,
so that none can pass for a part of the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..tools.catalog import Tool
from ..values.printable import printable
from ..values.strict import Json, JsonObject, dumps
from .approval import Approval, AskedCall
from .difference import Difference

YES = "yes"
NO = "no"
YES_FROM_NOW_ON = "yes, and for these tools until this client leaves"
MOST_CALLS = 40
"""Most calls that are written out; the others are counted by tool."""
MOST_LATER = 10
MAX_VALUE_CHARS = 200
MAX_CALL_CHARS = 600
MOST_COMPARED = 10
"""Most calls whose differences are written out."""
MOST_LINES = 12
"""Most lines of each of them; the others are counted."""


def question(approval: Approval, calls: Iterable[AskedCall]) -> str:
    """Write the question about *calls*, which are some of *approval*, or all."""
    asked = [*calls]
    name = printable(approval.name or approval.run_id)
    done = f"{_count(approval.done, 'task')} {_are(approval.done)} done"
    changed = f"{_count(approval.changed, 'task')} changed something so far"
    changed = changed if approval.changed else "nothing has been changed yet"
    lines = [f"{name} wants to make {_count(len(asked), 'call')}; {done}, and {changed}."]
    room = MOST_COMPARED
    for number, call in enumerate(asked[:MOST_CALLS], 1):
        difference = call.difference if room else None
        lines.append(f"{number}. {_call(call, difference)}")
        if difference is not None:
            room -= 1
            lines += _lines(difference)
    lines += _counted(asked[MOST_CALLS:])
    if len(asked) == len(approval.calls):
        lines += [
            f"Later, asked again with its values: {task.task}, {task.tool.full_name}"
            for task in approval.later[:MOST_LATER]
        ]
        if len(approval.later) > MOST_LATER:
            lines.append(f"… and {len(approval.later) - MOST_LATER:,} later tasks more")
    lines += [f"Why: {why}." for why in dict.fromkeys(call.why for call in asked)]
    return "\n".join(lines)


def call_question(tool: Tool, arguments: JsonObject, why: str) -> str:
    """Write the question about one call by name."""
    return f"Call {tool.full_name}{kind_of(tool)} {_written(arguments)}".rstrip() + f"\nWhy: {why}."


def _call(call: AskedCall, difference: Difference | None) -> str:
    written = _written(call.arguments, difference)
    return f"{call.place}: {call.tool.full_name}{kind_of(call.tool)} {written}".rstrip()


def _lines(difference: Difference) -> Iterator[str]:
    """Write what a call changes, behind a bar."""
    for line in difference.lines[:MOST_LINES]:
        text = printable(line, "\t")
        yield f"   | {text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + '…'}"
    left = len(difference.lines) + difference.left_out - MOST_LINES
    if left > 0:
        yield f"   … {_count(left, 'line')} more: look at all of them in a terminal"


def _written(arguments: JsonObject, difference: Difference | None = None) -> str:
    """Write *arguments*; of one of which the *difference* is known, that with its length."""
    parts = []
    for name, value in arguments.items():
        if difference is not None and name == difference.argument:
            size = len(value) if isinstance(value, str) else len(dumps(value))
            whole = f"{_count(size, 'character')} in all, read by {difference.reader}"
            written = f"{difference.counts} ({whole})"
        else:
            written = _value(value)
        parts.append(f"{printable(name)}: {written}")
    text = ", ".join(parts)
    if len(text) > MAX_CALL_CHARS:
        return f"{text[:MAX_CALL_CHARS]}… ({len(text):,} characters)"
    return text


def kind_of(tool: Tool) -> str:
    """Name what a call of *tool* may do beyond a plain change: ` (destructive, open world)`."""
    traits = tool.traits
    kinds = [
        name
        for name, has in (
            ("only reads", traits.read_only),
            ("destructive", traits.destructive),
            ("open world", traits.open_world),
        )
        if has
    ]
    return f" ({', '.join(kinds)})" if kinds else ""


def _value(value: Json) -> str:
    text = printable(dumps(value))
    if len(text) <= MAX_VALUE_CHARS:
        return text
    return f"{text[:MAX_VALUE_CHARS]}… ({len(text):,} characters)"


def _counted(calls: list[AskedCall]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for call in calls:
        counts[call.tool.full_name] = counts.get(call.tool.full_name, 0) + 1
    for name, count in counts.items():
        yield f"… and {_count(count, 'call')} more of {name}: look at all of them in a terminal"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
