"""Runs a script in a copy of a process that has imported what takes long: see `warm.py`.

    warm_command.py SOCKET SCRIPT ARGUMENT ...

It starts hundreds of times, and imports next to nothing.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import os
import sys

PASSED_ON = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP)


def main() -> None:
    sock = _socket.socket(_socket.AF_UNIX)
    sock.connect(sys.argv[1])
    words = [os.getcwd(), "", *sys.argv[2:], "", *map("=".join, os.environ.items())]
    request = "\0".join(words).encode(errors="surrogateescape")
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
    sock.sendmsg(
        [len(request).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)]
    )
    sock.sendall(request)
    process = number_from(sock)

    def pass_on(number: int, frame: object) -> None:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            return

    for each in PASSED_ON:
        _signal.signal(each, pass_on)
    for stream in (0, 1, 2):
        os.close(stream)
    code = os.waitstatus_to_exitcode(number_from(sock))
    if code < 0:
        if -code in PASSED_ON:
            _signal.signal(-code, _signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def number_from(sock: _socket.socket) -> int:
    read = b""
    while len(read) < 4:
        more = sock.recv(4 - len(read))
        if not more:
            os._exit(70)  # what runs the scripts has died
        read += more
    return int.from_bytes(read, "big", signed=True)


main()
