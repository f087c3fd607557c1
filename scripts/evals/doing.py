"""One job, done in one of three ways, and what that cost."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from .desk import Desk, Passed
from .jobs import Job, days
from .judging import faults
from .reference import play, read_plan

Way = Literal["reference", "dag", "tools"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job. All characters are those that pass a model: see `tap.py`."""

    job: str
    way: Way
    faults: list[str]
    """Why the job is wrong; empty if it is right."""
    requests: int
    """Calls that the client made at the gateway."""
    dags: int
    service_calls: int
    """Calls that reached a service."""
    characters: int
    """Written and read over all requests."""
    answer: int
    """The answers of `execute_dag` among them."""
    definitions: int
    """The instructions and the list of tools, which a model reads once. Not in `characters`."""
    seconds: float

    @property
    def is_right(self) -> bool:
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        return {"job": self.job, "way": self.way, "right": self.is_right, **asdict(self)}


class Failed(Exception):
    """The program did not do the job: it did not start, failed, or took too long."""


@dataclass(frozen=True, slots=True)
class Model:
    """A program that does jobs: a command whose words may hold `{mcp_config}`, the path of a file
    with `mcpServers`, and `{job}`, the sentence. Without `{job}`, the sentence is its standard
    input."""

    command: str
    longest_s: float = 600.0

    def words(self, values: Mapping[str, str]) -> list[str]:
        """Return the command with *values* in place of their names in braces."""
        words = shlex.split(self.command)
        for name, value in values.items():
            words = [word.replace(f"{{{name}}}", value) for word in words]
        return words

    async def do(self, sentence: str, desk: Desk) -> None:
        """Run the program in the folder of *desk* until it ends. Raises Failed."""
        words = self.words({"mcp_config": str(desk.mcp_config), "job": sentence})
        said = desk.folder / "said.txt"
        asked = b"" if "{job}" in self.command else sentence.encode()
        with said.open("wb") as output:
            try:
                process = await asyncio.create_subprocess_exec(
                    *words,
                    cwd=desk.folder,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            except OSError as error:
                raise Failed(f"the program did not start: {error}") from error
        try:
            async with asyncio.timeout(self.longest_s):
                await process.communicate(asked)
        except TimeoutError:
            raise Failed(f"the program took more than {self.longest_s:g} s") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            last = said.read_text(errors="replace").strip().rpartition("\n")[2]
            raise Failed(f"the program ended with {process.returncode}: {last[:200]}")


def remember_tools(state: Path, now: datetime) -> None:
    """Let gateways with that *state* know the tools of the services from their start on."""
    with tempfile.TemporaryDirectory(prefix="plait-eval-") as folder:
        desk = Desk(Path(folder), state, now)
        desk.set_up("dag")
        desk.remember_tools()


async def do(job: Job, way: Way, model: Model | None, state: Path, now: datetime) -> Outcome:
    """Do *job* over fresh services, and judge it."""
    with tempfile.TemporaryDirectory(prefix="plait-eval-", ignore_cleanup_errors=True) as folder:
        desk = Desk(Path(folder), state, now)
        desk.set_up("tools" if way == "tools" else "dag")
        started = time.perf_counter()
        found: list[str] = []
        if model is None:
            await play(read_plan(job.name, days(now)), desk.mcp_config)
        else:
            try:
                await model.do(job.sentence, desk)
            except Failed as failed:
                found.append(str(failed))
        seconds = time.perf_counter() - started
        calls, passed = desk.calls(), desk.passed()
        wrong = faults(calls, job.must, job.must_not)
        # The calls alone decide; how the program ended may explain why they are wrong.
        return outcome(
            job.name, way, [*found, *wrong] if wrong else [], passed, len(calls), seconds
        )


def outcome(
    job: str, way: Way, wrong: list[str], passed: list[Passed], service_calls: int, seconds: float
) -> Outcome:
    """Add up what *passed* between a client and its gateway."""
    requests = [each for each in passed if each.method == "tools/call"]
    dags = [each for each in requests if each.tool == "execute_dag"]
    definitions = {each.method: each.read for each in passed if each.method != "tools/call"}
    return Outcome(
        job=job,
        way=way,
        faults=wrong,
        requests=len(requests),
        dags=len(dags),
        service_calls=service_calls,
        characters=sum(each.written + each.read for each in requests),
        answer=sum(each.read for each in dags),
        definitions=sum(definitions.values()),
        seconds=round(seconds, 2),
    )
