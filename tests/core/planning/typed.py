"""Tools whose inputs and outputs have schemas, and documents that are checked against them."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Problem
from plait.errors import InvalidDag
from tests.fakes import tool

STRING: dict[str, Any] = {"type": "string"}
ISSUE = {
    "type": "object",
    "properties": {"title": STRING},
    "required": ["title"],
    "additionalProperties": False,
}
OUTPUT = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": ISSUE}, "total": {"type": "integer"}},
    "additionalProperties": False,
}
TYPED = Catalog(
    [
        tool("s:list", {"page": {"type": "integer"}}, output=OUTPUT),
        tool("s:read", {"path": STRING}, ["path"]),
        tool("s:open", output={**OUTPUT, "additionalProperties": True}),
        tool(
            "s:odd",
            {"path": {"type": "string", "pattern": "("}},
            output={**OUTPUT, "properties": {"x": {"pattern": "("}}},
        ),
    ],
    [ServerInfo("s", ServerState.READY), ServerInfo("late", ServerState.CONNECTING)],
)


def typed(*tasks: dict[str, Any], **given: Any) -> Plan:
    return check(
        read_dag({"tasks": [{"id": f"t{n}", **task} for n, task in enumerate(tasks)]}),
        TYPED,
        Policy(),
        **given,
    )


def refused(*tasks: dict[str, Any], **given: Any) -> list[Problem]:
    with pytest.raises(InvalidDag) as error:
        typed(*tasks, **given)
    return list(error.value.problems)
