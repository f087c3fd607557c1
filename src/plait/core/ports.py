"""What the core and the gateway need from the world, each a Protocol that a shell implements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from .catalog import Catalog, Tool
from .events import Notice
from .run import Run
from .strict import JsonObject

OnProgress: TypeAlias = Callable[[float, float | None, str | None], None]
"""Told a call's own progress: how much is done, of how much, and a message. It must not block or raise."""

Observer: TypeAlias = Callable[[Notice], None]
"""Told everything that changes, in order; changes nothing. It must not block."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of one downstream tool, with its arguments resolved and checked."""

    tool: Tool
    arguments: JsonObject
    on_progress: OnProgress | None = None
    cache_s: float = 0.0
    """How old an answer may be that is used again instead of a call, in seconds; 0 for none."""
    cache_stat: str | None = None
    """The argument that names a file: such an answer is good only as long as that file has not changed."""
    on_cached: Callable[[], None] | None = None
    """Told if the answer is an earlier one."""


class CallTool(Protocol):
    """Calls a tool and gives its `CallToolResult` as the server sent it, a JSON object.

    Connections do, a cache around them does, and a fake in tests. Raises `CallError` and nothing else. Cancelling
    the caller cancels the call at its server. The caller bounds the time.
    """

    def __call__(self, call: ToolCall, /) -> Awaitable[JsonObject]: ...


class Servers(Protocol):
    """The downstream servers, connected in the background."""

    def catalog(self) -> Catalog:
        """What is known now: every configured server, and the tools of those that were reached."""
        ...

    async def settled(self, names: Iterable[str] | None = None) -> None:
        """Wait until the first attempt to connect to each of *names* (all, for None) has come to something."""
        ...


class RunStore(Protocol):
    """Keeps runs for `get_run` and `resume_from`. It is bounded: the oldest finished ones go first."""

    def add(self, run: Run) -> None: ...

    def get(self, run_id: str) -> Run | None: ...

    def ids(self) -> list[str]:
        """Of all runs that are kept, the latest first."""
        ...

    def trim(self) -> None:
        """A run has ended: what is above the bounds may go."""
        ...
