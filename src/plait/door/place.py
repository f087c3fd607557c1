"""The place of the shared gateway: its lock and its socket, who may serve there, how it is started.

**The lock is the gateway.** `gateway-HOST.lock` in the state folder is locked (flock) for as long
as a gateway lives, and the system releases the lock in the instant in which the process ends. A
door that gets the lock starts the gateway and *hands the lock over*: the locked descriptor is
inherited through two forks and an exec. So two can never start at once, starting needs no lock of
its own, and of twenty doors one starts an interpreter, not twenty.

**The lock file holds the path of the socket.** A client reads it there. Clients with different
`XDG_RUNTIME_DIR` or `TMPDIR` (cron, ssh, sudo, nix-shell) would each compute another path, find
nothing, and could not start a gateway either, because the lock is held. The path is used only after
owner and mode of its folder and the user at the other end have been checked. Anything else that is
wrong in the file fails to connect, and is read again.

`_socket` is the part of `socket` that is written in C: importing the rest would take a good part of
the start of a door.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import stat
import sys
from struct import unpack_from

from .variables import is_safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SOCKET_PATH_BYTES = 100
"""Longest path of a socket: `sun_path` holds 108 bytes on Linux and 104 on macOS, and while it is
made the socket's name is some bytes longer."""
CONNECT_S = 1.0
"""Longest wait for a gateway whose queue of new connections is full."""
MAX_LOG_BYTES = 2**20
"""A log that is longer at a start is put aside, in place of the one before it."""


class NotOurs(Exception):
    """A folder or a socket belongs to another user, or others may write there."""


class NoPlace(Exception):
    """No state folder, lock or socket can be had, or no process can be started."""


def state_folder(environ: Mapping[str, str], folder: str) -> str:
    """Return the state folder of a client in *folder*: the same as `state_folder_of` in
    `config/environment.py`, which needs more imports."""
    if named := environ.get("PLAIT_STATE_DIR"):
        if named == "~" or named.startswith("~/"):
            named = _home(environ).rstrip("/") + named[1:]
        return os.path.join(folder, os.path.expanduser(named or "/"))
    if os.path.isabs(base := environ.get("XDG_STATE_HOME", "")):
        return os.path.join(base, "plait")
    inner = "Library/Application Support" if sys.platform == "darwin" else ".local/state"
    return os.path.join(_home(environ), inner, "plait")


def _home(environ: Mapping[str, str]) -> str:
    if os.path.isabs(home := environ.get("HOME", "")):
        return home
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"


