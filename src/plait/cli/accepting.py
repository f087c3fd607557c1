"""`plait servers accept`: what has changed in the tools of a server, and a person's yes to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import unified_diff
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ..core.values.problems import did_you_mean
from ..core.values.strict import JsonObject
from ..errors import ConfigError
from .exits import Exit, Misused
from .style import Line, Look, Styled
from .trusting import answer_at_terminal

if TYPE_CHECKING:
    from ..app.pinned import ChangedTool
    from .session import Session

MOST_COMPARED = 5_000
"""Most lines of a definition that are compared line by line; comparing takes their square."""
_LOOKS = {"+": Look.GREEN, "-": Look.RED}


def accept_words(session: Session, words: list[str], *, yes: bool) -> int:
    """Do as `accept` for what stands behind `plait servers`. Raises `Misused`."""
    match words:
        case ["accept", name]:
            return accept(session, name, yes=yes)
        case ["accept", *_]:
            raise Misused("name one server: plait servers accept NAME.", hint="NAME")
    hint = did_you_mean(words[0], ["accept"]) or "It takes no words, or accept NAME."
    raise Misused(f'unknown word "{words[0][:80]}". {hint}', hint="accept NAME")


def accept(session: Session, server: str, *, yes: bool) -> int:
    """Show how the tools of *server* differ from what they were when they were first used and, if a
    person says *yes* now or at the terminal, take them as they are. Raises `ConfigError`, and
    `Misused` where there is no one to ask."""
    from ..app import pinned

    config, out = session.config, session.console.out
    if server not in config.servers:
        known = ", ".join(config.servers) or "none"
        hint = did_you_mean(server, config.servers) or f"Servers: {known}."
        raise Misused(f'unknown server "{server[:80]}". {hint}', hint="NAME")
    try:
        changed = anyio.run(pinned.changed_tools, config, server)
        if session.as_json:
            out.json([{"tool": t.name, "pinned": t.pinned, "now": t.now} for t in changed])
        elif not changed:
            session.console.err.line(
                f"Each tool of {server} that was used is described as it was then."
            )
        else:
            for tool in changed:
                out.lines(_difference(f"{server}:{tool.name}", tool))
        if not changed:
            return Exit.SUCCESS
        if not (yes or _is_accepted(session, server, len(changed))):
            return Exit.TASK_FAILED
        anyio.run(pinned.accept, config, server, changed)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the pinned tools of {server} cannot be used: {error}") from error
    session.console.err.line(f"{server}: its tools may be called as they are now.")
    return Exit.SUCCESS


def _is_accepted(session: Session, server: str, count: int) -> bool:
    tools = "this tool" if count == 1 else f"these {count} tools"
    question = f"Accept {tools} of {server} as described now? [y/N]"
    answer = answer_at_terminal(session.console, question)
    if answer is None:
        raise Misused("say --yes: it can ask at a terminal alone.", hint="--yes")
    return answer


def _difference(name: str, tool: ChangedTool) -> Iterator[Line]:
    yield (Styled(name, Look.BOLD),)
    before, now = [*_text(tool.pinned)], [*_text(tool.now)]
    if max(len(before), len(now)) > MOST_COMPARED:
        lines = [*(f"-{line}" for line in before), *(f"+{line}" for line in now)]
    else:
        lines = [*unified_diff(before, now, n=2, lineterm="")][2:]
    for line in lines:
        look = _LOOKS.get(line[:1])
        yield (f"  {line}",) if look is None else (Styled(f"  {line}", look),)


def _text(definition: JsonObject) -> Iterator[str]:
    """Yield *definition* as lines: its texts as they read, all else as JSON."""
    written = partial(json.dumps, indent=2, ensure_ascii=False, sort_keys=True)
    for member, value in sorted(definition.items()):
        text = value if isinstance(value, str) else written(value)
        first, *others = text.split("\n")
        yield f"{member}: {first}"
        yield from (f"  {line}" for line in others)
