"""The memory of a door: what it needs so that its client's session outlives a gateway. It is pure:
frames go in, frames and messages come out.

The door understands none of the messages that it passes on. The gateway reports by short frames
what it did with which line, and from them follows what becomes of the line when the gateway dies:

    unread   the gateway has reported nothing about it   sent to the next gateway
    safe     it is being answered and has no effects     sent to the next gateway
    taken    it may have had effects                     the next gateway asks the history
    kept     it belongs to the state of the session      replayed first, and not answered again

An answer carries the number of its request. With a word of its own for "answered", a gateway that
is killed between the two could leave its client with two answers, or with none.
"""

from __future__ import annotations

from .frames import (
    ASKED,
    DONE,
    DROP,
    KEEP,
    LOST,
    MESSAGE,
    REPLAY,
    SAFE,
    SETTLED,
    TAKEN,
    frame,
)

CANCELLED = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%b,"reason"'
CANCELLED += b':"the gateway has ended"}}'


class _Line:
    """A line of the client that has had no answer."""

    __slots__ = ("is_read", "kind", "taken", "text")

    def __init__(self, kind: bytes, text: bytes) -> None:
        self.kind = kind
        self.text = text
        self.is_read = False
        self.taken: bytes | None = None
        """Id NUL note, once it may have had effects: then the text is dropped, and is never sent
        again."""


class Session:
    """The session of one client."""

    def __init__(self) -> None:
        self.unread_bytes = 0
        """The size of what was passed on and is not known to have been read."""
        self._count = 0
        self._open: dict[int, _Line] = {}
        self._kept: dict[bytes, tuple[int, bytes, bytes]] = {}
        self._asked: dict[bytes, None] = {}

    def __repr__(self) -> str:
        open_, kept = len(self._open), len(self._kept)
        return f"<Session: {open_} open, {kept} kept, {self.unread_bytes} bytes unread>"

    @property
    def has_begun(self) -> bool:
        """Whether a gateway has served it: the next one has lines to replay."""
        return bool(self._kept)

    @property
    def is_waiting(self) -> bool:
        """Whether the gateway still owes something about a line."""
        return bool(self._open)

    def pass_on(self, text: bytes, kind: bytes = MESSAGE) -> bytes:
        """Number the client's next line, and return the frame with it."""
        self._count += 1
        self._open[self._count] = _Line(kind, text)
        self.unread_bytes += len(text)
        return frame(kind, text, self._count)

    def receive(self, kind: bytes, number: int, payload: bytes) -> bytes | None:
        """Take in a frame of the gateway. Return the message in it if it is one for the client."""
        if kind == MESSAGE:
            if number and not self._close(number):
                return None  # it is answered already
            return payload
        if kind == DONE:
            self._close(number)
        elif kind == ASKED:
            self._asked[payload] = None
        elif kind == SETTLED:
            self._asked.pop(payload, None)
        elif kind == DROP:
            self._kept.pop(payload, None)
        elif (line := self._open.get(number)) is not None:
            if kind == KEEP and line.taken is None:
                key, _, note = payload.partition(b"\0")
                self._kept[key] = number, note, line.text
            elif kind in (SAFE, TAKEN):
                self._note_read(line)
                if kind == TAKEN:
                    line.taken, line.text = payload, b""
                    for key in [key for key, kept in self._kept.items() if kept[0] == number]:
                        del self._kept[key]
        return None

    def reopen(self) -> list[bytes]:
        """Return the frames that open the session at a gateway, new or first, and hand over what is
        open, in its order."""
        frames = [
            frame(REPLAY, b"\0".join((key, note, text)), number)
            for key, (number, note, text) in sorted(self._kept.items(), key=lambda kept: kept[1][0])
            if number not in self._open
        ]
        self.unread_bytes = 0
        for number, line in self._open.items():
            if line.taken is not None:
                frames.append(frame(LOST, line.taken, number))
            else:
                line.is_read = False
                self.unread_bytes += len(line.text)
                frames.append(frame(line.kind, line.text, number))
        return frames

    def withdraw_questions(self) -> list[bytes]:
        """Return the messages that cancel at the client what the gateway that ended has asked."""
        asked, self._asked = self._asked, {}
        return [CANCELLED % question for question in asked]

    def give_up(self, reason: str) -> list[bytes]:
        """Return an answer to each open request, because no gateway can be had: *reason* says
        why."""
        lines, self._open, self.unread_bytes = self._open, {}, 0
        answers = (_last_answer(line, reason) for line in lines.values())
        return [answer for answer in answers if answer is not None]

    def _close(self, number: int) -> bool:
        line = self._open.pop(number, None)
        if line is None:
            return False
        self._note_read(line)
        return True

    def _note_read(self, line: _Line) -> None:
        if not line.is_read:
            self.unread_bytes -= len(line.text)
            line.is_read = True


def _last_answer(line: _Line, reason: str) -> bytes | None:
    """Return the answer to a request that no gateway answers, or None for another message. Only
    here does a door read JSON."""
    import json

    try:
        if line.taken is not None:
            id_text, _, tool = line.taken.partition(b"\0")
            request_id, is_call, sent = json.loads(id_text), bool(tool), "unknown"
        else:
            message = json.loads(line.text)
            request_id, method, sent = message["id"], message["method"], "no"
            is_call = method == "tools/call"
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    text = f"{reason.rstrip('.')}."
    if is_call:
        text += " Nothing was sent." if sent == "no" else " Whether it was sent is not known."
    answer = {"jsonrpc": "2.0", "id": request_id}
    if is_call:
        content = [{"type": "text", "text": text}]
        outcome = {"status": "interrupted", "sent": sent}
        answer["result"] = {"isError": True, "content": content, "structuredContent": outcome}
    else:
        answer["error"] = {"code": -32000, "message": text, "data": {"sent": sent}}
    return json.dumps(answer).encode()
