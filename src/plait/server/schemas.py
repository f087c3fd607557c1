"""The five tools as clients see them: names, texts, schemas and annotations. They never change while we run.

Many clients and models read only a plain subset of JSON Schema, so the schemas hold no references, combinators,
type lists, `const`, `format` or `pattern`, and their roots are objects. Texts stay within 2,048 characters, where
clients cut them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..core.catalog import ServerInfo

MAX_TEXT = 2_048

INSTRUCTIONS = """\
Runs many tool calls of other MCP servers in ONE call, in parallel. Use it whenever a request needs two or more \
downstream calls, or one call whose result feeds another: plan the whole job as a DAG and send it once, instead of \
calling step by step. Intermediate results stay in the gateway; only what you ask for comes back.
Workflow: search_tools (find names and signatures) -> execute_dag (run). describe_tools only when a signature is not \
enough. get_run when a run is still going or an output was cut. The resource plait://guide has worked examples.
Downstream tools are named server:tool, e.g. "github:list_issues". They are no tools you can call yourself: put them \
in the `tool` field of a task.
Connected servers: """

EXECUTE = """\
Run several downstream tool calls as one DAG. Independent tasks run in parallel; a task starts as soon as the tasks \
it refers to have succeeded. Everything is checked before anything runs: unknown tools, bad arguments, cycles and bad \
references come back as one list of fixes, and nothing is executed.

Task: {"id": "issues", "tool": "github:list_issues", "arguments": {"owner": "acme", "repo": "api"}}
- tool: server:tool exactly as search_tools prints it.
- References: a string in arguments that is "$OUTPUT[id].path" becomes that value with its type (list, object, \
number). Inside a longer string it is put in as text: "Top: $OUTPUT[issues].items[0].title". Path: .items[0].title, \
.items[-1], .items[*].id (of all). "$OUTPUT[id]" alone is the whole output. A reference already makes the task wait; \
depends_on is only for order without data.
- for_each: "$OUTPUT[issues].items" runs the task once per element, in parallel; write "$ITEM" or "$ITEM.number" in \
arguments. Its output is the list of results.
- select: JMESPath that shrinks this task's output, e.g. "items[].{n: number, t: title}". Use it on big results.

Result: {"status": "success|partial|failed|running", "run_id", "errors": [{id, code, message, hint}], "outputs": \
{id: value}, "metrics"}. outputs holds the ids in `return` (default: tasks nothing else refers to). A failed task does \
not stop the others; tasks that need it are skipped. To repair, send only the mended tasks with resume_from = run_id: \
what succeeded is reused, not run again. Long outputs are cut and listed in `truncated`; read the rest with get_run. \
status "running": wait with get_run.

Example: {"tasks": [{"id": "u", "tool": "github:get_user", "arguments": {"name": "ada"}}, {"id": "m", "tool": \
"slack:post_message", "arguments": {"channel": "dev", "text": "Hi $OUTPUT[u].name"}}]}"""

SEARCH = """\
Find downstream tools to use in execute_dag. Returns up to `limit` matches for each need, best first, one line each: \
server:tool(required: type, optional?: type) -> output - what it does. [w] marks a tool that may change something. \
Search several needs at once, separated by ";": "list open issues; post chat message". An empty query lists the \
servers, their state and how many tools each has. Matching is by words in names, descriptions and parameters."""

DESCRIBE = """\
Full definitions of downstream tools: description, input schema, output schema, annotations. Ask only for tools whose \
one-line signature from search_tools is not enough (nested objects, formats). Up to 10 names a call."""

GET_RUN = """\
Look at a run of execute_dag: wait for one that is still going, or read an output that was cut. Without task: status, \
the state of each task, and the outputs. With task: that task's output, whole if it fits; narrow it with select \
(JMESPath), or page through its text with offset and limit (characters): next_offset is where the next page starts. \
The latest runs are kept."""

CANCEL = """\
Stop a run of execute_dag that is still going. Calls in flight are cancelled; tasks that have finished keep their \
effects and their outputs."""

EXAMPLE = {
    "tasks": [
        {"id": "u", "tool": "github:get_user", "arguments": {"name": "ada"}},
        {
            "id": "m",
            "tool": "slack:post_message",
            "arguments": {"channel": "dev", "text": "Hi $OUTPUT[u].name"},
        },
    ]
}


@dataclass(frozen=True, slots=True)
class ToolText:
    """One of the five tools, as data."""

    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    is_read_only: bool = True
    is_idempotent: bool = True
    is_open_world: bool = False
    always_load: bool = False
    search_hint: str | None = None

    @property
    def meta(self) -> dict[str, Any]:
        """What Claude's clients read: load the tool without a search for it, and the words to find it by."""
        meta: dict[str, Any] = {"anthropic/alwaysLoad": True} if self.always_load else {}
        if self.search_hint is not None:
            meta["anthropic/searchHint"] = self.search_hint
        return meta


def instructions(servers: Iterable[ServerInfo]) -> str:
    """The server's instructions, with the servers that are configured and what is known of them now."""
    parts = [f"{info.name} ({_count(info.tools, 'tool')})" if info.tools else info.name for info in servers]
    for shown in range(len(parts), 0, -1):
        rest = len(parts) - shown
        text = INSTRUCTIONS + ", ".join(parts[:shown]) + (f" and {rest} more" if rest else "")
        if len(text) <= MAX_TEXT:
            return text
    return INSTRUCTIONS + (f"{len(parts)}, listed by search_tools with an empty query" if parts else "none")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _texts(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description}


