"""Keys of files: one key for each file, whatever name a server has for it.

A server on this machine resolves a relative path in its working folder, follows `..` and symbolic
links, and on some file systems takes `README` and `readme` for the same file. Files of a server
that is reached over HTTP are on another machine: nothing can be looked up there, and they are never
the same as those here.

The walk along a path (`_Places.real`) looks at each step once and opens nothing. Where the path
leaves the existing files, only its text counts. A file system that hangs must not take every
thread: `Looks` lets no thread look where others already wait for an answer (`Stalled`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from stat import S_ISDIR, S_ISLNK
from threading import Lock
from time import monotonic
from typing import NamedTuple, TypeVar
from unicodedata import normalize
from urllib.parse import unquote

from ..config import Config, ServerSettings
from ..config.environment import home_of
from ..core.tools.claims import MAX_KEY, ResourceName, key_of, plain
from .server_keys import Keys, names_as_keys

T = TypeVar("T")

LATE_S = 0.1
"""Time after which an answer of a file system is late."""
MOST_LATE = 4
"""Most late answers in one folder; then all of it counts as hanging."""
MAX_LINKS = 40
"""Most symbolic links that are followed on one path, as on Linux."""

_NO_NAMES = frozenset({"", ".", ".."})
_DRIVE = re.compile(r"/?[A-Za-z]:(?=[\\/]|$)|\\\\")
"""The beginning of a Windows path; in a URI there is a slash before it."""


@dataclass(frozen=True, slots=True)
class _Base:
    """The folders from which a server on this machine resolves paths."""

    folder: str
    home: str | None
    """The folder that `~/` stands for; None for a server that does not expand it."""

    @classmethod
    def of(cls, settings: ServerSettings, config: Config) -> _Base:
        if settings.builtin is not None:
            return cls(os.path.abspath(settings.root), None)
        home = home_of({**config.environment, **settings.env})
        return cls(os.path.abspath(settings.cwd or config.folder), home)

    def absolute(self, path: str) -> str:
        if self.home is not None and (path == "~" or path.startswith("~/")):
            # most servers expand it, and hardly any file has such a name
            path = self.home + path[1:]
        return path if path.startswith("/") else f"{self.folder}/{path}"


class Resources:
    """Resolves paths as each server of *config* does: a `ResourceResolver`. It looks at files
    (lstat, readlink) and opens none."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        lstat: Callable[[str], os.stat_result] = os.lstat,
        readlink: Callable[[str], str] = os.readlink,
        now: Callable[[], float] = monotonic,
    ) -> None:
        looks = Looks(now)
        self._places = _Places(partial(looks.at, lstat), partial(looks.at, readlink))
        self.adopt([] if config is None else [config])

    def adopt(self, configs: Iterable[Config], keys: Keys = names_as_keys) -> None:
        """Use the servers of *configs* from now on; *keys* gives their unique names."""
        self._bases = {
            keys(config)[name]: _Base.of(server, config)
            for config in configs
            for name, server in config.servers.items()
            if server.kind == "stdio"
        }

    def at_once(self, name: ResourceName) -> str | None:
        """The key of a file that is on another machine or whose name is too long; None if the file
        system has to be asked."""
        is_here = name.server in self._bases
        if len(name.key) > MAX_KEY:
            return "file:" if is_here else f"file@{name.server}:"
        return (
            None
            if is_here
            else key_of(f"file@{name.server}", _elsewhere(name.key.partition(":")[2]))
        )

    def look_up(self, name: ResourceName) -> str | None:
        """The key of a file, by the file system as it is now; None if lookups hang on the way.
        Never raises, but waits as long as the file system does."""
        rest = name.key.partition(":")[2]
        base = self._bases.get(name.server)
        if base is None:  # its server was just removed from the settings
            return key_of(f"file@{name.server}", _elsewhere(rest))
        try:
            return key_of("file", self._places.real(base.absolute(_path_in(rest))))
        except Stalled:
            return None

    def path(self, server: str, text: str) -> str | None:
        """The absolute path that *server* means by *text*, a path or a `file:` URI, without any
        lookup; None if its files are on another machine."""
        base = self._bases.get(server)
        return None if base is None else base.absolute(_path_in(text.removeprefix("file:")))


class Stalled(Exception):
    """Other threads already wait for the same answer."""


class Look(NamedTuple):
    """One lookup that a thread began at *since* (seconds)."""

    path: str
    folder: str
    since: float


