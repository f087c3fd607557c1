"""A plan of an installation as a person sees it: one difference over all files, without values that
may be secret."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.values.strict import JsonObject
from .style import Line, Look, Styled, counted

if TYPE_CHECKING:
    from ..install.applying import Outcome, Undoing
    from ..install.plan import FileChange, Left, Plan, Server

WIDTH = 25
"""Columns of the names at the left."""


def plan_lines(plan: Plan, home: Path, state_folder: Path, notes: Iterable[str]) -> Iterator[Line]:
    """Yield *plan* as lines."""
    clients, servers = counted(plan.clients, "client"), counted(len(plan.names), "server")
    yield (Styled(f"Found {clients} with {servers}.", Look.BOLD),)
    for change in plan.changes:
        if change.title == "servers.toml":
            new = "new, " if change.before is None else ""
            yield (f"  servers.toml ({new}{shown(change.path.parent, home)})",)
    for server in plan.servers:
        yield _server_line(server)
    for stay in plan.stays:
        yield (f"= {_column(stay.name)}stays with {stay.client}: {stay.reason}",)
    if rules := [*_policy(plan)]:
        yield (f"  {_column('policy')}{', '.join(rules)}",)
    for change in plan.changes:
        if change.changes:
            yield (f"  {_column(shown(change.path, home))}{_change(change)}",)
    for left in plan.left:
        yield from _left_lines(left, home)
    for note in (*notes, *plan.notes):
        yield (f"! {note}",)
    if plan.changes:
        folder = shown(state_folder / "backups", home)
        yield (f"Backups go to {folder}. plait install --undo puts all of it back.",)


def question(plan: Plan) -> str:
    """Return the one question."""
    is_secret = any(change.title == "secrets.env" for change in plan.changes)
    count = len(plan.changes) - is_secret
    files = "this file" if count == 1 else f"these {count} files"
    return f"Write {files}{', and secrets.env' if is_secret else ''}? [y/N]"


def by_hand_lines(plan: Plan, home: Path) -> Iterator[Line]:
    """Yield what is changed in each client's file, to make the change by hand."""
    for change in plan.changes:
        if change.changes:
            yield (Styled(shown(change.path, home), Look.BOLD),)
            yield from ((f"  {line}",) for line in change.lines)


def outcome_lines(outcome: Outcome, home: Path) -> Iterator[Line]:
    """Yield what has become of the files."""
    for path in outcome.written:
        yield (Styled("✓", Look.GREEN), f" {shown(path, home)}")
    for left in outcome.left:
        yield from _left_lines(left, home)


def undo_lines(undo: Undoing, home: Path) -> Iterator[Line]:
    """Yield the way back as lines."""
    yield (Styled(f"Back to the state before {undo.folder.name[:17]}:", Look.BOLD),)
    for file in undo.files:
        if file.after is None:
            what = "removed"
        elif file.is_exact:
            what = "as it was, byte for byte"
        else:
            back = f", + {', '.join(file.removed)}" if file.removed else ""
            what = f"written by others since: our change alone is taken back (- plait{back})"
        yield (f"  {_column(shown(file.path, home))}{what}",)
    yield from ((f"! {line}",) for line in undo.kept)
    for left in undo.left:
        yield from _left_lines(left, home)


def plan_document(plan: Plan, notes: Sequence[str]) -> JsonObject:
    """Return *plan* for `--json`."""
    return {
        "clients": plan.clients,
        "servers": [
            {
                "name": server.name,
                "new": server.is_new,
                "from": [
                    {"client": held.client.name, "name": held.name, "file": str(held.place.path)}
                    for held in server.held
                ],
                "secrets": [*server.secrets],
            }
            for server in plan.servers
        ],
        "stays": [
            {"client": stay.client, "name": stay.name, "reason": stay.reason} for stay in plan.stays
        ],
        "policy": [
            {"answer": answer, "rule": rule, "from": title} for answer, rule, title in plan.policy
        ],
        "files": [
            {
                "path": str(change.path),
                "title": change.title,
                "new": change.before is None,
                "removed": [*change.removed],
                "registers": change.registers,
                "profile": change.profile or None,
            }
            for change in plan.changes
        ],
        "left": [_left_document(left) for left in plan.left],
        "notes": [*notes, *plan.notes],
    }


def outcome_document(outcome: Outcome) -> JsonObject:
    return {
        "written": [str(path) for path in outcome.written],
        "left": [_left_document(left) for left in outcome.left],
        "backup": None if outcome.backup is None else str(outcome.backup),
    }


def _left_document(left: Left) -> JsonObject:
    return {
        "title": left.title,
        "path": str(left.path),
        "reason": left.reason,
        "lines": [*left.lines],
    }


def shown(path: Path, home: Path) -> str:
    """Write *path* with `~` for the user's home."""
    if path == home or not path.is_relative_to(home):
        return str(path)
    return os.path.join("~", path.relative_to(home))


def _column(text: str) -> str:
    return f"{text:<{WIDTH}} " if len(text) <= WIDTH else f"{text}  "


def _server_line(server: Server) -> Line:
    titles = dict.fromkeys(held.client.title for held in server.held)
    come = f"from {', '.join(titles)}{' (the same)' if len(server.held) > 1 else ''}"
    mark = Styled("+", Look.GREEN) if server.is_new else "="
    there = "" if server.is_new else ", is there already"
    names = f"  {', '.join(server.secrets)} → secrets.env" if server.secrets else ""
    passed = server.settings.get("env_pass")
    given = f"  with {', '.join(passed)} of its client" if server.is_new and passed else ""
    return (mark, f" {_column(f'[servers.{server.name}]')}{come}{there}{names}{given}")


def _policy(plan: Plan) -> Iterator[str]:
    is_new = any(one.title == "servers.toml" and one.before is None for one in plan.changes)
    for (answer, title), rules in groupby(plan.policy, key=lambda rule: (rule[0], rule[2])):
        yield f"{answer} {', '.join(rule for _, rule, _ in rules)} (from {title}'s rules)"
    if is_new and plan.servers:
        yield "ask write"


def _change(change: FileChange) -> str:
    parts = [f"- {counted(len(change.removed), 'server')}"] if change.removed else []
    if change.registers:
        profile = f" (profile {change.profile})" if change.profile else ""
        parts.append(f"+ plait{profile}")
    elif not change.removed:
        parts.append("+ the reading tools of plait need no yes")
    return "   ".join(parts)


def _left_lines(left: Left, home: Path) -> Iterator[Line]:
    yield (Styled("!", Look.YELLOW), f" {left.title} ({shown(left.path, home)}): {left.reason}")
    yield from ((f"    {line}",) for line in left.lines)
