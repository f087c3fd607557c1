"""A difference is shown only where it is certain what a call overwrites, and how that is read."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.tools.catalog import Tool
from plait.core.tools.claims import access_rules_of
from plait.core.tools.overwriting import Overwriting, as_text, content_of, overwriting
from plait.core.tools.policy import Policy, Rule
from plait.core.values.strict import Json, JsonObject

from ...fakes import structured, text, tool

TEXT = {"type": "string"}
READ = tool("s:read_file", {"path": TEXT}, ["path"], readOnlyHint=True)
WRITE = tool("s:write_file", {"path": TEXT, "content": TEXT}, ["path", "content"])
NEW: JsonObject = {"path": "a.txt", "content": "new"}


def found(
    write: Tool = WRITE,
    arguments: JsonObject = NEW,
    *tools: Tool,
    policy: Policy | None = None,
    used: tuple[str, ...] = (),
) -> Overwriting | None:
    policy = policy or Policy()
    rules = access_rules_of(write, policy.of(write))
    if rules is None:
        return None
    return overwriting(write, arguments, rules, tools or (READ,), policy.of, used)


def test_a_file_is_read_by_the_tool_that_reads_files():
    assert found() == Overwriting("content", READ, {"path": "a.txt"}, is_file=True)


def writer(name: str = "write_file", **more: Any) -> Tool:
    return tool(f"s:{name}", {"path": TEXT, "content": TEXT, **more})


@pytest.mark.parametrize(
    ("write", "arguments"),
    [
        (writer("append_file"), NEW),
        (writer("edit_file"), NEW),
        (writer("insert_line"), NEW),
        (writer("run_file"), NEW),
        (writer(offset=TEXT), {**NEW, "offset": 3}),
        (writer(mode=TEXT), {**NEW, "mode": "append"}),
        (writer(mode={**TEXT, "default": "append"}), NEW),
        (writer(append={"type": "boolean"}), {**NEW, "append": True}),
        (writer(), {"path": "a.txt"}),
        (writer(), {**NEW, "content": {"a": 1}}),
        (writer(destination=TEXT), {**NEW, "destination": "b.txt"}),
        (writer(note=TEXT), {"path": "a.txt", "note": "new"}),
    ],
)
def test_a_call_that_may_change_a_part_alone_is_not_compared(write: Tool, arguments: JsonObject):
    assert found(write, arguments) is None


@pytest.mark.parametrize(
    "arguments",
    [
        {**NEW, "mode": "overwrite"},
        {**NEW, "append": False},
        {**NEW, "create_parents": True, "encoding": "utf-8"},
    ],
)
def test_arguments_that_do_not_change_what_is_written_are_no_obstacle(arguments: JsonObject):
    assert found(writer(mode=TEXT, append={}, create_parents={}, encoding=TEXT), arguments)


def reader(name: str, *required: str, **hints: Any) -> Tool:
    properties = {"path": TEXT, "line": {"type": "integer"}}
    hints.setdefault("readOnlyHint", True)
    return tool(f"s:{name}", properties, required or ["path"], **hints)


@pytest.mark.parametrize(
    "other",
    [
        reader("get_file_info"),
        reader("read_media_file"),
        reader("list_directory"),
        reader("read_file", readOnlyHint=False),
        reader("read_file", openWorldHint=True),
        reader("read_file", "path", "line"),
        tool("other:read_file", {"path": TEXT}, ["path"], readOnlyHint=True),
        tool("s:read_file", {"path": TEXT, "file": TEXT}, ["path", "file"], readOnlyHint=True),
        tool("s:read_file", {"id": TEXT}, ["id"], readOnlyHint=True),
    ],
)
def test_what_may_not_give_the_whole_file_reads_nothing(other: Tool):
    assert found(WRITE, NEW, other) is None


def test_a_tool_that_the_run_has_used_comes_first_then_the_usual_names():
    view, whole = reader("view_file"), reader("read_text_file")
    assert found(WRITE, NEW, view, whole, READ) == Overwriting(
        "content", whole, {"path": "a.txt"}, is_file=True
    )
    used = found(WRITE, NEW, view, whole, READ, used=("s:view_file",))
    assert used is not None
    assert used.reader is view


def test_an_argument_of_another_name_holds_the_same_path():
    other = tool("s:read_file", {"file_path": TEXT}, ["file_path"], readOnlyHint=True)
    assert found(WRITE, NEW, other) == Overwriting(
        "content", other, {"file_path": "a.txt"}, is_file=True
    )


def test_a_record_is_read_with_the_arguments_that_its_templates_name():
    put = tool("db:put_row", {"id": TEXT, "row": {"type": "object"}}, ["id", "row"])
    get = tool("db:get_row", {"id": TEXT}, ["id"], readOnlyHint=True)
    templates = (
        Rule("db:put_row", writes=("db:{id}",)),
        Rule("db:get_row", reads=("db:{id}",)),
    )
    arguments: JsonObject = {"id": "7", "row": {"b": 2, "a": 1}}
    policy = Policy(rules=templates)
    assert found(put, arguments, get, policy=policy) == Overwriting(
        "row", get, {"id": "7"}, is_file=False
    )
    assert found(put, arguments, get) is None


FILE = Overwriting("content", READ, {"path": "a.txt"}, is_file=True)
ROW = Overwriting("row", READ, {"id": "7"}, is_file=False)


@pytest.mark.parametrize(
    ("result", "call", "content"),
    [
        (text("one\n"), FILE, "one\n"),
        (text('{"a": 1}'), FILE, '{"a": 1}'),
        (text("one", "two"), FILE, None),
        (text("no such file", is_error=True), FILE, None),
        ({"content": []}, FILE, None),
        ({}, FILE, None),
        (structured({"text": "one", "path": "a.txt"}), FILE, "one"),
        (structured({"result": "one"}), FILE, "one"),
        (structured({"result": {"text": "one"}}), FILE, "one"),
        (structured({"text": "one", "truncated": False, "next_line": None}), FILE, "one"),
        (structured({"text": "one", "truncated": True}), FILE, None),
        (structured({"text": "one", "next_line": 7}), FILE, None),
        (structured({"text": "one", "content": "two"}), FILE, None),
        (structured({"size": 3}), FILE, None),
        (structured({"row": {"a": 1}}), ROW, as_text({"a": 1})),
        (structured({"b": 2, "a": 1}), ROW, '{\n  "a": 1,\n  "b": 2\n}\n'),
        (text('{"a": 1}'), ROW, as_text({"a": 1})),
        (text("plain"), ROW, "plain"),
    ],
)
def test_only_a_whole_content_is_compared(
    result: JsonObject, call: Overwriting, content: Json
) -> None:
    assert content_of(result, call) == content
