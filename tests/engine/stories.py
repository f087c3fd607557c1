"""Random DAGs whose gateways die, and the laws that hold for them, judged from the servers' logs.

The tools: `read` is read-only, `put` idempotent, `write` neither. Each is sent the name of its call
and its answer follows from its arguments alone, unless they say `changes`: then the flag in it
differs from call to call.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

READ, PUT, WRITE = "s:read", "s:put", "s:write"
TOOLS = (READ, READ, PUT, WRITE, WRITE)
FLAG = "changes"
_SEVERAL = frozenset({"for_each", "repeat"})
_KINDS = ("branch", "items", "group", "pages", "polls", "value", "select")
_REFERENCE = re.compile(r"OUTPUT\[(\w+)\]")
_NAME = re.compile(r"!?(\w+)")
SELECT = "{mark: mark, flag: flag, list: list}"
TIMES_MS = (0, 0, 1, 5, 20, 60)
LARGE = 200_000
"""Characters that make an output so large that it is packed aside."""


class Seen(NamedTuple):
    """A line in the log of the servers."""

    what: str
    """`arrived`, or how it was answered: `well`, `badly`, or `not yet`."""
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


def how_answered(arguments: Mapping[str, Any], arrivals: int) -> str:
    """Return how a call with *arguments* is answered that has arrived so often."""
    if arrivals <= arguments.get("fails", 0):
        return "badly"
    return "not yet" if arrivals <= arguments.get("polls", 0) else "well"


def answer(arguments: Mapping[str, Any], random: Random, how: str = "well") -> dict[str, Any]:
    """Return the output of a call with *arguments*."""
    mark = crc32(json.dumps(arguments, sort_keys=True).encode())
    page = arguments.get("page", 0)
    return {
        "mark": mark,
        "flag": bool(mark & 1) if not arguments.get(FLAG) else random.random() < 0.5,
        "list": [1, 2, 3, 4][: mark % 5],
        "ready": how == "well",
        "next": page + 1 if page < arguments.get("pages", 0) else None,
        "pad": "x" * arguments.get("pad", 0),
    }


def random_dag(r: Random, *, times_ms: Sequence[int] = TIMES_MS) -> dict[str, Any]:
    """Make a DAG of chains, fans, branches, items, groups, pages, polls, values and retries."""
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
        match r.choice(["plain"] * 3 + list(_KINDS)):
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
            case "polls":
                arguments["polls"] = r.randint(1, 3)
                task |= {"repeat": {"until": "ready", "every_s": 0.05}}
                task["allow_repeat"] = True
                with_mark.append(id)
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
        elif is_single and r.random() < 0.1:
            arguments["fails"] = 99
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
    *,
    servers_died: bool = False,
) -> int:
    """Check the laws for a run of *document* that has ended, of whose *tasks* each has its `status`
    and the `codes` of its errors. *said* are the lives before which `retry` was said of all that
    was in doubt. What happened up to *slack_s* before a death may not be written. Where
    *servers_died* on their own, calls were lost that their gateways lived to see. Returns the
    number of tasks in doubt. Raises `Broken`."""
    died = {death.life: death.at for death in deaths}
    calls: dict[str, list[Seen]] = defaultdict(list)
    for seen in log:
        calls[seen.call].append(seen)
    _check_turns(log)
    retried = {task["id"] for task in document["tasks"] if "retries" in task}
    for lines in calls.values():
        _check_repeats(lines, retried, died, said, slack_s)
    _check_causes(document, log, said)
    for id in (task["id"] for task in document["tasks"]):
        if id not in tasks:
            raise Broken(f"{id} has no outcome")
    if not said:  # a word can turn a failure that has decided something
        _check_branches(document, log)
    single = {
        task["id"]
        for task in document["tasks"]
        if "tool" in task and task.keys().isdisjoint(_SEVERAL)
    }
    for lines in calls.values():
        last, codes = lines[-1], tasks[lines[-1].task]["codes"]
        is_said = bool(codes) if servers_died else "in_doubt" in codes
        if last.tool == WRITE and last.what == "arrived" and not is_said:
            raise Broken(f"{last.call} was in the air to the end, and {last.task} says {codes}")
    in_doubt = {id for id, task in tasks.items() if "in_doubt" in task["codes"]}
    for id in single:
        lines = calls.get(f"{id}/0", [])
        ended = next((seen for seen in reversed(lines) if seen.what == "well"), None)
        if tasks[id]["status"] == "success" and ended is None:
            raise Broken(f"{id} is a success, and was not answered")
        if id in in_doubt and lines and lines[-1].what == "well":
            last = lines[-1]
            if last.life not in died or last.at < died[last.life] - slack_s:
                raise Broken(f"{id} is in doubt, and was answered")
    return len(in_doubt)


def causes(document: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return all tasks that each task waits for, directly or through others. Their order in the
    document is that of their dependencies."""
    found: dict[str, set[str]] = {}
    for task in document["tasks"]:
        direct = {*task.get("depends_on", ()), *_REFERENCE.findall(json.dumps(task))}
        direct |= {_NAME.match(task["when"])[1]} if "when" in task else set()  # type: ignore[index]
        found[task["id"]] = direct.union(*(found[id] for id in direct))
    return found


