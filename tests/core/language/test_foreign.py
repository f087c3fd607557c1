"""References as other engines spell them, and texts that only look like that."""

from __future__ import annotations

import re
from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op, Problem
from plait.errors import InvalidDag
from tests.fakes import tool

from ..tables import table

CATALOG = Catalog(
    [tool("s:write", closed=False), tool("s:read", closed=False, readOnlyHint=True)],
    [ServerInfo("s", ServerState.READY)],
)
IDS = ("a", "fetch", "b.c", "my-task")


def planned(value: Any, **options: Any) -> Plan:
    tasks: list[dict[str, Any]] = [{"id": id, "tool": "s:read"} for id in IDS]
    tasks.append({"id": "last", "tool": "s:write", "arguments": {"x": value}, **options})
    return check(read_dag({"tasks": tasks}), CATALOG, Policy())


def refused(value: Any, **options: Any) -> Problem:
    with pytest.raises(InvalidDag) as error:
        planned(value, **options)
    [problem] = error.value.problems
    assert (problem.code, problem.path) == ("invalid_reference", "tasks[4].arguments.x")
    return problem


@table(
    ("text", "meant"),
    [
        ("{{ a.x | int }}", "$OUTPUT[a].x"),
        ("{{a.x|tojson|safe}}", "$OUTPUT[a].x"),
        ("${{ steps.a.outputs.x | json }}", "$OUTPUT[a].x"),
        ("{{ a.x | default('none') }}", '${OUTPUT[a].x ?? "none"}'),
        ("{{ a.x | default(0, true) }}", "${OUTPUT[a].x ?? 0}"),
        ("{{ a.x | d([]) }}", "${OUTPUT[a].x ?? []}"),
        ("${{ steps.a.outputs.x || 'none' }}", '${OUTPUT[a].x ?? "none"}'),
        ("{{ a.x ?? 5 }}", "${OUTPUT[a].x ?? 5}"),
        ('{{ $node["a"].json.x }}', "$OUTPUT[a].x"),
        ('={{ $node["a"].json.x }}', "$OUTPUT[a].x"),
        ("={{ $node['my-task'].json.items[0].x }}", "$OUTPUT[my-task].items[0].x"),
        ("{{ $('a').item.json.x }}", "$OUTPUT[a].x"),
        ('{{ $("b.c").first().json.x }}', "$OUTPUT[b.c].x"),
        ("{{ $('a').json }}", "$OUTPUT[a]"),
        ("mail {{ $('a').item.json.x }} now", "mail $OUTPUT[a].x now"),
        ("{{ ti.xcom_pull(task_ids='a')['x'] }}", "$OUTPUT[a].x"),
        ("{{ ti.xcom_pull(task_ids=['a'])[0]['x'] }}", "$OUTPUT[a].x"),
        ("{{ ti.xcom_pull('a').x }}", "$OUTPUT[a].x"),
        ("{{ task_instance.xcom_pull('a') }}", "$OUTPUT[a]"),
        ('{{ task_instance.xcom_pull(task_ids="a")[0] }}', "$OUTPUT[a][0]"),
        ("{{- a.x -}}", "$OUTPUT[a].x"),
        ("{{ a.x -}}", "$OUTPUT[a].x"),
        ("{{=tasks.a.outputs.result}}", "$OUTPUT[a].result"),
        ("{{=tasks.a.outputs.parameters.x}}", "$OUTPUT[a].x"),
        ("{{= steps.a.outputs.x }}", "$OUTPUT[a].x"),
        ("{% $states.input.a.x %}", "$OUTPUT[a].x"),
        ("{% $a.x %}", "$OUTPUT[a].x"),
        ("up: {% $states.input.a.x %}", "up: $OUTPUT[a].x"),
        ("{a.result().x}", "$OUTPUT[a].x"),
        ("{{ a.output().x }}", "$OUTPUT[a].x"),
        ("$(a.x)", "$OUTPUT[a].x"),
        ("@{outputs('a').x}", "$OUTPUT[a].x"),
        ("@outputs('a')", "$OUTPUT[a]"),
        ("@{outputs('a')?['body/x']}", "$OUTPUT[a].x"),
        ("@body('a')?['x']", "$OUTPUT[a].x"),
        ("@activity('a').output.x", "$OUTPUT[a].x"),
        ("Dear @{body('a')?['x']}!", "Dear $OUTPUT[a].x!"),
        ("<%= a.x %>", "$OUTPUT[a].x"),
        ("<%- a.x -%>", "$OUTPUT[a].x"),
        ("[[ a.x ]]", "$OUTPUT[a].x"),
        ("{{ a.items[*].x }}", "$OUTPUT[a].items[*].x"),
        ("{{ a.items[-1].x }}", "$OUTPUT[a].items[-1].x"),
        ("%{a.x}", "$OUTPUT[a].x"),
        ("up 5%{a.x}", "up 5%$OUTPUT[a].x"),
        ("<<a.x>>", "$OUTPUT[a].x"),
        ("${a:-none}", '${OUTPUT[a] ?? "none"}'),
        ("${fetch:=a b}", '${OUTPUT[fetch] ?? "a b"}'),
        ("${a ?? 0}", "${OUTPUT[a] ?? 0}"),
        ("${a.x || 'none'}", '${OUTPUT[a].x ?? "none"}'),
        ("${a || 'none'}", '${OUTPUT[a] ?? "none"}'),
        ("${a | keys(@)}", "${OUTPUT[a] | keys(@)}"),
        ("{{ a.items | [?n > `1`].x }}", "${OUTPUT[a].items | [?n > `1`].x}"),
        ("keys: ${a.x | join(', ', @)}!", "keys: ${OUTPUT[a].x | join(', ', @)}!"),
        ('f"{a[0]}"', "$OUTPUT[a][0]"),
        ("f\"{a[0]['x']} and {fetch.y}\"", "$OUTPUT[a][0].x and $OUTPUT[fetch].y"),
        ("f'by {a}'", "by $OUTPUT[a]"),
        ({"Ref": "a"}, "$OUTPUT[a]"),
        ({"Fn::GetAtt": ["a", "x"]}, "$OUTPUT[a].x"),
        ({"Fn::GetAtt": "a.x"}, "$OUTPUT[a].x"),
        ({"$ref": "#/steps/a/x"}, "$OUTPUT[a].x"),
    ],
)
def test_a_reference_of_another_engine_has_its_fix(text: Any, meant: str) -> None:
    assert refused(text).fix == Fix(Op.REPLACE, meant)
    assert planned(meant).notes == ()
    [note] = planned(text, tool="s:read").notes
    assert "taken as text. Write $" in note


