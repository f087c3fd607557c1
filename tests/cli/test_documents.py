"""How a DAG gets in: JSON or TOML, from a file or standard input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plait.cli import documents
from plait.cli.documents import Source, literal
from plait.core.language.references import parse

from ..fakes import FakeServers
from .conftest import Plait, task

JSON = '{"tasks": [{"id": "a", "tool": "s:echo", "arguments": {"n": 1}}]}'
TOML = '[[tasks]]\nid = "a"\ntool = "s:echo"\narguments = {n = 1}\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dag.json", JSON),
        ("dag.toml", TOML),
        ("dag", JSON),
        ("dag", TOML),
        ("dag", JSON[10:-1]),
        ("dag.json", "\ufeff" + JSON),
    ],
)
def test_a_dag_is_read_as_what_it_is(plait: Plait, tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert json.loads(plait("run", name, "--json").stdout)["outputs"] == {"a": {"n": 1}}
    if name == "dag":
        assert json.loads(plait("run", "-", "--json", input=text).stdout)["outputs"] == {
            "a": {"n": 1}
        }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"tasks": [\n  {"id" 3}]}', "line 2, column 9"),
        ("", "is empty"),
        ('name = "x"\n[[tasks]\n', "line 2, column"),
        ('{"tasks": [], "tasks": []}', "twice"),
        (b"\xff", "not UTF-8"),
        ("tasks = 2000-01-01", "tasks"),
    ],
)
def test_what_cannot_be_parsed_is_refused_with_its_place(
    plait: Plait, text: str | bytes, said: str
):
    result = plait("run", "-", input=text)
    assert result.exit_code == 3
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["nowhere.json", ".", "/dev/zero"])
def test_a_file_that_cannot_be_read_is_a_wrong_command_line(plait: Plait, name: str):
    result = plait("run", name)
    assert result.exit_code == 2
    assert f"{name} cannot be read" in result.stderr


def test_standard_input_is_read_within_bounds(plait: Plait, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(documents, "MAX_INPUT_BYTES", 1_000)
    for command in (("run", "-"), ("plan", "-"), ("call", "s:echo", "-")):
        result = plait(*command, input=" " * 1_001)
        assert result.exit_code == 2
        assert "standard input cannot be read: it has more than 1,000 bytes." in result.stderr


@pytest.mark.parametrize(
    ("text", "is_toml"),
    [("{}", False), ("[]", False), (' [ {"id"', False), ("[[tasks]]", True), ("[x]", True)],
)
def test_the_beginning_shows_whether_it_is_json_or_toml(text: str, is_toml: bool):
    assert Source("the DAG", text.encode()).is_toml is is_toml


@pytest.mark.parametrize(
    "text",
    ["$OUTPUT[a]", "$$OUTPUT[a].b", "${OUTPUT[a] ?? 1}", "$ITEM and $OUTPUT", "$$$OUTPUT[a]"],
)
def test_a_literal_means_itself(text: str):
    assert parse(str(literal(text))) == (text,)
    assert literal({"x": [text, 1]}) == {"x": [literal(text), 1]}


def test_set_changes_arguments_before_the_check(plait: Plait, servers: FakeServers):
    tasks = [task("a", arguments={"n": 1}), task("a.b", args={"deep": {"x": 1}})]
    words = (
        "--set",
        "a.n=[2]",
        "--set",
        "a.text=as it is",
        "--set",
        "a.b.deep.y=3",
        "--set",
        'a.b.s="4"',
    )
    assert plait.run(tasks, *words).exit_code == 0
    assert ("s:echo", {"n": [2], "text": "as it is"}) in servers.calls
    assert ("s:echo", {"deep": {"x": 1, "y": 3}, "s": "4"}) in servers.calls


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("aa.n=1", 'Did you mean "a"?'),
        ("n=1", "id.argument=value"),
        ("a.n.x=1", "which is not an object"),
    ],
)
def test_a_setting_that_cannot_be_made_is_explained(plait: Plait, setting: str, said: str):
    result = plait.run([task("a", arguments={"n": 1})], "--set", setting)
    assert result.exit_code == 2
    assert said in result.stderr


def test_variants_in_a_document_are_noted_when_options_change_it(plait: Plait):
    document = {"tasks": {"a": {"tool": "s:echo", "args": {}}}, "failFast": False}
    notes = json.loads(plait.run(document, "--json", "--fail-fast", "--set", "a.n=1").stdout)[
        "notes"
    ]
    assert any("failFast" in note for note in notes)
    assert any("args" in note for note in notes)


@pytest.mark.parametrize("options", [(), ("--fail-fast",), ("--set", "a.n=2")])
def test_slips_of_a_model_are_corrected_and_noted_with_and_without_options(
    plait: Plait, options: tuple[str, ...]
):
    text = '```json\n{"tasks": [{"id": "a", "tool": "s:echo", "arguments": {"n": 1},}]}\n```\n'
    result = plait("run", "-", "--json", *options, input=text)
    assert result.exit_code == 0
    [note] = json.loads(result.stdout)["notes"]
    assert note == "the document: a code fence and a trailing comma were corrected"


def test_an_empty_name_and_a_setting_that_is_no_text_are_named(plait: Plait):
    named = plait("run", "")
    assert (named.exit_code, "it is empty text: name a file" in named.stderr) == (2, True)
    document = json.dumps({"tasks": [task("a")]})
    refused = plait("run", "-", "--set", "a.x=\udcff", input=document)
    assert refused.exit_code == 2
    assert "'a.x=\\udcff': it is not UTF-8" in refused.stderr
