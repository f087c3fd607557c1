"""Work that waits until an answer has left."""

from __future__ import annotations

import asyncio

from plait.upstream.leaving import answering, once_it_left


async def test_work_is_done_once_the_answer_has_left_also_if_that_fails():
    done: list[str] = []
    with answering():
        once_it_left(lambda: done.append("one"))
        assert done == []
    assert done == ["one"]
    try:
        with answering():
            once_it_left(lambda: done.append("two"))
            raise BrokenPipeError
    except BrokenPipeError:
        assert done == ["one", "two"]


async def test_work_without_an_answer_or_after_it_is_done_at_once():
    done: list[str] = []
    once_it_left(lambda: done.append("none is made"))
    has_left = asyncio.Event()

    async def late() -> None:
        await has_left.wait()
        once_it_left(lambda: done.append("late"))

    with answering():
        task = asyncio.create_task(late())
    has_left.set()
    await task
    assert done == ["none is made", "late"]