@table(
    ("text", "meant"),
    [
        ("{{ this }}", "$ITEM"),
        ("{{this.x}}", "$ITEM.x"),
        ("{{ $json.x }}", "$ITEM.x"),
        ("={{ $json.x.y }}", "$ITEM.x.y"),
        ("{{ @index }}", "$INDEX"),
        ("${{ matrix.item }}", "$ITEM"),
        ("${{ each.x }}", "$ITEM.x"),
        ("{{ item.x | int }}", "$ITEM.x"),
    ],
)
def test_an_item_of_another_engine_has_its_fix_where_there_are_items(text: str, meant: str) -> None:
    items = [{"x": {"y": 1}}]
    assert refused(text, for_each=items).fix == Fix(Op.REPLACE, meant)
    assert planned(meant, for_each=items).notes == ()


@table(
    "text",
    [
        "{{ a.x | upper }}",
        "{{ a.items | map(attribute='x') | join(', ') }}",
        "${{ steps.a.outputs.x && 'yes' || 'no' }}",
        "join(', ', $OUTPUT[a].items[*].name)",
        "JSON.stringify($OUTPUT[a])",
        "$OUTPUT[a].total + 1",
        "$OUTPUT[a].total+1",
        "${OUTPUT[a].total} * 2",
        "$OUTPUT[a].total - 1",
        "$OUTPUT[a].x + $OUTPUT[fetch].y",
        "2 * $OUTPUT[a].x",
        "$OUTPUT[a].x == 'open'",
        "$OUTPUT[a].x || 'none'",
        "$OUTPUT[a].x ? 'yes' : 'no'",
        "$OUTPUT[a].name.toUpperCase()",
        "$OUTPUT[a].tags.join(', ')",
        "{{ $json.x }}",
        "={{ $json.x }}",
        "{a.x:.2f}",
        "Total: {a.x:,.2f} EUR",
        "{{ a.get('x') }}",
        "{{ a.x + 1 }}",
        "${a.x + 1}",
        "total: ${a.x ? 'yes' : 'no'}",
        "${a.title.toUpperCase()}",
        "${a.map(x => x.n)}",
        "`all: ${a.filter(x => x.ok).map(x => x.n).join(', ')}`",
        "{{ a.map(x => x.n) }}",
        "${JSON.stringify(a)}",
        "${Object.keys(fetch)}",
        "${a | upper}",
        "${a == 1}",
        'f"{len(a)}"',
        'f"{a.x + 1}"',
        "{{ x | get(a.x) }}",
        "{{ len(a.items) }}",
        "${{ steps.a.outputs.x + 1 }}",
        "{{ ti.xcom_pull(task_ids=['a', 'fetch']) }}",
        "{{ ti.xcom_pull('a').x + 1 }}",
        "{% $states.input.a.x + 1 %}",
        "{% $count($states.input.a.x) %}",
        "{% if a.ok %}yes{% endif %}",
        "{% for i in a.items %}{{ i }}{% endfor %}",
        "{{#each a.items}}x{{/each}}",
    ],
)
def test_what_would_be_sent_half_resolved_is_refused_without_a_fix(text: str) -> None:
    problem = refused(text)
    assert problem.fix is None
    assert re.search(r"behind a bar, in braces|Name the task", str(problem.hint))
    [note] = planned(text, tool="s:read").notes
    assert "is taken as text" in note
    assert planned(text, literal=True).notes == ()


