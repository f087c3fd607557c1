"""All checks at once, each within a time of its own: one that hangs delays no other, and is a
finding itself."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import anyio
from anyio import to_thread

from . import clients, commands, gateway, servers, settings, state
from .case import Case
from .findings import Finding, wrong

log = logging.getLogger(__name__)

ENDING_S = 15.0
"""Longest time in which servers are stopped again."""


Check: TypeAlias = Callable[[], Awaitable[list[Finding]]]


async def examine(case: Case) -> list[Finding]:
    """Examine everything, and return what was found, in the order of the checks."""
    config = None
    findings = [wrong(settings.ABOUT, f"they could not be read within {case.check_s:g} s")]
    with anyio.move_on_after(case.check_s):
        findings, config = await to_thread.run_sync(settings.check, case, abandon_on_cancel=True)
    starting_s = case.server_s + ENDING_S
    checks: list[tuple[str, float, Check]] = [
        ("clients", case.check_s, lambda: clients.check(case, config)),
        ("gateway", case.check_s, lambda: gateway.check(case)),
        ("state folder", case.check_s, lambda: state.check(case)),
    ]
    if config is not None:
        known = config
        checks[:0] = [
            ("commands", case.check_s, lambda: commands.check(case, known)),
            ("servers", starting_s, lambda: servers.check(case, known)),
        ]
    found = await _all(checks)
    return [_clean(case, one) for one in (*findings, *found)]


async def _all(checks: Sequence[tuple[str, float, Check]]) -> list[Finding]:
    """Make all *checks* at once, each with its name and its longest time."""
    found: list[list[Finding]] = [[] for _ in checks]

    async def make(index: int, name: str, limit_s: float, check: Check) -> None:
        found[index] = [wrong(name, f"the check did not end within {limit_s:g} s")]
        with anyio.move_on_after(limit_s):
            try:
                found[index] = await check()
            except Exception as error:  # the other checks go on
                log.exception("check.failed", extra={"check": name})
                found[index] = [
                    wrong(name, f"could not be checked: {error}", "plait doctor --debug")
                ]

    async with anyio.create_task_group() as tasks:
        for index, (name, limit_s, check) in enumerate(checks):
            tasks.start_soon(make, index, name, limit_s, check)
    return [finding for part in found for finding in part]


def _clean(case: Case, finding: Finding) -> Finding:
    """Return *finding* without secrets."""
    redact = case.secrets.redact
    return Finding(
        finding.mark,
        redact(finding.about),
        redact(finding.says),
        redact(finding.fix),
        finding.mend,
    )
