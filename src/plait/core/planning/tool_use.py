"""The tool of a task: which one it is, whether it takes the arguments, and what the operator's
policy allows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ..language.dag import Task
from ..language.templates import Template
from ..tools.catalog import Catalog, Tool
from ..tools.policy import Policy, ToolPolicy
from ..values.problems import MAX_GUESSES, Fix, Op, Problems, written
from ..values.schema import Complaint
from ..values.strict import short
from .fixes import fixed_argument, misnamed
from .omissions import left_out, without
from .places import part_at
from .undeclared import Undeclared


class ToolUse:
    """Checks tasks against the tools in *catalog* and against *policy*. *unread* has the invalid
    fields that were left out of tasks, by id."""

    def __init__(
        self,
        catalog: Catalog,
        policy: Policy,
        unread: Mapping[str, Collection[str]],
        problems: Problems,
        notes: list[str],
    ) -> None:
        self._catalog = catalog
        self._policy = policy
        self._unread = unread
        self._problems = problems
        self._notes = notes
        self._policies: dict[str, ToolPolicy] = {}
        self._off: set[str] = set()
        """The servers of which a note says that they are off."""
        self._undeclared = Undeclared(notes)

    def find(self, task: Task, name: str, path: str) -> Tool | None:
        """Return the tool *name*; None if it is unknown, which is reported."""
        tool = self._catalog.tools.get(name)
        if tool is not None:  # as for most
            return tool
        tool = self._catalog.find(name)
        if tool is None:
            may_guess = len(self._problems) < MAX_GUESSES
            self._problems.append(
                self._catalog.unknown(f"{path}.tool", name, task.id, may_guess=may_guess)
            )
            return None
        if tool.full_name != name:
            self._notes.append(f'{path}: the tool "{name}" was read as {tool.full_name}')
        server = self._catalog.servers.get(tool.server)
        if server is not None and server.needs and server.name not in self._off:
            self._off.add(server.name)
            self._notes.append(f"{server.name} is off, so its tasks fail: {server.error}")
        return tool

    def policy_of(self, tool: Tool) -> ToolPolicy:
        """Return the settings of *tool*."""
        if (policy := self._policies.get(tool.full_name)) is None:
            policy = self._policies[tool.full_name] = self._policy.of(tool)
        return policy

    def cache_s(self, task: Task, tool: Tool, policy: ToolPolicy, path: str) -> float:
        """Return the greatest age of a cached answer for *task*, in seconds; 0 for no cache."""
        if task.repeat is not None and not task.repeat.set:
            return 0.0  # an earlier answer is what polling waits to see changed
        if task.cache is None or task.cache is True:
            return policy.cache_ttl_s
        if task.cache and not (tool.is_read_only or policy.cache_ttl_s):
            self._notes.append(
                f"{path}.cache: {tool.full_name} is not known to read only, so each call is made"
            )
            return 0.0
        return float(task.cache)

    def arguments(self, task: Task, tool: Tool, arguments: Template, path: str) -> Template:
        """Check the *arguments* of *task*, and return them without what the tool does not take and
        need not get."""
        given = task.arguments
        if "arguments" in self._unread.get(task.id, ()) or isinstance(given, str):
            return arguments
        for place in arguments.omitted:
            if not isinstance(place[-1], str):
                continue  # that is reported
            given = without(given, place)
            arguments = replace(arguments, value=without(arguments.value, place))
        complaints: Sequence[Complaint] = ()
        if not tool.input.fits(given):
            complaints = tool.input.complaints(given, unknown=arguments.unknown)
        if not tool.input.names.issuperset(given):
            self._undeclared.note_names(tool, given, f"{path}.arguments")
        if not complaints:
            self._undeclared.note_parts(tool, given, f"{path}.arguments")
            return arguments
        unknown, before = arguments.unknown, given
        given, gone, complaints = left_out(tool.input, given, complaints, unknown)
        for place in gone:
            value = short(part_at(before, place))
            self._notes.append(
                f"{path}.arguments{written(place)}: {value} was left out; the tool does not take it"
            )
            arguments = replace(arguments, value=without(arguments.value, place))
        meant = {one.path for one in self._problems if one.code == "invalid_reference"}
        for number, complaint in enumerate(complaints):
            where = written(complaint.place)
            if f"{path}.arguments{where}" in meant:
                continue  # it is text only because it was meant as a reference
            end = "" if complaint.message.endswith("?") else "."
            message = f"{where.lstrip('.') or 'arguments'} {complaint.message}{end}"
            fix, named = None, None
            if len(self._problems) < MAX_GUESSES:
                fix = fixed_argument(
                    tool.input, given, complaint.place, unknown, is_certain=not tool.is_read_only
                )
                named = None if fix else misnamed(tool.input, given, complaint.place, unknown)
            hints = [fix.advice] if fix is not None and not message.endswith("?") else []
            other = (*complaint.place[:-1], named or "")
            if named and all(one.place != other for one in complaints):
                fix = Fix(Op.RENAME, complaint.place[-1], f"{path}.arguments{written(other)}")
                hints = [f"Write {complaint.place[-1]} instead of {named[:64]}."]
            hints += [f"Signature: {tool.signature}"] if number == 0 else []
            hint = " ".join(hints) or None
            self._problems.say(
                f"{path}.arguments{where}", "invalid_arguments", message, hint, task.id, fix
            )
        return arguments

    def check_repeats(self, task: Task, tool: Tool, policy: ToolPolicy, path: str) -> None:
        """Refuse *task* where *policy* forbids further calls of its *tool*."""
        is_retried = task.retries and task.retrying.max
        if is_retried and not task.allow_repeat and not policy.may_repeat:
            message = (
                f"{tool.full_name} is not known to be safe to call twice, so it is not retried."
            )
            hint = "Leave retries out, or set allow_repeat: true if a second call does no harm."
            self._problems.say(f"{path}.retries", "not_repeatable", message, hint, task.id)
        if task.repeat is not None:
            self._undeclared.note_names(tool, task.repeat.set, f"{path}.repeat.set")
        if task.repeat is not None and not task.allow_repeat and not policy.may_repeat:
            message = (
                f"{tool.full_name} is not known to be safe to call twice, so it is not repeated."
            )
            hint = "Leave repeat out, or set allow_repeat: true if more calls do no harm."
            self._problems.say(f"{path}.repeat", "not_repeatable", message, hint, task.id)
