from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client

from plait.workspace import files, processes
from plait.workspace.__main__ import main
from plait.workspace.allowed import AllowedCommand
from plait.workspace.checks import Commands
from plait.workspace.errors import WorkspaceError
from plait.workspace.server import build_server

from .lifeline import Lifeline

READING = ["read_file", "list_dir", "find_files", "grep", "git_status", "git_diff", "git_log"]
CHANGING = ["write_file", "format_code", "run_tests", "run_command"]
MODULE = ["-m", "plait.workspace"]


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    content: dict[str, Any] = result.structured_content
    return content


async def refusal(client: Client, name: str, **arguments: Any) -> str:
    result = await client.call_tool(name, arguments)
    assert result.is_error
    (content,) = result.content
    assert content.type == "text"
    return content.text


async def test_every_tool_is_described_for_models_and_clients(folder: Path):
    async with Client(build_server(folder)) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == [*READING, *CHANGING]
    for tool in tools:
        assert tool.title
        assert tool.description
        assert tool.output_schema is not None
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint == (tool.name in READING)
        assert tool.annotations.destructive_hint == (tool.name in CHANGING)
        assert all(field["description"] for field in tool.input_schema["properties"].values())
        for schema in (tool.input_schema, tool.output_schema):
            assert schema["type"] == "object"
            assert schema["additionalProperties"] is False
            assert not {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const"} & keys_of(schema)


def keys_of(schema: Any) -> set[str]:
    match schema:
        case dict():
            return set(schema).union(*(keys_of(value) for value in schema.values()))
        case list():
            return set().union(*(keys_of(item) for item in schema))
        case _:
            return set()


async def test_a_read_only_server_has_only_tools_that_change_nothing(folder: Path):
    async with Client(build_server(folder, read_only=True)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == READING
        assert "unknown tool write_file" in await refusal(client, "write_file", path="a", text="")
    assert not (folder / "a").exists()


async def test_a_server_has_only_the_tools_that_are_named(folder: Path):
    async with Client(build_server(folder, only=["grep", "write_file"])) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["grep", "write_file"]
    with pytest.raises(WorkspaceError, match=r"unknown tool grpe\. The tools are: read_file"):
        build_server(folder, only=["grpe"])


async def test_files_are_written_found_searched_and_read(folder: Path):
    async with Client(build_server(folder)) as client:
        await call(client, "write_file", path="src/a.py", text="answer = 42\n", create_parents=True)
        assert (await call(client, "list_dir", depth=2))["entries"][1]["path"] == "src/a.py"
        assert (await call(client, "find_files", pattern="*.py"))["paths"] == ["src/a.py"]
        assert (await call(client, "grep", pattern=r"\d+"))["lines"][0]["text"] == "answer = 42"
        assert (await call(client, "read_file", path="src/a.py"))["text"] == "answer = 42\n"


async def test_a_result_says_the_same_as_text(folder: Path):
    (folder / "a.txt").write_text("é\n")
    async with Client(build_server(folder)) as client:
        result = await client.call_tool("read_file", {"path": "a.txt"})
    assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]  # it is text


async def test_a_repository_is_looked_at(folder: Path):
    identity = ["-c", "user.name=Zoe", "-c", "user.email=zoe@example.org"]
    for arguments in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "First"]):
        await anyio.run_process(["git", *arguments], cwd=folder)
    async with Client(build_server(folder)) as client:
        (folder / "new.txt").write_text("x")
        assert (await call(client, "git_status"))["entries"][0]["path"] == "new.txt"
        assert (await call(client, "git_diff", from_revision="HEAD"))["files"] == []
        assert (await call(client, "git_log"))["commits"][0]["subject"] == "First"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("read_file", {}, "path: Field required"),
        (
            "read_file",
            {"path": "a", "lines": 3},
            "lines: Extra inputs are not permitted. The arguments are: path, start",
        ),
        ("read_file", {"path": ["a"]}, "path: Input should be a valid string"),
        (
            "read_file",
            {"path": "/etc/passwd"},
            "leads outside of the workspace. Use a path inside of",
        ),
        ("read_file", {"path": "a\0"}, "NUL"),
        ("grep", {"pattern": "("}, "not understood"),
        ("git_log", {}, "is not in a git repository"),
        ("run_command", {"argv": ["ls"]}, "--allow-command"),
        ("no_such_tool", {}, "The tools are: read_file, "),
    ],
)
async def test_a_mistake_that_a_model_can_fix_is_an_error_of_the_tool(
    folder: Path, name: str, arguments: dict[str, Any], says: str
):
    async with Client(build_server(folder)) as client:
        text = await refusal(client, name, **arguments)
    assert says in text
    assert "Traceback" not in text
    assert "http" not in text


