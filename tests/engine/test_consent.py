"""What a yes is refused for: a question that is not open, and a preview that is not there."""

from __future__ import annotations

from typing import Any

import pytest

from plait.errors import InvalidDag, StaleApproval

from .dying import World, task

pytestmark = pytest.mark.virtual_time


async def test_a_run_that_asks_for_nothing_takes_no_yes():
    world = World()
    async with world.gateway() as (gateway, _):
        result = await gateway.execute({"tasks": [task("a", "read", 1)]})
        with pytest.raises(StaleApproval):
            await gateway.approve(result.run_id, "0" * 64)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, "not_a_preview"),
        ({"tasks": [task("b", "read", 2)]}, "not_a_preview"),
        ({"resume_from": "r_x"}, "not_a_preview"),
        ({"preview": True}, "not_a_preview"),
        ({"apply": "r_unknown"}, "unknown_run"),
    ],
)
async def test_only_a_preview_is_applied_and_alone(more: dict[str, Any], code: str):
    world = World()
    async with world.gateway() as (gateway, _):
        done = await gateway.execute({"tasks": [task("a", "read", 1)]})
        with pytest.raises(InvalidDag) as refused:
            await gateway.submit({"tasks": [], "apply": done.run_id, **more})
    assert [problem.code for problem in refused.value.problems] == [code]
    assert all(problem.path == "apply" for problem in refused.value.problems)
    assert world.log == [("read", 1)]
