"""What a tree gives: JMESPath's own behaviour, checked against the library too, and our changes."""

from __future__ import annotations

import json
import re
from typing import Any

import jmespath
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.core.expressions.evaluation import expression
from plait.errors import ExpressionFailed

from ..tables import table
from .shop import SHOP

SAME = """
name | a member
till.drawer.coins | a path
till.drawer.dollars.x | a path that leads nowhere
"name" | a quoted name
till."odd-key" | a quoted name that needs it
till."a b"."c.d" | a stop within a quoted name
name.length | a member of a text
zero.x | a member of a number
empty.x | a member of a list
till.drawer.coins[0] | an index
till.drawer.coins[-1] | an index from the end
till.drawer.coins[3] | an index beyond the end
till.drawer.coins[-4] | an index before the start
till.drawer[0] | an index into an object
name[0] | an index into a text
goods[*].what | a list projection
goods[*].maker.land | nulls fall out of a projection
goods[*] | a projection of all
goods[*].tags[0] | an index in a projection
goods[*].tags[*] | a projection in a projection
name[*] | a projection over a text
till[*] | a projection over an object
stock.*.left | a value projection
*.drawer | a value projection over the whole
goods.* | a value projection over a list
stock.*.*|[0] | value projections in each other
goods[] | flattening what is flat
shelves[] | one level of flattening
shelves[][] | two levels of flattening
goods[].tags[] | flattening after a projection
name[] | flattening a text
goods[?price > `3`].what | a filter
goods[?maker] | a filter by truth
goods[?tags].id | an empty list is not true
goods[?price >= `4` && what != 'pen'].id | and
goods[?price < `3` || what == 'pen'].id | or
goods[?!tags].id | not
goods[?!(price > `3`)].id | not of a comparison
goods[?contains(tags, 'ink')].what | a function in a filter
goods[?maker.land == 'IN'].id | a path in a filter
goods[?price == `4`][?id] | a filter on each element that was kept
name[?x] | a filter on a text
numbers[?@ > `1`] | a filter on the current value
till.drawer.coins[:2] | a slice
till.drawer.coins[::-1] | a slice backwards
till.drawer.coins[0:10:2] | a slice with a step
till.drawer.coins[2:0:-1] | a slice down
goods[:2].what | a slice is a projection
till[:1] | a slice of an object
[name, zero] | a list of expressions
goods[].[id, what] | a list for each element
{n: name, c: till.drawer.coins[0]} | an object of expressions
goods[].{i: id, land: maker.land} | an object for each element
nothing.{a: b} | an object of null is null
nothing.[a] | a list of null is null
{"a b": zero} | a quoted key
goods[*].what | [0] | a pipe ends a projection
goods | [?id == `2`] | [0].what | pipes
(goods[*].what)[0] | parentheses end a projection
nothing || name | or gives the first that is true
blank || empty || hollow || name | what is not true
zero || name | zero is true
closed || nothing | or gives the last
open && name | and gives the last
closed && name | and gives the first that is not true
!open | not
!zero | zero is true, so not of it is false
!blank | not of an empty text
open && !closed && name | not within and
closed || open && name | and binds stronger than or
name == 'corner' | equal texts
zero == `0` | equal numbers
zero == `false` | a number is not a boolean
empty == `[]` | equal lists
till.drawer == `{"notes": [], "coins": [5, 10, 20]}` | equal objects, whatever the order
name != 'x' | unlike texts
name != `1` | unlike types
zero <= `0` | less or equal
open < `1` | no order for booleans
nothing > `1` | no order for null
empty < `[]` | no order for lists
@.name | the current value
'it\\'s' | a quote in a text
'a\\nb' | a backslash stays one
`"text"` | a JSON text
`{"a": [1, null]}` | a JSON object
'' | an empty text
abs(numbers[3]) | abs
avg(numbers) | avg
avg(empty) | avg of nothing
ceil(`1.2`) | ceil
floor(`-1.2`) | floor
contains(name, 'orn') | contains in a text
contains(words, 'fig') | contains in a list
contains(words, `1`) | contains not
ends_with(name, 'er') | ends_with
starts_with(name, 'co') | starts_with
join(', ', words) | join
keys(stock) | keys
values(stock)[*].left | values
length(name) | the length of a text
length(goods) | the length of a list
length(stock) | the length of an object
map(&price, goods) | map
map(&maker.land, goods) | map keeps nulls
max(numbers) | max
max(words) | max of texts
max(empty) | max of nothing
min(numbers) | min
max_by(goods, &price).what | max_by
min_by(goods, &price).what | min_by
merge(stock, `{"tea": 1}`) | merge
not_null(nothing, missing, zero, name) | not_null
reverse(words) | reverse
reverse(name) | reverse a text
sort(numbers) | sort numbers
sort_by(goods, &price)[].id | sort_by
sort_by(goods, &length(tags))[*].id | sort_by a function
sum(numbers) | sum
sum(empty) | sum of nothing
to_array(name) | to_array
to_number('3') | to_number
to_number('3.5') | to_number of a fraction
to_number('x') | to_number of no number
to_string(till.drawer) | to_string
type(name) | type of a text
type(nothing) | type of null
goods[].what.length(@) | a function on each
length(goods[?price > `3`]) | a filter as an argument
"""

