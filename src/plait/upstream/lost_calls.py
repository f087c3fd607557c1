"""The answer to a call that an earlier gateway took and did not answer."""

from __future__ import annotations

from ..core.values.strict import JsonObject


def lost_result(tool: str, *, is_modern: bool) -> JsonObject:
    """Return the result of a lost call of *tool*, as its client knows it; *is_modern* if the client
    speaks 2026-07-28. Whether the call reached its server is unknown."""
    is_dag = tool == "execute_dag"
    text = (
        f"The gateway ended during this call of {tool or 'a tool'}. Whether it took effect is "
        "unknown. "
    )
    if is_dag:
        text += (
            "Send the same DAG again within an hour: what changes something is not sent a second "
            "time. If its run was interrupted, the answer says what was done and how to go on; if "
            "it had just ended, the answer is its result."
        )
    else:
        text += "Look at what it should have changed before you call it again."
    result: JsonObject = {
        "content": [{"type": "text", "text": text}],
        "structuredContent": {"status": "interrupted", "sent": "unknown", "notes": [text]},
    }
    if not is_dag:  # the result of a run is an answer about it
        result |= {"isError": True}
    if is_modern:
        result |= {"resultType": "complete"}
    return result
