"""Starts programs from a process that has imported what takes long.

A Python with the SDK takes a second or two of processor time to start, and hundreds of tests start
one. `warm("script.py", ...)` is a command that runs the script as `python script.py ...` would, in
a copy of a process that has imported the SDK: about a tenth of the time. The command is a small
process of its own, as whoever starts it expects: it hands its standard streams, its folder and its
environment over, passes signals on, ends as the script does, and the script ends with it.

Not for tests about starting, importing, process groups or limits, nor about SIGSTOP, which cannot
be passed on: these start a Python.
"""

from __future__ import annotations

import array
import atexit
import gc
import os
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

IMPORTED = (
    "mcp.server.mcpserver",
    "mcp.server.sse",
    "uvicorn",
    "starlette.applications",
    "plait.app",
    "plait.cli.commands",
    "plait.workspace.server",
)
COMMAND = str(Path(__file__).with_name("warm_command.py"))
LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!i")
_started: list[str] = []


def warm(*words: str) -> list[str]:
    """Return the command that does what `python` with *words* does: a script or `-m` and a module,
    then arguments."""
    if not _started:
        _started.append(_start())
    return [sys.executable, "-I", "-S", COMMAND, _started[0], *words]


def _start() -> str:
    """Start the process that is copied, and return the path of its socket. It ends with ours."""
    folder = tempfile.TemporaryDirectory(prefix="warm-")
    path = os.path.join(folder.name, "socket")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        process = subprocess.Popen(
            [sys.executable, __file__, str(listening.fileno())],
            stdin=subprocess.PIPE,  # its end says that we have ended
            pass_fds=[listening.fileno()],
        )

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()  # it ends what still runs, and itself
        process.wait()
        folder.cleanup()

    atexit.register(end)
    return path


# The process that is copied.


class Copied:
    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.commands: dict[int, socket.socket] = {}
        """The command of each process that runs."""
        self.selector = selectors.DefaultSelector()
        self.selector.register(listening, selectors.EVENT_READ)
        self.selector.register(0, selectors.EVENT_READ)
        self.woken, waking = socket.socketpair()
        self.waking = waking
        for end in (self.woken, waking):
            end.setblocking(False)
        self.selector.register(self.woken, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(waking.fileno())

    def serve(self) -> list[str] | None:
        """Return the words of a script in the copy that is to run it, and None at the end."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj == 0:
                    self.end()
                    return None
                if key.fileobj is self.woken:
                    self.woken.recv(4096)
                    self.report_ended()
                elif key.fileobj is self.listening:
                    words = self.begin(self.listening.accept()[0])
                    if words is not None:
                        return words
                elif key.data in self.commands:  # the command has ended, and so does its script
                    self.selector.unregister(key.fileobj)
                    with suppress(ProcessLookupError):
                        os.kill(key.data, signal.SIGKILL)

    def begin(self, sock: socket.socket) -> list[str] | None:
        size, rights, _, _ = sock.recvmsg(LENGTH.size, socket.CMSG_SPACE(3 * 4))
        streams = array.array("i", rights[0][2])
        with sock.makefile("rb") as reading:
            request = reading.read(LENGTH.unpack(size)[0])
        process = os.fork()
        if process:
            for stream in streams:
                os.close(stream)
            self.commands[process] = sock
            sock.sendall(STATUS.pack(process))
            self.selector.register(sock, selectors.EVENT_READ, process)
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.selector.close()
        for each in (self.listening, self.woken, self.waking, sock, *self.commands.values()):
            each.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        folder, _, *rest = request.decode(errors="surrogateescape").split("\0")
        words, environment = rest[: rest.index("")], rest[rest.index("") + 1 :]
        os.setsid()
        os.chdir(folder)
        os.environ.clear()
        for name, _, value in (each.partition("=") for each in environment):
            os.environ[name] = value
        return words

    def report_ended(self) -> None:
        while self.commands:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            with self.commands.pop(process) as sock, suppress(OSError, KeyError):
                sock.sendall(STATUS.pack(status))
                self.selector.unregister(sock)

    def end(self) -> None:
        for process in self.commands:
            os.kill(process, signal.SIGKILL)


def main() -> None:
    for name in IMPORTED:
        import_module(name)
    gc.freeze()
    words = Copied(socket.socket(fileno=int(sys.argv[1]))).serve()
    if words is None:
        return
    code: Any = 0
    try:
        if words[0] == "-m":
            sys.argv[:] = words[1:]
            sys.path[:1] = [os.getcwd(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv[:] = words
            sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)  # nothing is to be cleaned up


if __name__ == "__main__":
    main()
