"""The plan of an installation, made of what the files hold at one moment; it changes nothing.

It is made again once it is known which servers do not start (`failing`), and right before it is
carried out: files may have changed. A file that cannot be changed is left alone, and with it every
server that it holds: the plan is then made anew without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..config.fields import TAKEN
from .carrying import PARTS_OF_CLIENTS, Stays, carried
from .changes import Change, Drop, Extend, Impossible, Put, are_same
from .clients import (
    CLIENTS,
    ENTRY,
    PROJECT_ENTRY,
    Approval,
    Client,
    Format,
    Place,
    Scope,
    Start,
    found,
)
from .entries import Unreadable, is_plait, root_in, servers_in, value_at, values_of, words_of
from .literals import filled
from .machine import Machine
from .our_files import add_ours
from .plan import FileChange, Held, Key, Left, Options, Plan, Server, Stay, Targets, by_hand
from .rules import Answer, Rules, rules_of
from .secrets_text import secrets_in
from .splice import spliced


def plan_of(
    machine: Machine,
    start: Start,
    targets: Targets,
    options: Options,
    *,
    is_running: Callable[[Client], bool] = lambda client: False,
    failing: Mapping[Key, str] | None = None,
    passing: Mapping[Key, Sequence[str]] | None = None,
    clients: Sequence[Client] = CLIENTS,
) -> Plan:
    """Return the plan for *machine*, on which *start* starts Plait.

    *failing* has servers that do not start, with the reason, and *passing* variables that servers
    were seen to miss. Raises `Unreadable` and `Impossible` if our own files are broken.
    """
    blocked: dict[Path, str] = {}
    while True:
        planner = _Planner(machine, start, targets, options, failing or {}, passing or {}, blocked)
        try:
            return planner.plan(is_running, clients)
        except _Blocked as block:
            if block.path in blocked:
                raise Impossible(f"{block.path}: {block.reason}") from None
            blocked[block.path] = block.reason


class _Blocked(Exception):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


@dataclass(slots=True)
class _OfClient:
    """A client and what it holds."""

    client: Client
    places: list[Place]
    ours: dict[Path, tuple[Place, Any]] = field(default_factory=dict)
    """The entries of Plait that it has, by file."""
    held: list[Held] = field(default_factory=list)
    moved: list[tuple[Held, Server]] = field(default_factory=list)


class _Planner:
    def __init__(
        self,
        machine: Machine,
        start: Start,
        targets: Targets,
        options: Options,
        failing: Mapping[Key, str],
        passing: Mapping[Key, Sequence[str]],
        blocked: Mapping[Path, str],
    ) -> None:
        self._machine = machine
        self._options = options
        self._failing = failing
        self._passing = passing
        self._blocked = blocked
        self._contents: dict[Path, bytes | None] = {}
        self._plan = Plan(options, start, targets)
        self._rules: dict[Key, list[tuple[Answer, str]]] = {}
        self._edits: dict[Path, list[Change]] = {}
        self._meant: dict[str, Server] = {}
        self._profiles: dict[str, list[str]] = {}
        self._existing: dict[str, Any] = {}
        self._owners: dict[str, str] = {}
        """The client of each file, by its real path: links may lead two to one."""

    def plan(self, is_running: Callable[[Client], bool], clients: Sequence[Client]) -> Plan:
        plan = self._plan
        self._read_ours()
        ours: list[_OfClient] = []
        for client, places in found(self._machine, clients):
            if self._options.clients and client.name not in self._options.clients:
                continue
            plan.clients += 1
            if is_running(client) and not self._options.anyway:
                reason = "is running and would write its own copy back: end it first, or --anyway"
                plan.left.append(Left(client.title, places[0].path, reason))
                continue
            ours.append(self._of_client(client, places))
        for one in ours:
            self._choose(one)
        changes = [change for one in ours for change in self._changes_of(one, ours)]
        self._add_ours()
        plan.changes += changes
        if "WSL_DISTRO_NAME" in self._machine.environ:
            self._note("programs of Windows are left alone: their files are not of this system")
        if self._options.in_project and plan.servers:
            self._note("all who work on this project need Plait: plait is started by its name")
        return plan

    def _read_ours(self) -> None:
        targets = self._plan.targets
        data = self._content(targets.settings)
        try:
            self._existing = values_of(data or b"", Format.TOML)
            self._plan.secrets = secrets_in(self._content(targets.secrets) or b"")
        except Unreadable as error:
            raise Unreadable(f"{targets.settings}: {error}") from None
        servers = self._existing.get("servers")
        for name, settings in servers.items() if isinstance(servers, dict) else ():
            meaning = filled(settings, self._plan.secrets)
            self._meant[name] = Server(name, meaning, settings, is_new=False)

    def _content(self, path: Path) -> bytes | None:
        if path not in self._contents:
            try:
                self._contents[path] = path.read_bytes()
            except FileNotFoundError:
                self._contents[path] = None
            except OSError as error:
                raise Unreadable(f"{path} cannot be read: {error.strerror}") from None
        return self._contents[path]

    def _values(self, path: Path, kind: Format) -> dict[str, Any]:
        return values_of(self._content(path) or b"", kind)

    def _of_client(self, client: Client, places: list[Place]) -> _OfClient:
        one = _OfClient(client, [])
        for place in places:
            try:
                if reason := self._blocked.get(place.path):
                    raise Unreadable(reason)
                owner = self._owners.setdefault(os.path.realpath(place.path), client.title)
                if owner != client.title:
                    raise Unreadable(f"it is the same file as that of {owner}")
                values = self._values(place.path, place.format)
                servers = servers_in(place, values)
            except Unreadable as error:
                if place.scope is not Scope.LOCAL:  # it is in the user's file
                    left = Left(client.title, place.path, str(error), self._lines(place))
                    self._plan.left.append(left)
                continue
            one.places.append(replace(place, root=root_in(place, values)))
            self._sort(one, one.places[-1], servers, values)
        return one

    def _lines(self, place: Place) -> tuple[str, ...]:
        """Say how to register Plait in a file that is left alone."""
        if not place.registers:
            return ()
        client = next(one for one in CLIENTS if place in one.places(self._machine))
        entry = client.entry(self._started(""))
        return tuple(by_hand(Put(place.root, ENTRY, entry, place.is_list)))

    def _sort(
        self, one: _OfClient, place: Place, servers: dict[str, Any], values: dict[str, Any]
    ) -> None:
        """Sort the *servers* of *place* into those that may move and those that stay."""
        client = one.client
        for name in [name for name, settings in servers.items() if is_plait(settings, name)]:
            settings = servers.pop(name)
            if place.scope is self._scope and (name == ENTRY or place.path not in one.ours):
                one.ours[place.path] = (place, settings if name == ENTRY else None)
        servers = {name: held for name, held in servers.items() if not _is_part(held)}
        rules = rules_of(client, self._machine, place.path, values, servers, self._values)
        for name, settings in servers.items():
            held = Held(client, place, name, settings)
            self._plan.names.append(name)
            if self._options.only and name not in self._options.only:
                continue
            if place.scope is self._scope:
                one.held.append(held)
                self._keep(held, rules)
            elif not self._options.in_project:
                of = "project" if place.scope is Scope.PROJECT else "folder"
                self._plan.stays.append(Stay(client.title, name, f"of this {of} (--project)"))

    @property
    def _scope(self) -> Scope:
        """The scope of what moves."""
        return Scope.PROJECT if self._options.in_project else Scope.USER

    def _keep(self, held: Held, rules: Rules) -> None:
        """Keep the rules about a server; one that cannot be carried over is a reason to stay."""
        about = [(rule.answer, rule.tool) for rule in rules.rules if rule.server == held.name]
        self._rules[held.key] = about
        if reason := rules.obstacles.get(held.name):
            if held.name in self._options.only:
                self._plan.notes.append(f"{held.name} moves without a rule: {reason}")
            else:
                self._failing = {held.key: reason, **self._failing}

    def _choose(self, one: _OfClient) -> None:
        for held in one.held:
            in_project = self._options.in_project
            try:
                if reason := self._failing.get(held.key):
                    raise Stays(reason)
                self._check_registration(one, held)
                meaning = carried(
                    held.client, self._machine, held.name, held.settings, in_project=in_project
                )
            except Stays as stays:
                self._plan.stays.append(Stay(held.client.title, held.name, str(stays)))
                continue
            if missed := self._passing.get(held.key):
                meaning["env_pass"] = [*meaning.get("env_pass", ()), *missed]
            server = self._named(held.name, meaning)
            server.held.append(held)
            one.moved.append((held, server))
            if server not in self._plan.servers:
                self._plan.servers.append(server)

    def _check_registration(self, one: _OfClient, held: Held) -> None:
        """Raise `Stays` if Plait is registered with settings of its own: it would not have the
        server."""
        for _, settings in one.ours.values():
            named = _option(settings, "--config")
            if named and Path(named) != self._plan.targets.settings:
                raise Stays(f"Plait is registered there with other settings ({named})")

    def _named(self, name: str, meaning: dict[str, Any]) -> Server:
        """Return the server of our settings that means the same, else a new one."""
        plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:28] or "server"
        number = 1
        while True:
            candidate = plain if number == 1 else f"{plain}-{number}"
            number += 1
            if candidate in TAKEN:
                continue
            server = self._meant.get(candidate)
            if server is None:
                server = self._meant[candidate] = Server(candidate, meaning, meaning)
                return server
            if are_same(server.meaning, meaning):
                return server

    def _changes_of(self, one: _OfClient, ours: list[_OfClient]) -> list[FileChange]:
        client, title = one.client, one.client.title
        profile = self._profile_of(one)
        edits: dict[Path, list[Change]] = {}
        kinds = {place.path: place.format for place in one.places}
        registered: set[Path] = set()
        for place in one.places:
            if (entry := self._entry(one, place, profile, ours)) is not None:
                name = PROJECT_ENTRY if self._options.in_project else ENTRY
                if place.is_list:
                    entry = {**entry, "name": name}
                put = Put(place.root, name, entry, place.is_list)
                edits.setdefault(place.path, []).append(put)
                registered.add(place.path)
        for held, _ in one.moved:
            drop = Drop(held.place.root, held.name, held.place.is_list)
            edits.setdefault(held.place.path, []).append(drop)
        if one.moved and not registered and not one.ours:
            path = one.moved[0][0].place.path
            raise _Blocked(path, "Plait cannot be registered in this file")
        if registered and not self._options.in_project:
            for approval in client.approvals(self._machine):
                if approval.creates or self._content(approval.path) is not None:
                    kinds.setdefault(approval.path, approval.format)
                    edits.setdefault(approval.path, []).extend(self._approve(approval))
        made = [
            self._change(title, path, kinds[path], changes, path in registered, profile)
            for path, changes in edits.items()
            if changes
        ]
        approvals = [change for change in made if not change.registers and not change.removed]
        return [*approvals, *(change for change in made if change not in approvals)]

    def _approve(self, approval: Approval) -> list[Change]:
        values = self._values(approval.path, approval.format)
        held = value_at(values, approval.at)
        items = [one for one in approval.items if not isinstance(held, list) or one not in held]
        changes: list[Change] = [Extend(approval.at, tuple(items))] if items else []
        for name, value in approval.members:
            if not isinstance(held, Mapping) or name not in held:
                changes.append(Put(approval.at, name, value))
        return changes

    def _change(
        self,
        title: str,
        path: Path,
        kind: Format,
        changes: list[Change],
        registers: bool,
        profile: str,
    ) -> FileChange:
        before = self._content(path)
        try:
            after = spliced(before or b"", kind, changes)
        except (Impossible, Unreadable) as error:
            raise _Blocked(path, f"it cannot be changed without touching more: {error}") from None
        removed = tuple(change.key for change in changes if isinstance(change, Drop))
        return FileChange(
            path, title, before, after, kind, tuple(changes), removed, registers, profile
        )

    def _profile_of(self, one: _OfClient) -> str:
        """Return the profile with which a client is registered, empty for none, and put what it had
        into it."""
        if self._options.shares or self._options.in_project or not one.moved:
            return ""
        entries = [settings for _, settings in one.ours.values() if settings is not None]
        profile = _option(entries[0], "--profile") if entries else one.client.name
        if profile:
            names = self._profiles.setdefault(profile, [])
            names += [server.name for _, server in one.moved if server.name not in names]
        return profile

    def _entry(
        self, one: _OfClient, place: Place, profile: str, ours: list[_OfClient]
    ) -> dict[str, Any] | None:
        """Return the entry to put into *place*; None if nothing changes there."""
        has_moved = any(held.place.path == place.path for held, _ in one.moved)
        known = one.ours.get(place.path)
        settings = None if known is None else known[1]
        if self._options.in_project:
            is_meant = has_moved and place.scope is Scope.PROJECT
            return one.client.entry(Start("plait", ("serve",))) if is_meant and not known else None
        if not place.registers:
            return None
        if known is not None:
            if settings is None or _is_startable(settings, self._machine):
                return None  # it is there and works
            return one.client.entry(self._restarted(settings))
        if one.moved:
            return one.client.entry(self._started(profile))
        has_own = bool(one.held) or any(
            stay.client == one.client.title for stay in self._plan.stays
        )
        is_shared = any(other.moved or other.ours for other in ours)  # it would see their servers
        if (has_own or is_shared) and one.client.name not in self._options.clients:
            note = f"{one.client.title} has no servers that could move, and is left as it is: "
            self._note(f"{note}plait install {one.client.name} registers Plait there nevertheless")
            return None
        return one.client.entry(self._started(""))

    def _note(self, text: str) -> None:
        if text not in self._plan.notes:
            self._plan.notes.append(text)

    def _started(self, profile: str) -> Start:
        start = self._plan.start
        has_settings = bool(self._plan.servers or self._existing.get("servers"))
        named = ("--config", str(self._plan.targets.settings)) if has_settings else ()
        chosen = ("--profile", profile) if profile else ()
        return replace(start, args=(*start.args, *named, *chosen))

    def _restarted(self, settings: Any) -> Start:
        """Return the start of an entry whose command is gone, with the arguments that it had."""
        words = words_of(settings)
        at = words.index("serve") if "serve" in words else len(words)
        start = self._plan.start
        return replace(start, args=(*start.args, *words[at + 1 :]))

    def _add_ours(self) -> None:
        """Add the changes of our own files, and the rules that are carried over."""
        plan, targets = self._plan, self._plan.targets
        for server in plan.servers:
            for held in server.held:
                for answer, tool in self._rules.get(held.key, ()):
                    rule = (answer, f"{server.name}:{tool}", held.client.title)
                    if rule not in plan.policy:
                        plan.policy.append(rule)
        contents = (self._content(targets.settings), self._content(targets.secrets))
        add_ours(plan, contents, self._existing, self._profiles, self._machine)


def _is_part(settings: Any) -> bool:
    """Return whether an entry is a part of the client, rather than a server."""
    return isinstance(settings, Mapping) and str(settings.get("type")) in PARTS_OF_CLIENTS


def _option(settings: Any, name: str) -> str:
    """Return the value of the option *name* in the command of *settings*, empty without it."""
    words = words_of(settings)
    for word, after in zip_longest(words, words[1:], fillvalue=""):
        if word == name:
            return after
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return ""


def _is_startable(settings: Any, machine: Machine) -> bool:
    """Return whether the command of an entry is there."""
    words = words_of(settings)
    if not words or not os.path.isabs(words[0]):
        return True  # an address, or a name that the client's own PATH finds
    return os.access(words[0], os.X_OK)
