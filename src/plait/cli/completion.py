"""Names of tools and servers for the completion of a shell, from what is remembered of servers:
none is started, and there are no questions.

Names come from servers, and shells evaluate what completes a word. So a name is offered only if all
its characters are plain.
"""

from __future__ import annotations

import logging
import re
from typing import Final

import anyio
import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # it is there

from ..errors import ConfigError

BASH: Final = r"""
_plait_completion() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT} word
    COMPREPLY=($(_PLAIT_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="$line" "$1" 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")  # without their descriptions
    word=${line##*[[:space:]]}
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then  # only what follows is replaced
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}")
    fi
}
complete -o default -F _plait_completion plait
"""
"""Unlike the script of typer, it keeps the names of tools whole: bash splits words at a colon."""
_PLAIN: Final = re.compile(r"[\w.:/-]+", re.ASCII)


def script(shell: str) -> str:
    """Return the script for *shell*: `bash`, or another that typer knows."""
    if shell == "bash":
        return BASH.strip()
    return get_completion_script(prog_name="plait", complete_var="_PLAIT_COMPLETE", shell=shell)


def tools(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the full name of a tool."""
    return [name for name in _known(ctx) if ":" in name and name.startswith(incomplete)]


def servers(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a server."""
    return [name for name in _known(ctx) if ":" not in name and name.startswith(incomplete)]


def _known(ctx: typer.Context) -> list[str]:
    """Return the plain names of all servers and of their tools that may be called; empty if the
    settings cannot be used."""
    from ..app.gateway import remembered_tools
    from ..config import load_config

    before = logging.root.manager.disable
    logging.disable()  # a log would be written into the line that is completed
    try:
        config = load_config(ctx.params.get("config"), profile=ctx.params.get("profile"))
        names = [*config.servers, *anyio.run(remembered_tools, config)]
        return sorted(filter(_PLAIN.fullmatch, names))
    except ConfigError:
        return []
    finally:
        logging.disable(before)
