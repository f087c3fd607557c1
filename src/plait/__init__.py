"""Plait runs DAGs of MCP tool calls in parallel, in front of any number of MCP servers."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes longer than the rest of a door's start
if TYPE_CHECKING:
    from typing import Any

    from .app.gateway import Gateway
    from .core.language.dag import Dag, Task
    from .core.results.result import RunResult
    from .errors import PlaitError

__version__ = "0.1.0"

__all__ = ["Dag", "Gateway", "PlaitError", "RunResult", "Task", "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: a door and `plait --version` need none."""
    match name:
        case "Dag":
            from .core.language.dag import Dag

            return Dag
        case "Gateway":
            from .app.gateway import Gateway

            return Gateway
        case "PlaitError":
            from .errors import PlaitError

            return PlaitError
        case "RunResult":
            from .core.results.result import RunResult

            return RunResult
        case "Task":
            from .core.language.dag import Task

            return Task
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names and those that are already defined, for `dir` and completion."""
    return sorted({*globals(), *__all__})
