"""`plait history`: the runs of all gateways of the user, read from their file in this process."""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from ..core.history import INTERRUPTED, RUNNING, WAITING, Effect, Kind, Limits, RunQuery
from ..errors import ConfigError, HistoryLost
from .exits import Exit, Misused
from .style import counted

if TYPE_CHECKING:
    from ..core.history import (
        Chain,
        KeptCall,
        KeptRun,
        RunEntry,
    )
    from ..core.history_store import History
    from ..core.results.result import RunResult
    from ..redaction import Secrets
    from .history_report import ShownRun
    from .reporting import Report
    from .session import Session

Result = TypeVar("Result")
RUN = "RUN"
"""The name of the argument."""
ID_CHARS = 28
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
MOST_NAMED = 5
MANY = 10_000_000
NOTHING = Limits(0, 0, 0, 0, math.inf)
"""Keeps no run, and all of the audit."""


class NoHistory(Exception):
    """The history cannot be read; the message says why."""


def with_history(
    session: Session, work: Callable[[History], Awaitable[int]], *, creates: bool = False
) -> int:
    """Do *work* over the history of the user, and return the exit code. Where there is none yet, it
    is empty, unless *work* creates it. No settings are needed; the secrets of those that there are,
    are not shown."""
    if session.config_file is not None or session.profile is not None:
        session.load()
    else:
        with suppress(ConfigError):
            session.load()
    try:
        return anyio.run(partial(_over, state_folder(), work, creates=creates))
    except (NoHistory, HistoryLost) as error:
        session.console.complain(str(error))
        return Exit.TASK_FAILED


def state_folder() -> Path:
    from ..config.environment import state_folder_of

    return state_folder_of(os.environ, Path.cwd())


async def _over(
    folder: Path, work: Callable[[History], Awaitable[Result]], *, creates: bool = False
) -> Result:
    """Do *work* over the history in *folder*. Raises `NoHistory`."""
    from ..stores.history.memory import MemoryHistory
    from ..stores.history.opening import open_history, runtime_folder

    if not creates and not (folder / "history.db").exists():
        return await work(MemoryHistory())
    history = await open_history(folder, runtime_folder(folder))
    try:
        if isinstance(history, MemoryHistory):
            raise NoHistory(
                history.trouble
                or f"{folder} is on a network file system: runs there end with their gateway."
            )
        return await work(history)
    finally:
        await history.close()


async def with_questions(history: History, entries: list[RunEntry]) -> list[RunEntry]:
    """Return *entries*, with the status of those that wait for a person."""
    gone_on = {entry.resumed_from for entry in entries}
    return [
        replace(entry, status=WAITING)
        if entry.status in {RUNNING, INTERRUPTED}
        and entry.id not in gone_on
        and await history.question(entry.id) is not None
        else entry
        for entry in entries
    ]


async def find(history: History, word: str) -> KeptRun:
    """Find the run whose id is *word*, or begins with it. Raises `Misused`."""
    if (kept := await history.run(word)) is not None:
        return kept
    if (kept := await history.run((await find_entry(history, word)).id)) is not None:
        return kept
    raise Misused(f'no run has an id that begins with "{word}".', hint=RUN)


async def find_entry(history: History, word: str, hint: str = RUN) -> RunEntry:
    """Find the run whose id is *word*, or begins with it, without its values. Raises `Misused`,
    which calls the parameter *hint*."""
    found = await history.runs(RunQuery(MOST_NAMED + 1, prefix=word))
    if len(found) == 1:
        return found[0]
    if not found:
        raise Misused(f'no run has an id that begins with "{word}".', hint=hint)
    names = ", ".join(entry.id for entry in found[:MOST_NAMED])
    more = ", …" if len(found) > MOST_NAMED else ""
    raise Misused(f'more than one id begins with "{word}": {names}{more}.', hint=hint)


def whole_id(word: str, hint: str = RUN) -> str:
    """Return the id of the run that *word* names: itself, or the one that begins with it. Raises
    `Misused`, which calls the parameter *hint*."""
    if len(word) >= ID_CHARS:
        return word
    try:
        return anyio.run(_over, state_folder(), partial(find_entry, word=word, hint=hint)).id
    except NoHistory as error:
        raise Misused(f"{error} Write the whole id.", hint=hint) from None


