"""`docs/architecture.md` says what may import what; here the code is held to it."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from plait.core.scheduling.events import MOVES

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "plait"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (`.*|nothing) \|$", re.MULTILINE)
TABLE = {
    part: set(re.findall(r"`(\w+)`", names))
    for part, names in ROW.findall(PAGE.partition("may import whom")[2])
}
ROOMS = re.findall(
    r"`(\w+)`", PAGE.partition("The rooms of the core go one way:")[2].partition("each over")[0]
)
IMPURE = {"asyncio", "logging", "os", "random", "socket", "subprocess", "threading", "time"}
FILES = [
    file for file in SRC.rglob("*.py") if not (file.parent == SRC and file.stem.startswith("__"))
]


def imports_of(file: Path) -> Iterator[str]:
    """The parts of the package, and the distributions, that *file* imports."""
    depth = len(file.relative_to(SRC).parts)
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield module.partition(".")[0]
            case ast.ImportFrom(level=level, module=module, names=names) if level == depth:
                found = [module.partition(".")[0]] if module else [name.name for name in names]
                yield from (name for name in found if not name.startswith("__"))


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
NAMED = re.compile(r"`(?!mcp/)([\w./-]+\.py|[\w./-]+/[\w.-]+\.md)`")
FILE_NAMES = {file.name for file in (*FILES, *(ROOT / "tests").rglob("*.py"))}


@pytest.mark.parametrize("file", [*FILES, *PAGES], ids=lambda file: str(file.relative_to(ROOT)))
def test_each_file_that_is_named_exists(file: Path):
    missing = [
        name
        for name in NAMED.findall(file.read_text())
        if not any((folder / name).exists() for folder in (ROOT, SRC, file.parent))
        and name not in FILE_NAMES | {"argparse.py"}
    ]
    assert missing == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))
def test_imports_follow_the_table(file: Path):
    part = file.relative_to(SRC).with_suffix("").parts[0]
    standard = set(sys.stdlib_module_names) - (IMPURE if part == "core" else set())
    assert set(imports_of(file)) <= TABLE[part] | {part} | standard


def modules_imported_by(file: Path) -> Iterator[Path]:
    """The modules of the package that *file* needs while it runs."""
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            named = [folder / f"{name.name}.py" for name in node.names]
            yield from (one for one in (folder.with_suffix(".py"), *named) if one in FILES)


def test_no_module_needs_itself_while_it_runs():
    needs = {file: {*modules_imported_by(file)} for file in FILES}
    assert sum(map(len, needs.values())) > len(FILES)
    [*TopologicalSorter(needs).static_order()]  # raises `CycleError` with the modules


def rooms_imported_by(file: Path) -> Iterator[str]:
    """The rooms of the core that *file*, in another one, imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module:
            yield node.module.partition(".")[0]


SDK = {
    name: set(importlib.import_module(name).__all__)
    for name in ("mcp", "mcp.server", "mcp_types", "mcp_types.methods", "mcp_types.version")
}
SDK["mcp_types"] |= {"methods", "version"}
FENCES = {
    "downstream/mcp_sdk.py": None,
    "upstream/mcp_sdk.py": None,
    "workspace/stdio.py": {"mcp.shared.message.SessionMessage"},
}
"""The files that may import the SDK's inner modules: None for any name, else the names."""


def inner_names(file: Path) -> Iterator[str]:
    """What *file* imports of the MCP SDK that is not its public API."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                modules = {name.name for name in names}
                yield from (
                    name
                    for name in modules
                    if name.partition(".")[0] in {"mcp", "mcp_types"} - {name}
                )
            case ast.ImportFrom(level=0, module=str(module), names=names) if module.partition(".")[
                0
            ] in {
                "mcp",
                "mcp_types",
            }:
                yield from (
                    f"{module}.{name.name}"
                    for name in names
                    if name.name not in SDK.get(module, set())
                )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))
def test_the_inner_modules_of_the_sdk_are_imported_behind_fences_alone(file: Path):
    allowed = FENCES.get(str(file.relative_to(SRC)), set())
    if allowed is not None:
        assert set(inner_names(file)) <= allowed


def test_each_fence_is_needed():
    for file, allowed in FENCES.items():
        found = set(inner_names(SRC / file))
        assert found
        assert allowed is None or allowed == found


@pytest.mark.parametrize(
    "line",
    [
        "import mcp.shared.message",
        "from mcp.server.runner import serve_one",
        "from mcp.server import _otel",
        "from mcp import types",
        "from mcp_types._types import Tool",
        "from mcp_types import _types",
    ],
)
def test_an_inner_name_of_the_sdk_is_found(line: str, tmp_path: Path):
    (tmp_path / "module.py").write_text(line)
    assert list(inner_names(tmp_path / "module.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_of_the_core_go_one_way(room: str):
    files = list((SRC / "core" / room).glob("*.py"))
    assert len(files) > 2
    for file in files:
        assert set(rooms_imported_by(file)) <= set(ROOMS[: ROOMS.index(room)]) | {"ports"}, file


def test_the_core_has_no_other_rooms():
    assert {file.parent.name for file in (SRC / "core").rglob("*.py")} == {"core", *ROOMS}


def test_the_table_names_every_part():
    parts = {file.relative_to(SRC).with_suffix("").parts[0] for file in FILES}
    assert parts == set(TABLE)


def test_the_diagram_is_made_from_the_moves():
    moves = [
        f"  {before} --> {after}"
        for before, legal in MOVES.items()
        for after in MOVES
        if after in legal
    ]
    drawn = PAGE.partition("stateDiagram-v2\n")[2].partition("```")[0].splitlines()
    assert drawn == ["  [*] --> pending", *moves]


def test_nothing_imports_a_module_that_is_not_there():
    named = re.findall(
        r"`((?:core|engine|calls|downstream|upstream|stores|observers|workspace|config|cli)/[\w/]+\.py)`",
        PAGE,
    )
    assert named
    assert [name for name in named if not (SRC / name).exists()] == []


PLACES = sorted(set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", PAGE)))
WALKS = re.findall(r"^\| `((?:[a-z_]+/)*[a-z_]+\.py)` `(\w+)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("place", PLACES)
def test_every_file_that_the_page_names_exists(place: str):
    assert [file for file in FILES if file.as_posix().endswith(f"/{place}")], place


@pytest.mark.parametrize(("place", "name"), WALKS)
def test_every_step_of_the_walks_is_where_the_page_says(place: str, name: str):
    tree = ast.parse((SRC / place).read_text())
    assert name in {getattr(node, "name", None) for node in tree.body}


def test_the_walks_have_steps():
    assert len(WALKS) > 15
