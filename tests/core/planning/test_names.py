"""Which names mean which tasks, inside of groups and around them."""

from plait.core.language.dag import Task
from plait.core.language.reader import read_dag
from plait.core.language.templates import compile_value
from plait.core.planning.names import Names, group_of, group_that_hides, hidden_in, item_named
from plait.core.values.strict import Json

INNER = Task(id="a", tool="s:t")
GROUP = Task(id="g", for_each=[1], tasks=[INNER, Task(id="b", tool="s:t")])
OUTER = Names.of([INNER, GROUP])


def test_ids_in_a_group_hide_those_around_it():
    within = OUTER.within(GROUP)
    assert dict(OUTER.ids) == {"a": "a", "g": "g"}
    assert dict(within.ids) == {"a": "g.a", "g": "g", "b": "g.b"}
    assert within.own == {"g.a", "g.b"}
    assert within.groups == {"g"}
    assert (within.before, within.item_of) == ("g.", "g")


def test_a_group_without_items_gives_those_in_it_the_item_around_it():
    plain = Task(id="p", tasks=[INNER])
    within = OUTER.within(GROUP).within(plain)
    assert within.groups == {"g", "p"}
    assert (within.before, within.item_of) == ("g.p.", "g")


def test_a_task_that_has_the_id_of_its_group_hides_it():
    same = Task(id="g", for_each=[1], tasks=[Task(id="g", tool="s:t")])
    within = Names.of([same]).within(same)
    assert not within.groups
    assert dict(within.ids) == {"g": "g.g"}
    assert dict(within.items) == {"g": "g"}


def test_references_are_bound_to_whole_ids_and_items_to_their_groups():
    value: Json = {
        "a": "$OUTPUT[a].x",
        "t": "${OUTPUT[b]} of $ITEM",
        "n": "$INDEX",
        "g": "$ITEM[g].y",
        "c": "${OUTPUT[z] ?? OUTPUT[a] ?? ITEM}",
    }
    template, _ = compile_value(value, items=True)
    bound = OUTER.within(GROUP).bound(template, has_items=False)
    assert [reference.task for _, reference in bound.found] == [
        "g.a", "g.b", "$ITEM[g]", "$INDEX[g]", "$ITEM[g]", "z", "g.a", "$ITEM[g]"
    ]  # fmt: skip
    assert bound.references[0].text == "$OUTPUT[a].x"
    assert bound.fill is not None
    assert bound.fill[-1] == (("c",), bound.references[-3])
    assert [link.task for link in bound.references[-3].chain] == ["z", "g.a", "$ITEM[g]"]
    own = OUTER.within(GROUP).bound(template, has_items=True)
    assert [reference.task for _, reference in own.found][2:5] == ["$ITEM", "$INDEX", "$ITEM[g]"]
    assert OUTER.bound(template, has_items=True) is template


def test_the_name_of_the_item_of_a_group():
    assert item_named("$ITEM", "g.h") == "$ITEM[g.h]"
    assert group_of("$INDEX[g.h]") == "g.h"
    assert group_of("$ITEM") is None
    assert group_of("g.h") is None


def test_a_hidden_task_has_the_innermost_group_that_can_be_named():
    document = {
        "tasks": [
            {
                "id": "g",
                "tasks": [{"id": "h", "tasks": [{"id": "in", "tool": "s:t"}]}],
            },
            {"id": "other", "tool": "s:t"},
        ]
    }
    hidden = hidden_in(read_dag(document).dag.tasks)
    assert hidden == {"h": ("g",), "g.h": ("g",), "in": ("g", "g.h"), "g.h.in": ("g", "g.h")}
    assert group_that_hides("in", hidden, {"g": "g", "other": "other"}) == "g"
    assert group_that_hides("in", hidden, {"g": "g", "h": "g.h"}) == "h"
    assert group_that_hides("other", hidden, {"g": "g", "other": "other"}) is None
