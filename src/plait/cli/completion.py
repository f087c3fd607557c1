"""Names for the completion of a shell, from what is remembered of servers: none is started, and
there are no questions. What is worked out is kept: `door/completion.py` answers with it from then
on.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

import anyio
import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # it is there

from ..door.completion import SERVERS, TOOLS, Entry, is_plain, keep, key_of, stamps
from ..door.completion import dags as files_of_dags
from ..door.completion import runs as latest_runs
from ..door.place import state_folder
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
LISTED: Final = "servers"
"""The folder of what servers listed, in the state folder; it changes with each of its files."""
TRUSTED: Final = "trusted"
"""The folder of the settings files that are trusted."""


def script(shell: str) -> str:
    """Return the script for *shell*: `bash`, or another that typer knows."""
    if shell == "bash":
        return BASH.strip()
    return get_completion_script(prog_name="plait", complete_var="_PLAIT_COMPLETE", shell=shell)


def tools(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the full name of a tool."""
    return [name for name in _known(ctx)[TOOLS] if name.startswith(incomplete)]


def servers(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a server."""
    return [name for name in _known(ctx)[SERVERS] if name.startswith(incomplete)]


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the id of a run."""
    return latest_runs(state_folder(os.environ, os.getcwd()), incomplete)


def dags(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the path of a DAG."""
    return [path for path in files_of_dags(os.getcwd(), incomplete) if is_plain(path)]


def dags_and_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the path of a DAG, or the id of a run."""
    return dags(ctx, incomplete) + runs(ctx, incomplete)


def _known(ctx: typer.Context) -> dict[str, list[str]]:
    """Return the plain names of all servers and of their tools that may be called; none if the
    settings cannot be used. They are kept for the next time."""
    from ..app.gateway import remembered_tools
    from ..config import load_config

    before = logging.root.manager.disable
    logging.disable()  # a log would be written into the line that is completed
    file, profile = ctx.params.get("config"), ctx.params.get("profile")
    folder = os.getcwd()
    state = state_folder(os.environ, folder)
    follows = stamps(_followed(file, state))  # before they are read: a change meanwhile counts
    try:
        config = load_config(file, profile=profile)
        names = anyio.run(remembered_tools, config)
    except ConfigError:
        return {TOOLS: [], SERVERS: []}
    finally:
        logging.disable(before)
    found = {
        TOOLS: sorted(filter(is_plain, names)),
        SERVERS: sorted(filter(is_plain, config.servers)),
    }
    chosen = None if file is None else str(file)
    entry = Entry(follows, found[TOOLS], found[SERVERS])
    keep(state, key_of(folder, chosen, profile, os.environ), entry)
    return found


def _followed(file: Path | None, state: str) -> list[str]:
    """Return the paths of all files that names follow from: *file*, or wherever settings are looked
    for; what servers listed; and what is trusted."""
    from ..config.environment import config_folder_of
    from ..config.secrets_file import FILE_NAME
    from ..config.settings_file import candidates

    places = candidates(file, os.environ, Path.cwd())
    kept = (os.path.join(state, name) for name in (LISTED, TRUSTED))
    return [*map(str, (*places, config_folder_of(os.environ) / FILE_NAME)), *kept]
