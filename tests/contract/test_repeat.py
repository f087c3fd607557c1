"""Section 2 of the contract, the field `repeat`: paging and polling."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.scheduling.limits import Limits
from plait.core.scheduling.rates import Rate
from plait.core.tools.policy import Rule
from plait.engine.gateway import GatewayLimits

from ..fakes import text, tool
from .conftest import NUMBER, House, task

pytestmark = pytest.mark.virtual_time

NEXT = {"set": {"page": "next"}}


@pytest.fixture
def house(house: House) -> House:
    """A house with a book of pages, and a build that is done at its third look."""
    looks = {"n": 0}

    def book(page: float = 1, pages: float = 3, **rest: Any) -> Any:
        if page == rest.get("torn"):
            return text("torn", is_error=True)
        more = page + 1 if page < pages else None
        return {"items": [page * 10, page * 10 + 1], "next": more, "more": page < pages, **rest}

    def build(done: float = 3) -> dict[str, Any]:
        looks["n"] += 1
        return {"state": "done" if looks["n"] >= done else "running", "look": looks["n"]}

    add = house.servers.add
    add(tool("s:book", {"page": NUMBER, "pages": NUMBER}, closed=False, readOnlyHint=True), book)
    add(tool("s:build", {"done": NUMBER}, readOnlyHint=True), build)
    add(tool("s:turn", {"page": NUMBER}), book)
    return house


async def test_with_set_it_pages_until_the_next_is_null(house: House) -> None:
    result = await house.run(task("a", "s:book", q=1) | {"repeat": NEXT, "select": "items"})
    assert result.outputs["a"] == [10, 11, 20, 21, 30, 31]
    assert [arguments for _, arguments in house.servers.calls] == [
        {"q": 1},
        {"q": 1, "page": 2},
        {"q": 1, "page": 3},
    ]


@pytest.mark.parametrize("last", ["more && next", "more && 'x' || ''", "1"])
async def test_false_empty_text_and_the_same_as_before_end_it_too(house: House, last: str) -> None:
    pages = task("a", "s:book", page=1, pages=1) | {"repeat": {"set": {"page": last}}}
    result = await house.run(pages)
    assert (result.status, len(house.called)) == ("success", 1)


async def test_it_pages_as_long_as_while_is_true(house: House) -> None:
    repeat = {"while": "length(items) == 2 && $ARGUMENTS.page < 2", **NEXT}
    await house.run(task("a", "s:book", page=1) | {"repeat": repeat})
    assert len(house.called) == 2


async def test_expressions_read_the_output_before_select_and_the_arguments(house: House) -> None:
    repeat = {"while": "more", "set": {"page": "add($ARGUMENTS.page, 1)"}}
    result = await house.run(task("a", "s:book", page=1) | {"repeat": repeat, "select": "items[0]"})
    assert result.outputs["a"] == [10, 20, 30]


async def test_outputs_that_are_no_lists_are_the_elements_of_the_list(house: House) -> None:
    result = await house.run(task("a", "s:book") | {"repeat": NEXT, "select": "{n: next}"})
    assert result.outputs["a"] == [{"n": 2}, {"n": 3}, {"n": None}]


async def test_without_set_it_polls_every_2_seconds_and_the_output_is_the_last(
    house: House,
) -> None:
    poll = {"until": "state == 'done'"}
    result = await house.run(task("a", "s:build") | {"repeat": poll, "select": "look"})
    assert result.outputs["a"] == 3
    assert 4_000 <= result.metrics.execution_time_ms < 4_100
    assert result.tasks[0].attempts == 3


async def test_it_polls_as_long_as_while_is_true_every_s_apart(house: House) -> None:
    poll = {"while": "state == 'running'", "every_s": 30}
    result = await house.run(task("a", "s:build") | {"repeat": poll})
    assert result.outputs["a"] == {"state": "done", "look": 3}
    assert 60_000 <= result.metrics.execution_time_ms < 60_100


async def test_repeat_runs_for_each_item(house: House) -> None:
    pages = task("a", "s:book", pages="$ITEM") | {"for_each": [1, 2], "repeat": NEXT}
    result = await house.run(pages | {"select": "items"})
    assert result.outputs["a"] == [[10, 11], [10, 11, 20, 21]]


async def test_a_max_that_is_written_ends_paging_as_success_with_a_note(house: House) -> None:
    pages = task("a", "s:book") | {"repeat": {**NEXT, "max": 2}, "select": "items"}
    result = await house.run(pages)
    assert (result.status, result.outputs["a"]) == ("success", [10, 11, 20, 21])
    assert list(result.notes) == ["a stopped after 2 calls, its max; there is more"]


async def test_the_default_of_100_fails_it_as_limit_exceeded_and_its_output_is_kept(
    house: House,
) -> None:
    pages = task("a", "s:book", pages=500) | {"repeat": NEXT, "select": "items[0]"}
    async with house.gateway() as gateway:
        result = await gateway.execute({"tasks": [pages]})
        kept = gateway.output(result.run_id, "a")
    assert [error.code for error in result.errors] == ["limit_exceeded"]
    assert len(house.called) == 100
    assert kept is not None
    assert kept.value == [page * 10 for page in range(1, 101)]


async def test_polling_ends_as_timeout(house: House) -> None:
    poll = task("a", "s:build", done=9) | {"repeat": {"until": "state == 'done'", "max": 3}}
    result = await house.run(poll)
    assert [(one.status, one.attempts) for one in result.tasks] == [("timeout", 3)]


async def test_it_is_refused_for_what_may_not_be_repeated(house: House) -> None:
    pages = task("a", "s:turn") | {"repeat": NEXT}
    assert await house.refused(pages) == {"tasks[0].repeat": "not_repeatable"}
    assert (await house.run(pages | {"allow_repeat": True})).status == "success"
    async with house.gateway(Rule("s:turn", idempotent=True)) as gateway:
        assert (await gateway.execute({"tasks": [pages]})).status == "success"


async def test_pages_count_for_rates_and_limits_like_any_call(house: House) -> None:
    limits = GatewayLimits(concurrency=Limits(32, rates=(("s", Rate(1, 10)),)), max_calls=4)
    pages = task("a", "s:book", pages=9) | {"repeat": NEXT}
    async with house.gateway(limits=limits) as gateway:
        result = await gateway.execute({"tasks": [pages]})
    assert [error.code for error in result.errors] == ["limit_exceeded"]
    assert len(house.called) == 4
    assert 30_000 <= result.metrics.execution_time_ms < 31_000


async def test_a_page_that_fails_may_be_tried_again_or_fails_the_task(house: House) -> None:
    torn = task("a", "s:book", torn=2) | {"repeat": NEXT, "select": "items"}
    result = await house.run(torn)
    assert [error.code for error in result.errors] == ["tool_error"]
    retried = torn | {"retries": {"max": 2, "on": ["tool_error"]}}
    assert (await house.run(retried)).tasks[0].attempts == 1 + 3


async def test_polling_stops_with_its_run(house: House) -> None:
    poll = task("a", "s:build", done=9) | {"repeat": {"until": "state == 'done'", "every_s": 60}}
    result = await house.run(poll, timeout_s=90)
    assert (result.status, len(house.called)) == ("timeout", 2)


async def test_what_is_behind_sees_all_pages(house: House) -> None:
    pages = task("a", "s:book") | {"repeat": NEXT, "select": "items"}
    behind = task("b", x="$ITEM") | {"for_each": "$OUTPUT[a]"}
    result = await house.run(pages, behind)
    assert result.outputs["b"] == [{"x": number} for number in (10, 11, 20, 21, 30, 31)]
