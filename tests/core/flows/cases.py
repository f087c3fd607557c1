"""Plans in which a private value reaches a call that sends, or does not: one for each way."""

from __future__ import annotations

from typing import Any

from .plans import QUERY, READ, call, post, value

GATE = value("gate", {"k": 1}, when="read.ok")

REFUSED: dict[str, list[Any]] = {
    "a reference": [READ, post("$OUTPUT[read].text")],
    "a text made of several": [READ, post("x ${OUTPUT[read].text} y")],
    "a reference deep in an argument": [READ, post({"a": [{"b": "$OUTPUT[read].text"}]})],
    "all arguments": [READ, {"id": "post", "tool": "chat:post", "arguments": "$OUTPUT[read].a"}],
    "a default that is not taken": [READ, QUERY, post("${OUTPUT[query].x ?? OUTPUT[read].x}")],
    "the task in front of a default": [READ, post('${OUTPUT[read].x ?? "none"}')],
    "the value of a pipe": [READ, post("${OUTPUT[read] | length(@)}")],
    "an operand in a pipe": [READ, QUERY, post("${OUTPUT[query].a | [?x == $OUTPUT[read].x]}")],
    "a value": [READ, value("v", {"a": "$OUTPUT[read]"}), post("$OUTPUT[v].a")],
    "an operand of select": [
        READ, QUERY | {"select": "[?id == $OUTPUT[read].id]"}, post("$OUTPUT[query]"),
    ],
    "the select of a value": [
        READ, value("v", [1], select="[?@ == $OUTPUT[read].id]"), post("$OUTPUT[v]"),
    ],
    "another call": [READ, call("a", "db:query", x="$OUTPUT[read]"), post("$OUTPUT[a].x")],
    "a status": [READ, post("$STATUS[read]", trigger_rule="all_done")],
    "an error": [READ, post("$ERROR[read].message", trigger_rule="all_done")],
    "a condition": [READ, post("x", when="read.ok")],
    "the status in a condition": [
        READ, post("x", when="$STATUS[read] == 'failed'", trigger_rule="all_done"),
    ],
    "the condition of a task that it reads": [READ, GATE, post("$OUTPUT[gate].k")],
    "the condition of a task that it only waits for": [
        READ, GATE, post("x", depends_on=["gate"]),
    ],
    "a condition three tasks before": [
        READ, GATE, QUERY | {"depends_on": ["gate"]},
        value("v", 1, depends_on=["query"]), post("x", depends_on=["v"]),
    ],
    "one_failed": [READ, post("x", depends_on=["read"], trigger_rule="one_failed")],
    "one_success": [READ, post("x", depends_on=["read"], trigger_rule="one_success")],
    "none_failed": [READ, post("x", depends_on=["read"], trigger_rule="none_failed")],
    "the number of items": [READ, post("x", for_each="$OUTPUT[read].items")],
    "an item": [READ, post("$ITEM.x", for_each="$OUTPUT[read].items")],
    "an item of a list that is written down": [
        READ, post("$ITEM.x", for_each=[{"x": 1}, {"x": "$OUTPUT[read].x"}]),
    ],
    "the number of items of a task that it waits for": [
        READ, call("a", "db:query") | {"for_each": "$OUTPUT[read].items"},
        post("x", depends_on=["a"]),
    ],
    "an item of a group": [
        READ, {"id": "g", "for_each": "$OUTPUT[read].items", "tasks": [post("$ITEM.x")]},
    ],
    "the number of items of a group": [
        READ, {"id": "g", "for_each": "$OUTPUT[read].items", "tasks": [post("x")]},
    ],
    "a written item of a group": [
        READ, {"id": "g", "for_each": [1, "$OUTPUT[read].x"], "tasks": [post("$ITEM")]},
    ],
    "the item of the outer of two groups": [
        READ,
        {"id": "g", "for_each": [1, "$OUTPUT[read].x"],
         "tasks": [{"id": "h", "for_each": [1, 2], "tasks": [post("$ITEM[g]")]}]},
    ],
    "out of a group": [{"id": "g", "tasks": [READ]}, post("$OUTPUT[g].text")],
    "the value of a group": [
        {"id": "g", "tasks": [READ, QUERY], "value": {"a": "$OUTPUT[read]"}}, post("$OUTPUT[g].a"),
    ],
    "the condition of a group": [
        READ, {"id": "g", "when": "read.ok", "tasks": [post("x")]},
    ],
    "what decides a task in a group": [
        READ, {"id": "g", "tasks": [value("v", 1, when="$OUTPUT[read].ok")]},
        post("x", depends_on=["g"]),
    ],
    "an item that decides a task in a group": [
        READ,
        {"id": "g", "for_each": [1, "$OUTPUT[read].x"],
         "tasks": [value("v", 1, when="$ITEM == 'q'")], "value": "$OUTPUT[v]"},
        post("x", depends_on=["g"]),
    ],
    "an item whose length decides a task in a group": [
        READ,
        {"id": "g", "for_each": [[1], "$OUTPUT[read].items"],
         "tasks": [QUERY | {"for_each": "$ITEM[g]"}]},
        post("x", depends_on=["g"]),
    ],
    "the select of a group": [
        READ, {"id": "g", "tasks": [QUERY], "select": "[?x == $OUTPUT[read].x]"},
        post("$OUTPUT[g]"),
    ],
    "the status of a group": [
        {"id": "g", "tasks": [READ], "value": "x"}, post("$STATUS[g]", trigger_rule="all_done"),
    ],
    "the default of a group": [
        {"id": "g", "tasks": [READ, QUERY], "value": "$OUTPUT[query]"},
        post('${OUTPUT[g] ?? "none"}'),
    ],
    "an item of a group that failed": [
        {"id": "g", "for_each": [1], "tasks": [READ], "value": "x"}, post("$OUTPUT[g]"),
    ],
    "into a group": [READ, {"id": "g", "tasks": [post("$OUTPUT[read].text")]}],
    "a condition in a group, by the name that a task has there": [
        READ, {"id": "g", "tasks": [post("x", when="read.ok")]},
    ],
    "a task of a group that hides another": [
        QUERY | {"id": "read"},
        {"id": "g", "tasks": [READ, post("$OUTPUT[read].text")]},
    ],
    "an operand of repeat": [
        READ,
        {"id": "post", "tool": "chat:post", "allow_repeat": True,
         "repeat": {"set": {"page": "next || $OUTPUT[read].x"}}},
    ],
    "how often a task was repeated that it waits for": [
        READ | {"repeat": {"until": "done"}}, post("x", depends_on=["read"]),
    ],
    "a file that is written and read": [
        READ, call("w", "notes:put", path="/x", x="$OUTPUT[read]"),
        call("r", "notes:get", path="/x") | {"depends_on": ["w"]}, post("$OUTPUT[r]"),
    ],
    "a file below what was written": [
        READ, call("w", "notes:put", path="/x", x="$OUTPUT[read]"),
        call("r", "notes:get", path="/x/y") | {"depends_on": ["w"]}, post("$OUTPUT[r]"),
    ],
    "a folder above what was written": [
        READ, call("w", "notes:put", path="/x/y", x="$OUTPUT[read]"),
        call("r", "notes:get", path="/x"), post("$OUTPUT[r]"),
    ],
    "a file whose name is not known yet": [
        READ, QUERY, call("w", "notes:put", path="$OUTPUT[query].path", x="$OUTPUT[read]"),
        call("r", "notes:get", path="/x"), post("$OUTPUT[r]"),
    ],
    "reading a file whose name is not known yet": [
        READ, QUERY, call("w", "notes:put", path="/x", x="$OUTPUT[read]"),
        call("r", "notes:get", path="$OUTPUT[query].path"), post("$OUTPUT[r]"),
    ],
    "the name of a file that is written": [
        READ, call("w", "notes:put", path="$OUTPUT[read].x"),
        call("r", "notes:get", path="/x"), post("$OUTPUT[r]"),
    ],
    "what the writer took from elsewhere": [
        call("w", "mail:read") | {"writes": ["file:/x"]},
        call("r", "notes:get", path="/x"), post("$OUTPUT[r]"),
    ],
    "a file that may be written before it is read": [
        call("r", "notes:get", path="/x"), READ,
        call("w", "notes:put", path="/x", x="$OUTPUT[read]"), post("$OUTPUT[r]"),
    ],
    "a copy of a file": [
        READ, call("w", "notes:put", path="/x", x="$OUTPUT[read]"),
        call("copy", "notes:put", path="/y") | {"writes": ["file:/x"]},
        call("r", "notes:get", path="/y"), post("$OUTPUT[r]"),
    ],
    "two files, each read before it may be written": [
        call("r2", "notes:get", path="/y"), call("r1", "notes:get", path="/x"),
        call("w2", "notes:put", path="/y", x="$OUTPUT[r1]"), READ,
        call("w1", "notes:put", path="/x", x="$OUTPUT[read]"), post("$OUTPUT[r2]"),
    ],
    "a file that the next item reads": [
        READ,
        {"id": "g", "for_each": [1, 2], "tasks": [
            call("r", "notes:get", path="/x"), post("$OUTPUT[r]"),
            call("w", "notes:put", path="/x", x="$OUTPUT[r]", y="$OUTPUT[read]"),
        ]},
    ],
    "a resource that the task itself names": [
        READ, call("w", "db:query", x="$OUTPUT[read]") | {"writes": ["db:t"]},
        call("r", "db:query") | {"reads": ["db:t"]}, post("$OUTPUT[r]"),
    ],
}  # fmt: skip

