"""`plait install`: Plait in the place of the servers that the clients of this machine start."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..config.environment import config_folder_of, state_folder_of
from ..core.values.problems import did_you_mean
from ..errors import ConfigError
from .exits import Exit, Misused
from .style import counted
from .trusting import answer_at_terminal

if TYPE_CHECKING:
    from ..install.applying import Outcome
    from ..install.launcher import Launcher
    from ..install.machine import Machine
    from ..install.plan import Key, Options, Plan, Targets
    from .session import Session

ROUNDS = 3
"""Times that a plan is made, if files change meanwhile."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The command line of `plait install`."""

    clients: Sequence[str] = ()
    only: Sequence[str] = ()
    yes: bool = False
    prints: bool = False
    shares: bool = False
    in_project: bool = False
    anyway: bool = False
    undoes: bool = False


def install(session: Session, wish: Wish) -> int:
    """Show what would be changed, ask once, and change it. Raises `Misused` and `ConfigError`."""
    from ..install.applying import Busy

    try:
        return _undo(session, wish) if wish.undoes else _Installation(session, wish).run()
    except Busy as error:
        session.console.complain(str(error))
        return Exit.TASK_FAILED


class _Installation:
    def __init__(self, session: Session, wish: Wish) -> None:
        from ..install.machine import Machine

        self._session, self._wish = session, wish
        self._console = session.console
        self._machine = Machine.here(os.environ, Path.cwd())
        self._state_folder = _state_folder()
        self._options = self._checked()
        self._targets = _targets(self._machine, in_project=wish.in_project)
        self._launcher = _launcher(self._machine)
        self._failing: dict[Key, str] = {}
        self._passing: dict[Key, Sequence[str]] = {}

    def _checked(self) -> Options:
        from ..install.clients import CLIENTS
        from ..install.plan import Options

        wish, names = self._wish, [one.name for one in CLIENTS]
        for client in wish.clients:
            if client not in names:
                hint = did_you_mean(client, names) or f"Clients: {', '.join(names)}."
                raise Misused(f'unknown client "{client[:80]}". {hint}', hint="CLIENT")
        if wish.in_project and wish.yes and not wish.only:
            raise Misused(
                "it changes files of a project: name the servers with --only, or answer at a "
                "terminal.",
                hint="--project",
            )
        if not (wish.yes or wish.prints) and not _can_ask(self._session):
            raise Misused("say --yes or --print: it can ask at a terminal alone.", hint="--yes")
        return Options(
            frozenset(wish.clients),
            frozenset(wish.only),
            wish.shares,
            wish.in_project,
            wish.anyway,
        )

    def run(self) -> int:
        """Plan, ask and write; once more from the start if files change meanwhile."""
        from ..install.applying import alone
        from ..install.replacing import Changed

        shown: Plan | None = None
        for _ in range(ROUNDS):
            plan = self._probed()
            self._check_names(plan)
            if shown is None or not _are_same(shown, plan):
                if (code := self._show(plan)) is not None:
                    return code
                shown = plan
                if not (self._wish.yes or self._is_accepted(plan)):
                    return Exit.TASK_FAILED
            try:
                with alone(self._state_folder):
                    outcome = self._applied(self._plan(), plan)
            except Changed as error:
                self._console.err.line(f"{error}: the plan is made anew.")
                continue
            return self._report(plan, outcome)
        self._console.complain(
            "files of clients are written again and again: end the clients, and try again"
        )
        return Exit.TASK_FAILED

    def _plan(self) -> Plan:
        """Make the plan. Raises `ConfigError` if our own files are broken."""
        from ..install.changes import Impossible
        from ..install.entries import Unreadable
        from ..install.planning import plan_of
        from ..install.running import running

        try:
            return plan_of(
                self._machine,
                self._launcher.start,
                self._targets,
                self._options,
                is_running=running(self._machine),
                failing=self._failing,
                passing=self._passing,
            )
        except (Unreadable, Impossible) as error:
            raise ConfigError(str(error)) from None

    def _probed(self) -> Plan:
        """Make the plan of the servers that start."""
        from .probing import check_settings, probe

        plan = self._plan()
        if self._wish.in_project:
            return plan
        for _ in range(2):  # servers that miss a variable are tried with it
            new = sum(server.is_new for server in plan.servers)
            if not new:
                break
            self._console.err.line(f"Starting {counted(new, 'server')} once, for at most 10 s …")
            findings = probe(plan, self._machine.environ, self._machine.home)
            again = {
                key: names for key, names in findings.missing.items() if key not in self._passing
            }
            self._passing |= again
            self._failing |= {
                key: reason for key, reason in findings.failing.items() if key not in again
            }
            if not findings.failing:
                break
            plan = self._plan()
        if plan.servers:
            check_settings(plan)
        return plan

    def _check_names(self, plan: Plan) -> None:
        """Raise `Misused` if a server is named that no client has."""
        for name in self._wish.only:
            if name not in plan.names:
                known = ", ".join(plan.names) or "none"
                hint = did_you_mean(name, plan.names) or f"Servers: {known}."
                raise Misused(f'no client has the server "{name[:80]}". {hint}', hint="--only")

    def _show(self, plan: Plan) -> int | None:
        """Show *plan*. Returns the exit code if there is nothing more to do."""
        from .install_screen import by_hand_lines, plan_document, plan_lines

        out, home = self._console.out, self._machine.home
        notes = self._notes() if plan.changes else []
        as_json = self._session.as_json
        if as_json and (self._wish.prints or not plan.changes):
            out.json(plan_document(plan, notes))
        elif plan.clients and not (as_json and self._wish.yes):
            shown = self._console.err if as_json else out
            shown.lines(plan_lines(plan, home, self._state_folder, notes))
            if self._wish.prints:
                shown.lines(by_hand_lines(plan, home))
        if not plan.clients:
            from ..install.clients import CLIENTS

            titles = ", ".join(client.title for client in CLIENTS)
            self._console.complain(
                f"no client was found below {home}: it looks for {titles}\n"
                "docs/clients.md shows the entry for others"
            )
            return Exit.TASK_FAILED
        if plan.changes and not self._wish.prints:
            return None
        if not plan.changes and not self._session.as_json:
            out.line("Nothing to change.")
        return Exit.TASK_FAILED if plan.left else Exit.SUCCESS

    def _notes(self) -> list[str]:
        """Return what is to be said about this machine."""
        notes = [self._launcher.note] if self._launcher.note else []
        folder = self._targets.secrets.parent
        if folder != config_folder_of({"HOME": str(self._machine.home)}):
            notes.append(
                f"secrets.env is looked for in {folder} only by clients that have XDG_CONFIG_HOME "
                "as this shell has it"
            )
        return notes

    def _is_accepted(self, plan: Plan) -> bool:
        from .install_screen import question

        answer = answer_at_terminal(self._console, question(plan))
        if answer is None:
            raise Misused("say --yes: it can ask at a terminal alone.", hint="--yes")
        return answer

    def _applied(self, plan: Plan, shown: Plan) -> Outcome:
        """Write the files of *plan*, if it is still the one that was *shown*. Raises `Changed`."""
        from ..install.applying import apply
        from ..install.replacing import Changed

        if not _are_same(plan, shown):
            raise Changed("files have changed since they were shown")
        try:
            return apply(plan.changes, self._state_folder, datetime.now(UTC))
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(
                f"{self._state_folder}: a backup cannot be made, so nothing was changed: {reason}"
            ) from None

    def _report(self, plan: Plan, outcome: Outcome) -> int:
        from .install_screen import outcome_document, outcome_lines, plan_document

        console = self._console
        if self._session.as_json:
            document = plan_document(plan, self._notes())
            console.out.json({**document, **outcome_document(outcome)})
        else:
            console.out.lines(outcome_lines(outcome, self._machine.home))
            titles = dict.fromkeys(one.title for one in plan.changes if one.registers)
            if titles and outcome.written:
                console.out.line(
                    f"Start anew: {', '.join(titles)}. plait doctor looks at all of it."
                )
        return Exit.TASK_FAILED if outcome.left or plan.left else Exit.SUCCESS


