"""The rules of the operator, and the tools that have a part in them."""

from __future__ import annotations

from plait.core.flows.rules import TRIFECTA, FlowPolicy, ToolBits

from .plans import LABELS, PRIVATE

POLICY = FlowPolicy(LABELS, (PRIVATE, TRIFECTA))


def test_a_tool_has_the_labels_whose_globs_match_it() -> None:
    assert POLICY.part_of("chat:post") == ((0, 1), ())
    assert POLICY.part_of("mail:read") == ((), ((0, 0), (1, 0), (1, 1)))
    assert POLICY.part_of("files:read_public") == ((), ((1, 0),))
    assert POLICY.part_of("db:query") == ((), ())


def test_sets_of_tools_are_bits_and_rules_masks_over_them() -> None:
    tools = ToolBits(POLICY)
    read, get = tools.bit("files:read"), tools.bit("web:get")
    assert tools.bit("files:read") == read
    assert tools.names(read | get) == {"files:read", "web:get"}
    assert tools.is_broken(0, read)
    assert not tools.is_broken(1, read)
    assert tools.is_broken(1, read | get)


def test_a_rule_reads_as_what_may_not_go_where() -> None:
    assert str(TRIFECTA) == "private + untrusted to outbound"
    assert not FlowPolicy(LABELS)
