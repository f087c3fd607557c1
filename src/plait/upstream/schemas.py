"""The six tools as clients see them: names, schemas and annotations. They never change while the
gateway runs.

Many clients and models read only a plain subset of JSON Schema, so the schemas have no references,
combinators, type lists, `const`, `format` or `pattern`, and their roots are objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .texts import CANCEL, DESCRIBE, EXECUTE, GET_RUN, QUERY, SEARCH


@dataclass(frozen=True, slots=True)
class ToolText:
    """One of the six tools, as data."""

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
        """The `_meta` that Claude's clients read: whether to load the tool at once, and words to
        find it."""
        meta: dict[str, Any] = {"anthropic/alwaysLoad": True} if self.always_load else {}
        if self.search_hint is not None:
            meta["anthropic/searchHint"] = self.search_hint
        return meta


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
_NAME = {"type": "string"}
_RUN_ID = _text("From execute_dag.")

# The options that models are offered; `Task` has others, too.
_TASK = _object(
    {
        "id": _text('Short unique name: letters, digits, "_" or "-".'),
        "tool": _text('server:tool, e.g. "github:list_issues".'),
        "arguments": {
            **_ANY_OBJECT,
            "description": 'Arguments of that tool. Strings may hold "$OUTPUT[id].path".',
        },
        "value": {
            **_ANY_OBJECT,
            "description": "Instead of a tool: an object made of outputs. No call.",
        },
        "tasks": {
            "type": "array",
            "items": _ANY_OBJECT,
            "description": "Instead of a tool: a group of tasks; with for_each once per item.",
        },
        "depends_on": _texts("Ids to wait for when no reference says so."),
        "for_each": _text('Reference to a list: run once per element, "$ITEM" is the element.'),
        "select": _text("JMESPath applied to the output."),
        "when": _text("JMESPath over {task id: output}; not true: skipped."),
        "repeat": {
            **_ANY_OBJECT,
            "description": "set, while, until (JMESPath on the output), every_s, max.",
        },
        "trigger_rule": _text(
            "all_success, all_done, one_failed, one_success, none_failed or always."
        ),
        "timeout_s": {
            "type": "number",
            "description": "Seconds. Default 60.",
        },
    },
    "id",
)

_DAG = _object(
    {
        "tasks": {
            "type": "array",
            "items": _TASK,
            "description": "The tool calls. Order does not matter.",
        },
        "return": _texts('Ids whose outputs you want back; ["*"] for all.'),
        "fail_fast": {
            "type": "boolean",
            "description": "Stop at the first failure.",
        },
        "resume_from": _text("run_id of an earlier run: what succeeded there is reused."),
        "dry_run": {"type": "boolean", "description": "Check and show; run nothing."},
        "preview": {
            "type": "boolean",
            "description": "Show all changes and wait for apply.",
        },
        "apply": _text("run_id of a preview."),
        "wait_s": {
            "type": "number",
            "description": 'Seconds until "running" is the answer. Default 50.',
        },
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
            "fix": _object(
                {
                    "op": _text("replace, remove or rename."),
                    "path": _text("Where in the document."),
                    "to": _text("The right name."),
                }
            ),
            "retryable": {"type": "boolean"},
        },
        "code",
        "message",
    ),
}

_OMITTED = {**_ANY_OBJECT, "description": "How many entries of which member did not fit."}
_NOTES = {"type": "array", "items": {"type": "string"}}

# The members of an answer that models act on; it has others, too.
_RUN = _object(
    {
        "status": {
            "type": "string",
            "enum": [
                "success",
                "partial",
                "failed",
                "cancelled",
                "timeout",
                "running",
                "waiting",
                "interrupted",
                "planned",
                "invalid",
            ],
        },
        "run_id": {"type": "string"},
        "omitted": _OMITTED,
        "errors": _ERRORS,
        "outputs": _ANY_OBJECT,
        "truncated": {
            "type": "array",
            "items": _object(
                {
                    "id": {"type": "string"},
                    "chars": {"type": "integer"},
                    "shape": {"type": "string"},
                    "get_run": _ANY_OBJECT,
                }
            ),
        },
        "notes": _NOTES,
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

# As execute_dag takes and answers it; models read that there.
_QUERY = _object(
    {
        "tasks": {
            "type": "array",
            "items": _object({"id": _NAME, "tool": _NAME, "arguments": _ANY_OBJECT}, "id"),
        },
        "return": {"type": "array", "items": _NAME},
    },
    "tasks",
)

_PROBLEMS = {"type": "array", "items": _ANY_OBJECT}

_STATUS = _object(
    {
        "status": {"type": "string"},
        "run_id": {"type": "string"},
        "omitted": _OMITTED,
        "errors": _PROBLEMS,
    },
    "status",
)

_READ = _object(
    {"status": {"type": "string"}, "outputs": _ANY_OBJECT, "errors": _PROBLEMS}, "status"
)

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
                    "need": _text("The need it was found for, where several were searched."),
                },
                "name",
            ),
        },
        "servers": {
            "type": "array",
            "items": _object({"name": {"type": "string"}, "state": {"type": "string"}}),
        },
        "total": {"type": "integer"},
        "notes": _NOTES,
        "omitted": _OMITTED,
        "errors": _PROBLEMS,
    }
)

_DESCRIBED = _object(
    {
        "tools": {"type": "array", "items": _ANY_OBJECT},
        "unknown": {
            "type": "array",
            "items": _object({"name": {"type": "string"}, "hint": {"type": "string"}}),
        },
        "omitted": _OMITTED,
        "errors": _PROBLEMS,
    }
)

TOOLS = (
    ToolText(
        "execute_dag", "Run a DAG of tool calls", EXECUTE, _DAG, _RUN, is_read_only=False,
        is_idempotent=False,
        is_open_world=True, always_load=True,
        search_hint="parallel batch workflow pipeline several tools at once",
    ),
    ToolText(
        "search_tools", "Find downstream tools", SEARCH,
        _object(
            {
                "query": _text('What you need, in a few words. Separate several needs with ";".'),
                "server": _text("Only this server."),
                "limit": {"type": "integer",
                "description": "Most matches for each need. Default 6."},
            },
            "query", closed=True,
        ),
        _FOUND, always_load=True, search_hint="find discover list tools of connected servers",
    ),
    ToolText(
        "describe_tools", "Describe downstream tools", DESCRIBE,
        _object({"names": _texts('Names such as "github:list_issues".')}, "names", closed=True),
        _DESCRIBED,
    ),
    ToolText(
        "get_run", "Look at a run", GET_RUN,
        _object(
            {
                "run_id": _RUN_ID,
                "task": _text("A task id, to read its whole output."),
                "select": _text("JMESPath on that output."),
                "offset": {"type": "integer", "description": "Character to start at. Default 0."},
                "limit": {"type": "integer",
                "description": "Characters to return. Default: what fits."},
                "wait_s": {"type": "number",
                "description": "Wait up to this long for the end. Default 50."},
            },
            "run_id", closed=True,
        ),
        _STATUS,
    ),
    ToolText(
        "cancel_run", "Cancel a run", CANCEL, _object({"run_id": _RUN_ID}, "run_id", closed=True),
        _STATUS,
        is_read_only=False,
    ),
    ToolText(
        "query_dag", "Run a DAG that only reads", QUERY, _QUERY, _READ, is_open_world=True,
        always_load=True, search_hint="parallel batch read only several tools at once",
    ),
)  # fmt: skip
