"""Slips of people who know another language: each fix parses, is accepted, and means what was
meant."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.expressions.evaluation import condition, expression
from plait.core.expressions.fixes import fix_of
from plait.core.expressions.frame import Operand
from plait.core.expressions.nodes import Key, Source
from plait.core.expressions.problems import Finding, InvalidExpression
from plait.core.expressions.reading import read, read_condition
from plait.core.expressions.shapes import list_of, object_of, of, or_null
from plait.core.expressions.slips import find_slip
from plait.errors import ExpressionFailed, ReferenceFailed

from ...profiles import share_of_examples
from ..steps import steps
from ..tables import table

TEXT, NUMBER, BOOLEAN = of("text"), of("integer"), of("boolean")
A: Any = {
    "x": "b",
    "n": 5,
    "ok": True,
    "name": "xylo",
    "err": None,
    "count": 0,
    "tags": ["hot", "new"],
    "items": [
        {"name": "tea", "n": 1, "tags": ["hot"]},
        {"name": "ink", "n": 2, "tags": []},
        {"name": "tin", "n": 3, "tags": ["hot", "old"]},
    ],
}
ITEM = object_of({"name": TEXT, "n": NUMBER, "tags": list_of(TEXT)})
SHAPE = object_of(
    {
        "x": TEXT,
        "n": NUMBER,
        "ok": BOOLEAN,
        "name": TEXT,
        "err": or_null(TEXT),
        "count": or_null(NUMBER),
        "tags": list_of(TEXT),
        "items": list_of(ITEM),
    }
)
OWN = "mine"
REFERENCES = {Key(Source.OUTPUT, "a"): SHAPE}
BOUND = {Key(Source.OUTPUT, "a"): Operand(A)}

WHEN: list[tuple[str, str | None, Any]] = [
    # condition, the right one (None: no certain fix), its result
    ("a.x === 'b'", "a.x == 'b'", True),
    ("a.x !== 'b'", "a.x != 'b'", False),
    ("a.x =! 'b'", "a.x != 'b'", False),
    ("a.x <> 'b'", "a.x != 'b'", False),
    ("a.x = 'b'", "a.x == 'b'", True),
    ("a.n => 5", "a.n >= 5", True),
    ("a.n =< 4", "a.n <= 4", False),
    ("a.n=>5&&a.n=<5", "a.n>=5&&a.n<=5", True),
    ("a.x == 'b' || == 'e'", "a.x == 'b' || a.x == 'e'", True),
    ("a.x == 'c' || == 'e' || == 'b'", "a.x == 'c' || a.x == 'e' || a.x == 'b'", True),
    ("a.n > 1 && < 9", "a.n > 1 && a.n < 9", True),
    ("a.x == 'c' or 'b'", "a.x == 'c' || a.x == 'b'", True),
    ("not a.x", "!a.x", False),
    ("not a.n > 3", "!(a.n > 3)", False),
    ("not a.x == 'b' and a.ok", "!(a.x == 'b') && a.ok", False),
    ("not (a.n > 7)", "!(a.n > 7)", True),
    ("not(a.ok)", "!(a.ok)", False),
    ("NOT a.ok", "!a.ok", False),
    ("not not a.ok", "!!a.ok", True),
    ("!a.n > 7", "!(a.n > 7)", True),
    ("a.ok and not a.err", "a.ok && !a.err", True),
    ("a.ok AND a.n > 3 OR a.err", "a.ok && a.n > 3 || a.err", True),
    ("a.ok & a.n > 3", "a.ok && a.n > 3", True),
    ("a.err is null", "a.err == null", True),
    ("a.err is not null", "a.err != null", False),
    ("a.err IS NOT NULL", "a.err != null", False),
    ("a.err is None and a.ok", "a.err == null && a.ok", True),
    ("a.ok is True", "a.ok == true", True),
    ("a.ok is not False", "a.ok != false", True),
    ("a.err is defined", "a.err != null", False),
    ("a.err is not defined", "a.err == null", True),
    ("a.x is 'b'", "a.x == 'b'", True),
    ("a.err == None", "a.err == null", True),
    ("a.err == undefined", "a.err == null", True),
    ("a.err != nil", "a.err != null", False),
    ("a.ok == True", "a.ok == true", True),
    ("a.ok == FALSE", "a.ok == false", False),
    ("True", "true", True),
    ("a.x in ['a', 'b']", "contains(['a', 'b'], a.x)", True),
    ('a.x in ["a", "b"]', "contains(['a', 'b'], a.x)", True),
    ("a.x in ('a', 'c')", "contains(['a', 'c'], a.x)", False),
    ("a.x not in ['a', 'c']", "!contains(['a', 'c'], a.x)", True),
    ("not a.x in ['a', 'b']", "!(contains(['a', 'b'], a.x))", False),
    ("a.x in ['b']", "a.x == 'b'", True),
    ("a.n in [5]", "a.n == 5", True),
    ("a.n not in [5]", "a.n != 5", False),
    ("a.n in [4, 5]", "contains([4, 5], a.n)", True),
    ("'hot' in a.tags", "contains(a.tags, 'hot')", True),
    ("'hot' not in a.tags && a.ok", "!contains(a.tags, 'hot') && a.ok", False),
    ("a.x in a.tags", "contains(a.tags, a.x)", False),
    ("a.name.startsWith('xy')", "starts_with(a.name, 'xy')", True),
    ('a.name.startsWith("xy")', "starts_with(a.name, 'xy')", True),
    ("a.name.startswith('xy')", "starts_with(a.name, 'xy')", True),
    ("!a.name.endsWith('lo')", "!ends_with(a.name, 'lo')", False),
    ("a.ok && a.name.includes('yl')", "a.ok && contains(a.name, 'yl')", True),
    ("a.tags.contains('hot')", "contains(a.tags, 'hot')", True),
    ("a.tags.includes('cold') || a.ok", "contains(a.tags, 'cold') || a.ok", True),
    ("a.items.count() > 2", "length(a.items) > 2", True),
    ("a.items.length > 2", "length(a.items) > 2", True),
    ("a.items.size() == 3", "length(a.items) == 3", True),
    ("a.items.length() == 3", "length(a.items) == 3", True),
    ("a.items.size > 5", "length(a.items) > 5", False),
    ("a.name.length > 3", "length(a.name) > 3", True),
    ("a.items[0].tags.length > 0", "length(a.items[0].tags) > 0", True),
    ("a.items[?n > 1].length == 2", "length(a.items[?n > 1]) == 2", True),
    ("a.items[?n > 1].length() == 2", "length(a.items[?n > 1]) == 2", True),
    ("a.items[].name.length() == 2", None, None),
    ("a.items[?name.startsWith('t')]", "a.items[?starts_with(name, 't')]", ...),
    ("(a.items).length > 2", "(a.items).length(@) > 2", True),
    ("(a.items.length) > 2", "(length(a.items)) > 2", True),
    ("length(a.items.length)", None, None),
    (
        "a.items[?tags.includes('old')].n | [0] == 3",
        "a.items[?contains(tags, 'old')].n | [0] == 3",
        ...,
    ),
    ("a.count.length", None, None),
    ("a.tags.join(', ') == 'hot, new'", "join(', ', a.tags) == 'hot, new'", True),
    ("a.ok ? true : false", "a.ok", True),
    ("a.n > 3 ? false : true", "!(a.n > 3)", False),
    ("a.ok ? a.n > 3 : false", None, None),
    ("a.err ?? a.ok", "not_null(a.err, a.ok)", True),
    ("a.count ?? 7 > 5", "not_null(a.count, 7) > 5", False),
    ("a.err ?? a.x == 'b' && a.ok", "not_null(a.err, a.x) == 'b' && a.ok", True),
    ("a.err ?? a.none ?? a.ok", None, None),
    ("a?.x == 'b'", "a.x == 'b'", True),
    ("a.items?.[0].n == 1", "a.items[0].n == 1", True),
    ("{{ a.ok }}", "a.ok", True),
    ("${{ a.ok }}", "a.ok", True),
    ("${{ steps.a.outputs.x == 'b' }}", "a.x == 'b'", True),
    ("${a.ok}", "a.ok", True),
    ("${OUTPUT[a].ok}", "$OUTPUT[a].ok", True),
    ("${OUTPUT[a].err ?? 7} == 7", "not_null($OUTPUT[a].err, 7) == 7", ...),
    ("OUTPUT[a].ok", "$OUTPUT[a].ok", True),
    ("$OUTPUT.a.ok", "$OUTPUT[a].ok", True),
    ("$output[a].ok", "$OUTPUT[a].ok", True),
    ("$a.ok", "a.ok", True),
    ("$.a.ok", "a.ok", True),
    ("`a.n > 3`", "a.n > 3", True),
    ("`a.x` == 'b'", "a.x == 'b'", True),
    ("'a.n > 3'", "a.n > 3", True),
    ('"a.n" > 3', "a.n > 3", True),
    ('"a.ok"', "a.ok", True),
    ("contains('old', a.tags)", "contains(a.tags, 'old')", False),
    ("a['x'] == 'b'", "a.x == 'b'", True),
    ('a["x"] == "b"', "a[\"x\"] == 'b'", True),
    ("a.tags == 'hot'", "contains(a.tags, 'hot')", True),
    ("a.tags contains 'hot'", "contains(a.tags, 'hot')", True),
    ('a.ok && a.name startsWith "xy"', "a.ok && starts_with(a.name, 'xy')", True),
    ("not a.name ends_with 'x'", "!ends_with(a.name, 'x')", True),
    ("a.x in {'b', 'c'}", "contains(['b', 'c'], a.x)", True),
    ("a.x == 'b';", "a.x == 'b'", True),
    ("a.x == \u2018b\u2019", "a.x == 'b'", True),
    ("\u201cb\u201d == a.x", "'b' == a.x", True),
    ("a.n > .5", "a.n > 0.5", True),
    ("4 < a.n < 9", "4 < a.n && a.n < 9", True),
    ("a.ok == 1", "a.ok == true", True),
    ("a.ok == 'False'", "a.ok == false", False),
    ("a.tags == []", "a.tags == `[]`", False),
    ("a.items[0] == {}", "a.items[0] == `{}`", False),
    ("a.x =~ 'b'", "matches(a.x, 'b')", True),
    ('a.name !~ "^x" || a.ok', "!matches(a.name, '^x') || a.ok", True),
    ("a.name =~ /^X/i && a.ok", "matches(a.name, '(?i)^X') && a.ok", True),
    ("a.name =~ /l\\/o/", "matches(a.name, 'l/o')", False),
    ("a.name matches '^x'", "matches(a.name, '^x')", True),
    ("a.name.test('^x')", "matches(a.name, '^x')", True),
    ("a.name.toUpperCase() == 'XYLO'", "upper(a.name) == 'XYLO'", True),
    ("lower(a.name) == 'Xylo'", "lower(a.name) == 'xylo'", True),
    ("a.name + '!' == 'xylo!'", "join('', [a.name, '!']) == 'xylo!'", True),
    ("a.n * 2 - 1 > 8", "subtract(multiply(a.n, 2), 1) > 8", True),
    ("a.n -1 == 4", "subtract(a.n, 1) == 4", True),
    ("(a.n + 1) / 2 == 3", "divide((add(a.n, 1)), 2) == 3", True),
    (
        "length(a.items) + length(a.tags) == a.n",
        "add(length(a.items), length(a.tags)) == a.n",
        True,
    ),
    ("a.n % 2 == 1", None, None),
    ("a.n-1 == 4", None, None),
    ("a.x; a.ok", None, None),
    ("a.x like 'b%'", None, None),
    ("a.n + 1 > 5", "add(a.n, 1) > 5", True),
]
SELECT: list[tuple[str, str | None, Any]] = [
    ("mine.items[].name", "items[].name", ["tea", "ink", "tin"]),
    ("mine", "@", A),
    ("mine[?n > 1]", None, None),
    ("$OUTPUT[mine].items[0].n", "items[0].n", 1),
    ("$OUTPUT[mine]", "@", A),
    ("$OUTPUT[mine]['tags'][0]", "tags[0]", "hot"),
    ("output.items[0].n", "items[0].n", 1),
    ("result.items[0].n", "items[0].n", 1),
    ("output", "@", A),
    ("data.tags", "tags", ["hot", "new"]),
    ("$.items[*].name", "items[*].name", ["tea", "ink", "tin"]),
    ("$.items[0]['name']", "items[0].name", "tea"),
    ("$", "@", A),
    ("items[0]['name']", "items[0].name", "tea"),
    ("items[*]['name']", "items[*].name", ["tea", "ink", "tin"]),
    ("items[?n > 1]['name'] | [0]", "items[?n > 1].name | [0]", "ink"),
    (".items", "items", A["items"]),
    (".", "@", A),
    (".items[0].n", "items[0].n", 1),
    (".items[] | .name", "items[].name", ["tea", "ink", "tin"]),
    (".items | length", "items | length(@)", 3),
    ("{n: .n, x: .x}", "{n: n, x: x}", {"n": 5, "x": "b"}),
    ("items.length", "length(items)", 3),
    ("items[].tags.length", None, None),
    ("items.name", "items[].name", ["tea", "ink", "tin"]),
    ("items[0].name.toString()", "to_string(items[0].name)", "tea"),
    ("items[?name == 'tea' and n = 1].n", "items[?name == 'tea' && n == 1].n", [1]),
    ("items[?name in ['tea', 'tin']].n", "items[?contains(['tea', 'tin'], name)].n", [1, 3]),
    ("items[?not tags].n", "items[?!tags].n", [2]),
    ("items[?n === 2].name", "items[?n == 2].name", ["ink"]),
    ("items[?ok == True]", None, None),
    (
        "items[].name.startsWith('t')",
        "items[].name.starts_with(@, 't')",
        [True, False, True],
    ),
    ("ok ? 'yes' : 'no'", "ok && 'yes' || 'no'", "yes"),
    (
        "err ? 'bad' : n > 3 ? 'much' : 'few'",
        "err && 'bad' || (n > 3 && 'much' || 'few')",
        "much",
    ),
    ("ok || err ? 1 : 2", "(ok || err) && 1 || 2", 1),
    ("ok ? name : x", None, None),
    ("`items`", "items", A["items"]),
    ("'items[0].name'", "items[0].name", "tea"),
    ('"items[0].name"', "items[0].name", "tea"),
    ("items[].['name']", "items[].name", ["tea", "ink", "tin"]),
    ("items['name']", "items[].name", ["tea", "ink", "tin"]),
    ("items[name = 'tea'].n", "items[?name == 'tea'].n", [1]),
    ("items[@.n > 1].n", "items[?@.n > 1].n", [2, 3]),
    ("items[ ? n > 1].n", "items[? n > 1].n", [2, 3]),
    ("map(items, &name)", "map(&name, items)", ["tea", "ink", "tin"]),
    ("sort_by(items, name)[].n", "sort_by(items, &name)[].n", [2, 1, 3]),
    ("sort_by(items, 'name')[].n", "sort_by(items, &name)[].n", [2, 1, 3]),
    ("join(tags, ', ')", "join(', ', tags)", "hot, new"),
    ("contains('hot', tags)", "contains(tags, 'hot')", True),
    ("{name, m: n}", "{name: name, m: n}", {"name": "xylo", "m": 5}),
    ("[n, x,]", "[n, x]", [5, "b"]),
    ("items.'name'", "items[].name", ["tea", "ink", "tin"]),
    ("$['items'][0]['name']", "items[0].name", "tea"),
    ('$["items"][0]["name"]', 'items[0]["name"]', "tea"),
    ('.["items"][0]', "items[0]", A["items"][0]),
    ("[n, x] == 'b'", "contains([n, x], 'b')", True),
    ("tags == [] || `[]` == 'x'", None, None),
    ("'yes' if ok else 'no'", "ok && 'yes' || 'no'", "yes"),
    ("1 if err or count else 2", "(err || count) && 1 || 2", 1),
    ("name if ok else x", None, None),
    ("err ?? 'none'", "not_null(err, 'none')", "none"),
    ("count ?? 7", "not_null(count, 7)", 0),
    ("err ?? count ?? 7", "not_null(err, count, 7)", 0),
    ("{{ items[0].n }}", "items[0].n", 1),
    ("items[].{n: n, t: name}}", None, None),
    ("items[].{n: n * 2}", "items[].{n: multiply(n, 2)}", [{"n": 2}, {"n": 4}, {"n": 6}]),
    ("sum(items[].n) / length(items)", "divide(sum(items[].n), length(items))", 2),
    ("items[].name.toUpperCase()", "items[].name.upper(@)", ["TEA", "INK", "TIN"]),
    ("name.replace('y', 'i')", "replace(name, 'y', 'i')", "xilo"),
    ("name.replace('.', '-')", "replace(name, '\\.', '-')", "xylo"),
    ("gsub(name, '.', '-')", "replace(name, '.', '-')", "----"),
    ("items | groupBy(@, &n) | keys(@)", "items | group_by(@, &n) | keys(@)", ["1", "2", "3"]),
    ('items[?matches(name, "^t")].n', "items[?matches(name, '^t')].n", [1, 3]),
    ("items.group_by(&name) | keys(@)", "group_by(items, &name) | keys(@)", ["tea", "ink", "tin"]),
    ("unique(items, &tags)[].n", "unique_by(items, &tags)[].n", [1, 2, 3]),
    ("concat(name, '!')", "join('', [name, '!'])", "xylo!"),
    ("first(items).n + last(items).n", "add(items[0].n, items[-1].n)", 4),
    ("max(n, 7)", "max([n, 7])", 7),
    ("distinct(items[].tags[])", "unique(items[].tags[])", ["hot", "old"]),
]
FINE = [
    "items[0].name",
    "items.0.name",
    'items[*]["name"]',
    "items[].name | [0]",
    "items[?n > `1`].name",
    "@.items",
    "items[].tags.length(@)",
    "not_null(err, 'x')",
]


def find_in_when(text: str) -> Sequence[Finding]:
    return read_condition(condition(text), {"a": SHAPE}, {"a"}, REFERENCES).findings


def find_in_select(text: str) -> Sequence[Finding]:
    return read(expression(text), SHAPE, REFERENCES, OWN).findings


def fix(text: str, find: Any) -> str | None:
    """Return the fix that is suggested for *text*, which must be refused."""
    try:
        findings = find(text)
    except InvalidExpression as error:
        findings = [error.finding]
    assert any(not finding.is_note for finding in findings)
    return fix_of(text, findings, find)


@table(("text", "right", "result"), WHEN)
def test_the_fix_of_a_condition_is_accepted_and_means_what_was_meant(
    text: str, right: str | None, result: Any
) -> None:
    assert fix(text, find_in_when) == right
    if right is not None:
        assert [found for found in find_in_when(right) if not found.is_note] == []
        found = condition(right).evaluate(None, BOUND)
        assert result is ... or found == result


@table(("text", "right", "result"), SELECT)
def test_the_fix_of_a_select_is_accepted_and_means_what_was_meant(
    text: str, right: str | None, result: Any
) -> None:
    assert fix(text, find_in_select) == right
    if right is not None:
        assert [found for found in find_in_select(right) if not found.is_note] == []
        assert expression(right).evaluate(A, BOUND) == result


def test_many_operators_of_another_language_take_one_edit() -> None:
    text = " and ".join(["a.ok === true"] * 40)
    assert fix(text, find_in_when) == " && ".join(["a.ok == true"] * 40)


@table(
    "text",
    [
        "?? " * 110,
        "not " * 83,
        "a || == " * 41,
        "a in " * 66,
        "a.length()." * 30,
        "(" * 166 + ")" * 166,
        "a ? " * 83,
        "{{ " * 100,
        "x.f('a', " * 36,
        "{" + "a, " * 100 + "b}",
        "a + " * 83,
        "a * 40 -1 " * 33,
        "a =~ /x/ " * 33,
        "min(" * 33 + "a, b" + ")" * 33 + " =",
        "a.f(x => " * 25 + "b" + ")" * 25,
        "alpha.first_of(" * 20 + "b" + ")" * 20,
        "f(a, x => b) " * 20,
    ],
)
def test_a_slip_is_found_in_steps_linear_in_the_text(text: str) -> None:
    assert steps(lambda: find_slip(text)) < 18 * len(text)


@table("text", FINE)
def test_what_is_right_stays_as_it_is(text: str) -> None:
    assert find_in_select(text) == ()


PARTS = [
    "a", "a.x", "a.n", "'b'", '"c"', "5", "[1, 2]", "['a']", "(", ")", "[", "]", "[?", "{", "}",
    ".", "..", "$", "$.", "${", "}}", "{{", "?", ":", "??", "?.", "=", "==", "===", "=>", "<>",
    "in", "is", "not", "and", "OR", "null", "None", "&", "&&", "||", "|", ",", "!", ".length()",
    ".startsWith(", "['k']", r'"\x"', r"'\'",
    "`x`", "OUTPUT[a]", "$OUTPUT.a", "@", "*", "[]", "'", "+", "-", "/", "%", "-1", "=~", "!~",
    "/x/i", "matches(",
]  # fmt: skip


@share_of_examples(4)
@given(
    st.lists(st.sampled_from(PARTS), max_size=12).map(" ".join)
    | st.lists(st.sampled_from(PARTS), max_size=12).map("".join)
)
def test_any_text_has_a_slip_with_its_place_or_none_and_any_fix_is_accepted(text: str) -> None:
    if (slip := find_slip(text)) is not None:
        assert 0 <= slip.start <= slip.end <= len(text)
        assert slip.edit is None or slip.edit.start <= slip.edit.end <= len(text)
    for find in (find_in_when, find_in_select):
        try:
            findings = find(text)
        except InvalidExpression as error:
            findings = [error.finding]
        if (right := fix_of(text, findings, find)) is not None:
            assert all(found.is_note for found in find(right))
            with suppress(ExpressionFailed, ReferenceFailed):
                expression(right).evaluate(A, BOUND)
