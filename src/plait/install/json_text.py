"""Changes to a JSON text, with comments and trailing commas, that touch nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .changes import Impossible, Steps
from .positions import Edit, appended, indent_at, indent_unit, items_of, line_end_of, removed

if TYPE_CHECKING:
    from tree_sitter import Node


class JsonText:
    """A text and its tree."""

    def __init__(self, data: bytes) -> None:
        import tree_sitter
        import tree_sitter_json

        self.data = data
        language = tree_sitter.Language(tree_sitter_json.language())
        self._tree = tree_sitter.Parser(language).parse(data)

    def put(self, at: Steps, key: str, value: Any) -> list[Edit]:
        """Return the edits that put a member where there is none of that name."""
        holder, missing = self._deepest(at)
        if missing:
            for step in reversed((*missing[1:], key)):
                value = {step: value}
            key = missing[0]
        if holder is None:
            return [Edit(0, len(self.data), self._written({key: value}, b"") + self._line_end)]
        if (empty := self._member(holder, key)) is not None:  # null, where an object belongs
            node = self._value(empty)
            indent = indent_at(self.data, empty.start_byte) if b"\n" in self.data else None
            return [Edit(node.start_byte, node.end_byte, self._written(value, indent))]
        return self._append(holder, lambda indent: self._pair(key, value, indent))

    def drop(self, at: Steps, key: str) -> list[Edit]:
        holder, missing = self._deepest(at)
        pair = None if holder is None or missing else self._member(holder, key)
        if holder is None or pair is None:
            raise Impossible(f"{'.'.join((*at, key))} was not found in the text")
        return removed(self.data, holder, pair)

    def extend(self, at: Steps, item: Any) -> list[Edit]:
        """Return the edits that append *item* to the list at *at*."""
        items = self._list(at)
        if items is None:
            return self.put(at[:-1], at[-1], [item])
        return self._append(items, lambda indent: self._written(item, indent))

    def retract(self, at: Steps, item: Any) -> list[Edit]:
        items = self._list(at)
        for node in () if items is None else items_of(items):
            if json.loads(self._text(node)) == item:
                assert items is not None
                return removed(self.data, items, node)
        raise Impossible(f"an item of {'.'.join(at)} was not found in the text")

    def _deepest(self, at: Steps) -> tuple[Node | None, Steps]:
        """Return the last object on the way to *at*, None without any, and the steps that are
        missing from there."""
        tops = [node for node in self._tree.root_node.children if node.type == "object"]
        if len(tops) > 1:
            raise Impossible("the text holds several documents")
        if not tops:
            return None, at
        holder = tops[0]
        for index, step in enumerate(at):
            pair = self._member(holder, step)
            inner = None if pair is None else self._value(pair)
            if inner is None or inner.type != "object":
                return holder, at[index:]
            holder = inner
        return holder, ()

    def _list(self, at: Steps) -> Node | None:
        holder, missing = self._deepest(at[:-1])
        pair = None if holder is None or missing else self._member(holder, at[-1])
        value = None if pair is None else self._value(pair)
        return value if value is not None and value.type == "array" else None

    def _member(self, holder: Node, name: str) -> Node | None:
        pairs: Iterator[Node] = (node for node in items_of(holder) if node.type == "pair")
        return next((pair for pair in pairs if self._name(pair) == name), None)

    def _name(self, pair: Node) -> Any:
        return json.loads(self._text(pair.children[0]))

    def _value(self, pair: Node) -> Node:
        return next(node for node in reversed(pair.children) if node.type != "comment")

    def _text(self, node: Node) -> str:
        return self.data[node.start_byte : node.end_byte].decode()

    @property
    def _line_end(self) -> bytes:
        return line_end_of(self.data)

    def _append(self, holder: Node, text: Any) -> list[Edit]:
        return appended(self.data, holder, text, self._line_end)

    def _pair(self, key: str, value: Any, indent: bytes | None) -> bytes:
        return json.dumps(key, ensure_ascii=False).encode() + b": " + self._written(value, indent)

    def _written(self, value: Any, indent: bytes | None) -> bytes:
        """Return *value* as text: on one line without an *indent*."""
        if indent is None:
            return json.dumps(value, ensure_ascii=False).encode()
        unit = indent_unit(self.data).decode()
        lines = json.dumps(value, ensure_ascii=False, indent=unit).encode().split(b"\n")
        return (self._line_end + indent).join(lines)
