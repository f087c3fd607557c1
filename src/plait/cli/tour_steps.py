"""The steps of the tour. Each is done by real processes in a folder of its own."""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..tour.company import FORUM
from ..tour.place import Place
from ..tour.service import Logged, read_log
from .exits import Exit
from .style import Line, Look, Styled, counted, milliseconds
from .tour_processes import Processes, TourFailed, wait_until

if TYPE_CHECKING:
    from ..tour.ways import Cost
    from .console import Stream

ASK: Final = ("[policy]", 'ask = ["write"]', 'approve = ["terminal", "flag"]')
TRIFECTA: Final = (
    "[policy]",
    'flows = "trifecta"',
    "[policy.labels]",
    'private = ["files:*"]',
    'untrusted = ["pages:read_page"]',
    'outbound = ["pages:send", "chat:post_message"]',
)
KILLED_AT: Final = 4
"""The comment that is on its way when the gateway is killed."""
WIDEST_BAR: Final = 30
LEAST_FOR_BARS: Final = 72
COMMENT: Final = "issues:add_comment"
HEADING: Final = f"{'':13}{'time':>7}{'requests':>9}{'characters':>11}"


@dataclass(frozen=True, slots=True)
class Tour:
    """The surroundings of a step. *says_yes* stands for a person without keys."""

    out: Stream
    processes: Processes
    says_yes: bool

    @property
    def place(self) -> Place:
        return self.processes.place

    def say(self, *lines: str) -> None:
        self.out.lines((line,) if line else () for line in lines)

    def show(self, text: str) -> None:
        """Show *text* of a file."""
        self.out.lines((Styled(f"  {line}", Look.DIM),) for line in text.rstrip("\n").splitlines())

    def type(self, *words: str) -> None:
        """Show a command as a person would type it."""
        self.out.line(Styled("$ ", Look.DIM), Styled(shlex.join(words), Look.BOLD))

    async def run(self, *words: str, expected: tuple[int, ...] = (Exit.SUCCESS,)) -> int:
        """Show the command `plait` with *words*, and run it."""
        self.type("plait", *words)
        return await self.processes.run(*words, expected=expected)

    def sent(self) -> list[Logged]:
        """Return the calls that reached a service and change something."""
        names = ("issues", "chat", "files", "pages")
        return [
            call for name in names for call in read_log(self.place.folder, name) if call.changes
        ]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it shows, how it is done, and the lines that do it on one's own servers."""

    title: str
    do: Callable[[Tour], Awaitable[None]]
    yourself: tuple[tuple[str, str], ...]
    """Each with what it does."""
    policy: tuple[str, ...] = ()


async def two_ways(tour: Tour) -> None:
    from ..tour.ways import JobFailed, as_one_dag, call_by_call

    tour.say("Which bugs wait for an answer? Post their numbers for whoever is on call.", "")
    tour.show(tour.place.job("bugs"))
    tour.say("")
    tour.out.line(Styled(HEADING, Look.DIM))
    try:
        single = await call_by_call(tour.place, os.environ)
        tour.out.line(*row("call by call", single, Look.YELLOW, single.seconds, tour.out.width))
        whole = await as_one_dag(tour.place, os.environ)
        tour.out.line(*row("one DAG", whole, Look.GREEN, single.seconds, tour.out.width))
    except* JobFailed as failed:
        raise TourFailed(str(first_of(failed))) from None
    if single.posted != whole.posted:
        raise TourFailed(f'They posted different texts: "{single.posted}", "{whole.posted}".')
    tour.say(
        f'Both posted "{whole.posted}".',
        "Characters are those that a model writes and reads. The time in which it thinks before "
        "each request is not counted.",
    )


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error in *group*, which may hold groups in turn."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def row(name: str, cost: Cost, look: Look, full_s: float, width: int) -> Line:
    """Show a cost, with a bar of its time where that fits: a whole one for *full_s*."""
    time = milliseconds(cost.seconds * 1000)
    figures = f"{name:13}{time:>7}{cost.requests:>9}{cost.characters:>11,}"
    if width < LEAST_FOR_BARS:
        return (figures,)
    share = min(1.0, cost.seconds / full_s)
    return (figures, "  ", Styled("━" * max(1, round(share * WIDEST_BAR)), look))


async def held(tour: Tour) -> None:
    tour.say("A release: a note at each fixed issue, a changelog, a message. With this setting", "")
    tour.show("\n".join(ASK[:2]))
    tour.say("", "it reads, and then shows every write as it will be sent.", "")
    yes = ("--approve",) if tour.says_yes else ()
    ends = (Exit.SUCCESS, Exit.REFUSED, Exit.WAITING)
    code = await tour.run("run", "release.json", *yes, expected=ends)
    sent = Counter(call.tool for call in tour.sent())
    tour.say("")
    if sent:
        which = ", ".join(f"{tool} {number}" for tool, number in sent.items())
        tour.say(f"The logs of the services have what was approved: {which}.")
    else:
        tour.say("The logs of the services: nothing was changed.")
    if code == Exit.WAITING:
        tour.say("A run that waits can be answered later: plait approve RUN.")


