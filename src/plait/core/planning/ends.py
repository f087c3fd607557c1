"""The ends of tasks, as `$STATUS[id]` and `$ERROR[id]` show them: their schemas."""

from __future__ import annotations

from ..values.strict import JsonObject

CODES = (
    "tool_error",
    "protocol_error",
    "connection_lost",
    "server_unavailable",
    "timeout",
    "cancelled",
    "reference_error",
    "invalid_arguments",
    "invalid_output",
    "invalid_expression",
    "output_too_large",
    "limit_exceeded",
    "policy_denied",
    "approval_denied",
    "flow_denied",
    "approval_required",
    "tool_changed",
    "dependency_failed",
    "condition",
    "fail_fast",
    "in_doubt",
    "history_unavailable",
    "internal",
)
"""The codes that the error of a task can have."""
STATUS_SCHEMA: JsonObject = {"enum": ["success", "failed", "timeout", "skipped", "cancelled"]}


def error_schema(*, has_items: bool) -> JsonObject:
    """Return the schema of the error of a task, one with items or one without."""
    text: JsonObject = {"type": "string"}
    members: JsonObject = {"code": {"enum": [*CODES]}, "message": text}
    if has_items:
        item: JsonObject = {"index": {"type": "integer"}, "item": {}, **members}
        members["items"] = {
            "type": "array",
            "items": {
                "type": "object",
                "properties": item,
                "required": [*item],
                "additionalProperties": False,
            },
        }
    return {
        "type": ["object", "null"],
        "properties": members,
        "required": [*members],
        "additionalProperties": False,
    }
