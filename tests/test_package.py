"""The wheel and the source archive that users install, built as a release builds them."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
LICENSE = (ROOT / "LICENSE").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--directory"]
    subprocess.run([*build, folder], cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_has_the_license_and_names_it(built: Path):
    with ZipFile(next(built.glob("plait-*.whl"))) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" in name]
        files = {name.partition("/")[2]: wheel.read(name).decode() for name in names}
    metadata = message_from_string(files["METADATA"])
    assert (metadata["License-Expression"], metadata["License-File"]) == ("MIT", "LICENSE")
    assert files["licenses/LICENSE"] == LICENSE


def test_the_wheel_has_the_tables_and_statements_of_the_history(built: Path):
    with ZipFile(next(built.glob("plait-*.whl"))) as wheel:
        folder = "plait/stores/history"
        assert {f"{folder}/schema.sql", f"{folder}/queries.sql"} <= set(wheel.namelist())


def test_the_wheel_has_the_services_and_jobs_of_the_tour_and_the_skill(built: Path):
    with ZipFile(next(built.glob("plait-*.whl"))) as wheel:
        names = set(wheel.namelist())
    folder = ROOT / "src"
    tour = [
        file for file in (folder / "plait" / "tour").rglob("*") if file.suffix in {".py", ".json"}
    ]
    assert len(tour) > 8
    assert {file.relative_to(folder).as_posix() for file in tour} <= names
    assert "plait/install/SKILL.md" in names


def test_the_source_archive_has_the_license(built: Path):
    with tarfile.open(next(built.glob("plait-*.tar.gz"))) as archive:
        name = next(name for name in archive.getnames() if name.endswith("/LICENSE"))
        file = archive.extractfile(name)
        assert file is not None
        assert file.read().decode() == LICENSE
