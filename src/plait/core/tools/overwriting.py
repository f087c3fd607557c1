"""The call that reads what another call would overwrite, and the content that it gives.

A person who is asked for a call that replaces a file sees the difference only if both sides are
known for certain: the call replaces all of one resource with one of its arguments, and a tool of
the same server that only reads gives all of that resource. Which tools do that no server says, so
it is taken from their names, their arguments and the operator's templates (`claims.py`). Where any
of it is in doubt there is no difference, and the value is shown as it is: that is never wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from ..values.strict import Json, JsonObject, NotStrict, loads
from .catalog import Tool
from .claims import AccessRules, access_rules_of, snake
from .policy import ToolPolicy
from .rules import Answer

FILE = "file:"

_REPLACING = frozenset({"write", "save", "put", "set", "store", "overwrite", "replace", "create"})
_CHANGING_A_PART = frozenset(
    {"append", "edit", "insert", "patch", "move", "copy", "rename", "delete", "remove", "add"}
    | {"line", "lines", "block", "part", "range", "prepend", "merge", "upsert", "multiple"}
)
"""A tool replaces a resource as a whole if its name has words of the first kind and none of the
second."""
_READING = frozenset({"read", "get", "cat", "view", "show", "load", "fetch"})
_OF_SOMETHING_ELSE = frozenset(
    {"info", "metadata", "stat", "status", "list", "tree", "directory", "folder", "multiple"}
    | {"files", "media", "image", "binary", "lines", "range", "head", "tail", "size", "hash", "log"}
    | {"search", "find", "history", "diff", "blame", "summary", "schema", "count", "exists"}
)
"""A tool gives a resource as a whole if its name has words of the first kind and none of the
second."""
_PREFERRED = ("read_text_file", "read_file", "read")
_CONTENTS = frozenset(
    {"content", "contents", "text", "data", "body", "source"}
    | {"file_text", "file_content", "new_content"}
)
"""Names of arguments, and of members of results, that hold the text of a file."""
_OF_NO_INTEREST = frozenset(
    {"encoding", "overwrite", "create_dirs", "create_directories", "create_parents"}
)
"""Names of arguments that do not change what is written."""
_MODES = frozenset({"mode", "append"})
_WHOLE_MODES: tuple[Json, ...] = ("overwrite", "write", "w", "replace", False, None)
_CUT = frozenset(
    {"truncated", "is_truncated", "has_more", "more", "next_line", "next_offset", "next_cursor"}
)
"""Members of a result that say that it is not the whole, if they are there and not null or
false."""


class Overwriting(NamedTuple):
    """A call that replaces one resource with the value of its *argument*, and the call of *reader*
    with *arguments* that gives what is there."""

    argument: str
    reader: Tool
    arguments: JsonObject
    is_file: bool


class Reading(NamedTuple):
    """The content to which a person was shown the difference, as the SHA-256 *digest*: the call of
    *reader*, a full name, with *arguments* gave it. The rest is as in `Overwriting`."""

    argument: str
    reader: str
    arguments: JsonObject
    is_file: bool
    digest: str


def overwriting(
    tool: Tool,
    arguments: JsonObject,
    rules: AccessRules,
    tools: Iterable[Tool],
    policy_of: Callable[[Tool], ToolPolicy],
    used: Collection[str] = (),
) -> Overwriting | None:
    """Return what a call of *tool*, whose resources *rules* give, overwrites; None unless it is
    known. Of *tools*, those whose full names were *used* before come first."""
    key, argument = _written(rules, arguments), _content(tool, arguments, rules)
    if key is None or argument is None or not _has_word(tool, _REPLACING, _CHANGING_A_PART):
        return None
    is_file = key.startswith(FILE)
    if is_file and (argument not in _CONTENTS or not isinstance(arguments[argument], str)):
        return None

    def rank(reader: Tool) -> tuple[bool, int, str]:
        index = _PREFERRED.index(reader.name) if reader.name in _PREFERRED else len(_PREFERRED)
        return reader.full_name not in used, index, reader.name

    readers = [
        one
        for one in tools
        if one.server_key == tool.server_key
        and one.traits.read_only
        and not one.traits.open_world
        and _has_word(one, _READING, _OF_SOMETHING_ELSE)
    ]
    for reader in sorted(readers, key=rank):
        policy = policy_of(reader)
        if policy.decision.answer is Answer.ALLOW:
            found = _reading(reader, policy, key, arguments)
            if found is not None:
                return Overwriting(argument, reader, found, is_file)
    return None


def content_of(result: JsonObject, call: Overwriting) -> str | None:
    """Return the content of the resource in *result*, that of the reading of *call*, as text; None
    if it is not there as a whole."""
    if result.get("isError") is True:
        return None
    value = result.get("structuredContent")
    if value is None:
        blocks = result.get("content")
        match blocks:
            case [{"type": "text", "text": str(text)}]:
                value = text if call.is_file else _read(text)
            case _:
                return None
    if isinstance(value, dict) and value.keys() == {"result"}:
        value = value["result"]
    if isinstance(value, dict):
        if any(value.get(name) not in (None, False) for name in _CUT):
            return None
        if call.is_file:
            texts = [text for name, text in value.items() if name in _CONTENTS]
            value = texts[0] if len(texts) == 1 else None
        elif value.keys() == {call.argument}:
            value = value[call.argument]
    if call.is_file:
        return value if isinstance(value, str) else None
    return as_text(value)


def as_text(value: Json) -> str:
    """Write *value* as text that can be compared line by line."""
    if isinstance(value, str):
        return value
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _has_word(tool: Tool, some: frozenset[str], none: frozenset[str]) -> bool:
    words = frozenset(snake(tool.name).split("_"))
    return not words.isdisjoint(some) and words.isdisjoint(none)


def _written(rules: AccessRules, arguments: JsonObject) -> str | None:
    """Return the key of the one resource that a call with *arguments* accesses, if it writes it."""
    accesses = rules.accesses(arguments)
    match () if accesses is None else accesses.keys:
        case ((key, True),):
            return key
    return None


def _content(tool: Tool, arguments: JsonObject, rules: AccessRules) -> str | None:
    """Return the argument that is the whole new value, if there is exactly one."""
    names = [name for name in arguments if name not in rules.argument_names | _OF_NO_INTEREST]
    for name in _MODES:
        schema = tool.input.properties.get(name)
        default = schema.get("default") if isinstance(schema, dict) else None
        if arguments.get(name, default) not in _WHOLE_MODES:
            return None
    names = [name for name in names if name not in _MODES]
    return names[0] if len(names) == 1 else None


def _reading(
    reader: Tool, policy: ToolPolicy, key: str, arguments: JsonObject
) -> JsonObject | None:
    """Return the arguments with which *reader* reads the resource *key*, as the call with
    *arguments* names it, and nothing else; None if there are none."""
    if (rules := access_rules_of(reader, policy)) is None:
        return None
    names = rules.argument_names
    tried = [{name: arguments[name] for name in names if name in arguments}]
    if key.startswith(FILE) and len(names) == 1:
        tried.append(dict.fromkeys(names, key.removeprefix(FILE)))
    for given in tried:
        accesses = rules.accesses(given)
        is_it = accesses is not None and accesses.keys == ((key, False),)
        if is_it and given.keys() >= set(reader.input.required):
            return given
    return None


def _read(text: str) -> Json:
    try:
        return loads(text)
    except NotStrict:
        return text
