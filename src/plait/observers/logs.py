"""The log: events with fields, on standard error alone.

It shows what all modules log through the standard library, including the servers' own lines
(`plait.server.NAME`). Arguments and outputs of calls are never logged.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import Any, TextIO

from ..core.scheduling.events import FINAL, Status
from ..core.scheduling.notices import Changed, Finished, Notice, Started
from ..core.tools.catalog import shown
from ..core.tools.circuit import CircuitState
from ..core.tools.server_notices import (
    CircuitChanged,
    ServerChanged,
    SettingsReloaded,
    ToolsDrifted,
)
from ..core.values.printable import printable
from ..core.values.strict import present
from ..redaction import Secrets

_ADDRESS = re.compile(
    r"(?P<scheme>https?://)(?:[^\s/?#@\"']*@)?(?P<rest>[^\s?#\"']*)(?P<query>\?[^\s#\"']*)?"
)

log = logging.getLogger("plait.runs")
server_log = logging.getLogger("plait.servers")

_FAILED = frozenset({Status.FAILED, Status.TIMEOUT})


def log_notices(notice: Notice) -> None:
    """Log the start and end of each run, its failed tasks, the failed calls by name, lost servers,
    drift and new settings. At `debug`, log the end of every task, item and call too, which costs as
    much as all else about it. An `Observer`."""
    match notice:
        case Changed(after=after) if after in FINAL:
            _log_end(notice)
        case Started(run=run, tasks=tasks):
            log.info("run.started", extra={"run": run, "tasks": len(tasks)})
        case Finished(run=run, status=status, elapsed_s=elapsed_s):
            log.info(
                "run.finished",
                extra={"run": run, "status": status, "duration_ms": _milliseconds(elapsed_s)},
            )
        case ServerChanged(info=info, retry_in_s=float() as pause, is_repeated=is_repeated):
            server_log.log(
                logging.DEBUG if is_repeated else logging.WARNING,
                "server.lost",
                extra={"server": info.name, "error": info.error, "retry_in_s": round(pause, 1)},
            )
        case ToolsDrifted(server=server, drift=drift):
            server_log.warning("server.drift", extra={"server": server, "tools": str(drift)})
        case CircuitChanged(server, tool, state, at, until, reason):
            is_open = state is CircuitState.OPEN
            fields = present(
                server=shown(server),
                tool=tool or None,
                open_s=round(until - at, 1) if is_open and until is not None else None,
                reason=reason if is_open else None,
            )
            level = logging.WARNING if is_open else logging.INFO
            server_log.log(level, f"circuit.{state}", extra=fields)
        case SettingsReloaded(source=source, later=later):
            server_log.info("config.reloaded", extra={"source": source})
            if later:
                server_log.warning(
                    "config.later", extra={"settings": list(later), "when": "at the next start"}
                )


def _log_end(notice: Changed) -> None:
    key = notice.key
    what = "call" if not key.run else "task" if key.item is None else "item"
    level = logging.INFO if what != "item" and notice.after in _FAILED else logging.DEBUG
    if not log.isEnabledFor(level):
        return
    seconds = notice.took_s if notice.started_at is None else notice.at - notice.started_at
    fields = present(
        tool=notice.tool,
        status=str(notice.after),
        duration_ms=None if seconds is None else _milliseconds(seconds),
        attempt=notice.attempt,
        code=notice.code,
    )
    if key.run:
        fields |= present(run=key.run, task=key.task, item=key.item)
    log.log(level, f"{what}.finished", extra=fields)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


@contextmanager
def configure_logging(
    level: str,
    stream: TextIO,
    *,
    as_json: bool,
    colours: bool = False,
    secrets: Secrets | None = None,
) -> Iterator[None]:
    """Write everything logged from *level* up to *stream* while the block runs, one event a line,
    without *secrets*.

    Events are JSON, or key=value for a person. Libraries log from `warning` up, unless *level* is
    `debug`; the MCP SDK also then, because its details quote whole messages.
    """
    secrets = Secrets() if secrets is None else secrets
    handler = _Handler(stream, secrets)
    handler.setFormatter(_Formatter(as_json=as_json, colours=colours, secrets=secrets))
    root, ours, sdk = map(logging.getLogger, (None, "plait", "mcp"))
    before = root.level, ours.level, sdk.level
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number if number == logging.DEBUG else max(number, logging.WARNING))
    ours.setLevel(number)
    sdk.setLevel(max(number, logging.WARNING))
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        ours.setLevel(before[1])
        sdk.setLevel(before[2])


class _Handler(logging.StreamHandler[TextIO]):
    """Reports a record that cannot be written without its arguments, unlike `logging`."""

    def __init__(self, stream: TextIO, secrets: Secrets) -> None:
        super().__init__(stream)
        self._secrets = secrets

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # as it is called in `logging`
        trace = self._secrets.redact(traceback.format_exc())
        with suppress(OSError, ValueError, AttributeError):  # standard error may be missing too
            sys.stderr.write(
                f"{record.name} logged a record that cannot be "
                f"written:\n{trace.encode('ascii', 'replace').decode()}"
            )


class _Formatter(logging.Formatter):
    """Formats with structlog, imported at the first event: that is slow, and often not needed."""

    def __init__(self, *, as_json: bool, colours: bool, secrets: Secrets) -> None:
        super().__init__()
        self._make = partial(_formatter, as_json=as_json, colours=colours, secrets=secrets)

    @cached_property
    def _inner(self) -> logging.Formatter:
        return self._make()

    def format(self, record: logging.LogRecord) -> str:
        return self._inner.format(record)


def _formatter(*, as_json: bool, colours: bool, secrets: Secrets) -> logging.Formatter:
    import structlog

    renderer: Any
    if as_json:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=plain, pad_event_to=0
        )
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta

    def redact(
        logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Remove secrets from each field of an event, tracebacks included, and from addresses what
        may be one: libraries log them whole."""
        redacted = {name: secrets.redact_all(value) for name, value in event.items()}
        return {
            name: _ADDRESS.sub(_bare, value) if isinstance(value, str) else value
            for name, value in redacted.items()
        }

    return structlog.stdlib.ProcessorFormatter(
        processors=[meta, structlog.processors.format_exc_info, redact, _escape, renderer],
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
        ],
    )


def _bare(address: re.Match[str]) -> str:
    """Return an address without user and password, and without its query."""
    return address["scheme"] + address["rest"] + ("?…" if address["query"] else "")


def _escape(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Escape an event's fields, so that none can steer the terminal or look like a second event."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value, "\n" if name == "exception" else "")
    return event
