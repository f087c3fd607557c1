"""plait graph: a DAG or a past run, drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from plait.cli.commands import program
from plait.cli.completion import dags_and_runs
from plait.cli.console import Console
from plait.cli.documents import Source
from plait.cli.drawing import draw_dag, format_of, is_file
from plait.cli.exits import Exit
from plait.cli.invocation import Invocation
from plait.cli.options import GraphFormat
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers
from .conftest import Plait, task
from .past import Past
from .test_console import Written

DAG = json.dumps({"tasks": [task("a"), task("b", "s:say", arguments={"text": "$OUTPUT[a].x"})]})
CHART = """\
flowchart LR
  t0["a<br/>s:echo"]
  t1["b<br/>s:say"]
  t0 --> t1
  classDef critical stroke-width:3px
  class t0,t1 critical
"""


@pytest.fixture(params=["alone", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    """Carried out in this process, and by a gateway that runs."""
    return str(request.param)


def test_a_dag_is_drawn_and_nothing_runs(plait: Plait, servers: FakeServers):
    result = plait("graph", "-", input=DAG)
    assert (result.exit_code, result.stdout, result.stderr) == (0, CHART, "")
    assert servers.calls == []


BOXES = """\
┏━━━━━━━━━┓
┃ a       ┃
┃ s:echo  ┃
┗━━━━┯━━━━┛
     │
 ┏━━━▼━━━┓
 ┃ b     ┃
 ┃ s:say ┃
 ┗━━━━━━━┛
┃ critical path
"""


@pytest.mark.parametrize(
    ("environ", "start"),
    [({"NO_COLOR": "1"}, BOXES), ({"TERM": "dumb"}, "layer 1\n")],
)
async def test_a_terminal_gets_boxes_and_one_without_them_lines(
    servers: FakeServers, environ: dict[str, str], start: str
):
    out = Written()
    console = Console(out, Written(is_terminal=False), environ, columns=40)
    source = Source("standard input", DAG.encode())
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        assert await draw_dag(gateway, Invocation(console), source, None, None) == Exit.SUCCESS
    assert out.text().startswith(start)


def test_boxes_go_to_a_file_too(plait: Plait, tmp_path: Path):
    shown = plait("graph", "-", "--format", "ascii", input=DAG).stdout
    assert shown.startswith("┏━━━")
    plait("graph", "-", "-o", "drawn.txt", input=DAG)
    assert (tmp_path / "drawn.txt").read_text() == shown


def test_a_format_is_chosen_by_name_and_by_the_end_of_the_file(plait: Plait, tmp_path: Path):
    assert plait("graph", "-", "--format", "DOT", input=DAG).stdout.startswith('digraph "DAG" {\n')
    result = plait("graph", "-", "-o", "drawn.gv", input=DAG)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "saved in drawn.gv\n")
    drawn = (tmp_path / "drawn.gv").read_text()
    assert drawn == plait("graph", "-", "--format", "dot", input=DAG).stdout
    plait("graph", "-", "-o", "drawn.svg", input=DAG)
    assert (tmp_path / "drawn.svg").read_text().startswith("<svg ")
    plait("graph", "-", "-o", "drawn.mmd", input=DAG)
    assert (tmp_path / "drawn.mmd").read_text() == CHART


@pytest.mark.parametrize(("count", "is_noted"), [(499, False), (500, True)])
def test_a_chart_that_viewers_refuse_is_noted(plait: Plait, count: int, is_noted: bool):
    ends = [task(f"t{n}", depends_on=["a"]) for n in range(count - 1)]
    group = {"id": "g", "tasks": [task("x"), task("y", depends_on=["x"])]}
    document = json.dumps({"tasks": [task("a"), group, *ends]})
    result = plait("graph", "-", input=document)
    assert result.exit_code == 0
    assert ("It has 500 edges; Mermaid draws at most 499" in result.stderr) is is_noted
    assert plait("graph", "-", "--format", "svg", input=document).stderr == ""


def test_an_invalid_dag_is_refused_with_all_its_problems(plait: Plait):
    tasks = [task("a", "s:none"), task("b", depends_on=["c"])]
    result = plait("graph", "-", input=json.dumps({"tasks": tasks}))
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("refused: 2 problems in standard input, nothing has run\n")
    assert result.stderr == plait("plan", "-", input=json.dumps({"tasks": tasks})).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-", "--format", "png"], "'png' is not one of"),
        (["nothing"], 'no run has an id that begins with "nothing"'),
        (["no/file"], "no/file cannot be read"),
        (["file.json"], "file.json cannot be read"),
        ([""], "it is empty text"),
        (["-", "-o", "no/folder.svg"], "there is no folder no, so nothing was drawn"),
        (["nothing", "-o", "."], "it is a folder, so nothing was drawn"),
    ],
)
def test_a_wrong_word_is_a_wrong_command_line(plait: Plait, words: list[str], said: str):
    result = plait("graph", *words, input=DAG)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_past_run_is_drawn_with_the_end_of_each_task(plait: Plait, past: Past):
    result = plait("graph", past.broken, "--format", "mermaid")
    assert result.exit_code == 0
    a, bad = result.stdout.splitlines()[1:3]
    assert a.startswith('  t0["a<br/>s:echo<br/>success, ')
    assert bad.startswith('  t1["bad<br/>s:fail<br/>failed, tool_error, ')
    assert "class t1 failed" in result.stdout
    cut = plait("graph", past.cut[:12] if past.cut[:12] != past.well[:12] else past.cut).stdout
    assert "<br/>skipped" in cut or "<br/>pending" in cut


def test_a_call_by_name_has_no_graph(plait: Plait, past: Past):
    result = plait("graph", past.call)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is a call of one tool by its name" in " ".join(result.stderr.split())


def test_a_word_is_completed_with_dags_and_with_runs(past: Past):
    Path("r.json").write_text(DAG)
    context = typer.Context(typer.main.get_command(program))
    assert {"r.json", past.well} <= {*dags_and_runs(context, "r")}


def test_a_file_that_is_there_is_a_dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("job").write_text(DAG)
    assert all(map(is_file, ("-", "job", "x.json", "x.toml", "./x", "")))
    assert not is_file("r_01")


def test_the_name_of_a_format_comes_before_the_end_of_a_file():
    assert format_of(GraphFormat.DOT, Path("x.mmd")) == "dot"
    assert format_of(None, Path("x.MMD")) == "mermaid"
    assert format_of(None, Path("x.out")) is None
    assert format_of(None, None) is None