async def leaking(tour: Tour) -> None:
    tour.say("A model is asked to sum up a page of a forum, under these settings:", "")
    tour.show("\n".join(TRIFECTA))
    tour.say("")
    await tour.run("call", "pages:read_page", f"url={FORUM}")
    tour.say("", "One that obeys the page sends this plan:", "")
    tour.show(tour.place.job("leak"))
    tour.say("")
    await tour.run("run", "leak.json", expected=(Exit.REFUSED,))
    read = read_log(tour.place.folder, "files")
    if read or tour.sent():
        raise TourFailed("A plan that was refused has made calls.")
    tour.say("", "The logs of the services: no file was read, and nothing was sent.")


class Comments:
    """The comments in the log of the issues, shown as they come."""

    def __init__(self, tour: Tour) -> None:
        self._tour = tour
        self._shown = 0

    @property
    def all(self) -> list[Logged]:
        logged = read_log(self._tour.place.folder, "issues")
        return [call for call in logged if call.tool == COMMENT]

    async def show_until(self, is_so: Callable[[], bool]) -> None:
        """Show those that come until *is_so*."""

        def is_so_now() -> bool:
            is_last = is_so()  # before they are read: none is missed
            self._show()
            return is_last

        await wait_until(is_so_now)

    def _show(self) -> None:
        new = self.all[self._shown :]
        self._shown += len(new)
        for call in new:
            number, text = call.arguments["number"], call.arguments["text"]
            self._tour.say(f"  from {call.gateway}: {number:>2}  {text}")


async def killed(tour: Tour) -> None:
    comments = Comments(tour)
    tour.say(
        "A comment at each of eight bugs, one after the other. This is the log of the service, "
        "with the gateway that sent each.",
        "",
    )
    tour.type("plait", "run", "remind.json")
    async with tour.processes.running("run", "remind.json", shows=False) as process:

        def has_ended() -> bool:
            return process.returncode is not None

        await comments.show_until(lambda: len(comments.all) >= KILLED_AT or has_ended())
        if has_ended():
            raise TourFailed(f"plait run remind.json ended with {process.returncode}.")
        process.kill()
        await comments.show_until(has_ended)
    tour.type("kill", "-9", str(process.pid))
    words = await _going_on(tour)
    tour.type("plait", *words)
    async with tour.processes.running(*words, shows=False) as process:
        await comments.show_until(has_ended)
    if process.returncode:
        raise TourFailed(f"plait {' '.join(words)} ended with {process.returncode}.")
    tour.say("", once(comments.all))


async def _going_on(tour: Tour) -> list[str]:
    """Return the words that go on with the run that was interrupted, once it is said what is in
    doubt of it."""
    [run] = json.loads(await tour.processes.output("history", "--json"))["runs"]
    kept = json.loads(await tour.processes.output("history", str(run["run_id"]), "--json"))
    short = str(run["run_id"])[:8]
    if not kept["in_doubt"]:
        return ["resume", short]
    tour.say(
        "",
        f"{short} was interrupted. Its last comment is in doubt: it was sent, and the answer is "
        "lost. The log above has it, so it is done.",
        "",
    )
    return ["resume", short, "--in-doubt", "*=done"]


def once(comments: Iterable[Logged]) -> str:
    """Say that each comment was sent once. Raises `TourFailed` if one was not."""
    count = Counter(call.arguments["number"] for call in comments)
    twice = [str(number) for number, times in count.items() if times > 1]
    if twice:
        raise TourFailed(f"Sent more than once: the comment at {', '.join(twice)}.")
    gateways = len({call.gateway for call in comments})
    return f"{counted(len(count), 'comment')} by {counted(gateways, 'gateway')}, none sent twice."


STEPS: Final = (
    Step(
        "The same job, call by call and as one DAG",
        two_ways,
        (
            ("plait tools WORDS", "what your servers can do"),
            ("plait run job.json", "a DAG over them"),
        ),
    ),
    Step(
        "Nothing is changed before you say yes",
        held,
        (
            ('[policy] ask = ["write"]', "in servers.toml"),
            ("plait run job.json", "asks here, and in a client there"),
        ),
        ASK,
    ),
    Step(
        "A page that gives orders",
        leaking,
        (
            ('[policy] flows = "trifecta"', "and the labels of your tools"),
            ("plait plan job.json", "says whether it is refused"),
        ),
        TRIFECTA,
    ),
    Step(
        "kill -9 in the middle",
        killed,
        (
            ("plait history", "past runs, also interrupted ones"),
            ("plait resume RUN", "goes on with one"),
        ),
    ),
)
