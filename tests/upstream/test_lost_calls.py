"""The answer to a call that a gateway took and did not answer."""

from __future__ import annotations

import jsonschema_rs
import mcp_types as types
import pytest

from plait.upstream.lost_calls import lost_result
from plait.upstream.schemas import TOOLS


@pytest.mark.parametrize("is_modern", [False, True])
def test_a_lost_run_is_a_result_of_execute_dag(is_modern: bool):
    result = lost_result("execute_dag", is_modern=is_modern)
    [schema] = [tool.output_schema for tool in TOOLS if tool.name == "execute_dag"]
    jsonschema_rs.validate(schema, result["structuredContent"])
    read = types.CallToolResult.model_validate(result)
    assert not read.is_error
    assert "execute_dag" in str(read.content)


def test_a_lost_call_by_name_is_an_error_of_the_tool():
    result = lost_result("github__create_issue", is_modern=False)
    assert result["isError"] is True
    assert "resultType" not in result
    assert result["structuredContent"] == {
        "status": "interrupted",
        "sent": "unknown",
        "notes": [result["content"][0]["text"]],  # type: ignore[index, call-overload]  # as above
    }