FAILS = object()
CHANGED: list[tuple[str, Any, Any, str]] = [
    # expression, what the library gives, what is given here, why
    ("!till.drawer", None, False, "! is of the whole path, as people write it"),
    ("!goods[0].id", None, False, "with an index too"),
    ("open && !till.closed", None, True, "within a condition"),
    ("goods[?!maker.land].id", [], [2, 3], "within a filter"),
    ("goods[?what > `3`]", FAILS, [], "a text and a number have no order"),
    ("goods[?id < '2'].id", FAILS, [], "a number and a text have none either"),
    ("goods[0].what > `1`", FAILS, None, "the same without a filter"),
    ("nothing == missing", True, None, "two nulls are neither equal nor unlike"),
    ("nothing != missing", False, None, "so a filter by something missing selects nothing"),
    ("nothing == null", True, True, "unless one side is written null"),
    ("goods[?maker != null].id", [1], [1], "also in a filter"),
    ("name[:3]", None, "cor", "texts have slices"),
    ("zero == 0", FAILS, True, "a bare number is a literal"),
    ("goods[?price > 3.5].id", FAILS, [1, 3], "so is a fraction"),
    ("open == true", False, True, "true, false and null are literals"),
    ("goods.0.what", FAILS, "tea", ".0 is [0], as in references"),
    ('till["odd-key"]', FAILS, 1, '["key"] is a member, as in references'),
    ("join('-', numbers)", FAILS, "3-1-2.5--4", "join takes any scalars"),
    ("join(' ', [nothing, name])", FAILS, "corner", "join leaves out nulls"),
    ("sum(missing)", FAILS, None, "a null makes the result null"),
    ("length(nothing)", FAILS, None, "for every function"),
    ("lines(missing)", FAILS, None, "for ours too"),
    ("sort_by(goods, &maker.land)[].id", FAILS, [1, 2, 3], "null keys go last"),
    ("sort([zero, nothing, goods[0].price])", FAILS, [0, 4, None], "nulls go last"),
    ("max_by(goods, &maker.land).id", FAILS, 1, "null keys are left out"),
    ("sum([zero, nothing, goods[0].price])", FAILS, 4, "nulls in a list are left out"),
    ("`[1]` == `[true]`", True, False, "1 and true differ at every depth"),
    ("contains(name, `1`)", FAILS, False, "the library lets a TypeError through"),
    ("nothing | [@]", None, [None], "a list is made of null too; as a step it is null"),
    ("to_number('1e999')", float("inf"), None, "not a JSON number"),
]


def cases(text: str) -> list[tuple[str, str]]:
    rows = [line.rpartition(" | ") for line in text.strip().splitlines()]
    return [(written, name) for written, _, name in rows]


def library(text: str, value: Any) -> Any:
    try:
        return jmespath.search(text, value)
    except Exception:  # the library lets Python's own errors through
        return FAILS


def ours(text: str, value: Any) -> Any:
    try:
        return expression(text).evaluate(value)
    except ExpressionFailed:
        return FAILS


def same(one: Any, other: Any) -> bool:
    if type(one) in (int, float):
        return type(other) in (int, float) and bool(one == other)
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@table(("text", "name"), cases(SAME))
def test_it_gives_what_jmespath_gives(text: str, name: str) -> None:
    want = library(text, SHOP)
    assert want is not FAILS, name
    assert same(ours(text, SHOP), want), name


@table(("text", "theirs", "want", "why"), CHANGED)
def test_it_gives_what_people_mean(text: str, theirs: Any, want: Any, why: str) -> None:
    assert library(text, SHOP) == theirs
    assert same(ours(text, SHOP), want), why


def test_the_bounds_of_a_slice_behind_an_index_make_a_projection() -> None:
    assert expression("[0][:1].b").evaluate([[{"b": 1}]]) == [1]


_NAMES = st.sampled_from(["a", "b", "c"])
_VALUES = st.recursive(
    st.sampled_from([True, False, 2, 3, 2.5]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=14,
)
_STEPS = ("[*]", "[]", "[0]", "[-1]", "[1:]", "[::-1]", ".*", "[*].a", "[].b", "[*][0]", "[][]")
_AROUND_ONE = (
    *("(%s).a", "(%s).b", "(%s).c", "(%s)[*]", "(%s)[]", "(%s)[0]", "(%s)[*].a", "(%s).*.b"),
    *("(%s)[?a].b", "(%s)[?@].a[0]", "!(%s)", "to_array(%s)", "map(&%s, to_array(@))"),
    "length(to_array(%s))",
)
_AROUND_TWO = (
    *("(%s)[?%s]", "%s | %s", "(%s && %s)", "(%s || %s)", "@.[%s, %s]", "@.{a: %s, b: %s}"),
    "not_null(%s, %s)",
)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(_NAMES, st.sampled_from((".a", ".b", ".c", *_STEPS))).map("".join),
        st.tuples(st.sampled_from(_AROUND_ONE), inner).map(lambda p: p[0] % p[1:]),
        st.tuples(st.sampled_from(_AROUND_TWO), inner, inner).map(lambda p: p[0] % p[1:]),
    )


EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "c", "@", "`3`", "`null`", "*", "[0]", "[]"]), _larger, max_leaves=8
)


@settings(deadline=None)
@given(EXPRESSIONS, _VALUES)
def test_any_common_expression_gives_what_jmespath_gives(text: str, value: Any) -> None:
    if re.search(r"\[-?\d+\]\)*\[\d*:", text):
        return  # the library makes no projection of a slice behind an index
    want = library(text, value)
    if want is not FAILS:
        assert same(ours(text, value), want), text
