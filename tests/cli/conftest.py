"""The command line over tools in memory, in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from typer.testing import CliRunner, Result

from plait.cli.commands import program
from plait.config import Config
from plait.core.history import RUNNING, Ending, Outcome
from plait.core.tools.policy import Policy
from plait.engine.gateway import Gateway
from plait.errors import ServerUnavailable
from plait.observers.logs import log_notices
from plait.stores.history import opening, store, writer
from plait.stores.history.memory import MemoryHistory
from plait.stores.history.shelf import Shelf
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers, text, tool
from .sharing import Opened, sharing

if TYPE_CHECKING:
    from .past import Past

STRING = {"type": "string"}
OURS = ("CONFIG", "DEBUG", "LOG_LEVEL", "LOG_FORMAT")


@pytest.fixture
def servers() -> FakeServers:
    made = FakeServers()

    def gone(**_: Any) -> None:
        raise ServerUnavailable(
            "far cannot be reached: connection refused", hint="plait servers says more."
        )

    def say(text: str) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": text}], "isError": False}

    async def hang(**_: Any) -> None:
        await anyio.sleep_forever()

    made.add(
        tool(
            "s:echo",
            {},
            closed=False,
            readOnlyHint=True,
            description="Give the arguments back. All.",
        ),
        lambda **given: given,
    )
    made.add(tool("s:say", {"text": STRING}, ["text"], description="Say a text"), say)
    made.add(tool("s:fail", {}, description="Fail"), lambda: text("EACCES: /x", is_error=True))
    made.add(tool("s:hang", {}, description="Never end"), hang)
    made.add(tool("far:look", {}, description="Look far"), gone)
    return made


class Plait:
    """Types a command line: `plait("run", "dag.json")`."""

    def __init__(self, servers: FakeServers, *, is_shared: bool = False) -> None:
        self._servers = servers
        self.is_shared = is_shared
        self.policy = Policy()
        self.opened: Opened = self._in_memory
        """Opens the gateway, in this process or in the shared one."""

    def __call__(self, *words: str, input: str | bytes | None = None, **environ: str) -> Result:
        return CliRunner().invoke(
            program, list(words), obj=self.opened, input=input, env=environ, prog_name="plait"
        )

    def _in_memory(self, config: Config) -> Gateway:
        return Gateway(
            self._servers,
            self._servers,
            InMemoryRuns(),
            policy=self.policy,
            observers=[log_notices],
        )

    def run(self, tasks: Any, *words: str, **options: Any) -> Result:
        """`plait run -` on a DAG of *tasks* (and options) from standard input."""
        document = tasks if isinstance(tasks, dict) else {"tasks": tasks}
        return self("run", "-", *words, input=json.dumps(document), **options)


@pytest.fixture
def way() -> str:
    """How commands are carried out: `alone`, or `shared` by a gateway that runs. Modules that test
    what a gateway carries out have both ways."""
    return "alone"


@pytest.fixture
def plait(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> Iterator[Plait]:
    """In a folder with nothing in it, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in (
        "NO_COLOR",
        "FORCE_COLOR",
        "GITHUB_STEP_SUMMARY",
        *(f"PLAIT_{name}" for name in OURS),
    ):
        monkeypatch.delenv(name, raising=False)
    made = Plait(servers, is_shared=way == "shared")
    if not made.is_shared:
        yield made
        return
    monkeypatch.delenv("PLAIT_ISOLATED")
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    with sharing(tmp_path / "state", lambda config: made.opened(config)) as gateway:
        yield made
        assert gateway.failures == []


@pytest.fixture
def shelf(plait: Plait, servers: FakeServers) -> Shelf:
    """Lets each command have a gateway of its own that keeps a history with those before it."""
    made = Shelf()

    def opened(config: Config) -> Gateway:
        made.alive.clear()
        return Gateway(servers, servers, InMemoryRuns(), history=MemoryHistory(made))

    plait.opened = opened
    return made


def cut_short(shelf: Shelf) -> None:
    """Make the latest run on *shelf* one whose gateway died while its calls were under way."""
    latest = [*shelf.runs.values()][-1]
    latest.status, latest.ended, latest.record = RUNNING, None, None
    latest.entries = [one for one in latest.entries if not isinstance(one.row, Outcome | Ending)]


@pytest.fixture
def past(tmp_path: Path, servers: FakeServers, monkeypatch: pytest.MonkeyPatch) -> Past:
    """A history of real runs in the state folder. No slow machine loses one of them."""
    from .past import make_past

    for module in (opening, store, writer):
        monkeypatch.setattr(module, "PATIENCE_S", 30.0)
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    return make_past(tmp_path, servers)


def task(id: str, tool: str = "s:echo", **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": tool, **more}
