"""The health of a history, for a person who asks: its file is read and never changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import apsw

from .database import MAJOR

STEPS = 10_000
"""Steps of SQLite between two looks at the time."""
END_ALL = "end all gateways (plait stop): a damaged file is set aside at the next start"


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the file; without *runs* there is none."""

    runs: int | None = None
    size_bytes: int = 0
    is_whole: bool = True
    """Whether all of the file was checked."""
    trouble: str = ""
    fix: str = ""


def health_of(folder: Path, limit_s: float) -> Health:
    """Check the history in *folder* for at most *limit_s*."""
    file = folder / "history.db"
    if not file.exists():
        return Health()
    size = sum(one.stat().st_size for one in (file, Path(f"{file}-wal")) if one.exists())
    if (folder / "history.suspect").exists():
        fix = "plait restart: it is set aside, or taken again, at the next start"
        return Health(trouble=f"{file} was found to be damaged", fix=fix)
    try:
        return _checked(file, size, limit_s)
    except apsw.Error as error:
        return Health(trouble=f"{file} cannot be read: {error}", fix=END_ALL)


def _checked(file: Path, size: int, limit_s: float) -> Health:
    db = apsw.Connection(
        f"file:{quote(str(file))}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    runs = None
    try:
        db.set_busy_timeout(1_000)
        deadline = time.monotonic() + limit_s
        db.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
        if int(str(db.pragma("user_version"))) // 1_000 > MAJOR:
            fix = "upgrade this Plait, or set PLAIT_STATE_DIR to another folder"
            return Health(trouble=f"{file} was written by a newer Plait", fix=fix)
        runs = int(str(db.execute("SELECT count(*) FROM runs").fetchall()[0][0]))
        found = str(db.execute("PRAGMA quick_check(1)").fetchall()[0][0])
    except apsw.InterruptError:
        return Health(runs, size, is_whole=False)
    finally:
        db.close()
    if found != "ok":
        return Health(trouble=f"{file} is damaged: {found[:200]}", fix=END_ALL)
    return Health(runs, size)