def _object(properties: dict[str, Any], *required: str, closed: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    if closed:
        schema["additionalProperties"] = False
    return schema


_ANY_OBJECT = {"type": "object", "additionalProperties": True}
_RUN_ID = _text("From execute_dag.")

_TASK = _object(
    {
        "id": _text('Short unique name: letters, digits, "_" or "-".'),
        "tool": _text('server:tool, e.g. "github:list_issues".'),
        "arguments": {**_ANY_OBJECT, "description": 'Arguments of that tool. Strings may hold "$OUTPUT[id].path".'},
        "depends_on": _texts("Ids to wait for when no reference says so."),
        "for_each": _text('Reference to a list: run once per element, "$ITEM" is the element.'),
        "select": _text("JMESPath applied to the output."),
        "timeout_s": {"type": "number", "description": "Give up after this many seconds. Default 60."},
    },
    "id",
    "tool",
)

_DAG = _object(
    {
        "tasks": {"type": "array", "items": _TASK, "description": "The tool calls. Order does not matter."},
        "return": _texts('Ids whose outputs you want back; ["*"] for all.'),
        "fail_fast": {"type": "boolean", "description": "Stop at the first failure. Default false."},
        "resume_from": _text("run_id of an earlier run: what succeeded there is reused."),
        "dry_run": {"type": "boolean", "description": "Check and show the layers; run nothing."},
        "wait_s": {"type": "number", "description": 'Answer "running" after this many seconds. Default 50.'},
    },
    "tasks",
)

_ERRORS = {
    "type": "array",
    "items": _object(
        {
            "id": _text("The task."),
            "path": _text("Where in the document."),
            "code": {"type": "string"},
            "message": {"type": "string"},
            "hint": {"type": "string"},
            "retryable": {"type": "boolean"},
        },
        "code",
        "message",
    ),
}

_RUN = _object(
    {
        "status": {
            "type": "string",
            "enum": ["success", "partial", "failed", "cancelled", "timeout", "running", "planned", "invalid"],
        },
        "run_id": {"type": "string"},
        "omitted": {**_ANY_OBJECT, "description": "How many entries of which member did not fit."},
        "errors": _ERRORS,
        "outputs": _ANY_OBJECT,
        "truncated": {
            "type": "array",
            "items": _object({"id": {"type": "string"}, "chars": {"type": "integer"}, "uri": {"type": "string"}}),
        },
        "notes": {"type": "array", "items": {"type": "string"}},
        "tasks": {
            "type": "array",
            "items": _object(
                {
                    "id": {"type": "string"},
                    "status": {"type": "string"},
                    "duration_ms": {"type": "number"},
                    "attempts": {"type": "integer"},
                    "cached": {"type": "boolean"},
                },
                "id",
                "status",
            ),
        },
        "layers": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "metrics": _ANY_OBJECT,
    },
    "status",
)

_STATUS = _object({"status": {"type": "string"}, "run_id": {"type": "string"}, "errors": _ERRORS}, "status")

_FOUND = _object(
    {
        "tools": {
            "type": "array",
            "items": _object(
                {
                    "name": {"type": "string"},
                    "signature": {"type": "string"},
                    "description": {"type": "string"},
                    "writes": {"type": "boolean"},
                    "need": _text("What it was found for, where several needs were searched."),
                },
                "name",
            ),
        },
        "servers": {"type": "array", "items": _object({"name": {"type": "string"}, "state": {"type": "string"}})},
        "total": {"type": "integer"},
        "errors": _ERRORS,
    }
)

_DESCRIBED = _object(
    {
        "tools": {"type": "array", "items": _ANY_OBJECT},
        "unknown": {"type": "array", "items": _object({"name": {"type": "string"}, "hint": {"type": "string"}})},
        "errors": _ERRORS,
    }
)

TOOLS = (
    ToolText(
        "execute_dag", "Run a DAG of tool calls", EXECUTE, _DAG, _RUN, is_read_only=False, is_idempotent=False,
        is_open_world=True, always_load=True, search_hint="parallel batch workflow pipeline several tools at once",
    ),
    ToolText(
        "search_tools", "Find downstream tools", SEARCH,
        _object(
            {
                "query": _text('What you need, in a few words. Separate several needs with ";".'),
                "server": _text("Only this server."),
                "limit": {"type": "integer", "description": "Most matches for each need. Default 6."},
            },
            "query", closed=True,
        ),
        _FOUND, always_load=True, search_hint="find discover list tools of connected servers",
    ),
    ToolText(
        "describe_tools", "Describe downstream tools", DESCRIBE,
        _object({"names": _texts('Names such as "github:list_issues".')}, "names", closed=True), _DESCRIBED,
    ),
    ToolText(
        "get_run", "Look at a run", GET_RUN,
        _object(
            {
                "run_id": _RUN_ID,
                "task": _text("A task id, to read its whole output."),
                "select": _text("JMESPath on that output."),
                "offset": {"type": "integer", "description": "Character to start at. Default 0."},
                "limit": {"type": "integer", "description": "Characters to return. Default: what fits."},
                "wait_s": {"type": "number", "description": "Wait up to this long for the end. Default 50."},
            },
            "run_id", closed=True,
        ),
        _STATUS,
    ),
    ToolText(
        "cancel_run", "Cancel a run", CANCEL, _object({"run_id": _RUN_ID}, "run_id", closed=True), _STATUS,
        is_read_only=False,
    ),
)  # fmt: skip
