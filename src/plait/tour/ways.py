"""One job in two ways, by a client that keeps count: call by call at the services, and as one DAG
at a gateway in front of them.

Counted is what a model would write and read: of each request the name of the tool and the arguments
as compact JSON, of each answer its text. The definitions of tools are left out, and so is the time
in which a model thinks before each request. The clock starts when all servers are ready.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from mcp import Client, StdioServerParameters, stdio_client

from .company import CUSTOMER
from .place import Place, plait_words, service_words

SEARCH = {"query": "list issues; comments of an issue; who is on call; post a message"}
READY = {
    "tasks": [
        {"id": "issues", "tool": "issues:list_issues", "arguments": {"label": "none"}},
        {"id": "chat", "tool": "chat:who_is_on_call"},
    ]
}
"""A call at each server, before the clock starts."""


class JobFailed(Exception):
    """A call of the job failed; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a job, and the text that was posted at its end."""

    seconds: float
    requests: int
    characters: int
    posted: str


class Counting:
    """A client of one server, which counts."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.requests = 0
        self.characters = 0

    async def call(self, tool: str, **arguments: Any) -> Any:
        """Call *tool* and return its structured content. Raises `JobFailed`."""
        result = await self._client.call_tool(tool, arguments)
        text = "".join(getattr(block, "text", "") for block in result.content)
        if result.is_error:
            raise JobFailed(f"{tool}: {text}")
        self.requests += 1
        self.characters += len(tool) + len(_compact(arguments)) + len(text)
        return result.structured_content


async def call_by_call(place: Place, environ: Mapping[str, str]) -> Cost:
    """Do the job at the services themselves, one request after the other. Raises `JobFailed`, in
    the group of the tasks of a client."""
    async with AsyncExitStack() as stack:
        issues, chat = [
            Counting(
                await stack.enter_async_context(_client(service_words(name, place.folder), environ))
            )
            for name in ("issues", "chat")
        ]
        started = time.perf_counter()
        bugs: list[Any] = []
        page: int | None = 1
        while page is not None:
            listed = await issues.call("list_issues", label="bug", page=page)
            bugs += listed["issues"]
            page = listed["next"]
        waiting = []
        for bug in bugs:
            talk = await issues.call("list_comments", number=bug["number"])
            if talk["comments"][-1]["by"] == CUSTOMER:
                waiting.append(str(bug["number"]))
        oncall = await chat.call("who_is_on_call")
        text = f"Without an answer: {', '.join(waiting)}"
        posted = await chat.call("post_message", channel=oncall["channel"], text=text)
        return _cost(started, posted["text"], issues, chat)


async def as_one_dag(place: Place, environ: Mapping[str, str]) -> Cost:
    """Do the job through a gateway: a search for tools, and one DAG. Raises `JobFailed`, in the
    group of the tasks of the client."""
    document = json.loads(place.job("bugs"))
    words = plait_words("serve", "--isolated", "--log-level", "error")[1:]
    async with _client(words, place.environment(environ)) as client:
        await client.call_tool("query_dag", READY)
        gateway = Counting(client)
        started = time.perf_counter()
        await gateway.call("search_tools", **SEARCH)
        answer = await gateway.call("execute_dag", **document)
        if answer["status"] != "success":
            raise JobFailed(f"execute_dag: {_compact(answer)}")
        return _cost(started, answer["outputs"]["post"]["text"], gateway)


def _client(words: list[str], environ: Mapping[str, str]) -> Client:
    """Return a client of the Python program of these *words*."""
    server = StdioServerParameters(command=sys.executable, args=words, env=dict(environ))
    return Client(stdio_client(server))


def _cost(started: float, posted: str, *clients: Counting) -> Cost:
    return Cost(
        time.perf_counter() - started,
        sum(client.requests for client in clients),
        sum(client.characters for client in clients),
        posted,
    )


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