@table(
    "text",
    [
        "{% for i in rows %}{{ i.name }}{% endfor %}",
        "{{ 'a.x' }}",
        "{{ inputs.a }}",
        "{{ greet('a') }}",
        "{{ ti.xcom_pull('z') }}",
        "{% $states.input.z %}",
        "{% $states.context.a %}",
        "{{=<% %>=}}",
        "{z.result().x}",
        "{a: 1}",
        '{"a":1}',
        "<<a>>",
    ],
)
def test_a_template_that_names_no_task_is_text(text: str) -> None:
    assert planned(text).notes == ()


def test_a_loop_of_a_template_has_an_item_of_its_own() -> None:
    text = "{% for item in rows %}{{ loop.index }}{% endfor %}"
    assert planned(text.replace("loop.index", "n"), for_each=[1]).notes == ()


@table("value", ["{{ a.x }}", "$OUTPUT[a].total + 1", ["$ITEM"]])
def test_a_value_may_go_into_any_call_so_nothing_in_it_may_look_like_a_reference(
    value: Any,
) -> None:
    tasks: list[Any] = [{"id": "a", "tool": "s:read"}, {"id": "v", "value": {"x": value}}]
    with pytest.raises(InvalidDag) as error:
        check(read_dag({"tasks": tasks}), CATALOG, Policy())
    assert [problem.code for problem in error.value.problems] == ["invalid_reference"]
    meant = [tasks[0], {**tasks[1], "literal": True}]
    assert check(read_dag({"tasks": meant}), CATALOG, Policy()).notes == ()


WORKFLOW = """
on: push
jobs:
  test:
    strategy: {matrix: {python: ["3.11", "3.12"]}}
    env: {TOKEN: "${{ secrets.GITHUB_TOKEN }}"}
    steps:
      - uses: actions/setup-python@v5
        with: {python-version: "${{ matrix.python }}"}
      - run: echo "${{ github.event.head_commit.message }}" | tee $GITHUB_OUTPUT
      - if: ${{ needs.build.outputs.changed == 'true' && !cancelled() }}
        run: '[[ -f "$HOME/x" ]] && echo ${X:-y} $(date) $((1 + 1))'
"""
CHART = """
{{- if .Values.ingress.enabled }}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
{{- range $key, $value := .Values.env }}
  - {name: {{ $key }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
"""
JINJA = """
{% for user in users if user.name | length > 3 %}{{ user.name | upper }}{% endfor %}
{{ config["x"] | default('y') }} {# note #}
"""
HANDLEBARS = "{{#each people}}{{this.name}} {{@index}} {{{../title}}}{{/each}} {{> footer}}"


@table(
    "text",
    [
        WORKFLOW,
        CHART,
        JINJA,
        HANDLEBARS,
        "<% if user.admin? %><%= user.name %><% end %>",
        "[[notes.md]] and [[ notes ]] and [[a]] and [[a.x]]",
        'if [[ $x == "a.x" ]]; then echo a; fi',
        "@app.route('/a')\ndef outputs(): pass",
        "@body and @outputs of @a",
        "={{ 1 + 1 }}",
        'echo "${X:-a} ${Y:=b} ${Z-a} ${a%.txt} ${a//x/y} ${#a} ${a[@]}"',
        "const names = `${rows.map(row => row.name)} of ${JSON.stringify(rows)}`",
        'print(f"{len(rows)} rows, {rows[0]}")',
        "`${escape(a)} after ${Date.now() - a} ms`",
        "`ls | grep a` and `a | keys(@)`",
        "const f = (a) => ({ a: a.x });",
        "[a]: https://example.org/a?x={y}",
        "=SUM(A1:A2)",
        "$(cat a.txt)",
        "length(items) + 1",
        "print($OUTPUT[a].x)",
        "$OUTPUT[a].first - $OUTPUT[a].last",
        "$OUTPUT[a].owner/$OUTPUT[a].repo",
        "$OUTPUT[a].done / $OUTPUT[a].total",
        "build-$OUTPUT[a].n-1",
        "$OUTPUT[a].x + more",
        "2020 - $OUTPUT[a].year",
        "($OUTPUT[a].x)",
        "Is $OUTPUT[a].x ready? Yes",
        "C++ and $OUTPUT[a].x",
        "It has length($OUTPUT[a].x) in it",
        "$OUTPUT[a].q+$OUTPUT[a].r",
        {"Ref": "Bucket"},
        {"Fn::GetAtt": ["Bucket", "Arn"]},
        {"Fn::Sub": "arn:${AWS::Region}:x"},
        {
            "Resources": {
                "B": {"Properties": {"Name": {"Ref": "AWS::Region"}, "Role": {"Ref": "R"}}}
            }
        },
        {"Ref": "a", "Type": "x"},
        {"Ref": 5},
    ],
)
@pytest.mark.parametrize("options", [{}, {"for_each": [{"name": "x"}]}], ids=["once", "each"])
def test_innocent_text_is_taken_without_a_word(text: Any, options: dict[str, Any]) -> None:
    assert planned(text, **options).notes == ()