def time_of(text: str, now: float) -> float:
    """Read the time that `--since` names, in seconds since 1970: `2d` before *now*, or a date.
    Raises `Misused`."""
    number, unit = text[:-1], text[-1:]
    if unit in UNITS and number.isascii() and number.isdigit():
        return now - int(number) * UNITS[unit]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        example = "write 2d, 3h, 30m, or a date such as 2026-03-01 or 2026-03-01T12:00"
        raise Misused(f"{text}: {example}.", hint="--since") from None


async def list_runs(history: History, session: Session, query: RunQuery) -> int:
    """Show the runs of *query*, the latest first."""
    from .history_report import run_document, run_lines

    listed = await history.runs(query._replace(limit=query.limit + 1))
    found = await with_questions(history, listed)
    entries, has_more = found[: query.limit], len(found) > query.limit
    out, secrets = session.console.out, session.secrets
    if session.as_json:
        runs = [secrets.redact_all(run_document(entry)) for entry in entries]
        out.json({"runs": runs, "more": has_more})
        return Exit.SUCCESS
    out.lines(run_lines(entries, out.width, secrets.redact))
    if has_more:
        session.console.err.line(f"These are the last {len(entries):,}; --limit N shows more.")
    elif not entries:
        session.console.err.line("No such runs.")
    return Exit.SUCCESS


async def show_run(
    history: History,
    session: Session,
    word: str,
    *,
    is_whole: bool,
    reports: Sequence[Report] = (),
) -> int:
    """Show one run: its course, its calls, what is in doubt, and how to go on with it. Write
    *reports* of it. Raises `Misused` if there are none of it."""
    from .history_report import shown_document, shown_lines
    from .reporting import make, write

    shown = await _shown(history, await find(history, word), session)
    if reports and shown.result is None:
        text = f"{shown.entry.id} is a call by name; there are reports of runs of DAGs alone."
        raise Misused(text, hint=RUN)
    out, secrets = session.console.out, session.secrets
    if session.as_json:
        out.json(secrets.redact_all(shown_document(shown)))
    else:
        out.lines(shown_lines(shown, out.width, is_whole=is_whole))
    if shown.result is None:
        return Exit.SUCCESS
    made = make(reports, shown.result, secrets)
    is_written = write(made, lambda why: session.console.complain(secrets.redact(why)))
    return Exit.SUCCESS if is_written else Exit.TASK_FAILED


async def show_statistics(history: History, session: Session) -> int:
    """Show the figures of the calls of each tool and server."""
    from ..core.results.figures import by_server
    from .history_report import figures_document, figures_lines

    tools = await history.statistics()
    out = session.console.out
    if session.as_json:
        out.json(
            {
                "tools": [figures_document(one) for one in tools],
                "servers": [figures_document(one) for one in by_server(tools)],
            }
        )
    else:
        out.lines(figures_lines(tools, by_server(tools)))
    return Exit.SUCCESS


async def _shown(history: History, kept: KeptRun, session: Session) -> ShownRun:
    from .history_report import ShownRun

    entry, secrets = kept.entry, session.secrets
    result = await result_in(history, entry, secrets)
    calls = await history.calls(entry.id, values=True)
    head, doubts = entry.id, list[str]()
    has_restarted = False
    is_doubtful = result is not None and any(error.code == "in_doubt" for error in result.errors)
    if entry.status == INTERRUPTED or is_doubtful:
        chain = await history.chain(entry.id, entry.principal)
        if chain is not None:
            head = chain.head.entry.id
        if chain is not None and head == entry.id and entry.status == INTERRUPTED:
            doubts, has_restarted = in_doubt(chain), chain.has_restarted
    return ShownRun(
        entry,
        None if result is None else _without_secrets(result, secrets),
        [_call_without_secrets(call, secrets) for call in calls],
        head,
        doubts,
        has_restarted=has_restarted,
    )


