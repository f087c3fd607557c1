"""Spreads sets of tools over the nodes of a plan.

Theory
------
*A value carries the set of tools that it came from.* Labels are looked up only where a rule is
checked: so spreading does not depend on the rules, an exception takes tools out of one rule alone,
and what a caller has seen is kept as names of tools, which stay right when the rules are edited.

Each node has four sets, each of which holds the one before it:

    decided  what decides whether, or how often, it runs
    given    that, and what its arguments are made of: what its server learns
    answer   that, its own tool, and what is in the resources that it accesses
    output   that, and what its `select` names

Sets only grow, and every edge is a union. So one pass in topological order is exact, except for
resources, which also lead backward: a call that is not ready yet has claimed nothing, so the order
of the document does not hold for it. With them, passes are made until nothing changes. They start
from nothing: sets that are left from earlier passes could hold each other up in a circle. A long
way from file to file against the order of the document would take many passes; after some, all
resources count as one.

Writers that need the reader, and thus come after it, are left out by a second look, which takes
longer and is made only where a rule is broken without it. Items of one group are an exception: the
next item reads what the last one wrote.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .nodes import Node, Nodes
from .resources import Contents, Places, Steps, overlap

MAX_PASSES = 20
"""Most passes in which resources are distinguished."""
MAX_LOOKED_AT = 200_000
"""Most nodes that a second look goes through."""


class Spread:
    """The sets of *nodes*, where resources hold what *earlier* calls have written to them."""

    def __init__(self, nodes: Nodes, earlier: Iterable[tuple[Steps, int]]) -> None:
        self.nodes = nodes
        self.earlier = tuple(earlier)
        self._writers: list[Node] = []
        self._kept: dict[str, list[Node]] = {}
        """After a second look: the writers of what each call may read, by its id."""
        self._is_coarse = False
        """Whether all resources count as one."""
        self._places: Places[Node] = Places()
        """The writers, at what they write."""
        for node in nodes.in_order:
            written = [steps for steps, writes in node.accesses if writes]
            if written:
                self._writers.append(node)
            for steps in written:
                self._places.add(steps, node)
        self._has_resources = bool(self._writers or self.earlier)
        self._settle()

    def sources(self, node: Node) -> Collection[Node]:
        """Return the calls that may have written what *node* reads."""
        if node.id in self._kept:
            return self._kept[node.id]
        if not node.accesses or self._is_coarse:
            return self._writers if node.accesses else ()
        return dict.fromkeys(
            writer for steps, _ in node.accesses for writer in self._places.find(steps)
        )

    def reads_as_others(self, node: Node) -> bool:
        """Return whether *node* reads what all calls with the same resources read."""
        return node.id not in self._kept

    def look_again(self) -> bool:
        """Leave out the writers that come after the reader. Return whether there are any."""
        if self._is_coarse:
            return False
        left = MAX_LOOKED_AT
        for node in self.nodes.in_order if self._writers else ():
            if not node.accesses or left < 0:
                continue
            writers = self.sources(node)
            left -= len(writers)
            kept = []
            for writer in writers:
                left, is_after = self._comes_after(writer, node, left)
                if not is_after or _are_in_one_loop(writer, node):
                    kept.append(writer)
            if len(kept) < len(writers):
                self._kept[node.id] = kept
        if self._kept:
            self._settle()
        return bool(self._kept)

    def _comes_after(self, node: Node, earlier: Node, left: int) -> tuple[int, bool]:
        """Return whether *node* begins only after *earlier* has ended, and how many of *left* nodes
        may still be looked at; if there are none, it does not."""
        seen = {node}
        stack = [node]
        while stack and left > 0:
            for one in self.nodes.before(stack.pop()):
                left -= 1
                if one is earlier:
                    return left, True
                if one not in seen:
                    seen.add(one)
                    stack.append(one)
        return left, False

    def _settle(self) -> None:
        """Compute all sets anew."""
        contents = self._contents()
        if contents is None:
            self._pass(None)
            return
        for node in self._writers:
            node.answer = 0
        passes = 1
        while self._pass(contents):
            passes += 1
            if passes == MAX_PASSES:
                self._is_coarse, self._kept = True, {}
                for node in self._writers:
                    node.answer = 0

    def _contents(self) -> Contents | None:
        """Return what is in the resources at first; None if no call can read from another."""
        if not self._has_resources:
            return None
        contents = Contents()
        for steps, bits in self.earlier:
            contents.write(steps, bits)
        return contents

    def _pass(self, contents: Contents | None) -> bool:
        """Compute the sets of all nodes in order, once. Return whether what is written to resources
        has changed, so that another pass may find more."""
        has_changed = False
        for node in self.nodes.in_order:
            around = node.around
            decided = given = 0
            if around is not None:
                decided, given = around.decided, around.given
                if node.reads_item:
                    decided = given
            for one in node.decided_by:
                decided |= one.output
            for one in node.waits_for:
                decided |= one.decided
            given |= decided
            for one in node.given_by:
                given |= one.output
            answer = given | node.own
            if contents is not None and node.accesses:
                answer |= self._read(node, contents)
            if node.is_repeated:
                decided = given = answer
            output = answer
            for one in node.kept_by:
                output |= one.output
            node.decided, node.given, node.output = decided, given, output
            if contents is not None and node.accesses and answer != node.answer:
                node.answer = answer
                has_changed = self._write(node, answer, contents) or has_changed
        return has_changed

    def _write(self, node: Node, answer: int, contents: Contents) -> bool:
        """Put *answer* into the resources that *node* writes. Return whether there are any."""
        written = [steps for steps, writes in node.accesses if writes]
        for steps in written:
            contents.write(() if self._is_coarse else steps, answer)
        return bool(written)

    def _read(self, node: Node, contents: Contents) -> int:
        """Return the tools whose data is in the resources that *node* accesses."""
        bits = 0
        if (kept := self._kept.get(node.id)) is None:
            for steps, _ in node.accesses:
                bits |= contents.read(steps)
            return bits
        for writer in kept:
            bits |= writer.answer
        for steps, _ in node.accesses:
            for at, written in self.earlier:
                if overlap(steps, at):
                    bits |= written
        return bits


def _are_in_one_loop(one: Node, other: Node) -> bool:
    """Return whether both are in one group with items: what one of them writes for an item, the
    other may read for the next."""
    loops = {*_loops_around(one)}
    return any(loop in loops for loop in _loops_around(other))


def _loops_around(node: Node) -> Iterable[Node]:
    around = node.around
    while around is not None:
        if around.task.items is not None:
            yield around
        around = around.around
