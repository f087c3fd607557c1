from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest

from plait.workspace import checks
from plait.workspace.allowed import AllowedCommand
from plait.workspace.checks import Commands, FormatCode, Progress, RunCommand, RunTests
from plait.workspace.errors import WorkspaceError
from plait.workspace.paths import Root


@pytest.fixture
def root(folder: Path) -> Root:
    (folder / "tests").mkdir()
    (folder / "tests" / "test_a.py").write_text("def test_it():\n    pass\n")
    return Root(folder)


def allowing(*commands: str) -> Commands:
    return Commands(allowed=tuple(map(AllowedCommand.parse, commands)))


@pytest.mark.parametrize(
    "argv", [["echo"], ["echo", "x", "y"], ["ls", "-l"], ["ls", "-l", "tests"]]
)
def test_a_command_that_is_allowed_is_run(root: Root, argv: list[str]):
    command = checks.running(root, allowing("echo *", "ls -l *"), RunCommand(argv=argv))
    assert os.path.isabs(command.argv[0])
    assert list(command.argv[1:]) == argv[1:]
    assert command.cwd == root.path


@pytest.mark.parametrize(
    "argv",
    [
        ["rm"],
        ["ls"],
        ["ls", "-la"],
        ["ls -l"],
        ["ls", "-l", "tests"],
        ["echo", "-n", "x"],
        ["/bin/echo"],
        ["./echo"],
        ["echox"],
        ["ls", "x", "-l"],
        [""],
    ],
)
def test_any_other_command_is_refused_with_those_that_are_allowed(root: Root, argv: list[str]):
    with pytest.raises(
        WorkspaceError, match=r"is not allowed\. The allowed commands are: echo \*; ls -l\."
    ):
        checks.running(root, allowing("echo *", "ls -l"), RunCommand(argv=argv))


def test_no_command_is_allowed_unless_the_operator_says_so(root: Root):
    with pytest.raises(WorkspaceError, match='--allow-command "pytest -q"'):
        checks.running(root, Commands(), RunCommand(argv=["echo"]))


def test_a_program_of_the_workspace_is_found_from_the_root_in_any_folder(root: Root):
    command = checks.running(
        root, allowing("tests/run.sh"), RunCommand(argv=["tests/run.sh"], cwd="tests")
    )
    assert command.argv == (f"{root.path}/tests/run.sh",)
    assert command.cwd == root.path / "tests"


@pytest.mark.parametrize(
    ("argv", "cwd", "says"),
    [
        (["echo"], "..", "outside of the workspace"),
        (["echo"], "tests/test_a.py", "not a folder"),
        (["echo", "\0"], ".", "NUL"),
        (["../secret.sh"], ".", "outside of the workspace"),
        (["no-such-program"], ".", "is not installed"),
    ],
)
def test_a_command_that_cannot_be_run_as_asked_is_refused(
    root: Root, argv: list[str], cwd: str, says: str
):
    with pytest.raises(WorkspaceError, match=says):
        checks.running(
            root,
            allowing("echo", "../secret.sh", "no-such-program"),
            RunCommand(argv=argv, cwd=cwd),
        )


def test_tests_are_narrowed_by_path_and_keyword_which_cannot_be_options(root: Root):
    call = RunTests(paths=["tests/test_a.py::test_it", "tests"], keyword="it and not slow")
    command = checks.testing(root, Commands(tests=("pytest", "-q")), call)
    tests = f"{root.path}/tests"
    assert command.argv[1:] == ("-q", "-kit and not slow", f"{tests}/test_a.py::test_it", tests)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({"paths": ["../ws-evil"]}, "outside of the workspace"),
        ({"paths": ["--pyargs"]}, "no such file"),
        ({"paths": ["-p"]}, "no such file"),
        ({"paths": ["tests/test_a.py::\0"]}, "NUL"),
        ({"keyword": "-x"}, "not a keyword"),
        ({"keyword": "--pdb"}, "not a keyword"),
        ({"keyword": "__import__('os')"}, "not a keyword"),
        ({"keyword": ""}, "not a keyword"),
    ],
)
def test_what_could_be_an_option_of_the_tests_is_refused(
    root: Root, call: dict[str, object], says: str
):
    with pytest.raises(WorkspaceError, match=says):
        checks.testing(root, Commands(tests=("pytest",)), RunTests.model_validate(call))


def test_a_keyword_is_for_pytest_only(root: Root):
    with pytest.raises(WorkspaceError, match="keyword works with pytest only"):
        checks.testing(root, Commands(tests=("make", "test")), RunTests(keyword="it"))


def test_the_pytest_of_the_project_is_taken_first(root: Root):
    assert checks.testing(root, Commands(), RunTests()).argv[0] == str(
        Path(sys.executable).parent / "pytest"
    )
    own = root.path / ".venv" / "bin" / "pytest"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert checks.testing(root, Commands(), RunTests()).argv[0] == str(own)


def test_a_missing_program_is_an_error_that_says_how_to_name_one(root: Root, monkeypatch):
    monkeypatch.setattr(checks, "program", lambda name: None)
    with pytest.raises(WorkspaceError, match="--formatter"):
        checks.formatting(root, Commands(), FormatCode())
    with pytest.raises(WorkspaceError, match="--tests"):
        checks.testing(root, Commands(), RunTests())


def test_a_formatter_gets_its_check_option(root: Root):
    command = checks.formatting(root, Commands(formatter=("ls", "-x")), FormatCode(check_only=True))
    assert command.argv[1:] == ("-x", "--check")


@pytest.mark.virtual_time
async def test_progress_is_reported_at_most_ten_times_a_second_and_never_goes_back():
    told: list[tuple[float, str]] = []

    async def report(elapsed_s: float, line: str) -> None:
        told.append((elapsed_s, line))

    progress = Progress(report)
    for number in range(100):
        await progress.receive(f"line {number}\n\n".encode())
        await anyio.sleep(0.01)
    await anyio.sleep(5)
    await progress.receive(b"")
    times = [elapsed_s for elapsed_s, _ in told]
    assert 8 <= len(told) <= 11
    assert times == sorted(set(times))
    assert told[-1][1] == "line 99"