def in_doubt(chain: Chain) -> list[str]:
    """List the tasks of *chain* with a call that is in doubt and that no word of a caller
    decides."""
    said = {kept.event.key.task: kept.number for kept in chain.events if kept.event.key is not None}
    return list(
        dict.fromkeys(
            key.task
            for key, call in chain.calls.items()
            if call.ended is None
            and call.effect is Effect.WRITE
            and max(said.get(key.task, -1), said.get("*", -1)) < call.admitted
        )
    )


def learn_secrets(settings: str, secrets: Secrets) -> None:
    """Learn the secrets of the *settings* that a run began with. Raises `ConfigError`."""
    from ..config import load_config

    if os.path.isabs(settings) and os.path.exists(settings):
        load_config(Path(settings), secrets=secrets)


async def result_in(history: History, entry: RunEntry, secrets: Secrets) -> RunResult | None:
    """Return the result of a run so far, once *secrets* has those of its settings; None for a call
    by name."""
    with suppress(ConfigError):  # they may have changed since, or be gone
        learn_secrets(entry.desk, secrets)
    if entry.kind is Kind.CALL:
        return None
    from ..core.results.result import result_of
    from ..engine.recalling import Recalling
    from ..stores.in_memory import InMemoryRuns

    runs = InMemoryRuns()
    await Recalling(history, runs, lambda run_id: False).recall(entry.id, entry.principal)
    record = runs.get(entry.id, entry.principal)
    return None if record is None else result_of(record, partial(runs.output, entry.id))


def _without_secrets(result: RunResult, secrets: Secrets) -> RunResult:
    errors = [
        replace(
            error,
            message=secrets.redact(error.message),
            hint=None if error.hint is None else secrets.redact(error.hint),
        )
        for error in result.errors
    ]
    return replace(
        result,
        outputs=secrets.redact_all(dict(result.outputs)),
        attachments=secrets.redact_all(dict(result.attachments)),
        errors=tuple(errors),
        notes=tuple(map(secrets.redact, result.notes)),
    )


def _call_without_secrets(call: KeptCall, secrets: Secrets) -> KeptCall:
    error, output = call.error, call.output
    return replace(
        call,
        arguments=secrets.redact_all(call.arguments),
        error=None if error is None else replace(error, message=secrets.redact(error.message)),
        output=None if output is None else replace(output, value=secrets.redact_all(output.value)),
    )


async def export_runs(
    history: History, session: Session, words: Sequence[str], to: Path | None
) -> int:
    """Write the runs that *words* name, or all, as lines of JSON to the file *to* or to standard
    output."""
    from ..stores.history.exchange import export

    ids = [(await find(history, word)).entry.id for word in words]
    if not words:
        ids = [entry.id for entry in reversed(await history.runs(RunQuery(MANY)))]
    if to is None:
        async for line in export(history, ids):
            session.console.out.json_line(line.decode())
        return Exit.SUCCESS
    count = 0
    try:
        await anyio.Path(to).touch(0o600)
        async with await anyio.open_file(to, "wb") as file:
            async for line in export(history, ids):
                count += line.startswith(b'{"run"')
                await file.write(line)
    except OSError as error:
        raise Misused(f"{to}: {error.strerror}.", hint="-o") from None
    session.console.err.line(f"{counted(count, 'run')} saved in {to}")
    return Exit.SUCCESS


async def import_runs(history: History, session: Session, lines: Sequence[bytes]) -> int:
    """Take in the runs that `export_runs` wrote as *lines*."""
    from ..stores.history.exchange import NotExported, take_in

    try:
        taken = await take_in(history, lines)
    except NotExported as error:
        raise Misused(f"{error}.", hint="FILE") from None
    if session.as_json:
        session.console.out.json({"runs": list(taken)})
    else:
        session.console.out.line(f"{counted(len(taken), 'run')} taken in")
    return Exit.SUCCESS


async def clear(history: History, session: Session) -> int:
    """Delete all runs that do not run now."""
    count = await history.trim(NOTHING)
    if session.as_json:
        session.console.out.json({"deleted": count})
    else:
        session.console.out.line(f"{counted(count, 'run')} deleted")
    return Exit.SUCCESS
