"""Work that waits until the answer to a request has left.

An answer has left once its transport has written it: it then reaches a client that still reads,
also if this process is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Answer:
    has_left: bool = False
    works: list[Callable[[], None]] = field(default_factory=list)


_current: ContextVar[_Answer | None] = ContextVar("current answer", default=None)


@contextmanager
def answering() -> Iterator[None]:
    """Answer one request inside the block: at its end the answer has left, or never will."""
    answer = _Answer()
    token = _current.set(answer)
    try:
        yield
    finally:
        _current.reset(token)
        answer.has_left = True
        for work in answer.works:
            work()


def once_it_left(work: Callable[[], None]) -> None:
    """Call *work* once the answer to the current request has left; at once if it has, or if its
    transport does not say."""
    answer = _current.get()
    if answer is None or answer.has_left:
        work()
    else:
        answer.works.append(work)