class Looks:
    """Lookups that are not answered yet. A late one shows that its path hangs, several in one
    folder that all of it does; then no other thread looks there, or one mount could take them
    all."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = Lock()
        self._open: list[Look] = []

    def at(self, look: Callable[[str], T], path: str) -> T:
        """Return the answer of *look* for *path*. Raises `Stalled` if others have long waited
        for it."""
        mine = Look(path, path.rpartition("/")[0], self._now())
        with self._lock:
            late = [other for other in self._open if other.since <= mine.since - LATE_S]
            if any(other.path == path for other in late):
                raise Stalled
            if sum(other.folder == mine.folder for other in late) >= MOST_LATE:
                raise Stalled
            self._open.append(mine)
        try:
            return look(path)
        finally:
            with self._lock:
                self._open.remove(mine)


class _Place(NamedTuple):
    """An existing folder or file that a walk has reached."""

    path: str
    """Its real path, without links; empty for the root."""
    key: str
    """The same, with letter case folded if the file system ignores it."""
    device: int


class _Places:
    """Finds real paths, and learns on the way which devices ignore letter case."""

    def __init__(
        self, lstat: Callable[[str], os.stat_result], readlink: Callable[[str], str]
    ) -> None:
        self._lstat = lstat
        self._readlink = readlink
        self._root = _Place("", "", os.stat("/").st_dev)
        self._folds: dict[int, bool] = {}

    def real(self, path: str) -> str:
        """The key of the place that an absolute *path* leads to, which need not exist; `/` if the
        way is too long."""
        way, left = [self._root], path.split("/")[::-1]
        absent: list[str] = []  # names below the last existing place; only `..` leads back
        links = steps = 0
        while left:
            name = left.pop()
            steps += 1
            if name == ".." and (absent or len(way) > 1):
                (absent or way).pop()
            if name in _NO_NAMES:
                continue
            if steps > MAX_KEY or len(way[-1].path) + len(name) >= MAX_KEY:
                return "/"
            match None if absent else self._step(way[-1], name, links < MAX_LINKS):
                case None:
                    absent.append(name)
                case _Place() as place:
                    way.append(place)
                case str(target):
                    links += 1
                    left += target.split("/")[::-1]
                    if target.startswith("/"):
                        del way[1:]
        return self._named(way[-1], "/".join(absent)) if absent else way[-1].key or "/"

    def _step(self, folder: _Place, name: str, may_follow: bool) -> _Place | str | None:
        """The place called *name* in *folder*; the target, if it is a link to follow; None if it
        does not exist."""
        path = f"{folder.path}/{name}"
        status = self._look(path)
        if status is None:
            return None
        if may_follow and S_ISLNK(status.st_mode):
            with suppress(OSError, ValueError):
                if target := self._readlink(path):
                    return target
        if (
            folder.device not in self._folds
            and (folds := self._ignores_case(folder, name, status)) is not None
        ):
            self._folds[folder.device] = folds
        return _Place(path, self._named(folder, name), status.st_dev)

    def _named(self, folder: _Place, name: str) -> str:
        return f"{folder.key}/{_folded(name) if self._folds.get(folder.device) else name}"

    def _ignores_case(self, folder: _Place, name: str, status: os.stat_result) -> bool | None:
        """Whether *name* is also found in other case; None if that would prove nothing."""
        other = name.swapcase()
        may_be_a_hard_link = status.st_nlink > 1 and not S_ISDIR(status.st_mode)
        if other == name or not name.isascii() or may_be_a_hard_link:
            return None
        twin = self._look(f"{folder.path}/{other}")
        return twin is not None and (twin.st_dev, twin.st_ino) == (status.st_dev, status.st_ino)

    def _look(self, path: str) -> os.stat_result | None:
        try:
            return self._lstat(path)
        except (
            OSError,
            ValueError,
        ):  # ValueError: a NUL, or a character that no file name can hold
            return None


def _path_in(rest: str) -> str:
    """The path in the text after `file:`, percent-decoded if it is a URI."""
    rest = rest.removeprefix("file:")
    uri = (
        rest.removeprefix("//localhost")
        if rest.startswith("//localhost/")
        else rest.removeprefix("//")
    )
    if uri == rest or not uri.startswith("/"):
        return rest
    return unquote(re.split("[?#]", uri, maxsplit=1)[0], errors="surrogateescape")


def _elsewhere(rest: str) -> str:
    """The path on another machine, of which the system is unknown."""
    path = _path_in(rest)
    if _DRIVE.match(path):
        path = "/" + path.replace("\\", "/").lstrip("/").casefold()
    return plain(path)


def _folded(name: str) -> str:
    """*name* as compared by a file system that ignores letter case and the encoding of accents."""
    return normalize("NFC", normalize("NFD", name).casefold())
