"""The command as people start it: a process, real servers, pipes and signals."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import httpx2
import pytest

from plait.workspace.paths import Root
from plait.workspace.server import Workspace, tools

from ..warm import warm

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
REPOSITORY = EXAMPLES / "repository.json"
TOUR = (str(EXAMPLES / "tour.json"), "--config", str(EXAMPLES / "tour.toml"))
PYTHON = (sys.executable, "-m", "plait")
HEAVY = {
    "anyio",
    "httpx2",
    "jsonschema_rs",
    "mcp",
    "rich",
    "starlette",
    "structlog",
    "uvicorn",
}

Start: TypeAlias = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command in a folder of its own; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []
    ours = {name for name in os.environ if name.startswith("PLAIT_")} | {"NO_COLOR", "FORCE_COLOR"}
    environ = {name: value for name, value in os.environ.items() if name not in ours}

    def begin(
        *words: str, program: Sequence[str] = (), cwd: Path = tmp_path, **more: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*(program or warm("-m", "plait")), *words],
            cwd=cwd,
            env={
                **environ,
                "XDG_CONFIG_HOME": str(tmp_path),
                "XDG_STATE_HOME": str(tmp_path / "state"),
                "PLAIT_ISOLATED": "1",
                **more,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def line_with(process: subprocess.Popen[str], words: str) -> str:
    """The next line on standard error that holds *words*."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        if words in line:
            return line
        seen.append(line)
    raise AssertionError(f"it ended without saying {words!r}; it said {seen}")


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A small repository laid out as this one is, with a few commits."""
    folder = tmp_path / "clone"
    (folder / "src" / "plait" / "core").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "docs").mkdir()
    (folder / "README.md").write_text("# A clone\n\nOf something.\n")
    (folder / "docs" / "page.md").write_text("See `core/big.py`.\n")
    (folder / "tests" / "test_it.py").write_text("def test_it(): ...\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    for number in range(3):
        (folder / "src" / "plait" / "core" / "big.py").write_text(
            '"""Big."""\n' + "x = 1\n" * (number + 1)
        )
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", f"Commit {number}")
    return folder


@pytest.mark.parametrize(
    ("words", "also"),
    [
        (("--version",), {"typer", "pydantic"}),
        (("--help",), {"pydantic"}),
        (("run", "--help"), set[str]()),
    ],
)
def test_help_and_version_import_nothing_heavy(
    start: Start, words: tuple[str, ...], also: set[str]
):
    code = (
        "import sys; from plait.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    out, err = start("-c", code, *words, program=(sys.executable,)).communicate()
    assert "plait" in out
    modules = {name.partition(".")[0] for name in err.split()}
    assert "sys" in modules
    assert modules & (HEAVY | also) == set()


def test_a_dag_on_a_clone_runs_without_any_configuration(start: Start, clone: Path):
    process = start("run", str(REPOSITORY), "--json", cwd=clone)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    document = json.loads(out)
    assert document["outputs"]["headlines"] == ['"""Big."""\n']
    assert document["outputs"]["changes"] == [{"files": 1, "added": 1, "deleted": 0}] * 2
    assert document["outputs"]["mentions"] == [{"page": "docs/page.md", "line": 1}]
    assert document["outputs"]["tests"] == 1
    assert len(document["layers"]) == 3


def test_the_dag_on_a_clone_changes_nothing(tmp_path: Path):
    reading = {
        f"workspace:{tool.name}" for tool in tools(Workspace(Root(tmp_path), read_only=True))
    }
    assert {task["tool"] for task in json.loads(REPOSITORY.read_text())["tasks"]} <= reading


@pytest.mark.timeout(240)  # three starts
def test_the_tour_saves_what_its_calls_wait_and_says_what_servers_took(start: Start):
    for words, is_faster in (((), True), (("-j", "1"), False), ((), True)):
        process = start("run", *TOUR, *words)
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert "Before 2.4.1: Export drops the last row. On the oldest: I can." in out
        found = re.search(r"saved \S+ s \((\d\.\d)", out)  # not if one server started late
        assert found is None or (is_faster and 1.5 <= float(found[1]) <= 3.1), out
        assert re.search(r"wall .*\+\S+ m?s starting (tracker|chat)", out)


def test_ctrl_c_stops_what_runs_and_shows_what_there_is(start: Start, tmp_path: Path):
    (tmp_path / "file.txt").write_text("here\n")
    config = '[servers.workspace]\nbuiltin = "workspace"\nallow_commands = ["sleep *"]\n'
    (tmp_path / "servers.toml").write_text(config)
    read = {
        "id": "quick",
        "tool": "workspace:read_file",
        "arguments": {"path": "file.txt"},
        "select": "text",
    }
    slow = {
        "id": "slow",
        "tool": "workspace:run_command",
        "arguments": {"argv": ["sleep", "59.31"]},
    }
    (tmp_path / "dag.json").write_text(json.dumps({"tasks": [read, slow], "return": ["*"]}))
    process = start("run", "dag.json", "--config", "servers.toml")
    line_with(process, "quick")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert "Interrupted" in err
    assert "── quick\nhere\n" in out
    assert "cancelled" in out
    assert not any(b"59.31" in line for line in _command_lines())


def _command_lines() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended since


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_shows_what_there_is_and_ends_at_once(
    start: Start, number: signal.Signals, code: int
):
    """Also while a task that cleans up still runs."""
    undo = {"id": "undo", "tool": "s:stay", "depends_on": ["a"], "trigger_rule": "always"}
    tasks = [{"id": "e", "tool": "s:echo"}, {"id": "a", "tool": "s:stay"}, undo]
    process = start("run", "-", "--json", program=warm("-m", "tests.cli.stubborn"), cwd=ROOT)
    assert process.stdin is not None
    process.stdin.write(json.dumps({"tasks": tasks, "return": ["*"]}))
    process.stdin.close()
    process.stdin = None
    line_with(process, "sent")
    process.send_signal(number)
    line_with(process, "Interrupted")
    line_with(process, "sent")
    process.send_signal(number)
    out, _ = process.communicate()
    assert process.returncode == code
    document = json.loads(out)
    assert (document["status"], document["outputs"]) == ("cancelled", {"e": {}})
    assert [one["status"] for one in document["tasks"]] == ["success", "cancelled", "running"]
    assert document["notes"] == ["the program ended without waiting for undo"]


def test_a_second_ctrl_c_shows_a_call_and_ends_at_once(start: Start):
    process = start("call", "s:stay", "--json", program=warm("-m", "tests.cli.stubborn"), cwd=ROOT)
    line_with(process, "sent")
    process.send_signal(signal.SIGINT)
    line_with(process, "Interrupted")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    assert process.returncode == 130
    assert json.loads(out)["status"] == "cancelled"


def test_a_server_that_does_not_start_fails_its_own_tasks_with_5(start: Start, tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[servers.gone]\ncommand = "no-such-program-anywhere"\n')
    process = start("call", "gone:look", "--config", "servers.toml")
    out, err = process.communicate()
    assert (process.returncode, out) == (5, "")
    assert "no-such-program-anywhere" in err
    process = start("servers", "--json", PLAIT_CONFIG="servers.toml")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")  # the log says no more than the table
    assert "no-such-program-anywhere" in json.loads(out)["servers"][0]["error"]


def counting(folder: Path, *names: str) -> None:
    """Write settings with servers of these *names*; each adds a line to NAME.started at a start."""
    workspace = shlex.join(warm("-m", "plait.workspace"))
    servers = (
        f'[servers.{name}]\ncommand = "sh"\nargs = ["-c", '
        f"'echo >> {name}.started; exec {workspace}']\n"
        for name in names
    )
    (folder / "servers.toml").write_text("".join(servers))


def starts(folder: Path) -> dict[str, int]:
    return {
        file.stem: len(file.read_text().splitlines()) for file in sorted(folder.glob("*.started"))
    }


@pytest.mark.timeout(240)
def test_a_terminal_shows_what_starts_and_runs_and_keeps_finished_lines_alone(tmp_path: Path):
    settings = tmp_path / "slow.toml"  # servers that take a second to start
    settings.write_text(
        "".join(
            f'[servers.{name}]\ncommand = "sh"\ncwd = "{EXAMPLES}"\n'
            f'args = ["-c", "sleep 1; exec {sys.executable} services.py {name}"]\n'
            for name in ("tracker", "chat")
        )
    )
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*warm("-m", "plait"), "run", TOUR[0], "--config", str(settings)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "PLAIT_STATE_DIR": str(tmp_path)},
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end of a terminal
        while chunk := os.read(ours, 65_536):
            shown += chunk
    os.close(ours)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert b"starting tracker" in shown or b"starting chat" in shown
    assert b"of 7 done" in shown
    left: list[bytes] = []
    first, *others = re.split(rb"\x1b\[(\d+)F\x1b\[J", shown)
    left += first.splitlines()
    for erased, text in zip(others[::2], others[1::2], strict=True):
        del left[-int(erased) :]
        left += text.splitlines()
    assert len(left) == 7, left  # a line for each finished task
    assert not any(b"\x1b" in line for line in left)
    assert b"\x1b" not in out


@pytest.mark.timeout(240)  # three starts
def test_only_the_servers_that_are_needed_start(start: Start, tmp_path: Path):
    counting(tmp_path, "one", "two")
    tasks = [{"id": "a", "tool": "one:list_dir"}]
    (tmp_path / "dag.json").write_text(json.dumps({"tasks": tasks}))
    commands = [("call", "one:list_dir"), ("plan", "dag.json"), ("tools",)]
    expected_of = [{"one": 1}, {"one": 1}, {"one": 2, "two": 1}]
    for words, expected in zip(commands, expected_of, strict=True):
        process = start(*words, PLAIT_CONFIG="servers.toml")
        _, err = process.communicate()
        assert process.returncode == 0, err
        assert starts(tmp_path) == expected, words


def test_a_wrong_configuration_is_4_with_file_and_key(start: Start, tmp_path: Path):
    (tmp_path / "servers.toml").write_text('[servers.x]\ncomand = "a"\n')
    process = start("tools", "--config", "servers.toml")
    out, err = process.communicate()
    assert (process.returncode, out) == (4, "")
    assert "comand" in err
    assert "servers.toml" in err
    assert "Traceback" not in err


def test_a_reader_that_stops_reading_causes_no_error(start: Start):
    process = start("tools")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.wait() == 0
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("closed", "code"), [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)]
)
def test_a_closed_stream_is_no_error(start: Start, closed: str, code: int):
    words = f"exec {sys.executable} -m plait call workspace:list_dir {closed}"
    process = start("-c", words, program=("sh",))
    out, err = process.communicate()
    assert (process.returncode, err) == (code, "")
    assert bool(out) is (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.parametrize("words", [(), ("--json",)])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_imports_ends_the_program_without_a_traceback(
    start: Start, number: signal.Signals, code: int, words: tuple[str, ...]
):
    program = (
        "import os, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            try: os.kill(os.getpid(), {number}); __import__('time').sleep(9)\n"
        "            except BaseException: raise ImportError('a library hid the interrupt')\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from plait.__main__ import main\n"
        "main()"
    )
    program = program.format(number=number.value)
    process = start("-c", program, "tools", *words, program=(sys.executable,))
    out, err = process.communicate()
    assert (process.returncode, err) == (code, "")
    assert (json.loads(out)["status"] if words else out) == ("cancelled" if words else "")


def test_plain_streams_get_plain_characters(start: Start):
    out, _ = start("servers", program=PYTHON, PYTHONIOENCODING="ascii").communicate()
    assert out.isascii()
    assert out.startswith("+ workspace")


def test_serve_speaks_mcp_on_standard_output_and_logs_json_on_standard_error(
    start: Start, tmp_path: Path
):
    (tmp_path / "file.txt").write_text("here\n")
    process = start("serve", PLAIT_LOG_LEVEL="info")
    assert process.stdin is not None
    assert process.stdout is not None
    client = {"name": "test", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    task = {"id": "a", "tool": "workspace:read_file", "arguments": {"path": "file.txt"}}
    requests: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {
            "id": 2,
            "method": "tools/call",
            "params": {"name": "execute_dag", "arguments": {"tasks": [task]}},
        },
    ]
    for request in requests:
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **request}) + "\n")
    process.stdin.flush()
    answers = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[1]["result"]["structuredContent"]["outputs"]["a"]["text"] == "here\n"
    out, err = process.communicate()
    assert (process.returncode, out) == (0, "")
    assert all(json.loads(line)["event"] for line in err.splitlines())
    assert "here" not in err


def test_serve_over_http_says_where_and_ends_well_on_a_signal(start: Start):
    process = start("serve", "--http", "0")
    found = re.search(r"http://[\w.:]+", line_with(process, "http://"))
    assert found is not None
    with urllib.request.urlopen(f"{found.group()}/healthz") as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def status_of(url: str, **headers: str) -> int:
    """The status of a request that a proxy on this machine forwards."""
    forwarded = {"X-Forwarded-For": "203.0.113.5", **headers}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=forwarded)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_token_is_made_at_the_first_start_shown_once_and_kept(start: Start, tmp_path: Path):
    state = {"PLAIT_STATE_DIR": str(tmp_path / "state")}
    first = start("serve", "--http", "0", **state)
    token = json.loads(line_with(first, "token.made"))["token"]
    header = f"Bearer {token}"
    url = re.search(r"http://[\w.:]+", line_with(first, "http://"))
    assert url is not None
    assert status_of(f"{url.group()}/mcp") == 401
    assert status_of(f"{url.group()}/mcp", Authorization=header) == 400
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 0
    second = start("serve", "--http", "0", **state)
    url = re.search(r"http://[\w.:]+", line_with(second, "http://"))
    assert url is not None
    assert status_of(f"{url.group()}/mcp", Authorization=header) == 400
    second.send_signal(signal.SIGTERM)
    _, err = second.communicate()
    assert token not in err


def test_with_the_variable_any_address_is_served_to_those_who_send_it(start: Start):
    process = start("serve", "--http", "0.0.0.0:0", PLAIT_TOKEN="a-token-of-these-tests")
    found = re.search(r":(\d+)/mcp", line_with(process, "http://"))
    assert found is not None
    url = f"http://127.0.0.1:{found[1]}/mcp"
    assert status_of(url) == 401
    with pytest.raises(urllib.error.HTTPError, match="401"):  # also without a proxy
        urllib.request.urlopen(url)
    assert status_of(url, Authorization="Bearer a-token-of-these-tests") == 400


def test_over_http_no_tool_runs_code_of_the_project(start: Start):
    process = start("serve", "--http", "0", PLAIT_TOKEN="a-token-of-these-tests")
    url = json.loads(line_with(process, "http://"))["url"]
    headers = {
        "Authorization": "Bearer a-token-of-these-tests",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2026-07-28",
        "MCP-Method": "tools/call",
        "MCP-Name": "describe_tools",
    }
    names = [f"workspace:{name}" for name in ("run_tests", "format_code", "write_file")]
    version = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    meta = {**version, "io.modelcontextprotocol/clientCapabilities": {}}
    params = {"name": "describe_tools", "arguments": {"names": names}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    sent = urllib.request.Request(url, json.dumps(message).encode(), headers)
    for _ in range(6):  # each waits up to five seconds for the server to start
        with urllib.request.urlopen(sent) as answer:
            found = json.loads(answer.read())["result"]["structuredContent"]
        if found["tools"]:
            break
    assert [tool["name"] for tool in found["tools"]] == ["workspace:write_file"]
    assert [one["name"] for one in found["unknown"]] == names[:2]


def test_no_auth_lets_everybody_in_and_warns(start: Start):
    process = start("serve", "--http", "0.0.0.0:0", "--no-auth")
    assert "everybody who reaches 0.0.0.0 may call all tools" in line_with(process, "no-auth")
    found = re.search(r":(\d+)/mcp", line_with(process, "http://"))
    assert found is not None
    assert status_of(f"http://127.0.0.1:{found[1]}/mcp") == 400


async def test_a_gateway_that_is_killed_leaves_no_server(start: Start, tmp_path: Path):
    mark = tmp_path / "pid"
    script = f"trap '' TERM HUP INT; echo $$ > {mark}; while :; do sleep 600; done"
    settings = {"mcpServers": {"s": {"command": "sh", "args": ["-c", script]}}}
    (tmp_path / "mcp.json").write_text(json.dumps(settings))
    process = start("serve", "--http", "0", "--config", "mcp.json")
    [url] = re.findall(r"http://[\w.:]+", line_with(process, "http://"))
    with anyio.fail_after(30):
        while not (mark.exists() and mark.read_text().strip()):
            await anyio.sleep(0.01)
        async with httpx2.AsyncClient() as client:
            for _ in range(5):  # it goes on after it has started the server: its guard knows of it
                assert (await client.get(f"{url}/healthz")).status_code == 200
        process.kill()
        while is_alive(int(mark.read_text())):
            await anyio.sleep(0.01)


def test_a_run_of_one_process_is_cancelled_and_read_through_another(start: Start, tmp_path: Path):
    config = '[servers.workspace]\nbuiltin = "workspace"\nallow_commands = ["sleep *"]\n'
    (tmp_path / "servers.toml").write_text(config)
    slow = {
        "id": "slow",
        "tool": "workspace:run_command",
        "arguments": {"argv": ["sleep", "59.32"]},
    }
    read = {"id": "a", "tool": "workspace:read_file", "arguments": {"path": "servers.toml"}}
    (tmp_path / "dag.json").write_text(json.dumps({"tasks": [read, slow], "return": ["a"]}))
    running = start("run", "dag.json", "--config", "servers.toml")
    line_with(running, "a  ")
    listed = json.loads(start("history", "--json").communicate()[0])["runs"]
    [run_id] = [run["run_id"] for run in listed if run["status"] == "running"]
    serving = start("serve", "--config", "servers.toml")
    ask = partial(call_tool, serving)
    greet(serving)
    assert ask("get_run", run_id=run_id, wait_s=0)["status"] == "running"
    assert ask("cancel_run", run_id=run_id) == {
        "status": "cancelled",
        "run_id": run_id,
        "counts": {"success": 1, "cancelled": 1},
    }
    assert ask("get_run", run_id=run_id)["outputs"]["a"]["text"] == config
    out, err = running.communicate()
    assert running.returncode == 1, err
    assert "cancelled" in out
    assert not any(b"59.32" in line for line in _command_lines())


def greet(process: subprocess.Popen[str]) -> None:
    """Begin a session with a gateway on its pipes."""
    client = {"name": "test", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    write(process, {"id": 0, "method": "initialize", "params": hello})
    assert process.stdout is not None
    assert process.stdout.readline()
    write(process, {"method": "notifications/initialized"})


def call_tool(process: subprocess.Popen[str], name: str, **arguments: Any) -> Any:
    """Return the answer of a tool as structure."""
    params = {"name": name, "arguments": arguments}
    write(process, {"id": 1, "method": "tools/call", "params": params})
    assert process.stdout is not None
    return json.loads(process.stdout.readline())["result"]["structuredContent"]


def write(process: subprocess.Popen[str], message: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
