"""Edits of a text at positions, and items in brackets, as the grammars of all three formats have
them.

All positions are in bytes. An edit replaces a range; those of one step do not overlap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tree_sitter import Node

BLANKS = b" \t"


class Edit(NamedTuple):
    start: int
    end: int
    text: bytes = b""


def edited(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Return *data* with *edits* made: of two at one position, the first one comes first."""
    ordered = sorted(edits, key=itemgetter(0, 1))
    for edit in ordered[::-1]:
        data = data[: edit.start] + edit.text + data[edit.end :]
    return data


def line_end_of(data: bytes) -> bytes:
    """Return the line break that most lines of *data* have."""
    return b"\r\n" if data.count(b"\r\n") * 2 > data.count(b"\n") else b"\n"


def line_start(data: bytes, at: int) -> int:
    return data.rfind(b"\n", 0, at) + 1


def line_stop(data: bytes, at: int) -> int:
    """Return the position of the line break after *at*, or the end."""
    found = data.find(b"\n", at)
    if found < 0:
        return len(data)
    return found - (data[found - 1 : found] == b"\r" and found > at)


def next_line(data: bytes, at: int) -> int:
    """Return where the line after that of *at* begins, or the end."""
    found = data.find(b"\n", at)
    return len(data) if found < 0 else found + 1


def indent_at(data: bytes, at: int) -> bytes:
    """Return the blanks at the beginning of the line of *at*."""
    start = line_start(data, at)
    found = re.compile(rb"[ \t]*").match(data, start)
    return found.group() if found else b""


def indent_unit(data: bytes) -> bytes:
    """Return the blanks by which *data* is indented first, two blanks without any."""
    found = re.search(rb"\n([ \t]+)[^\s]", data)
    if not found:
        return b"  "
    return b"\t" if found[1].startswith(b"\t") else found[1][:8]


def whole_lines(data: bytes, start: int, end: int) -> Edit:
    """Return the edit that takes away *start* to *end*: the whole lines if nothing else is on
    them."""
    first, stop = line_start(data, start), line_stop(data, end)
    is_first = not data[first:start].strip(BLANKS)
    is_last = not data[end:stop].strip(BLANKS)
    if is_first and is_last:
        return Edit(first, next_line(data, end))
    if is_last:  # what stands before it keeps no blanks at its end
        return Edit(start - _blanks_before(data, start), end)
    return Edit(start, end + _blanks_after(data, end))


def _blanks_before(data: bytes, at: int) -> int:
    return at - len(data[:at].rstrip(BLANKS))


def _blanks_after(data: bytes, at: int) -> int:
    return len(data[at : at + 200]) - len(data[at : at + 200].lstrip(BLANKS))


def items_of(container: Node) -> list[Node]:
    """Return the items between the brackets of *container*."""
    return [
        node
        for node in container.children
        if node.is_named and not node.is_missing and node.type not in {"comment", "ERROR"}
    ]


def appended(
    data: bytes, container: Node, text: Callable[[bytes | None], bytes], line_end: bytes
) -> list[Edit]:
    """Return the edits that append an item to *container*, a node in brackets. *text* gives it for
    the indentation of its line, or for None if it stands on the line of the others."""
    opening, closing = container.children[0], container.children[-1]
    items = items_of(container)
    inside = data[opening.end_byte : closing.start_byte]
    if not items:
        return _first(data, container, text, line_end)
    last = items[-1]
    comma = _comma_after(container, last)
    anchor = last.end_byte if comma is None else comma.end_byte
    comma_edit = [Edit(last.end_byte, last.end_byte, b",")] if comma is None else []
    after = b"" if comma is None else b","
    if b"\n" not in inside:
        return [*comma_edit, Edit(anchor, anchor, b" " + text(None) + after)]
    is_first_on_line = not data[line_start(data, last.start_byte) : last.start_byte].strip(BLANKS)
    indent = indent_at(data, last.start_byte)
    if not is_first_on_line:
        indent = indent_at(data, container.start_byte) + indent_unit(data)
    anchor = _after_comments(data, container, anchor)
    return [*comma_edit, Edit(anchor, anchor, line_end + indent + text(indent) + after)]


def _first(
    data: bytes, container: Node, text: Callable[[bytes | None], bytes], line_end: bytes
) -> list[Edit]:
    """Return the edits that put the first item into *container*."""
    opening, closing = container.children[0], container.children[-1]
    if b"\n" not in data.strip():
        inner = text(None)
        return [Edit(opening.end_byte, closing.start_byte, inner)]
    base = indent_at(data, container.start_byte)
    indent = base + indent_unit(data)
    comments = [node for node in container.children if node.type == "comment"]
    start = _comment_end(data, comments[-1]) if comments else opening.end_byte
    item = line_end + indent + text(indent) + line_end + base
    return [Edit(start, closing.start_byte, item)]


def _after_comments(data: bytes, container: Node, at: int) -> int:
    """Return *at*, or the end of the comments that follow on its line if nothing else does."""
    stop = line_stop(data, at)
    end = at
    for node in container.children:
        if node.type == "comment" and at <= node.start_byte < stop:
            if data[end : node.start_byte].strip(BLANKS):
                return at
            end = _comment_end(data, node)
    return end if end >= stop or not data[end:stop].strip(BLANKS) else at


def _comment_end(data: bytes, node: Node) -> int:
    """Return where a comment ends: not at a carriage return, which is of the line end."""
    return node.end_byte - (data[node.end_byte - 1 : node.end_byte] == b"\r")


def removed(data: bytes, container: Node, item: Node) -> list[Edit]:
    """Return the edits that take *item* out of *container*, a node in brackets."""
    comma = _comma_after(container, item)
    if comma is not None:
        if not data[item.end_byte : comma.start_byte].strip():
            return [whole_lines(data, item.start_byte, comma.end_byte)]
        return [whole_lines(data, item.start_byte, item.end_byte), _bare(comma)]
    before = _comma_before(container, item)
    edits = [whole_lines(data, item.start_byte, item.end_byte)]
    return edits if before is None else [_bare(before), _clear_of(edits[0], before)]


def _bare(node: Node) -> Edit:
    return Edit(node.start_byte, node.end_byte)


def _clear_of(edit: Edit, node: Node) -> Edit:
    return Edit(max(edit.start, node.end_byte), edit.end)


def _comma_after(container: Node, item: Node) -> Node | None:
    return _comma(container.children, item.end_byte, lambda node, at: node.start_byte >= at)


def _comma_before(container: Node, item: Node) -> Node | None:
    backwards = container.children[::-1]
    return _comma(backwards, item.start_byte, lambda node, at: node.end_byte <= at)


def _comma(nodes: Sequence[Node], at: int, is_beyond: Callable[[Node, int], bool]) -> Node | None:
    """Return the comma that comes first beyond *at*, if it comes before another item."""
    for node in nodes:
        if not is_beyond(node, at) or node.type == "comment" or node.is_missing:
            continue
        inner = node.children[0] if node.type == "ERROR" and node.children else node
        return inner if inner.type == "," else None
    return None
