"""The public names of the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import plait


@pytest.mark.parametrize("name", plait.__all__)
def test_every_public_name_is_there_for_a_program_that_begins_with_it(name: str):
    script = f"from plait import {name}; import plait; print(plait.{name} is {name})"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (said.stdout, said.stderr) == ("True\n", "")


def test_every_name_that_dir_lists_can_be_read():
    listed = dir(plait)
    assert set(plait.__all__) <= set(listed)
    for name in listed:
        getattr(plait, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'plait' has no attribute 'Dga'"):
        plait.Dga  # noqa: B018  # reading it is the test


async def test_a_dag_of_public_names_runs(tmp_path: Path):
    from plait import Dag, Gateway, RunResult, Task

    (tmp_path / "README.md").write_text("# Read me\n")
    settings = tmp_path / "servers.toml"
    settings.write_text(f'[servers.workspace]\nbuiltin = "workspace"\nroot = "{tmp_path}"\n')
    read = Task(id="a", tool="workspace:read_file", arguments={"path": "README.md"})
    async with Gateway.from_config(settings) as gateway:
        run = await gateway.execute(Dag(tasks=[read], return_=["a"]))
    assert isinstance(run, RunResult)
    assert run.status == "success"
    assert "# Read me" in str(run.outputs["a"])
    assert run.metrics.execution_time_ms > 0