ALLOWED: dict[str, list[Any]] = {
    "waiting for a call": [READ, post("x", depends_on=["read"])],
    "cleaning up whatever happened": [
        READ, GATE, post("x", depends_on=["gate"], trigger_rule="always"),
    ],
    "running after all is done": [
        READ, GATE, post("x", depends_on=["gate"], trigger_rule="all_done"),
    ],
    "waiting for a task with a default for what was decided": [
        READ, GATE, value("v", "${OUTPUT[gate].k ?? 0}"), post("x", depends_on=["v"]),
    ],
    "waiting for a task that reads it": [
        READ, value("v", "$OUTPUT[read].text"), post("x", depends_on=["v"]),
    ],
    "waiting for a group over a list that is written down": [
        READ,
        {"id": "g", "for_each": [1, "$OUTPUT[read].x"],
         "tasks": [call("a", "db:query", x="$ITEM")]},
        post("x", depends_on=["g"]),
    ],
    "waiting for a list that is written down": [
        READ, call("a", "db:query", x="$ITEM") | {"for_each": ["$OUTPUT[read].x", 2]},
        post("x", depends_on=["a"]),
    ],
    "an exception": [call("a", "files:read_public"), post("$OUTPUT[a].text")],
    "a call that sends nothing": [READ, call("a", "db:query", x="$OUTPUT[read]")],
    "data of another tool": [READ, QUERY, post("$OUTPUT[query].x")],
    "a group beside it": [{"id": "g", "tasks": [READ]}, QUERY, post("$OUTPUT[query]")],
    "the value of a group that holds it": [
        {"id": "g", "tasks": [READ, QUERY], "value": "$OUTPUT[query]"}, post("$OUTPUT[g].x"),
    ],
    "the select of what it waits for": [
        READ, QUERY | {"select": "[?x == $OUTPUT[read].x]"}, post("x", depends_on=["query"]),
    ],
    "another file": [
        READ, call("w", "notes:put", path="/x", x="$OUTPUT[read]"),
        call("r", "notes:get", path="/y"), post("$OUTPUT[r]"),
    ],
    "a file with a longer name": [
        READ, call("w", "notes:put", path="/x", x="$OUTPUT[read]"),
        call("r", "notes:get", path="/xy"), post("$OUTPUT[r]"),
    ],
    "a file that only others read": [
        READ, call("w", "notes:put", path="/x", x="$OUTPUT[read]"),
        call("r", "notes:get", path="/x"), QUERY, post("$OUTPUT[query]"),
    ],
    "a file that is read before it is written": [
        call("r", "notes:get", path="/x"), READ,
        call("w", "notes:put", path="/x", x="$OUTPUT[read]", y="$OUTPUT[r]"), post("$OUTPUT[r]"),
    ],
    "a file that is read in a group before it is written": [
        {"id": "g", "tasks": [call("r", "notes:get", path="/x")]}, READ,
        call("w", "notes:put", path="/x", x="$OUTPUT[read]") | {"depends_on": ["g"]},
        post("$OUTPUT[g]"),
    ],
    "a call that accesses no resource here": [
        READ, call("w", "notes:put", path="/x", x="$OUTPUT[read]"), call("r", "notes:get"),
        post("$OUTPUT[r]"),
    ],
}  # fmt: skip