def _undo(session: Session, wish: Wish) -> int:
    """Take the last installation back. Raises `Misused` and `ConfigError`."""
    from ..install.applying import alone, take_back, undoing
    from .install_screen import outcome_document, outcome_lines, undo_lines

    console, home, state_folder = session.console, _home(), _state_folder()
    try:
        undo = undoing(state_folder)
        if undo is None:
            console.err.line("There is nothing to undo.")
            return Exit.SUCCESS
        if not (session.as_json and wish.yes):
            shown = console.err if session.as_json else console.out
            shown.lines(undo_lines(undo, home))
        if wish.prints:
            return Exit.SUCCESS
        if undo.files and not wish.yes:
            count = len(undo.files)
            files = "this file" if count == 1 else f"these {count} files"
            answer = answer_at_terminal(console, f"Bring {files} back? [y/N]")
            if answer is None:
                raise Misused("say --yes: it can ask at a terminal alone.", hint="--yes")
            if not answer:
                return Exit.TASK_FAILED
        with alone(state_folder):
            outcome = take_back(undo)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{state_folder}: the backup cannot be used: {error}") from None
    if session.as_json:
        console.out.json({**outcome_document(outcome), "kept": [*undo.kept]})
    else:
        console.out.lines(outcome_lines(outcome, home))
    return Exit.TASK_FAILED if outcome.left else Exit.SUCCESS


def _are_same(one: Plan, other: Plan) -> bool:
    """Return whether two plans write the same into the same files."""
    return [(c.path, c.before, c.after) for c in one.changes] == [
        (c.path, c.before, c.after) for c in other.changes
    ]


def _can_ask(session: Session) -> bool:
    from .trusting import TERMINAL

    if not session.console.err.is_terminal:
        return False
    try:
        os.close(os.open(TERMINAL, os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _home() -> Path:
    from ..install.machine import Machine

    return Machine.here(os.environ, Path.cwd()).home


def _state_folder() -> Path:
    return state_folder_of(os.environ, Path.cwd())


def _targets(machine: Machine, *, in_project: bool) -> Targets:
    from ..install.plan import Targets

    folder = config_folder_of(os.environ)
    settings = machine.folder if in_project else folder
    return Targets(settings / "servers.toml", folder / "secrets.env")


def _launcher(machine: Machine) -> Launcher:
    from importlib.metadata import PackageNotFoundError, distribution

    from ..install.launcher import launcher, origin_of

    named = sys.argv[0]
    if Path(named).name.startswith("plait"):
        running = Path(shutil.which(named) or named).absolute()
    else:
        running = Path(sys.executable).parent / "plait"
    try:
        origin = origin_of(distribution("plait").read_text("direct_url.json"))
    except PackageNotFoundError:
        origin = ""
    return launcher(machine, running, __version__, origin)
