"""`plait ps`, `plait stop`, `plait restart` and `plait servers --all`: the gateway that all clients
of a user share.

The process that they look at, or end, is the one that the system names at the other end of its
socket, not one whose number stands in some file.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from ..core.tools.catalog import ServerState
from ..core.values.strict import Json, JsonObject, loads
from ..door.frames import CONTROL, Frames, frame
from ..door.place import NoPlace, NotOurs, Place, peer, state_folder
from ..errors import ConfigError
from .exits import Exit
from .looking import STATE_MARKS, condition_of, server_lines
from .session import Session
from .style import Line, Look, Styled, counted

ANSWER_S = 15.0
"""Longest wait for the gateway's answer."""
END_S = 20.0
"""Longest wait for its end: it lets the calls end that are open, and stops its servers."""
LOOK_S = 0.05
_NONE = "No shared gateway runs."


class Running:
    """The gateway that runs now, at the other end of *sock*."""

    def __init__(self, sock: socket.socket) -> None:
        self.pid, _ = peer(sock)
        self._sock = sock
        # With a descriptor of the process its number cannot become that of another.
        self._process = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None

    @classmethod
    def find(cls) -> Self | None:
        """Find the gateway of this user's state folder. None if none runs. Raises `ConfigError` if
        the place is not the user's own."""
        try:
            found = Place(state_folder(os.environ, str(Path.cwd()))).connect()
        except (NoPlace, NotOurs) as error:
            raise ConfigError(str(error)) from error
        if found is None:
            return None
        sock = socket.socket(fileno=found.detach())
        sock.settimeout(ANSWER_S)
        try:
            return cls(sock)
        except OSError:  # it has just ended
            sock.close()
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sock.close()
        if self._process is not None:
            os.close(self._process)

    def ask(self, command: str) -> JsonObject | None:
        """Return the answer to a command. None if it does not answer."""
        frames = Frames()
        try:
            self._sock.sendall(frame(CONTROL, command.encode()))
            while data := self._sock.recv(2**16):
                for kind, _, payload in frames.feed(data):
                    if kind == CONTROL and isinstance(answer := loads(payload), dict):
                        return answer
        except OSError:
            pass
        return None

    def ended_within(self, seconds: float) -> bool:
        """Wait until the process has ended, at most *seconds*."""
        deadline = time.monotonic() + seconds
        if self._process is not None:
            return bool(select.select([self._process], [], [], seconds)[0])
        while time.monotonic() < deadline:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(LOOK_S)
        return False

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._process is not None:
                signal.pidfd_send_signal(self._process, number)
            else:
                os.kill(self.pid, number)


def _show_none(session: Session) -> int:
    if session.as_json:
        session.console.out.json({"running": False})
    else:
        session.console.out.line(_NONE)
    return Exit.SUCCESS


def show_gateway(session: Session) -> int:
    """Show the gateway, its desks with their servers and runs, and its clients."""
    return _show_status(session, lambda status: status, _status_lines)


def show_all_servers(session: Session) -> int:
    """Show the servers of all desks of the gateway, as they are: none is started or waited for."""

    def document(status: JsonObject) -> JsonObject:
        desks: list[Json] = [
            {"config": desk["settings"], "servers": desk["servers"]}
            for desk in _members(status, "desks")
        ]
        return {"desks": desks}

    def lines(status: JsonObject) -> Iterator[Line]:
        for desk in _members(status, "desks"):
            yield (Styled(str(desk["settings"]), Look.BOLD),)
            yield from server_lines(_members(desk, "servers"))

    return _show_status(session, document, lines)


def _show_status(
    session: Session,
    document: Callable[[JsonObject], JsonObject],
    lines: Callable[[JsonObject], Iterator[Line]],
) -> int:
    """Show the state of the gateway, as one *document* or as *lines*."""
    running = Running.find()
    if running is None:
        return _show_none(session)
    with running:
        status = running.ask("ps")
        if status is None:
            message = f"The shared gateway (process {running.pid}) does not answer."
            session.console.complain(f"{message}\nplait stop ends it.")
            return Exit.UNREACHABLE
    if session.as_json:
        session.console.out.json({"running": True, **document(status)})
    else:
        session.console.out.lines(lines(status))
    return Exit.SUCCESS


def end_gateway(session: Session, command: str) -> int:
    """End the gateway; *command* is `stop` or `restart`. One that does not answer is killed."""
    out = session.console.out
    running = Running.find()
    if running is None:
        return _show_none(session)
    with running:
        has_ended = running.ask(command) is not None and running.ended_within(END_S)
        is_killed = not has_ended
        if is_killed:
            running.signal(signal.SIGKILL)
            has_ended = running.ended_within(ANSWER_S)
    if session.as_json:
        out.json({"running": not has_ended, "pid": running.pid, "killed": is_killed})
    elif has_ended:
        how = ", which did not answer, was killed" if is_killed else " has ended"
        then = (
            "Its clients start a new one."
            if command == "restart"
            else ("A client starts a new one with its next message.")
        )
        out.line(f"The shared gateway (process {running.pid}){how}. {then}")
    else:
        session.console.complain(f"The shared gateway (process {running.pid}) cannot be ended.")
    return Exit.SUCCESS if has_ended else Exit.TASK_FAILED


def _status_lines(status: JsonObject) -> Iterator[Line]:
    clients, desks = _members(status, "clients"), _members(status, "desks")
    retiring = ", ends once it is unused: a newer version waits" if status["is_retiring"] else ""
    yield (
        Styled(f"plait {status['version']}", Look.BOLD),
        f", process {status['pid']}, {_age(status['since'])}{retiring}",
    )
    for name in ("socket", "log"):
        if name in status:
            yield (f"  {name.ljust(6)}  {status[name]}",)
    for desk in desks:
        yield (Styled(str(desk["settings"]), Look.BOLD), f"  {_count(desk['clients'], 'client')}")
        for server in _members(desk, "servers"):
            mark = STATE_MARKS[ServerState(str(server["state"]))]
            pid = f"  process {server['pid']}" if "pid" in server else ""
            yield ("  ", mark, f" {str(server['name']).ljust(16)}  {condition_of(server)}{pid}")
            for line in str(server.get("error", "")).splitlines():
                yield (f"      {line}",)
        for run in _members(desk, "runs"):
            waits = "  waits for a person" if run.get("status") == "waiting" else ""
            yield (f"  run {run['run_id']}  {_count(run['tasks'], 'task')}{waits}",)
    if clients:
        yield (Styled("clients", Look.BOLD),)
    for client in clients:
        where = f"  {client['settings']}" if len(desks) > 1 else ""
        named = f"{client['name'] or 'unnamed'} {client['version']}".ljust(24)
        about = f"process {client['pid']}  {client['folder']}  {_age(client['since'])}{where}"
        about += f"  {client['url']}" if "url" in client else ""
        yield (f"  {named}  {about}",)


def _members(document: JsonObject, name: str) -> list[JsonObject]:
    found = document.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _count(number: Json, noun: str) -> str:
    return counted(number if isinstance(number, int) else 0, noun)


def _age(since: Json) -> str:
    """Return for how long something has been there."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(str(since))).total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"for {seconds // size:.0f} {unit}"
    return f"for {max(seconds, 0):.0f} s"
