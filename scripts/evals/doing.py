"""One job, done in one of three ways, and what that cost."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from .desk import Desk
from .jobs import Job, days
from .judging import faults
from .reference import connected, play, read_plan
from .shell import RUN, play_in_shell, read_skill

Way = Literal["reference", "shell", "dag", "tools"]
DAG_TOOLS = frozenset({"execute_dag", RUN})
"""The tools and commands that run a DAG."""


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
    """The answers of `execute_dag`, or of `plait run`, among them."""
    definitions: int
    """The instructions and the list of tools, or the skill, which a model reads once. Not in
    `characters`."""
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


@asynccontextmanager
async def desk(way: Way, state: Path, now: datetime) -> AsyncIterator[Desk]:
    """Yield a desk in a folder of its own, whose gateway knows the tools of the services from its
    start on."""
    with tempfile.TemporaryDirectory(prefix="plait-eval-", ignore_cleanup_errors=True) as folder:
        fresh = Desk(Path(folder), state, now)
        fresh.set_up("tools" if way == "tools" else "dag")
        fresh.remember_tools()
        yield fresh


async def do_by_plan(
    these: Iterable[Job], state: Path, now: datetime, say: Callable[[Outcome], None]
) -> list[Outcome]:
    """Do the jobs as their reference plans say, all through one gateway."""
    done = []
    async with desk("reference", state, now) as own, connected(own.mcp_config) as client:
        for job in these:
            own.begin(job.name)
            started = time.perf_counter()
            await play(read_plan(job.name, days(now)), client)
            done.append(judged(job, "reference", own, time.perf_counter() - started))
            say(done[-1])
    return done


async def do_in_shell(
    these: Iterable[Job], state: Path, now: datetime, say: Callable[[Outcome], None]
) -> list[Outcome]:
    """Do the jobs as their reference plans say, from a shell: each command is a gateway of its
    own."""
    done = []
    async with desk("shell", state, now) as own:
        read_skill(own)
        for job in these:
            own.begin(job.name)
            started = time.perf_counter()
            await asyncio.to_thread(play_in_shell, read_plan(job.name, days(now)), own)
            done.append(judged(job, "shell", own, time.perf_counter() - started))
            say(done[-1])
    return done


async def do_by_model(
    these: Iterable[Job],
    way: Way,
    model: Model,
    state: Path,
    now: datetime,
    say: Callable[[Outcome], None],
) -> list[Outcome]:
    """Let *model* do the jobs, each in a folder and through a gateway of its own."""
    done = []
    for job in these:
        async with desk(way, state, now) as own:
            own.begin(job.name)
            started = time.perf_counter()
            trouble = []
            try:
                await model.do(job.sentence, own)
            except Failed as failed:
                trouble.append(str(failed))
            done.append(judged(job, way, own, time.perf_counter() - started, trouble))
            say(done[-1])
    return done


def judged(job: Job, way: Way, desk: Desk, seconds: float, trouble: Sequence[str] = ()) -> Outcome:
    """Judge what was done at *desk*, and add up what that cost. The calls alone decide; *trouble*
    of the program may explain why they are wrong."""
    calls, requests = desk.calls(), desk.requests()
    wrong = faults(calls, job.must, job.must_not)
    dags = [each for each in requests if each.tool in DAG_TOOLS]
    return Outcome(
        job=job.name,
        way=way,
        faults=[*trouble, *wrong] if wrong else [],
        requests=len(requests),
        dags=len(dags),
        service_calls=len(calls),
        characters=sum(each.written + each.read for each in requests),
        answer=sum(each.read for each in dags),
        definitions=desk.definitions(),
        seconds=round(seconds, 2),
    )
