"""Everything is loaded in advance, so that an upgrade of the files does not touch the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from plait.machine.loading import COMMANDS, names

PROBE = """
import asyncio, io, os, sys
from plait.cli.console import Console
from plait.cli.invocation import Invocation
from plait.cli.orders import Call, Changes, Run, Source, Tools
from plait.config import Config, GatewaySettings
from plait.errors import InvalidDag
from plait.machine import loading, serving
from plait.app.gateway import Gateway
from plait.app.serving import run_http
from plait.upstream.stopping import Stop
from plait.upstream.transports.admission import Everybody
from plait.upstream.transports.hosts import Allowed
from plait.upstream.transports.listening import listen_on

async def main():
    loading.FIRST_S = loading.PAUSE_S = 0
    await loading.load_everything()
    before = set(sys.modules)
    servers = {"w": {"builtin": "workspace", "root": os.getcwd()}}
    config = Config.model_validate({"servers": servers})
    async with Gateway.from_config(config) as gateway:
        await gateway.settled()
        await gateway.search("read a file")
        task = {"id": "a", "tool": "w:find_files", "arguments": {"pattern": "*.nothing"}}
        done = await gateway.execute({"tasks": [task]})
        again = {"tasks": [task], "resume_from": done.run_id}
        assert (await gateway.execute(again)).status == "success", done
        invocation = Invocation(Console(io.StringIO(), io.StringIO(), {}))
        for command in (
            Call("w:find_files", ("pattern=*.nothing",)),
            Run(Source("x", b'{"tasks": []}'), Changes()),
            Tools("read a file"),
        ):
            try:
                await command(gateway, invocation, config)
            except InvalidDag:
                pass
        stop = Stop()
        with listen_on("127.0.0.1", 0) as sock:
            await run_http(
                gateway, GatewaySettings(), sock, Allowed("127.0.0.1"), Everybody(), stop,
                on_ready=lambda url: stop.ask(),
            )
        stop.done()
    print(sorted(set(sys.modules) - before | {"typer"} & set(sys.modules)))

asyncio.run(main())
"""


def test_all_modules_that_serve_are_named():
    found = set(names())
    assert {"plait.core.results.resume", "plait.downstream.transports.sse"} <= found
    assert "plait.workspace.git" in found
    assert {name for name in found if name.startswith("plait.cli")} == set(COMMANDS)


def test_nothing_is_left_to_import(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "[]", done.stderr
