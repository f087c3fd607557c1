"""The names that other programs have for a command of ours: whoever tries one is shown ours."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

INSTEAD = {
    "draw": "plait graph DAG draws a DAG, or a run",
    "check": "plait plan DAG checks it, and runs nothing",
    "validate": "plait plan DAG checks it, and runs nothing",
    "list": "plait tools lists tools, plait servers lists servers",
    "ls": "plait tools lists tools, plait servers lists servers",
    "search": "plait tools WORDS finds tools",
    "describe": "plait tools WORDS shows tools with their arguments",
    "status": "plait servers shows the state of each server",
    "diagnose": "plait doctor shows what is wrong, with its fix",
    "setup": "plait install registers Plait in the clients of this machine",
    "uninstall": "plait install --undo takes the last installation back",
    "start": "plait serve starts the gateway",
    "runs": "plait history shows past runs",
    "continue": "plait resume RUN goes on with an interrupted run",
    "exec": "plait run DAG runs a DAG, plait call TOOL one tool",
}
"""The commands that people of other programs look for."""
LAST = (
    "history",
    "resume",
    "apply",
    "approve",
    "deny",
    "doctor",
    "init",
    "ps",
    "stop",
    "restart",
    "trust",
    "skill",
    "completion",
)
"""The commands that are listed after those that run something."""


class Commands(TyperGroup):
    """Answers the names that other programs have for a command with ours."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        places = {name: place for place, name in enumerate(LAST, 1)}
        return sorted(names, key=lambda name: places.get(name, 0))  # typer lists groups last

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in INSTEAD and args[0] not in self.commands:
            ctx.fail(f'Unknown command "{args[0]}": {INSTEAD[args[0]]}.')
        return super().resolve_command(ctx, args)
