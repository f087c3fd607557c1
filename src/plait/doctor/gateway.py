"""The gateway that clients share: whether it answers, and its version."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from anyio import to_thread

from .. import __version__
from ..core.values.strict import Json, JsonObject
from ..door.place import Place, state_folder
from ..errors import ConfigError
from .case import Case
from .findings import Finding, look, well, wrong

ABOUT = "gateway"


async def check(case: Case) -> list[Finding]:
    """Check the gateway of the user's state folder."""
    return [*await to_thread.run_sync(_checked, case, abandon_on_cancel=True)]


def _checked(case: Case) -> Sequence[Finding]:
    place = Place(state_folder(case.environ, str(case.folder)))
    try:
        status = case.ask_gateway()
    except ConfigError as error:
        says, _, fix = str(error).partition(": ")
        return [wrong("socket", str(error), _fix_in(str(error)) or f"look at {says or fix}")]
    if status is None:
        if _is_locked(place):
            says = "it holds its lock and does not answer"
            return [wrong(ABOUT, says, f"plait stop, or end it; its log: {place.log_path}")]
        return [well(ABOUT, "none runs; a client starts it")]
    return [*_of_status(status)]


def _fix_in(text: str) -> str:
    return text.rpartition("with: ")[2] if "with: " in text else ""


def _of_status(status: JsonObject) -> Iterator[Finding]:
    version = str(status.get("version"))
    if status.get("is_retiring"):
        says = f"{version} ends once it is unused: a newer version waits"
        yield look(ABOUT, says, "plait restart")
    elif _parts(version) < _parts(__version__):
        yield look(ABOUT, f"{version} runs, and this is {__version__}", "plait restart")
    elif _parts(version) > _parts(__version__):
        says = f"{version} runs, and this is {__version__}: another Plait is installed, too"
        yield look(ABOUT, says, f"upgrade this one, or use that of {version} alone")
    else:
        counts = (_counted(status, "clients", "client"), _servers(status), _memory(status))
        yield well(ABOUT, ", ".join([version, *filter(None, counts)]))


def _parts(version: str) -> list[int]:
    numbers = version.split("+")[0].split(".")
    return [int("".join(filter(str.isdigit, one)) or 0) for one in numbers]


def _counted(status: JsonObject, member: str, noun: str) -> str:
    held = status.get(member)
    number = len(held) if isinstance(held, list) else 0
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _servers(status: JsonObject) -> str:
    desks: Json = status.get("desks")
    number = 0
    for desk in desks if isinstance(desks, list) else ():
        held = desk.get("servers") if isinstance(desk, dict) else None
        number += len(held) if isinstance(held, list) else 0
    return f"{number} server{'' if number == 1 else 's'}"


def _memory(status: JsonObject) -> str:
    """Return the memory of the gateway, where the system says it."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{status.get('pid')}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return f"{int(line.split()[1]) // 1024} MB"
    return ""


def _is_locked(place: Place) -> bool:
    """Return whether a gateway has the lock of *place*."""
    try:
        fd = os.open(place.lock_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(fd)
    return False
