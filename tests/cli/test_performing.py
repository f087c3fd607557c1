"""A command from its start to its exit code, with the interrupts of the person."""

from __future__ import annotations

import io
import signal
from typing import Any

import anyio
import pytest

from plait.cli.console import Console
from plait.cli.exits import Exit
from plait.cli.invocation import Command, Invocation
from plait.cli.performing import Performance

NOTHING: Any = None


class Typed:
    """A performance of *command*, and what a person sees of it."""

    def __init__(self, command: Command, *, as_json: bool = False) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.ends: list[int] = []
        self.invocation = Invocation(Console(self.out, self.err, {}), as_json=as_json)
        self.performance = Performance(command, self.invocation, self.ends.append)


async def hang(gateway: object, invocation: Invocation, config: object) -> int:
    await anyio.sleep_forever()
    raise AssertionError


async def interrupted(typed: Typed, *numbers: signal.Signals) -> int:
    codes: list[int] = []

    async def run() -> None:
        codes.append(await typed.performance.run(NOTHING, NOTHING))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        for number in numbers:
            typed.performance.interrupt(number)
    return codes[0]


async def test_the_exit_code_is_that_of_the_command():
    async def command(gateway: object, invocation: Invocation, config: object) -> int:
        return 3

    assert await Typed(command).performance.run(NOTHING, NOTHING) == 3


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGINT], Exit.INTERRUPTED),
        ([signal.SIGTERM], Exit.TERMINATED),
        ([signal.SIGINT, signal.SIGTERM], Exit.TERMINATED),
    ],
)
async def test_an_interrupt_cancels_it(numbers: list[signal.Signals], code: Exit):
    typed = Typed(hang, as_json=True)
    assert await interrupted(typed, *numbers) == code
    assert typed.err.getvalue().startswith("Interrupted: stopping. Interrupt again")
    assert '"status": "cancelled"' in typed.out.getvalue()
    assert typed.ends == ([code] if len(numbers) == 2 else [])


async def test_an_interrupt_counts_also_if_the_command_ends_by_itself():
    async def command(gateway: object, invocation: Invocation, config: object) -> int:
        typed.performance.interrupt(signal.SIGINT)
        return 0

    typed = Typed(command)
    assert await typed.performance.run(NOTHING, NOTHING) == Exit.INTERRUPTED


async def test_the_second_interrupt_shows_what_there_is():
    typed = Typed(hang)
    typed.invocation.last_words = lambda: typed.invocation.console.out.line("so far")
    await interrupted(typed, signal.SIGINT, signal.SIGINT)
    assert typed.out.getvalue() == "so far\n"
    assert typed.ends == [Exit.INTERRUPTED]


async def test_last_words_that_fail_end_it_all_the_same():
    def broken() -> None:
        raise RuntimeError("a bug")

    typed = Typed(hang)
    typed.invocation.last_words = broken
    await interrupted(typed, signal.SIGINT, signal.SIGINT)
    assert "error: RuntimeError: a bug" in typed.err.getvalue()
    assert typed.ends == [Exit.INTERRUPTED]


async def test_a_command_that_others_cancel_has_failed():
    typed = Typed(hang, as_json=True)

    async def run() -> None:
        assert await typed.performance.run(NOTHING, NOTHING) == Exit.TASK_FAILED

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        typed.performance.cancel("The gateway ends.")
    assert typed.err.getvalue() == "The gateway ends.\n"
    assert '"status": "cancelled"' in typed.out.getvalue()
