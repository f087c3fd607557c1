"""The ways of data to a call, in words and drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plait.core.flows.rules import Remember
from plait.core.flows.ways import Step
from plait.core.values.problems import Way

from ..tables import table
from .cases import REFUSED
from .plans import READ, call, flows_of, post, value


def test_the_shortest_way_is_shown_in_words_and_as_mermaid() -> None:
    long = value("long", {"a": "$OUTPUT[read].title"})
    sum = value("sum", "$OUTPUT[read].text")
    [found] = flows_of(READ, long, sum, post("${OUTPUT[long].a}: ${OUTPUT[sum]}")).broken
    assert found.words == "read.title → long → post.text"
    assert found.mermaid == (
        'flowchart LR\n  n0["read"]\n  n1["long"]\n  n2["post"]\n  n0 --> n1\n  n1 --> n2'
    )


@table(
    ("tasks", "words"),
    [
        (REFUSED["a reference deep in an argument"], "read.text → post.text.a[0].b"),
        (REFUSED["a condition"], "read → post (when)"),
        (REFUSED["the number of items"], "read.items → post (for_each)"),
        (REFUSED["the value of a group"], "g.read → g → post.text"),
        (REFUSED["a condition three tasks before"], "read → gate → query → v → post"),
        (REFUSED["an operand of repeat"], "read → post"),
        (REFUSED["a file that is written and read"], "read → w → r → post.text"),
    ],
)  # fmt: skip
def test_each_kind_of_way_has_its_words(tasks: list[Any], words: str) -> None:
    assert flows_of(*tasks).broken[0].words == words


def test_what_is_drawn_cannot_be_broken_by_names() -> None:
    named = {"r": ["files:read"]}
    flows = flows_of(call("r", "db:query"), post("$OUTPUT[r]"), taken_over=named)
    way = (Step('"]<b>', ".x"), Step("post"))
    drawn = replace(flows.broken[0], ways=(way,)).mermaid
    assert 'n0["&quot;]&lt;b>"]' in drawn


def test_a_refusal_says_what_may_not_flow_how_and_what_to_do() -> None:
    [found] = flows_of(READ, post("$OUTPUT[read].text")).denied
    problem = found.problem("tasks[1]")
    assert problem.document() == {
        "path": "tasks[1]",
        "id": "post",
        "code": "flow_denied",
        "message": "chat:post may not be given what is private: read.text → post.text.",
        "hint": 'Leave out this reference, or the task "post".',
        "mermaid": found.mermaid,
    }
    assert problem.ways == (Way("private", "outbound", ("read.text", "post.text")),)
    assert problem.message_without_ways == "chat:post may not be given what is private"


def test_a_refusal_by_what_was_seen_names_the_way_to_see_less() -> None:
    deny = {"remembers": Remember.DENY}
    [found] = flows_of(post("x"), seen=["files:read"], policy=deny).denied
    assert '"return": []' in str(found.problem("tasks[0]"))