async def test_a_fault_of_ours_is_logged_and_not_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(*_: object) -> None:
        raise RuntimeError("the inner secret")

    monkeypatch.setattr(files, "read_file", broken)
    async with Client(build_server(folder)) as client:
        text = await refusal(client, "read_file", path="a")
    assert "fault of the server" in text
    assert "secret" not in text
    assert "the inner secret" in caplog.text


async def test_code_is_formatted_and_the_changed_files_are_listed(folder: Path):
    (folder / "a.py").write_text("x  =  1\n")
    (folder / "b.py").write_text("x = 1\n")
    async with Client(build_server(folder)) as client:
        checked = await call(client, "format_code", check_only=True)
        assert (checked["changed"], checked["clean"], checked["exit_code"]) == (["a.py"], False, 1)
        assert (folder / "a.py").read_text() == "x  =  1\n"
        formatted = await call(client, "format_code", paths=["a.py", "b.py"])
        assert (formatted["changed"], formatted["clean"], formatted["exit_code"]) == (
            ["a.py"],
            False,
            0,
        )
        assert (folder / "a.py").read_text() == "x = 1\n"
        assert (await call(client, "format_code"))["clean"]


async def test_a_formatter_never_writes_outside(folder: Path):
    """By a link, a link where it would not look, a hard link, or a cache that the project sets."""
    outside = folder.parent / "outside.py"
    outside.write_text("x  =  1\n")
    for name in ("a.py", "__pycache__/b.py", "env/c.py", "src/d.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(outside)
    (folder / "env" / "pyvenv.cfg").write_text("")
    (folder / "linked").symlink_to(folder.parent)
    os.link(outside, folder / "hard.py")
    (folder / "pyproject.toml").write_text(
        '[tool.ruff]\nexclude = []\ncache-dir = "../cache"\ninclude = ["*.py"]\n'
    )
    (folder / "own.py").write_text("x  =  1\n")
    async with Client(build_server(folder)) as client:
        formatted = await call(client, "format_code")
        for path in ("linked/outside.py", "a.py"):
            assert "outside of the workspace" in await refusal(client, "format_code", paths=[path])
    assert (formatted["changed"], formatted["files"]) == (["own.py"], 1)
    assert formatted["left_out"] == ["hard.py"]
    assert outside.read_text() == "x  =  1\n"
    assert not (folder.parent / "cache").exists()


@pytest.mark.usefixtures("ripgrep")  # which reads .gitignore
async def test_ignored_files_are_not_formatted_and_a_folder_without_files_is_clean(folder: Path):
    (folder / ".git").mkdir()
    (folder / ".gitignore").write_text("made.py\n")
    (folder / "made.py").write_text("x  =  1\n")
    async with Client(build_server(folder)) as client:
        formatted = await call(client, "format_code")
    assert (formatted["clean"], formatted["files"]) == (True, 0)
    assert (folder / "made.py").read_text() == "x  =  1\n"


async def test_an_unknown_formatter_gets_only_files_that_are_named(folder: Path):
    (folder / "a.x").write_text("x\n")
    server = build_server(folder, commands=Commands(formatter=("cat",)))
    async with Client(server) as client:
        assert "Name files in paths" in await refusal(client, "format_code")
        assert (await call(client, "format_code", paths=["a.x"]))["output"] == "x\n"


async def test_tests_pass_or_fail(folder: Path):
    (folder / "test_a.py").write_text(
        "def test_good():\n    pass\n\n\ndef test_bad():\n    raise KeyError\n"
    )
    async with Client(build_server(folder)) as client:
        good = await call(client, "run_tests", paths=["test_a.py::test_good"])
        bad = await call(client, "run_tests", keyword="bad")
    assert (good["passed"], good["exit_code"]) == (True, 0)
    assert (bad["passed"], bad["exit_code"]) == (False, 1)
    assert "KeyError" in bad["output"]


async def test_a_command_reports_progress_with_what_it_prints_and_as_time_passes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes, "TICK_S", 0.11)
    os.mkfifo(folder / "release")
    told: list[tuple[float, str | None]] = []

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))
        if len(told) == 2:
            await anyio.to_thread.run_sync((folder / "release").write_text, "go\n")

    commands = Commands(allowed=(AllowedCommand.parse("sh * -c"),))
    async with Client(build_server(folder, commands=commands)) as client:
        script = "echo working; read line < release; echo done"
        result = await client.call_tool(
            "run_command", {"argv": ["sh", "-c", script]}, progress_callback=progressed
        )
    assert result.structured_content is not None
    assert result.structured_content["output"] == "working\ndone\n"
    assert [message for _, message in told[:2]] == ["working", "working"]
    assert 0 < told[0][0] < told[1][0]