def _check_turns(log: Sequence[Seen]) -> None:
    """Check that no gateway does anything for the run once another has gone on with it."""
    turns = [life for life, _ in groupby(seen.life for seen in log)]
    for life, count in Counter(turns).items():
        if count > 1:
            raise Broken(f"gateway {life} went on with a run that another had taken over: {turns}")


def _check_causes(document: Mapping[str, Any], log: Sequence[Seen], said: frozenset[int]) -> None:
    """Check that nothing which decided a call that is not read-only is sent again later. What was
    not answered yet, as another cause had failed, did not decide it."""
    waits_for = causes(document)
    decided: dict[str, tuple[str, int]] = {}
    """Which calls have been decided: by task, or item of an inner task, with the last life in which
    something was sent that needed it."""
    answered: set[str] = set()
    for seen in log:
        name = seen.call.partition("/")[0]
        if seen.what != "arrived":
            answered |= {seen.task, name}
            continue
        for cause in (seen.task, name):
            by, life = decided.get(cause, ("", seen.life))
            if life < seen.life and not any(life < word <= seen.life for word in said):
                raise Broken(f"{seen.call} had decided {by}, and was sent again")
        if seen.tool != READ:
            of = waits_for[seen.task]
            if len(path := name.split(".")) == 3 and path[1] == "b":
                of = of | {f"{path[0]}.a.{path[2]}"}
            decided |= dict.fromkeys(of & answered, (seen.call, seen.life))


def _check_branches(document: Mapping[str, Any], log: Sequence[Seen]) -> None:
    """Check that no condition sent both of its branches, unless what decided it for the first of
    them, a read, was made again in a later life."""
    waits_for = causes(document)
    arrived = [seen for seen in log if seen.what == "arrived"]
    for id in waits_for:
        both = [seen for seen in arrived if seen.task in {id, f"{id}no"}]
        if len({seen.task for seen in both}) < 2:
            continue
        first = [seen for seen in both if seen.task == both[0].task]
        is_decided_again = any(
            seen.task in waits_for[id] and seen.life > first[-1].life for seen in arrived
        )
        if not is_decided_again or any(seen.tool != READ for seen in first):
            raise Broken(f"both {id} and {id}no were sent")


def _check_repeats(
    lines: Sequence[Seen],
    retried: set[str],
    died: Mapping[int, float],
    said: frozenset[int],
    slack_s: float,
) -> None:
    """Check that each of the *lines* of one call may have been sent again."""
    last: Seen | None = None
    for seen in lines:
        if seen.what != "arrived":
            if last is not None and last.life == seen.life:
                last = seen
            continue
        if last is not None and not _may_follow(last, retried):
            _check_again(last, seen, died, said, slack_s)
        last = seen


def _may_follow(last: Seen, retried: set[str]) -> bool:
    """Whether a call is sent again because of its answer."""
    return last.what == "not yet" or (last.what == "badly" and last.task in retried)


def _check_again(
    last: Seen, seen: Seen, died: Mapping[int, float], said: frozenset[int], slack_s: float
) -> None:
    """Check that a call may have been sent again as *seen*, after *last*."""
    if seen.life == last.life:
        raise Broken(f"{seen.call} was sent twice by one gateway")
    if last.life not in died:
        raise Broken(f"{seen.call} was sent again, though its gateway lived")
    if last.what != "arrived" and last.at < died[last.life] - slack_s:
        raise Broken(f"{seen.call} had ended, and was sent again")
    if seen.tool == WRITE and not any(last.life < life <= seen.life for life in said):
        raise Broken(f"{seen.call} changes something, and was sent again")
