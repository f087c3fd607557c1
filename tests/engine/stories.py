"""Random DAGs whose gateways die, and the laws that hold for them, judged from the servers' logs.

The tools: `read` is read-only, `put` idempotent, `write` neither. Each is sent the name of its call
and its answer follows from its arguments alone, unless they say `changes`: then the flag in it
differs from call to call.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

READ, PUT, WRITE = "s:read", "s:put", "s:write"
TOOLS = (READ, READ, PUT, WRITE, WRITE)
FLAG = "changes"
_SEVERAL = frozenset({"for_each", "repeat"})
SELECT = "{mark: mark, flag: flag, list: list}"
TIMES_MS = (0, 0, 1, 5, 20, 60)
LARGE = 200_000
"""Characters that make an output so large that it is packed aside."""


class Seen(NamedTuple):
    """A line in the log of the servers."""

    what: str
    """`arrived`, or how it was answered: `well`, or `badly`."""
    tool: str
    call: str
    """The id of the task, with its items and its page."""
    life: int
    """The gateway that it came from, counted from 0."""
    at: float

    @property
    def task(self) -> str:
        return self.call.partition("/")[0].partition(".")[0]


class Death(NamedTuple):
    """A gateway that was killed."""

    life: int
    at: float


def name_of(arguments: Mapping[str, Any]) -> str:
    """Return the name of the call with *arguments*."""
    return f"{arguments['key']}/{arguments.get('page', 0)}"


def answer(arguments: Mapping[str, Any], random: Random) -> dict[str, Any]:
    """Return the output of a call with *arguments*."""
    mark = crc32(json.dumps(arguments, sort_keys=True).encode())
    page = arguments.get("page", 0)
    return {
        "mark": mark,
        "flag": bool(mark & 1) if not arguments.get(FLAG) else random.random() < 0.5,
        "list": [1, 2, 3, 4][: mark % 5],
        "next": page + 1 if page < arguments.get("pages", 0) else None,
        "pad": "x" * arguments.get("pad", 0),
    }


def random_dag(r: Random, *, times_ms: Sequence[int] = TIMES_MS) -> dict[str, Any]:
    """Make a DAG of chains, fans, branches, items, groups, pages, values and retries."""
    tasks: list[dict[str, Any]] = []
    with_mark: list[str] = []
    """The tasks whose outputs have what `answer` gives."""
    for number in range(r.randint(2, 8)):
        id = f"t{number}"
        tool = r.choice(TOOLS)
        arguments: dict[str, Any] = {"key": id, "ms": r.choice(times_ms)}
        task: dict[str, Any] = {"id": id, "tool": tool, "arguments": arguments}
        if with_mark and r.random() < 0.7:
            arguments["of"] = f'${{OUTPUT[{r.choice(with_mark)}].mark ?? "none"}}'
        elif tasks and r.random() < 0.5:
            task["depends_on"] = [r.choice(tasks)["id"]]
        match r.choice(["plain"] * 3 + ["branch", "items", "group", "pages", "value", "select"]):
            case "branch" if with_mark:
                on = r.choice(with_mark)
                no = {**task, "id": f"{id}no", "arguments": {**arguments, "key": f"{id}no"}}
                tasks.append({**no, "when": f"!{on}.flag"})
                task["when"] = f"{on}.flag"
                with_mark.append(id)
            case "items":
                task["for_each"] = (
                    f"$OUTPUT[{r.choice(with_mark)}].list" if with_mark else [1, 2, 3]
                )
                arguments["key"] = f"{id}.$ITEM"
                if r.random() < 0.3:
                    task["on_item_failure"] = "skip"
            case "group":
                inner = [
                    {
                        "id": name,
                        "tool": r.choice(TOOLS),
                        "arguments": {"key": f"{id}.{name}.$ITEM", "ms": r.choice(times_ms)},
                        **more,
                    }
                    for name, more in (("a", {}), ("b", {"depends_on": ["a"]}))
                ]
                needs = {"depends_on": task["depends_on"]} if "depends_on" in task else {}
                task = {"id": id, "for_each": [1, 2], "tasks": inner, **needs}
            case "pages":
                arguments |= {"page": 0, "pages": r.randint(1, 3)}
                task |= {"repeat": {"set": {"page": "next"}}, "allow_repeat": True}
            case "value" if with_mark:
                task = {"id": id, "value": {"mark": f"$OUTPUT[{r.choice(with_mark)}].mark"}}
            case "select":
                task["select"] = SELECT
                with_mark.append(id)
            case _:
                if r.random() < 0.15:
                    arguments["pad"] = LARGE
                if tool == READ and r.random() < 0.3:
                    arguments[FLAG] = True
                with_mark.append(id)
        is_single = "tool" in task and _SEVERAL.isdisjoint(task)
        if is_single and r.random() < 0.25:  # few, so that no budget of retries is used up
            arguments["fails"] = 1
            retries = {"max": 3, "delay_s": r.choice([0.01, 0.05]), "on": ["tool_error"]}
            task |= {"retries": retries, "allow_repeat": True}
        if "when" not in task and r.random() < 0.2:
            task["trigger_rule"] = r.choice(["all_done", "none_failed"])
        tasks.append(task)
    document: dict[str, Any] = {"tasks": tasks, "return": [task["id"] for task in tasks]}
    if r.random() < 0.3:
        document["max_concurrency"] = r.randint(1, 2)
    return document


def is_steady(document: Mapping[str, Any]) -> bool:
    """Whether each run of *document* gives the same."""
    return not any(FLAG in task.get("arguments", {}) for task in document["tasks"])


class Broken(AssertionError):
    """A law does not hold."""


def judge(
    document: Mapping[str, Any],
    log: Sequence[Seen],
    deaths: Sequence[Death],
    tasks: Mapping[str, Mapping[str, Any]],
    said: frozenset[int] = frozenset(),
    slack_s: float = 0.0,
) -> int:
    """Check the laws for a run of *document* that has ended, of whose *tasks* each has its `status`
    and the `codes` of its errors. *said* are the lives before which `retry` was said of all that
    was in doubt. What happened up to *slack_s* before a death may not be written. Returns the
    number of tasks in doubt. Raises `Broken`."""
    died = {death.life: death.at for death in deaths}
    retried = {task["id"] for task in document["tasks"] if "retries" in task}
    single = {task["id"] for task in document["tasks"] if task.keys().isdisjoint(_SEVERAL)}
    calls: dict[str, list[Seen]] = defaultdict(list)
    for seen in log:
        calls[seen.call].append(seen)
    for call, lines in calls.items():
        last: Seen | None = None
        for seen in lines:
            if seen.what != "arrived":
                if last is not None and last.life == seen.life:
                    last = seen
                continue
            if last is not None:
                _check_again(call, last, seen, retried, died, said, slack_s)
            last = seen
    for id in (task["id"] for task in document["tasks"]):
        if id not in tasks:
            raise Broken(f"{id} has no outcome")
    sent = {seen.task for seen in log}
    for task in document["tasks"]:
        is_both = f"{task['id']}no" in sent and task["id"] in sent
        if is_both and not said:  # a word can turn a failure that has decided something
            raise Broken(f"both {task['id']} and {task['id']}no were sent")
    in_doubt = [id for id, task in tasks.items() if "in_doubt" in task["codes"]]
    for id in in_doubt:
        lines = calls[f"{id}/0"]
        if lines and lines[-1].what == "well" and id in single:
            last = lines[-1]
            if last.life not in died or last.at < died[last.life] - slack_s:
                raise Broken(f"{id} is in doubt, and was answered")
    return len(in_doubt)


def _check_again(
    call: str,
    last: Seen,
    seen: Seen,
    retried: set[str],
    died: Mapping[int, float],
    said: frozenset[int],
    slack_s: float,
) -> None:
    """Check that *call* may have been sent again as *seen*, after *last*."""
    if last.what == "badly" and last.task in retried:
        return
    if seen.life == last.life:
        raise Broken(f"{call} was sent twice by one gateway")
    if last.life not in died:
        raise Broken(f"{call} was sent again, though its gateway lived")
    if last.what == "well" and last.at < died[last.life] - slack_s:
        raise Broken(f"{call} had ended, and was sent again")
    if seen.tool == WRITE and not any(last.life < life <= seen.life for life in said):
        raise Broken(f"{call} changes something, and was sent again")
