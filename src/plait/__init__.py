"""Plait runs DAGs of MCP tool calls in parallel, in front of any number of MCP servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import PlaitError

if TYPE_CHECKING:
    from .app import Gateway
    from .core.language.dag import Dag, Task
    from .core.results.result import RunResult

__version__ = "0.1.0"

__all__ = ["Dag", "Gateway", "PlaitError", "RunResult", "Task", "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `plait --version` needs none of them."""
    match name:
        case "Dag":
            from .core.language.dag import Dag

            return Dag
        case "Gateway":
            from .app import Gateway

            return Gateway
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
