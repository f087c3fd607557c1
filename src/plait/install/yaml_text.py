"""Changes to a YAML text that touch nothing else.

Members in block style are whole lines. Those in braces and brackets are edited as in JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..config.parse import yaml_loader
from .changes import Impossible, Steps
from .positions import (
    BLANKS,
    Edit,
    appended,
    items_of,
    line_end_of,
    line_start,
    line_stop,
    next_line,
    removed,
)

if TYPE_CHECKING:
    from tree_sitter import Node

_WRAPPERS = {"block_node", "flow_node", "document", "stream"}
_ASIDE = {"comment", "anchor", "tag", "---", "...", "yaml_directive", "tag_directive"}


class YamlText:
    """A text and its tree."""

    def __init__(self, data: bytes) -> None:
        import tree_sitter
        import tree_sitter_yaml

        self.data = data
        language = tree_sitter.Language(tree_sitter_yaml.language())
        self._root = tree_sitter.Parser(language).parse(data).root_node

    def put(self, at: Steps, key: str, value: Any) -> list[Edit]:
        """Return the edits that put a member where there is none of that name."""
        holder, above, missing = self._deepest(at)
        for step in reversed((*missing, key)[1:]):
            value = {step: value}
        return self._put(holder, above, (*missing, key)[0], value)

    def put_item(self, at: Steps, item: Any) -> list[Edit]:
        """Return the edits that append *item* to the list at *at*."""
        holder, above, missing = self._deepest(at)
        if missing:
            return self.put(at[:-1], at[-1], [item])
        if holder is None:
            assert above is not None
            return self._fill(above, [item])
        match holder.type:
            case "block_sequence":
                return [self._below(holder, self._column(holder), [item])]
            case "flow_sequence" if not items_of(holder) and above is not None:
                return self._fill(above, [item])
            case "flow_sequence":
                return self._append(holder, json.dumps(item, ensure_ascii=False))
        raise Impossible(f"{'.'.join(at)} is not a list")

    def extend(self, at: Steps, item: Any) -> list[Edit]:
        return self.put_item(at, item)

    def drop(self, at: Steps, key: str) -> list[Edit]:
        holder, _, missing = self._deepest(at)
        pair = None if holder is None or missing else self._member(holder, key)
        if holder is None or pair is None:
            raise Impossible(f"{'.'.join((*at, key))} was not found in the text")
        return self._without(holder, pair)

    def drop_item(self, at: Steps, name: str) -> list[Edit]:
        """Return the edits that take away the item with that `name` from the list at *at*."""
        return self._drop_item(at, lambda item: isinstance(item, dict) and item.get("name") == name)

    def retract(self, at: Steps, item: Any) -> list[Edit]:
        return self._drop_item(at, lambda one: bool(one == item))

    def _drop_item(self, at: Steps, is_meant: Any) -> list[Edit]:
        holder, _, missing = self._deepest(at)
        if holder is not None and not missing and holder.type.endswith("_sequence"):
            for node in items_of(holder):
                if is_meant(self._read(node)):
                    return self._without(holder, node)
        raise Impossible(f"an item of {'.'.join(at)} was not found in the text")

    def _deepest(self, at: Steps) -> tuple[Node | None, Node | None, Steps]:
        """Return the value at *at*, or the nearest one on the way there; the pair that it is the
        value of; and the steps that are missing. None for a value or pair that is not there."""
        documents = [node for node in self._root.children if node.type == "document"]
        if len(documents) > 1:
            raise Impossible("the text holds several documents")
        holder = self._unwrapped(documents[0]) if documents else None
        above: Node | None = None
        for index, step in enumerate(at):
            pair = None if holder is None else self._member(holder, step)
            if pair is None:
                return holder, above, at[index:]
            above, holder = pair, self._value(pair)
        return holder, above, ()

    def _put(self, holder: Node | None, above: Node | None, key: str, value: Any) -> list[Edit]:
        member = {key: value}
        if holder is None:
            return self._fill(above, member) if above is not None else [self._at_end(member)]
        match holder.type:
            case "block_mapping":
                return [self._below(holder, self._column(holder), member)]
            case "flow_mapping" if not items_of(holder) and above is not None:
                return self._fill(above, member)
            case "flow_mapping":
                written = json.dumps(value, ensure_ascii=False)
                return self._append(holder, f"{json.dumps(key, ensure_ascii=False)}: {written}")
        raise Impossible(f"{key} cannot be put where no object is")

    def _fill(self, pair: Node, content: Any) -> list[Edit]:
        """Return the edits that give *pair*, which has nothing or empty brackets, a value."""
        if pair.type != "block_mapping_pair":
            raise Impossible("an empty value in braces cannot be filled")
        value = pair.child_by_field_name("value")
        edits = [] if value is None else [self._bare(value)]
        column = self._column(pair) + 2
        return [*edits, self._below(pair, column, content)]

    def _bare(self, value: Node) -> Edit:
        blanks = self.data[: value.start_byte]
        return Edit(len(blanks.rstrip(BLANKS)), value.end_byte)

    def _append(self, holder: Node, text: str) -> list[Edit]:
        return appended(self.data, holder, lambda _: text.encode(), self._line_end)

    def _below(self, node: Node, column: int, content: Any) -> Edit:
        """Return the edit that puts *content* below the last line of *node*."""
        at = next_line(self.data, line_stop(self.data, self._end(node)))
        is_cut = at == len(self.data) and not self.data.endswith(b"\n")
        text = self._written(content, column)
        return Edit(at, at, self._line_end + text if is_cut else text)

    def _at_end(self, content: Any) -> Edit:
        is_cut = bool(self.data) and not self.data.endswith(b"\n")
        text = self._written(content, 0)
        return Edit(len(self.data), len(self.data), self._line_end + text if is_cut else text)

    def _without(self, holder: Node, node: Node) -> list[Edit]:
        if holder.type.startswith("flow_"):
            return removed(self.data, holder, node)
        start = line_start(self.data, node.start_byte)
        if self.data[start : node.start_byte].strip(BLANKS):
            raise Impossible("it begins on the line of another")
        return [Edit(start, next_line(self.data, line_stop(self.data, self._end(node))))]

    def _end(self, node: Node) -> int:
        """Return where the content of *node* ends: comments below it are others'."""
        if node.type == "block_scalar":  # its text is in no node of its own
            return node.end_byte
        inner = [child for child in node.children if child.type != "comment"]
        return self._end(inner[-1]) if inner else node.end_byte

    def _column(self, node: Node) -> int:
        return node.start_byte - line_start(self.data, node.start_byte)

    def _unwrapped(self, node: Node) -> Node | None:
        while node.type in _WRAPPERS:
            inner = [child for child in node.children if child.type not in _ASIDE]
            if not inner:
                return None
            node = inner[-1]
        return node

    def _member(self, holder: Node, name: str) -> Node | None:
        for pair in items_of(holder):
            if pair.type in {"block_mapping_pair", "flow_pair"}:
                key = pair.child_by_field_name("key")
                if key is not None and str(self._read(key)) == name:
                    return pair
        return None

    def _value(self, pair: Node) -> Node | None:
        """Return the value of *pair*; None if it has none, or null."""
        node = pair.child_by_field_name("value")
        value = None if node is None else self._unwrapped(node)
        is_null = value is not None and [one.type for one in value.children] == ["null_scalar"]
        return None if is_null else value

    def _read(self, node: Node) -> Any:
        """Read the value of *node* alone; None where that cannot be done, such as for an alias."""
        import yaml

        if node.type == "block_sequence_item":
            node = node.children[-1]
        column = self._column(node)
        text = " " * column + self.data[node.start_byte : node.end_byte].decode()
        try:
            return yaml.load(text, yaml_loader())  # noqa: S506  # a loader of plain values
        except yaml.YAMLError:
            return None

    def _written(self, content: Any, column: int) -> bytes:
        import yaml

        text = yaml.safe_dump(
            content, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False
        )
        lines = text.encode().splitlines()
        return b"".join(b" " * column + line + self._line_end for line in lines)

    @property
    def _line_end(self) -> bytes:
        return line_end_of(self.data)