async def test_a_command_that_takes_too_long_is_ended_and_says_so(folder: Path, lifeline: Lifeline):
    async with Client(
        build_server(folder, commands=Commands(allowed=(AllowedCommand.parse("sh * -c"),)))
    ) as client:
        result = await call(client, "run_command", argv=lifeline.stubborn, timeout_s=0.3)
    assert (result["timed_out"], result["exit_code"]) == (True, -signal.SIGTERM)
    await lifeline.wait_up()
    await lifeline.wait_ended()


async def test_a_call_that_the_client_cancels_ends_its_processes(folder: Path, lifeline: Lifeline):
    async with Client(
        build_server(folder, commands=Commands(allowed=(AllowedCommand.parse("sh * -c"),)))
    ) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "run_command", {"argv": lifeline.stubborn})
            await lifeline.wait_up()
            group.cancel_scope.cancel()
        await lifeline.wait_ended()


async def test_the_server_answers_while_others_of_its_calls_run(folder: Path, lifeline: Lifeline):
    (folder / "a.txt").write_text("x")
    server = build_server(folder, commands=Commands(allowed=(AllowedCommand.parse("sh * -c"),)))
    async with Client(server) as client, anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "run_command", {"argv": lifeline.stubborn})
        await lifeline.wait_up()
        assert (await call(client, "read_file", path="a.txt"))["text"] == "x"
        group.cancel_scope.cancel()


async def test_any_client_can_use_it_over_stdio(folder: Path):
    (folder / "big.txt").write_text("a line of text\n" * 10_000)
    server = StdioServerParameters(
        command=sys.executable,
        args=[
            *MODULE,
            "--root",
            str(folder),
            "--allow-command",
            "ls",
            "--allow-command",
            "sh * -c",
        ],
    )
    async with Client(stdio_client(server)) as client:
        assert len((await call(client, "read_file", path="big.txt"))["text"]) == 150_000
        assert (await call(client, "run_command", argv=["ls"]))["output"] == "big.txt\n"
        daemon = await call(client, "run_command", argv=["sh", "-c", "setsid sleep 599.7 &"])
        (left,) = daemon["left_running"]
        assert left.startswith(("sleep 599.7 (process", "sh -c", "setsid"))
        assert "outside of the workspace" in await refusal(
            client, "read_file", path="../secret.txt"
        )


class Raw:
    """A server process, spoken to line by line."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.stdin = process.stdin
        self.stdout = BufferedByteReceiveStream(process.stdout)

    async def send(self, **message: Any) -> None:
        await self.stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def receive(self) -> Any:
        return json.loads(await self.stdout.receive_until(b"\n", 2**20))

    async def open(self) -> None:
        info = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }
        await self.send(id=0, method="initialize", params=info)
        assert (await self.receive())["result"]["serverInfo"]["name"] == "plait-workspace"
        await self.send(method="notifications/initialized")

    async def start(self, lifeline: Lifeline) -> None:
        await self.send(
            id=1,
            method="tools/call",
            params={"name": "run_command", "arguments": {"argv": lifeline.stubborn}},
        )
        await lifeline.wait_up()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "hang up"])
async def test_a_stopping_server_ends_its_processes_and_exits_cleanly(
    folder: Path, lifeline: Lifeline, how: str
):
    argv = [sys.executable, *MODULE, "--root", str(folder), "--allow-command", "sh * -c"]
    with anyio.fail_after(20):
        async with await anyio.open_process(argv, stderr=subprocess.PIPE) as process:
            server = Raw(process)
            await server.open()
            await server.start(lifeline)
            if how == "hang up":
                await server.stdin.aclose()
            else:
                process.send_signal(signal.Signals[how])
            await lifeline.wait_ended()
            assert process.stderr is not None
            assert [chunk async for chunk in process.stderr] == []
            assert await process.wait() == 0


async def test_a_line_that_is_not_a_message_does_not_end_the_server(folder: Path):
    async with await anyio.open_process(
        [sys.executable, *MODULE, "--root", str(folder)]
    ) as process:
        server = Raw(process)
        await server.stdin.send(b"not json\n\xff\xfe\n[]\n")
        await server.open()
        await server.stdin.aclose()
        assert await process.wait() == 0


def test_a_root_that_is_not_a_folder_is_reported_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["--root", str(tmp_path / "gone")]) == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--allow-command", "--formatter", "--tests"])
@pytest.mark.parametrize("words", ["", "'open"])
def test_a_command_that_is_not_words_is_a_usage_error(
    option: str, words: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit, match="2"):
        main([option, words])
    assert option in capsys.readouterr().err
