"""The process that all clients of a user share: it serves their doors on one socket.

    python -P -m plait.machine --state FOLDER --lock-fd N --runtime FOLDER
    python -P -m plait.machine --state FOLDER --serve-fd N

A door starts it and hands it the lock that makes it the only one (`door/place.py`). It takes the
lock over and listens before anything else is imported, so that doors which come meanwhile are
connected at once and wait for the answer to their hello. With `--serve-fd` it serves one door
alone, over the socket that the door made.
"""
