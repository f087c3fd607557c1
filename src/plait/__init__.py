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

_HOMES = {"Dag": ".core.dag", "Gateway": ".app", "RunResult": ".core.result", "Task": ".core.dag"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `plait --version` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name], __name__), name)
