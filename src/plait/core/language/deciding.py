"""Fields of other engines that decide what runs: whether, when, in which order, how often or for
which items.

Such a field is not left out, and is not taken for another that is only near: something else would
run. It has no fix, and a hint that names the field to write in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_WORDS = frozenset(
    (
        *("if", "unless", "when", "while", "until", "skip", "only", "on", "off", "before", "after"),
        *("next", "then", "finally", "always", "fail", "failed", "failure", "error", "errors"),
        *("success", "allow", "continue", "stop", "abort", "enabled", "enable", "disabled"),
        *("disable", "ignore", "optional", "required", "manual", "approve", "approval", "confirm"),
        *("dry", "preview", "simulate", "simulation", "validate", "plan", "rollback", "compensate"),
        *("fallback", "default", "sequential", "parallel", "order", "repeat", "delay", "sleep"),
        *("not", "except", "run", "execute", "poll", "polling", "paginate", "pagination", "cron"),
    )
)
"""Words in the names of such fields."""
_ORDER = 'Write what a task waits for into the task, as depends_on: ["id"].'
_WHEN = 'Write a condition as when: "a.count > 0".'
_REPEAT = 'Write pages and polling as repeat: {"set": …} or {"until": "state == \'done\'"}.'
_PREVIEW = (
    "Write dry_run: true next to tasks to run nothing, or preview: true to wait before the first "
    "call that may change something."
)
_NOW = "A DAG runs when it is sent. Write depends_on for what waits for another task."
_ALWAYS = 'Write "trigger_rule": "always" for a task that runs also once the rest is stopped.'
_FEWER = 'Cut the list that it runs over: for_each: "${OUTPUT[id].items | [:10]}".'
_HINTS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("edges", "connections", "dependencies", "links", "layers", "flow", "entry", "start"),
            *("start_at", "entry_point", "entrypoint", "blocked_by", "previous", "prev", "from"),
            *("source", "await", "awaits", "inputs_from", "input_from", "phase", "phases", "stage"),
            *("stages",),
            *("sequence", "sequential", "layer", "level", "levels", "wave", "waves", "downstream"),
            *("children", "child", "parent", "parents", "successor", "successors", "predecessors"),
            *("goto", "next", "next_step", "then", "order", "before", "run_before", "follows"),
            *("sources", "targets", "target", "triggers", "blocks", "serial", "transitions"),
        ),
        _ORDER,
    ),
    **dict.fromkeys(
        (
            *("guard", "guards", "precondition", "preconditions", "assert", "asserts", "else"),
            *("otherwise", "else_if", "elif", "switch", "case", "cases", "choices", "branches"),
            *("expect", "ensure"),
        ),
        _WHEN,
    ),
    **dict.fromkeys(
        (
            *("poll", "polling", "paginate", "pagination", "all_pages", "fetch_all", "pages"),
            *("auto_paginate", "until", "wait_until", "poll_until", "while", "do_while"),
            *("repeat_until", "retry_until", "loop_until", "loop_while"),
        ),
        _REPEAT,
    ),
    **dict.fromkeys(
        (
            *("simulate", "simulation", "simulated", "execute", "preview", "plan_only", "validate"),
            *("validate_only", "dry_run", "preview_only", "no_execute"),
        ),
        _PREVIEW,
    ),
    **dict.fromkeys(("cron", "schedule", "scheduled", "run_at", "at", "interval"), _NOW),
    **dict.fromkeys(("always", "finally", "cleanup", "always_run", "run_always"), _ALWAYS),
    "cleanup_s": "It is for all that cleans up: write it next to tasks.",
}
_OF_TEXTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("sequential", "sequentially", "sequence", "serial", "series", "ordered", "in_order"),
        _ORDER,
    ),
    **dict.fromkeys(
        ("dry_run", "dryrun", "dry", "plan", "preview", "simulate", "simulation", "validate"),
        _PREVIEW,
    ),
}
"""Hints for texts that decide so, whatever the field is named."""
_LIMITS = frozenset(
    ("limit", "max_items", "item_limit", "take", "top", "first", "head", "max_count", "offset")
)
_UNREMARKABLE = frozenset(("id", "name", "tool", "tasks", "description", "priority", "detail"))
"""Fields that may stand in an object that decides nothing."""


def decides(name: str) -> bool:
    """Return whether a field of this *name*, in snake case, decides what runs."""
    return not _WORDS.isdisjoint(name.split("_"))


def hint_for(
    name: str, value: Any, known: Collection[str], others: Collection[str], *, is_label: bool
) -> str | None:
    """Return where what an unknown field decides is written here; None if it is not known to decide
    anything. *others* are the fields next to it; *is_label* says that it usually is only a text for
    readers."""
    if "tasks" not in known:
        return None
    if (hint := _HINTS.get(name)) is not None:
        return hint
    if name in _LIMITS and "for_each" in others:
        return _FEWER
    if isinstance(value, str) and (not is_label or name == "type"):
        hint = _OF_TEXTS.get(value.strip().lower().replace("-", "_").replace(" ", "_"))
        return None if name == "type" and hint is _PREVIEW else hint
    if isinstance(value, dict):
        inner = [one for one in value if one in known or one in _HINTS or decides(one)]
        if found := [one for one in inner if one not in _UNREMARKABLE]:
            place = "the task itself" if "tool" in known else "the document, next to tasks"
            return f"Write {found[0][:80]} into {place}."
    return None
