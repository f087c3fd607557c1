"""Places for the tasks of a level."""

from __future__ import annotations

from itertools import pairwise

from plait.core.results import graph_layout
from plait.core.results.graph import Edge, EdgeKind, Level, Node
from plait.core.results.graph_layout import Layout, lay_out

from .graphs import CONFLICTS, DIAMOND, KINDS, drawn, large

GAP = 2


def places(layout: Layout | None) -> list[list[tuple[int, int]]]:
    """The beginning and the end of each slot, rank by rank."""
    assert layout is not None
    return [
        [(layout.starts[slot], layout.starts[slot] + layout.breadths[slot]) for slot in rank]
        for rank in layout.ranks
    ]


def line(count: int) -> Level:
    """A chain whose last task waits for all others."""
    nodes = tuple(Node(f"n{at}", "s:t", at) for at in range(count))
    edges = [Edge(at, at + 1, EdgeKind.DATA) for at in range(count - 1)]
    edges += [Edge(at, count - 1, EdgeKind.DATA) for at in range(count - 2)]
    return Level(nodes, tuple(edges))


def test_what_waits_is_below_and_in_the_middle_of_what_it_waits_for():
    layout = lay_out(drawn(DIAMOND).level, [9] * 4, GAP, 1, 80)
    assert layout is not None
    assert layout.ranks == [[0], [1, 2], [3]]
    assert places(layout) == [
        [(6, 15)],
        [(0, 9), (11, 20)],
        [(6, 15)],
    ]


def test_an_edge_over_several_ranks_goes_through_a_joint_in_each():
    layout = lay_out(drawn(KINDS).level, [9] * 5, GAP, 1, 80)
    assert layout is not None
    assert [len([slot for slot in rank if slot >= 5]) for rank in layout.ranks] == [0, 1, 2, 0]
    for link in layout.links:
        assert link.source in layout.ranks[link.rank]
        assert link.target in layout.ranks[link.rank + 1]


def test_a_task_that_waits_for_a_resource_is_below_too():
    layout = lay_out(drawn(CONFLICTS).level, [9] * 4, GAP, 1)
    assert layout is not None
    assert [set(rank) for rank in layout.ranks] == [{0, 2}, {1, 3}]
    assert all(link.is_dashed for link in layout.links)


def test_no_two_places_of_a_rank_are_nearer_than_the_gap_and_all_are_within_the_room():
    level = drawn(KINDS).level
    for most in (22, 30, 80):
        layout = lay_out(level, [9, 9, 7, 11, 5], GAP, 1, most)
        if layout is None:
            continue
        assert layout.breadth <= most
        for rank in places(layout):
            assert all(one[1] + GAP <= other[0] for one, other in pairwise(rank))
    assert lay_out(level, [9, 9, 7, 11, 5], GAP, 1, 18) is None


def test_a_large_dag_is_laid_out_and_too_many_joints_are_refused():
    layout = lay_out(large().level, [9] * 1_000, GAP, 1)
    assert layout is not None
    for rank in places(layout):
        assert all(one[1] + GAP <= other[0] for one, other in pairwise(rank))
    assert lay_out(line(90), [1] * 90, GAP, 1) is not None
    assert graph_layout.MAX_JOINTS < 300 * 299 // 2
    assert lay_out(line(300), [1] * 300, GAP, 1) is None


def test_tasks_that_wait_for_each_other_have_no_layout():
    nodes = (Node("a", "s:t", 0), Node("b", "s:t", 0))
    edges = (Edge(0, 1, EdgeKind.DATA), Edge(1, 0, EdgeKind.DATA))
    assert lay_out(Level(nodes, edges), [5, 5], GAP, 1) is None