def check_folder(path: str) -> None:
    """Raise `NotOurs` unless *path* is a folder of ours that no other user may enter, and not a
    link."""
    try:
        found = os.lstat(path)
    except OSError as error:
        raise NotOurs(f"{path}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise NotOurs(f"{path} is a link or a file, not a folder")
    if found.st_uid != os.geteuid():
        raise NotOurs(f"{path} belongs to another user (number {found.st_uid})")
    if found.st_mode & 0o077:
        raise NotOurs(f"{path}: others may use it; take that from them with: chmod go-rwx {path}")


def peer(sock: _socket.socket) -> tuple[int, int]:
    """Return the process and the user at the other end. For a client these are of whoever called
    `listen`, also if another process answers."""
    if sys.platform == "darwin":
        local, peer_credentials, peer_process = 0, 1, 2
        (user,) = unpack_from("=4xI", sock.getsockopt(local, peer_credentials, 76))
        return sock.getsockopt(local, peer_process), user
    data = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    process, user = unpack_from("=iI", data)
    return process, user


def is_at(fd: int, path: str) -> bool:
    """Return whether *path* still leads to the file of *fd*."""
    try:
        there, ours = os.stat(path), os.fstat(fd)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


class Place:
    """The place of the gateway of one state folder, as its clients see it."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.lock_path = os.path.join(state, f"gateway-{os.uname().nodename}.lock")
        self.log_path = os.path.join(state, "gateway.log")

    def __repr__(self) -> str:
        return f"<Place: {self.state}>"

    def open_lock(self) -> int:
        """Return a descriptor of the lock file, not locked. Raises `NoPlace` and `NotOurs`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            os.makedirs(self.state, 0o700, exist_ok=True)
            folder = os.stat(self.state)
            if folder.st_uid != os.geteuid():
                raise NotOurs(f"{self.state} belongs to another user (number {folder.st_uid})")
            if folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                fix = f"take that from them with: chmod go-w {self.state}"
                raise NotOurs(f"{self.state}: others may write there; {fix}")
            return os.open(self.lock_path, flags, 0o600)
        except OSError as error:
            raise NoPlace(f"{error.filename or self.lock_path}: {error.strerror}") from error

    def take_lock(self) -> int | None:
        """Return the locked descriptor, or None if a gateway lives. Raises `NoPlace` and
        `NotOurs`."""
        fd = self.open_lock()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError as error:  # a file system that has no locks
            os.close(fd)
            raise NoPlace(f"{self.lock_path}: {error.strerror}") from error
        if not is_at(fd, self.lock_path):  # it was deleted after we had opened it
            os.close(fd)
            return None
        return fd

    def connect(self) -> _socket.socket | None:
        """Return a connection to the gateway, or None if none answers yet. Raises `NotOurs`."""
        try:
            fd = os.open(self.lock_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            written = os.read(fd, 4096)
        finally:
            os.close(fd)
        if not written.endswith(b"\n"):
            return None
        path = os.fsdecode(written[:-1])
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            return None
        check_folder(folder)
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_S)
            sock.connect(path)
            user = peer(sock)[1]
        except (OSError, ValueError):  # ValueError: the path holds a NUL
            sock.close()
            return None
        if user != os.geteuid():
            sock.close()
            raise NotOurs(f"{path} is served by another user (number {user})")
        return sock

    def trouble(self) -> str:
        """Return why the gateway may not answer, as a part of a sentence: a full disk, which takes
        no log either, or the end of the log; empty if nothing is known."""
        try:
            if os.statvfs(self.state).f_bavail == 0:
                return f"the disk of {self.state} is full; "
        except OSError:
            pass
        tail = self.log_tail()
        return f"its log ends:\n{tail}\n" if tail else ""

    def log_tail(self, lines: int = 5) -> str:
        """Return the last lines of the gateway's log."""
        try:
            with open(self.log_path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def start_gateway(place: Place, lock: int, runtime: str) -> None:
    """Start the gateway of *place* and hand its *lock* over, which is closed here. Raises
    `NoPlace`."""
    argv = _program(place, "--lock-fd", str(lock), "--runtime", runtime)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            if os.stat(place.log_path).st_size > MAX_LOG_BYTES:
                os.replace(place.log_path, f"{place.log_path}.1")
        except FileNotFoundError:
            pass
        log = os.open(place.log_path, flags, 0o600)
        try:
            _spawn(argv, lock, log, is_detached=True)
        finally:
            os.close(log)
    except OSError as error:
        raise NoPlace(f"{error.filename or 'a new process'}: {error.strerror}") from error
    finally:
        os.close(lock)


def start_isolated(place: Place, sock: _socket.socket) -> int:
    """Start a gateway that serves *sock* alone and writes its log to our standard error. Return its
    process. Raises `NoPlace`."""
    argv = _program(place, "--serve-fd", str(sock.fileno()))
    try:
        return _spawn(argv, sock.fileno(), 2, is_detached=False)
    except OSError as error:
        raise NoPlace(f"a new process: {error.strerror}") from error


def _program(place: Place, *arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "plait.machine", "--state", place.state, *arguments]


def _spawn(argv: list[str], fd: int, log: int, *, is_detached: bool) -> int:
    """Run *argv* with the descriptor *fd* and nothing else of ours: in a session of its own, in
    `/`, with umask 077 and the safe variables alone.

    It is forked twice where it must outlive our client, which may end the tree of its children by
    their parents.
    """
    environ = {name: value for name, value in os.environ.items() if is_safe(name)}
    child = os.fork()
    if child:
        if is_detached:
            os.waitpid(child, 0)
        return child
    try:
        os.setsid()
        if is_detached and os.fork():
            os._exit(0)
        os.chdir("/")
        os.umask(0o077)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(log, 2)
        os.dup2(null, 0)
        os.dup2(null if is_detached else 2, 1)
        os.set_inheritable(fd, True)
        os.closerange(3, fd)
        os.closerange(fd + 1, min(os.sysconf("SC_OPEN_MAX"), 2**16))
        os.execve(argv[0], argv, environ)  # noqa: S606  # all words are ours
    finally:
        os._exit(127)
