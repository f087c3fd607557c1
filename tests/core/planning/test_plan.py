"""Layers, the critical path, and cycles."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan, find_cycles, lay_out
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from tests.fakes import tool

from ...profiles import share_of_examples
from ..stack import little_stack_left
from ..tables import table

CATALOG = Catalog(
    [tool("s:read", readOnlyHint=True), tool("s:write")], [ServerInfo("s", ServerState.READY)]
)


def plan(needs: dict[str, list[str]], **options: Any) -> Plan:
    """The plan of a DAG given as each task's dependencies."""
    tasks = [{"id": id, "tool": "s:read", "depends_on": before} for id, before in needs.items()]
    return check(read_dag({"tasks": tasks, **options}), CATALOG, Policy())


DIAMOND = {"d": ["b", "c"], "a": [], "b": ["a"], "c": ["a"], "e": []}


def test_a_layer_holds_the_tasks_whose_longest_chain_has_the_same_length() -> None:
    laid_out = plan(DIAMOND)
    assert laid_out.layers == (("a", "e"), ("b", "c"), ("d",))
    assert laid_out.dependents == {"d": (), "a": ("b", "c"), "b": ("d",), "c": ("d",), "e": ()}


def test_the_critical_path_is_the_chain_that_costs_most() -> None:
    laid_out = plan(DIAMOND)
    costs = {"a": 1.0, "b": 2.0, "c": 5.0, "d": 1.0, "e": 6.0}
    weighed = lay_out(laid_out.dag, laid_out.tasks, cost=lambda task: costs[task.id])
    assert weighed.critical_path == ("a", "c", "d")
    assert weighed.remaining == {"d": 1, "b": 3, "c": 6, "a": 7, "e": 6}


@table(
    ("wanted", "returned"),
    [
        ({}, ("d", "e")),
        ({"return": ["a"]}, ("a",)),
        ({"return": ["b", "a", "b"]}, ("b", "a")),
        ({"return": ["*"]}, ("d", "a", "b", "c", "e")),
        ({"return": []}, ()),
    ],
)
def test_the_leaves_come_back_unless_others_are_named(
    wanted: dict[str, Any], returned: tuple[str, ...]
) -> None:
    assert plan(DIAMOND, **wanted).returned == returned


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    size = draw(st.integers(1, 12))
    needs = {}
    for number in range(size):
        earlier = [f"t{before}" for before in range(number)]
        needs[f"t{number}"] = (
            draw(st.lists(st.sampled_from(earlier), max_size=3)) if earlier else []
        )
    return dict(draw(st.permutations(list(needs.items()))))


@share_of_examples(0.4)
@given(acyclic())
def test_a_tasks_layer_is_one_more_than_the_highest_it_needs(needs: dict[str, list[str]]) -> None:
    laid_out = plan(needs)
    for id, before in needs.items():
        assert laid_out.layer_of[id] == max(
            (laid_out.layer_of[need] + 1 for need in before), default=0
        )
    for number, layer in enumerate(laid_out.layers):
        assert list(layer) == [id for id in needs if laid_out.layer_of[id] == number]
    assert len(laid_out.critical_path) == len(laid_out.layers)
    assert all(first in needs[then] for first, then in pairwise(laid_out.critical_path))


GRAPHS = st.integers(1, 7).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            f"t{number}": st.sets(
                st.sampled_from([f"t{other}" for other in range(size)]), max_size=3
            )
            for number in range(size)
        }
    )
)


@share_of_examples(0.4)
@given(GRAPHS)
def test_a_cycle_is_found_where_there_is_one_and_each_is_a_path(needs: dict[str, set[str]]) -> None:
    cycles = find_cycles(needs)
    assert bool(cycles) == has_cycle(needs)
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert all(before in needs[after] for before, after in pairwise(cycle))
    assert len({tuple(cycle) for cycle in cycles}) == len(cycles) <= 10


def has_cycle(needs: dict[str, set[str]]) -> bool:
    left = dict(needs)
    while free := [id for id, before in left.items() if not before & left.keys()]:
        for id in free:
            del left[id]
    return bool(left)


def test_two_cycles_are_found_at_once() -> None:
    cycles = find_cycles({"a": ["b"], "b": ["a"], "c": ["e"], "d": ["c"], "e": ["d"]})
    assert sorted(map(sorted, map(set, cycles))) == [["a", "b"], ["c", "d", "e"]]


def test_a_graph_full_of_cycles_gives_ten() -> None:
    everyone = [f"t{number}" for number in range(40)]
    assert len(find_cycles({id: set(everyone) - {id} for id in everyone})) == 10


def test_a_chain_longer_than_the_stack_is_deep_is_laid_out() -> None:
    needs = {f"t{number}": [f"t{number - 1}"] if number else [] for number in range(210)}
    with little_stack_left():
        assert len(plan(needs).layers) == 210
