"""Changes to a TOML text that touch nothing else.

A value may stand in a table of its own, below a dotted key, or in an inline table, and parts of it
in several places. To take it away, each of them goes. A new table is appended at the end of the
text, where it cannot take in what belongs to another, unless the table around it is an inline one.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .changes import Impossible, Steps
from .positions import Edit, appended, items_of, line_end_of, line_stop, next_line, removed
from .positions import line_start as start_of_line

if TYPE_CHECKING:
    from tree_sitter import Node

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TABLES = {"table", "table_array_element"}


class Spot(NamedTuple):
    """A table or a pair, and its place."""

    steps: Steps
    node: Node
    holder: Node
    """The table, the inline table or the document that it is in."""


class TomlText:
    """A text and its tree."""

    def __init__(self, data: bytes) -> None:
        import tree_sitter
        import tree_sitter_toml

        self.data = data
        language = tree_sitter.Language(tree_sitter_toml.language())
        self._root = tree_sitter.Parser(language).parse(data).root_node

    def put(self, at: Steps, key: str, value: Any) -> list[Edit]:
        """Return the edits that put a member where there is none of that name."""
        target = (*at, key)
        for spot in self._spots():
            inner = self._value(spot.node) if spot.node.type == "pair" else None
            if inner is None or inner.type != "inline_table":
                continue
            if spot.steps == target[: len(spot.steps)]:
                deeper = target[len(spot.steps) :]
                if not any(self._goes_deeper(spot, other, target) for other in self._spots()):
                    return self._append(inner, f"{_key(deeper)} = {inline(value)}")
        if isinstance(value, dict):
            return [self._at_end(table(target, value))]
        return self._put_pair(at, key, value)

    def drop(self, at: Steps, key: str) -> list[Edit]:
        target = (*at, key)
        edits: list[Edit] = []
        cut: list[Node] = []
        for spot in self._spots():
            if spot.steps[: len(target)] != target:
                continue
            is_inside = spot.holder in cut
            cut.append(spot.node)
            if spot.node.type == "pair":
                cut.append(self._value(spot.node))
            if is_inside:
                continue
            if spot.node.type == "table_array_element":
                raise Impossible(f"{'.'.join(target)} is an array of tables")
            if spot.holder.type == "inline_table":
                edits += removed(self.data, spot.holder, spot.node)
            else:
                edits.append(self._lines(spot.node))
        if not edits:
            raise Impossible(f"{'.'.join(target)} was not found in the text")
        return edits

    def extend(self, at: Steps, item: Any) -> list[Edit]:
        """Return the edits that append *item* to the list at *at*."""
        for spot in self._spots():
            if spot.steps == at and spot.node.type == "pair":
                node = self._value(spot.node)
                if node.type == "array":
                    return self._append(node, inline(item))
        return self.put(at[:-1], at[-1], [item])

    def retract(self, at: Steps, item: Any) -> list[Edit]:
        for spot in self._spots():
            node = self._value(spot.node) if spot.node.type == "pair" else None
            if spot.steps != at or node is None or node.type != "array":
                continue
            for one in items_of(node):
                text = self.data[one.start_byte : one.end_byte].decode()
                if tomllib.loads(f"x = {text}")["x"] == item:
                    return removed(self.data, node, one)
        raise Impossible(f"an item of {'.'.join(at)} was not found in the text")

    def _put_pair(self, at: Steps, key: str, value: Any) -> list[Edit]:
        """Return the edit for a member that is not a table: into the table of *at*."""
        line = f"{_key((key,))} = {inline(value)}"
        for spot in self._spots():
            if spot.node.type == "table" and spot.steps == at:
                return [self._after(self._end(spot.node), line)]
        if not at:
            pairs = [node for node in self._root.children if node.type == "pair"]
            if pairs:
                return [self._after(pairs[-1].end_byte, line)]
            return [Edit(0, 0, line.encode() + self._line_end)]
        return [self._at_end([f"[{_key(at)}]", line])]

    def _append(self, container: Node, item: str) -> list[Edit]:
        return appended(self.data, container, lambda _: item.encode(), self._line_end)

    def _goes_deeper(self, spot: Spot, other: Spot, target: Steps) -> bool:
        """Return whether *other* is an inline table nearer to *target* than *spot* is."""
        return (
            len(other.steps) > len(spot.steps)
            and other.steps == target[: len(other.steps)]
            and other.node.type == "pair"
            and self._value(other.node).type == "inline_table"
        )

    def _at_end(self, lines: list[str]) -> Edit:
        end = self._line_end
        text = end.join(line.encode() for line in lines) + end
        if self.data.strip():
            text = end + text
            if not self.data.endswith(b"\n"):
                text = end + text
        return Edit(len(self.data), len(self.data), text)

    def _after(self, at: int, line: str) -> Edit:
        """Return the edit that puts *line* below that of *at*."""
        start = next_line(self.data, at)
        is_cut = start == len(self.data) and not self.data.endswith(b"\n")
        text = line.encode() + self._line_end
        return Edit(start, start, self._line_end + text if is_cut else text)

    def _lines(self, node: Node) -> Edit:
        """Return the edit that takes away the lines of a table or pair, with its own comments."""
        start = start_of_line(self.data, node.start_byte)
        stop = line_stop(self.data, self._end(node))
        return Edit(start, next_line(self.data, stop))

    def _end(self, node: Node) -> int:
        """Return where the last pair of a table ends, or its header: comments below are others'."""
        if node.type == "pair":
            return node.end_byte
        return max(child.end_byte for child in node.children if child.type in {"pair", "]", "]]"})

    def _spots(self) -> Iterator[Spot]:
        """Yield all tables and pairs, those in arrays of tables without what is in them."""
        for node in self._root.children:
            if node.type == "pair":
                yield from self._pairs(node, (), self._root)
            elif node.type in _TABLES:
                steps = self._steps(node.children[1])
                yield Spot(steps, node, self._root)
                if node.type == "table":
                    for child in node.children:
                        if child.type == "pair":
                            yield from self._pairs(child, steps, node)

    def _pairs(self, node: Node, above: Steps, holder: Node) -> Iterator[Spot]:
        steps = (*above, *self._steps(node.children[0]))
        yield Spot(steps, node, holder)
        value = self._value(node)
        if value.type == "inline_table":
            for child in value.children:
                if child.type == "pair":
                    yield from self._pairs(child, steps, value)

    def _steps(self, node: Node) -> Steps:
        if node.type == "dotted_key":
            parts = [child for child in node.children if child.is_named]
            return tuple(step for part in parts for step in self._steps(part))
        text = self.data[node.start_byte : node.end_byte].decode()
        return (text,) if node.type == "bare_key" else (*tomllib.loads(f"{text} = 0"),)

    def _value(self, pair: Node) -> Node:
        return next(node for node in reversed(pair.children) if node.type != "comment")

    @property
    def _line_end(self) -> bytes:
        return line_end_of(self.data)


def _key(steps: Steps) -> str:
    return ".".join(step if _BARE.fullmatch(step) else inline(step) for step in steps)


def inline(value: Any) -> str:
    """Write *value* on one line."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
        case dict():
            members = ", ".join(f"{_key((name,))} = {inline(one)}" for name, one in value.items())
            return f"{{ {members} }}" if members else "{}"
        case list() | tuple():
            return f"[{', '.join(map(inline, value))}]"
        case bool() | int() | float():
            return json.dumps(value)
    raise Impossible(f"TOML has no value such as {type(value).__name__}")


def table(steps: Steps, value: dict[str, Any]) -> list[str]:
    """Write *value* as a table at *steps*, and tables below it."""
    plain = {name: one for name, one in value.items() if not isinstance(one, dict)}
    deeper = {name: one for name, one in value.items() if isinstance(one, dict)}
    lines = [f"[{_key(steps)}]"] if plain or not deeper else []
    lines += [f"{_key((name,))} = {inline(one)}" for name, one in plain.items()]
    for name, one in deeper.items():
        lines += ["", *table((*steps, name), one)] if lines else table((*steps, name), one)
    return lines
