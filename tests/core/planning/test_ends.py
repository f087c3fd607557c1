"""The schemas of `$STATUS[id]` and `$ERROR[id]`."""

from __future__ import annotations

from plait import errors
from plait.core.planning.ends import CODES, STATUS_SCHEMA, error_schema
from plait.core.scheduling.events import Status
from plait.core.values.schema import Schema
from plait.core.values.strict import Json, JsonObject


def test_every_final_status_is_one_of_the_schema() -> None:
    assert {"enum": [str(status) for status in Status if status.is_final]} == STATUS_SCHEMA


def test_every_code_of_an_error_is_one_of_the_schema() -> None:
    consequences = {"cancelled", "dependency_failed", "condition", "fail_fast"}
    codes = {kind.code for kind in vars(errors).values() if _is_of_a_call(kind)}
    assert {*CODES} == codes | consequences


def _is_of_a_call(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, errors.CallError)


def test_only_the_error_of_a_task_with_items_has_items() -> None:
    alone: JsonObject = {"code": "timeout", "message": "late"}
    items: list[Json] = [{"index": 0, "item": {"x": 1}, **alone}]
    of_call, of_items = Schema(error_schema(has_items=False)), Schema(error_schema(has_items=True))
    assert not of_call.complaints(alone)
    assert of_call.complaints({**alone, "items": items})
    assert not of_items.complaints({**alone, "items": items})
