"""The page on flows: each document there is refused or accepted, as it says, under the settings
above it."""

from __future__ import annotations

from pathlib import Path

from plait.cli.report import refusal_report
from plait.cli.style import fold
from plait.config import Config, load_config
from plait.core.flows.decision import PlanFlows
from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.conflicts import planned_accesses
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.errors import InvalidDag

from ..cli.records import shown
from .blocks import BLOCKS, ROOT, Block

PAGE = ROOT / "docs" / "flows.md"
OF_PAGE = [block for block in BLOCKS if block.page == PAGE]


def flows_of(block: Block, config: Config) -> PlanFlows:
    servers = [ServerInfo(name, ServerState.RETRYING) for name in config.servers]
    plan = check(read_dag(block.text), Catalog([], servers), Policy())
    return PlanFlows(config.flows(), plan, claims=planned_accesses(plan).claims({}))


def settings_above(block: Block, folder: Path) -> Config:
    above = [each for each in OF_PAGE if each.language == "toml" and each.line < block.line]
    (folder / "servers.toml").write_text(above[-1].text)
    return load_config(folder / "servers.toml", {})


def test_each_document_is_refused_or_accepted_as_the_page_says(tmp_path: Path):
    documents = [block for block in OF_PAGE if block.language == "json"]
    assert {block.label for block in documents} == {"json", "json refused"}
    for block in documents:
        broken = flows_of(block, settings_above(block, tmp_path)).denied
        assert bool(broken) is (block.label == "json refused"), block.place


def test_the_way_is_said_and_drawn_as_on_the_page(tmp_path: Path):
    first = next(block for block in OF_PAGE if block.language == "json")
    [broken] = flows_of(first, settings_above(first, tmp_path)).denied
    assert f"`{broken.words}`" in " ".join(PAGE.read_text().split())
    [drawn] = [block for block in OF_PAGE if block.language == "mermaid"]
    assert drawn.text.strip() == broken.mermaid
    problem = broken.problem("tasks[3]")
    assert problem.code == "flow_denied"
    [screen] = [block for block in OF_PAGE if block.language == "text"]
    lines = refusal_report(InvalidDag([problem]), "post.json")
    assert screen.text.splitlines() == shown(part for line in lines for part in fold(line, 80))
