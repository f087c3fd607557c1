"""How sets of tools spread over resources."""

from __future__ import annotations

from typing import Any

from plait.core.flows.rules import FlowPolicy

from ..steps import steps
from .plans import LABELS, PRIVATE, READ, call, flows_in, flows_of, plan_of, post


def test_a_circle_of_files_does_not_hold_itself_up() -> None:
    """Each of two calls reads what the other writes; once the writer that comes after the reader is
    left out, no way from the private file to them is left."""
    tasks = [
        call("a", "notes:put", path="/x") | {"reads": ["file:/y"]},
        call("b", "notes:put", path="/y") | {"reads": ["file:/x"]},
        call("r", "notes:get", path="/x"),
        READ,
        call("w", "notes:put", path="/x", x="$OUTPUT[read]") | {"depends_on": ["a", "b", "r"]},
        post("$OUTPUT[r]"),
    ]
    assert not flows_of(*tasks).broken


def test_files_that_pass_data_on_against_the_order_end_in_few_passes() -> None:
    """Each call reads what the next one writes: resources count as one after some passes."""
    count = 200
    chain = [
        call(f"c{at}", "notes:put", path=f"/{at}") | {"reads": [f"file:/{at + 1}"]}
        for at in range(count)
    ]
    last = [READ, call("w", "notes:put", path=f"/{count}", x="$OUTPUT[read]")]
    tasks = [*chain, call("r", "notes:get", path="/0"), *last, post("$OUTPUT[r]")]
    assert flows_of(*tasks).broken
    few, many = plan_of(*tasks[-60:]), plan_of(*tasks)
    policy = FlowPolicy(LABELS, (PRIVATE,))
    growth = steps(lambda: flows_in(policy, many)) / steps(lambda: flows_in(policy, few))
    assert growth < 8  # four times the tasks


def test_many_readers_and_writers_of_one_folder_take_no_more_than_their_number() -> None:
    def shared(count: int) -> list[Any]:
        puts = [call(f"w{at}", "notes:put", path=f"/{at}") for at in range(count)]
        gets = [call(f"r{at}", "notes:get", path="/") for at in range(count)]
        texts = {f"t{at}": f"$OUTPUT[r{at}]" for at in range(count)}
        last = call("w", "notes:put", path="/last", x="$OUTPUT[read]")
        return [*puts, *gets, READ, last, post(texts)]

    policy = FlowPolicy(LABELS, (PRIVATE,))
    few, many = plan_of(*shared(500)), plan_of(*shared(2_000))
    assert flows_in(policy, many).broken
    growth = steps(lambda: flows_in(policy, many)) / steps(lambda: flows_in(policy, few))
    assert growth < 8  # four times the tasks
