"""`plait try`: the tour, step by step, with a person at the keys or without one."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from ..tour.place import Place
from .exits import Exit, Misused
from .style import Line, Look, Styled
from .tour_processes import Processes, TourFailed
from .tour_steps import STEPS, Step, Tour

if TYPE_CHECKING:
    from .session import Session

GO_ON: Final = "[enter] next   [q] end"
YOURSELF: Final = "With your own servers:"
LAST: Final = (
    ("plait install", "moves your clients' servers behind it"),
    ("plait doctor", "what is or may be wrong"),
)
COMMAND_CHARS: Final = 30
LEAST_WIDTH: Final = 72
"""The least width at which a command and what it does stand in one line."""


def try_out(session: Session, number: int | None, *, says_yes: bool) -> int:
    """Show all steps, or the one of that *number*, and return the exit code. Raises `Misused`
    without a terminal, unless it *says_yes* to itself."""
    if not says_yes and not session.console.err.is_terminal:
        text = "say --yes: without a terminal there are no keys to press."
        raise Misused(text, hint="--yes")
    steps = list(enumerate(STEPS, 1))
    chosen = steps if number is None else [steps[number - 1]]
    return anyio.run(take, session, chosen, says_yes)


async def take(session: Session, steps: Sequence[tuple[int, Step]], says_yes: bool) -> int:
    """Take *steps*, each with its number, and return the exit code."""
    from ..upstream.stopping import handling_signals

    ends: list[signal.Signals] = []
    out, err = session.console.out, session.console.err
    scope = anyio.CancelScope()

    def end(number: signal.Signals) -> None:
        ends.append(number)
        scope.cancel()

    try:
        with scope, handling_signals(end, signal.SIGHUP):
            for number, step in steps:
                title = (Styled(f"{number} of {len(STEPS)}", Look.DIM), f"  {step.title}")
                out.lines([title, ()])
                await _done(session, step, says_yes=says_yes)
                out.line(Styled(YOURSELF, Look.DIM))
                is_last = number == steps[-1][0]
                out.lines(lines_of((*step.yourself, *(LAST if is_last else ())), out.width))
                if is_last or says_yes:
                    continue
                key = await session.read_line(lambda: err.line(Styled(GO_ON, Look.BOLD)))
                if key is None or key.lower() in {"q", "n"}:
                    break
    except TourFailed as error:
        session.console.complain(str(error))
        return Exit.TASK_FAILED
    return 128 + ends[0] if ends else Exit.SUCCESS


def lines_of(commands: Iterable[tuple[str, str]], width: int) -> Iterator[Line]:
    """Show each command with what it does, and an empty line at the end."""
    for command, effect in commands:
        if width >= LEAST_WIDTH:
            yield (f"  {command:{COMMAND_CHARS}}", Styled(effect, Look.DIM))
        else:
            yield (f"  {command}",)
            yield (Styled(f"    {effect}", Look.DIM),)
    yield ()


async def _done(session: Session, step: Step, *, says_yes: bool) -> None:
    """Do *step* in a folder that is gone afterwards, with all of its processes."""
    with tempfile.TemporaryDirectory(prefix="plait-try-", ignore_cleanup_errors=True) as folder:
        processes = Processes(Place(Path(folder)))
        processes.place.set_out(step.policy)
        try:
            await step.do(Tour(session.console.out, processes, says_yes))
        finally:
            await processes.wait_until_services_ended()
