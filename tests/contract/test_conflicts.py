"""Section 4 of the contract: conflicts of files that the file system knows by several names."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from plait.config import Config, ServerSettings
from plait.downstream.resources import Resources

from ..downstream.test_resources import folded  # noqa: F401  # a fixture
from ..fakes import tool
from .conftest import STRING, House, task


async def conflict(house: House, resources: Resources, written: str, read: str) -> list[bool]:
    """Whether a reader waits for a writer, where both paths are written down and where both are
    references."""
    house.servers.add(tool("s:put", {"path": STRING}), lambda path: {})
    house.servers.add(tool("s:get", {"path": STRING}, readOnlyHint=True), lambda path: {})
    known = [task("w", "s:put", path=written), task("r", "s:get", path=read)]
    late = [
        task("where", w=written, r=read),
        task("w", "s:put", path="$OUTPUT[where].w"),
        task("r", "s:get", path="$OUTPUT[where].r"),
    ]
    with anyio.fail_after(20):
        async with house.gateway(resolver=resources) as gateway:
            plan = await gateway.plan({"tasks": known})
            run = await gateway.execute({"tasks": late, "detail": "full"})
    waits = [(wait.why, wait.on) for wait in run.tasks[2].waits]
    return [plan["conflicts"] != [], ("conflict", "w") in waits]


@pytest.mark.parametrize(
    ("written", "read", "is_one"),
    [
        ("real/x", "link/x", True),
        ("link", "real/x", True),
        ("real/../real/x", "link/./x", True),
        ("link/../other", "other/x", True),
        ("real/x", "other/x", False),
    ],
)
async def test_dots_and_symbolic_links_are_resolved_first(
    house: House, tmp_path: Path, written: str, read: str, is_one: bool
) -> None:
    for name in ("real", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    (tmp_path / "link").symlink_to("real")
    resources = Resources(Config(servers={"s": ServerSettings(command="x", cwd=tmp_path)}))
    assert await conflict(house, resources, written, read) == [is_one, is_one]


async def test_letter_case_is_resolved_first_where_the_file_system_folds_it(
    house: House,
    folded: tuple[Path, Resources],  # noqa: F811  # the fixture
    tmp_path: Path,
) -> None:
    (tmp_path / "Docs").mkdir()
    counts = Resources(Config(servers={"s": ServerSettings(command="x", cwd=tmp_path)}))
    assert await conflict(house, folded[1], "Docs/README.md", "docs/readme.MD") == [True, True]
    assert await conflict(house, counts, "Docs/README.md", "docs/readme.MD") == [False, False]
