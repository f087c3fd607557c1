"""A person's yes to the calls of a run, at their terminal: what they are shown, what they may
answer, and what the gateway is given.

The answer is for the question that was shown, by its digest. It is read from the controlling
terminal alone; whoever is asked elsewhere too may be faster, or the time may be over: then the
question is withdrawn here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ..core.results.approval import Approval
from ..core.results.record import RunStatus
from ..core.results.result import RunResult
from ..core.tools.approving import FLAG, TERMINAL
from ..errors import StaleApproval, UnknownRun
from .approval_screen import Shown, approval_screen, call_screen
from .exits import Exit, Misused, exit_of
from .report import AT_ONCE, Startup, run_report
from .style import Line, Look, Styled, counted

if TYPE_CHECKING:
    from ..core.results.approval import AskedCall
    from ..core.results.progress import Progress
    from ..core.results.record import InnerRecord, RunRecord, TaskRecord
    from ..engine.gateway import Gateway
    from .invocation import Invocation

WHOLE = "see all with --detail full"
FOLDED = "d shows all"
DENIED = {"approval_denied", "dependency_failed"}
"""The codes of what was not sent because of a no."""

MOMENT_S = 0.5
"""Longest wait before the state of a run that was answered is looked at again."""

LOOK_S = 1.0
"""The time between two looks at a run of another process."""

OnProgress = Callable[["Progress"], object]


class Asking:
    """Asks the person of *invocation* for the calls of runs of *gateway*. If it *says_yes*, it
    shows them and says yes; if it does not ask (*asks*), they wait for others."""

    def __init__(
        self,
        gateway: Gateway,
        invocation: Invocation,
        *,
        says_yes: bool = False,
        asks: bool = True,
    ) -> None:
        self._gateway, self._invocation = gateway, invocation
        self._says_yes, self._asks = says_yes, asks
        self._covers_later = gateway.approving.covers_later
        self.is_open = False
        """Whether a question stands on the terminal, and nothing may be drawn below it."""
        self.has_shown = False
        """Whether the last question was shown."""
        self.has_denied = False
        """Whether a person said no here."""

    @property
    def may_ask(self) -> bool:
        """Whether there is a terminal, and what is answered there counts."""
        is_there = self._asks and self._invocation.console.err.is_terminal
        return self._says_yes or (is_there and TERMINAL in self._gateway.approving.ways)

    async def ended(self, run_id: str, on_progress: OnProgress = lambda _: None) -> RunResult:
        """Wait for the end of a run, and answer its questions. Returns its result; its state so
        far, if it waits for somebody else to answer."""
        gateway = self._gateway
        while True:
            async with aclosing(gateway.follow(run_id)) as news:  # type: ignore[type-var]  # it is an async generator
                async for progress in news:
                    on_progress(progress)
                    if self._is_up(run_id):
                        break
            if not self._is_up(run_id):  # also for one that another gateway goes on with
                result = await gateway.wait(run_id)
                if result.status is not RunStatus.WAITING:
                    return result
            approval = question_of(gateway, run_id)
            if approval is None:  # it was answered a moment ago
                await gateway.wait(run_id, MOMENT_S)
                continue
            self.has_shown = False
            if approval.is_preview or not self.may_ask:
                return await gateway.wait(run_id, 0)
            if (goes_on := await self._answer(approval)) is None:
                return await gateway.wait(run_id, 0)
            run_id = goes_on

    def is_left(self, run_id: str) -> bool:
        """Whether a run is left waiting when the command is cancelled: its person has gone, and
        another may answer."""
        has_left = self._invocation.has_left
        return has_left and self._gateway.record(run_id).status is RunStatus.WAITING

    def _is_up(self, run_id: str) -> bool:
        """Whether the open question of a run is to be looked at: at once if it can be asked here,
        else when nothing else is left to do."""
        approval = question_of(self._gateway, run_id)
        if approval is None:
            return False
        is_asked_here = self.may_ask and not approval.is_preview
        return is_asked_here or self._gateway.record(run_id).status is RunStatus.WAITING

    async def _answer(self, approval: Approval) -> str | None:
        """Ask, and give the answer to the gateway. Returns the id of the run that goes on; None if
        the question is left open."""
        places: set[str] | None = set()
        is_withdrawn = True
        self.is_open = True
        self._invocation.console.err.redraw(())
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._withdraw, approval, tasks.cancel_scope)
                places = await self._places(approval)
                is_withdrawn = False
                tasks.cancel_scope.cancel()
        finally:
            self.is_open = False
        if places is None:
            return None
        run_id = approval.run_id
        try:
            if is_withdrawn:
                raise StaleApproval("It was answered elsewhere, or its time is over.")
            caller, way = self._invocation.caller, FLAG if self._says_yes else TERMINAL
            run_id = await self._gateway.approve(run_id, approval.digest, places, caller, by=way)
        except StaleApproval as error:
            self._invocation.console.err.line(Styled(str(error), Look.YELLOW))
            run_id = error.goes_on_as or run_id
        else:
            self.has_denied |= len(places) < len(approval.calls)
        return run_id

    async def _withdraw(self, approval: Approval, scope: anyio.CancelScope) -> None:
        """Cancel *scope* once the question is not open any more."""
        run_id = approval.run_id
        while True:
            async with aclosing(self._gateway.follow(run_id)) as news:  # type: ignore[type-var]  # it is an async generator
                async for _ in news:
                    now = question_of(self._gateway, run_id)
                    if now is None or now.digest != approval.digest:
                        scope.cancel()
                        return
            await anyio.sleep(LOOK_S)  # it is a run of another process
            await self._gateway.recall(run_id)

    async def _places(self, approval: Approval) -> set[str] | None:
        """Return the places of the calls that a person says yes to; None if they leave it open."""
        await self._show(approval)
        if self._says_yes:
            return {call.place for call in approval.calls}
        together = [call for call in approval.calls if not call.is_single]
        single = [call for call in approval.calls if call.is_single]
        approved: set[str] = set()
        while together:
            match await self._word(choices(together, single), "yndeq"):
                case "y":
                    approved |= {call.place for call in together}
                case "d":
                    await self._show(approval, is_whole=True)
                    continue
                case "e":
                    single = [*approval.calls]
                case "q":
                    return None
            break
        for number, call in enumerate(single, 1):
            await self._write(call_screen(call, number, len(single), self._shown(approval)))
            left = len(single) - number
            others = f"   [x] no, nor to the {counted(left, 'other')}" if left else ""
            text = f"[y] yes   [n] no{others}   [q] leave it waiting"
            match await self._word(text, "ynxq" if left else "ynq"):
                case "y":
                    approved.add(call.place)
                case "x":
                    break
                case "q":
                    return None
        return approved

    async def _word(self, text: str, letters: str) -> str:
        """Ask until one of *letters* is typed; `q` without a terminal."""
        err = self._invocation.console.err
        while True:
            line = await self._invocation.read_line(partial(err.line, Styled(text, Look.BOLD)))
            word = "q" if line is None else line.lower()
            word = {"yes": "y", "no": "n"}.get(word, word)
            if len(word) == 1 and word in letters:
                return word

    async def _show(self, approval: Approval, *, is_whole: bool = False) -> None:
        self.has_shown = True
        shown = self._shown(approval)._replace(is_whole=is_whole)
        await self._write([(), *approval_screen(approval, shown)])

    async def _write(self, lines: Iterable[Line]) -> None:
        await self._invocation.work(partial(self._invocation.console.err.lines, [*lines]))

    def _shown(self, approval: Approval) -> Shown:
        width = self._invocation.console.err.width
        return Shown(width, covers_later=self._covers_later, more=FOLDED)

    def show(self, result: RunResult, *, is_whole: bool) -> None:
        """Show the run that waits for somebody else: its question, and how to answer it."""
        gateway, console = self._gateway, self._invocation.console
        approval = question_of(gateway, result.run_id)
        if approval is None:  # it was answered a moment ago
            console.out.lines(run_report(result, console.out.width, is_whole=is_whole))
            return
        if not self.has_shown:
            shown = Shown(console.out.width, is_whole, self._covers_later, WHOLE)
            console.out.lines(approval_screen(approval, shown))
            console.out.line()
        console.out.lines(how_to_answer(approval, gateway.approving.ways))

    def exit_of(self, result: RunResult) -> Exit:
        """Return the exit code of a run; of one to which a person said no, so that nothing was
        sent, that it was refused."""
        is_denied = self.has_denied and all(error.code in DENIED for error in result.errors)
        if is_denied and result.errors and not changed_so_far(self._gateway, result.record):
            return Exit.REFUSED
        return exit_of(result)


def choices(together: list[AskedCall], single: list[AskedCall]) -> str:
    """Return the choices for the calls that are answered *together*, before *single* ones."""
    count = len(together)
    these = f", these {count:,}" if count > 1 else ", this one" if single else ""
    alone = "by itself" if len(single) == 1 else "by themselves"
    rest = f", then {counted(len(single), 'call')} {alone}" if single else ""
    split = "   [e] one by one" if count > 1 else ""
    return f"[y] yes{these}{rest}   [n] no   [d] in full{split}   [q] leave it waiting"


def how_to_answer(approval: Approval, ways: Iterable[str]) -> Iterable[Line]:
    run_id = approval.run_id
    if approval.is_preview:
        yield ("Nothing of this is sent before: ", Styled(f"plait apply {run_id}", Look.BOLD))
    elif TERMINAL in ways:
        yield ("It waits for your yes: ", Styled(f"plait approve {run_id}", Look.BOLD))
    else:
        names = ["plait run --approve" if way == FLAG else way for way in sorted(ways)]
        yield (f"It waits for a yes. [policy] approve counts: {', '.join(names) or 'none'}.",)
    yield ("Or say no: ", Styled(f"plait deny {run_id}", Look.BOLD))


def question_of(gateway: Gateway, run_id: str) -> Approval | None:
    """Return the open question of a run, of another process as it was when it was last recalled;
    None if there is none."""
    if (approval := gateway.approval(run_id)) is not None:
        return approval
    record = gateway.record(run_id)
    if record.approval is None or record.is_done:
        return None
    return Approval.from_document(record, record.approval, changed_so_far(gateway, record))


def changed_so_far(gateway: Gateway, record: RunRecord) -> int:
    """Count the tasks of a run that have made calls and are not known to only read."""
    tools = gateway.catalog().tools
    reads = {name for name, tool in tools.items() if tool.traits.read_only}
    every: list[TaskRecord | InnerRecord] = [*record.tasks.values(), *record.inner]
    return sum(one.attempts > 0 and ":" in one.tool and one.tool not in reads for one in every)


async def approve_run(
    gateway: Gateway, invocation: Invocation, run_id: str, *, is_whole: bool
) -> int:
    """Show what a run waits for, ask for it, and show the run at its end. It is not cancelled if
    the person leaves. Raises `Misused`."""
    approval = await _question(gateway, run_id)
    if isinstance(approval, str):
        return _without(gateway, invocation, run_id, approval)
    asking = Asking(gateway, invocation)
    if approval.is_preview:
        text = f"{run_id} is a preview: plait apply {run_id} lets it go on as it is shown."
        return _without(gateway, invocation, run_id, text)
    if not asking.may_ask:
        result = await gateway.wait(run_id, 0)
        await _show(invocation, asking, result, is_whole=is_whole)
        if TERMINAL in gateway.approving.ways:
            invocation.console.complain("It asks at a terminal alone.")
        return Exit.USAGE
    result = await asking.ended(run_id)
    await _show(invocation, asking, result, is_whole=is_whole)
    return asking.exit_of(result)


async def deny_run(gateway: Gateway, invocation: Invocation, run_id: str, *, is_whole: bool) -> int:
    """Say no to what a run waits for, and show the run as it ends. Raises `Misused`."""
    approval = await _question(gateway, run_id)
    if isinstance(approval, str):
        return _without(gateway, invocation, run_id, approval)
    await invocation.begin()
    try:
        run_id = await gateway.approve(run_id, approval.digest, (), invocation.caller, by=TERMINAL)
    except StaleApproval as error:
        return _without(gateway, invocation, run_id, str(error))
    invocation.console.err.line(f"{counted(len(approval.calls), 'call')} denied, and not sent.")
    asking = Asking(gateway, invocation, asks=False)
    result = await asking.ended(run_id)
    await _show(invocation, asking, result, is_whole=is_whole)
    return Exit.SUCCESS


async def _question(gateway: Gateway, run_id: str) -> Approval | str:
    """Return the open question of a run, or why there is none. Raises `Misused`."""
    try:
        record = await gateway.recall(run_id)
    except UnknownRun as error:
        raise Misused(str(error), hint="RUN") from None
    found = question_of(gateway, run_id)
    return f"{run_id} does not wait for a yes: it is {record.status}." if found is None else found


def _without(gateway: Gateway, invocation: Invocation, run_id: str, why: str) -> Exit:
    """Show *why* a run is not answered."""
    invocation.console.complain(why)
    if invocation.as_json:
        invocation.console.out.json(gateway.result(run_id).document("full"))
    return Exit.TASK_FAILED


async def _show(
    invocation: Invocation, asking: Asking, result: RunResult, *, is_whole: bool
) -> None:
    await invocation.work(partial(show_result, invocation, asking, result, is_whole=is_whole))


def show_result(
    invocation: Invocation,
    asking: Asking,
    result: RunResult,
    *,
    is_whole: bool,
    startup: Startup = AT_ONCE,
) -> None:
    """Show a run at its end, or what it waits for."""
    out = invocation.console.out
    if invocation.as_json:
        out.json(result.document("full"))
    elif result.status is RunStatus.WAITING:
        asking.show(result, is_whole=is_whole)
    else:
        out.lines(run_report(result, out.width, is_whole=is_whole, startup=startup))
        if result.status is RunStatus.INTERRUPTED:
            out.lines(_way_on(result.run_id))


def _way_on(run_id: str) -> list[Line]:
    """Say how to go on with an interrupted run, and where to look before."""
    return [
        (Styled("look", Look.BOLD), f"   plait history {run_id}"),
        (Styled("go on", Look.BOLD), f"  plait resume {run_id}"),
    ]
