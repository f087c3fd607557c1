"""DAG documents and limits to test the scheduler with, drawn, and the tools that they call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hypothesis import strategies as st

from plait.core.scheduling.limits import Limits
from plait.core.scheduling.rates import Rate
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.values.principal import USER, Principal
from tests.fakes import tool

SERVERS = ("a", "b", "c")
PATH = {"path": {"type": "string"}}
CATALOG = Catalog(
    [
        definition
        for server in SERVERS
        for definition in (
            tool(f"{server}:do", readOnlyHint=True),
            tool(f"{server}:read", PATH, closed=False, readOnlyHint=True),
            tool(f"{server}:write", PATH, closed=False),
        )
    ],
    [ServerInfo(server, ServerState.READY) for server in SERVERS],
)
PATHS = ("d", "d/x", "e")
VERBS = st.sampled_from(("do", "do", "read", "write"))
CALLERS = st.sampled_from((USER, USER, Principal("other")))
WEIGHTS = st.sampled_from((1, 1, 1, 2, 9))

_LINKS = st.sampled_from((None, None, None, "order", "data", "guarded"))
_TASKS = st.fixed_dictionaries(
    {
        "server": st.sampled_from(SERVERS),
        "verb": VERBS,
        "links": st.tuples(_LINKS, _LINKS, _LINKS),
        "path": st.sampled_from((*PATHS, "item", "data", "guarded")),
        "for_each": st.sampled_from((None,) * 4 + (0, 1, 2, 3, "output")),
        "has_when": st.sampled_from((False,) * 4 + (True,)),
        "uses": st.sampled_from(
            (None,) * 16
            + tuple(
                (use, key) for use in ("reads", "writes") for key in ("d/x", "file:d/x/y", "db:t")
            )
        ),
        "options": st.fixed_dictionaries(
            {
                "trigger_rule": st.sampled_from(
                    (None,) * 4
                    + ("all_done", "one_failed", "one_success", "none_failed", "always", "always")
                ),
                "retries": st.sampled_from(
                    (
                        *(None, None, 1, 2),
                        {"max": 2, "on": ["tool_error", "timeout"], "delay_s": 0.25},
                    )
                ),
                "priority": st.sampled_from((None, None, None, 1, -1)),
                "weight": st.sampled_from((None, None, None, 2, 9)),
                "cache": st.sampled_from((None, None, 60)),
                "on_item_failure": st.sampled_from((None, "skip")),
            }
        ),
    }
)
"""Tasks, described without the ids of others: the links lead to the tasks one, two and three places
before, so each task may be left out when a document is made smaller."""
_DAG_OPTIONS = st.fixed_dictionaries(
    {
        "fail_fast": st.sampled_from((None, None, None, True)),
        "schedule": st.sampled_from((None, None, "layers")),
        "max_concurrency": st.sampled_from((None, None, 1, 2)),
        "timeout_s": st.sampled_from((None, None, 9.0)),
        "cleanup_s": st.sampled_from((None, None, 3.0)),
    }
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A DAG of up to eight tasks with every option that the scheduler reads."""
    tasks: list[dict[str, Any]] = []
    for drawn in draw(st.lists(_TASKS, min_size=1, max_size=8)):
        tasks.append(_task(tasks, **drawn))
    if draw(st.booleans()):
        tasks.reverse()  # so that what is needed stands behind
    return {"tasks": tasks, "return": ["*"], **_given(draw(_DAG_OPTIONS))}


def _task(
    earlier: Sequence[dict[str, Any]],
    *,
    server: str,
    verb: str,
    links: Sequence[str | None],
    path: str,
    for_each: int | str | None,
    has_when: bool,
    uses: tuple[str, str] | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    links_to = {
        task["id"]: link for task, link in zip(reversed(earlier), links, strict=False) if link
    }
    by_id = {task["id"]: task for task in earlier}
    single = [need for need in links_to if "for_each" not in by_id[need]]
    """Tasks that it needs whose output is an object: that of `for_each` is a list."""
    task: dict[str, Any] = {
        "id": f"t{len(earlier)}",
        "tool": f"{server}:{verb}",
        "depends_on": [need for need, link in links_to.items() if link == "order"],
        "arguments": {
            need: reference(need, is_guarded=link == "guarded")
            for need, link in links_to.items()
            if link != "order"
        },
        "allow_repeat": True,
    }
    if isinstance(for_each, int):
        task["for_each"] = list(PATHS[:for_each])
    elif for_each and single:
        task["for_each"] = f"$OUTPUT[{single[0]}].items"
    if has_when and next(iter(links_to), None) in single:  # a list has no field
        task["when"] = f"{next(iter(links_to))}.ok"
    if verb != "do":
        if path == "item":
            path = "$ITEM" if "for_each" in task else PATHS[0]
        elif path in {"data", "guarded"}:
            is_guarded = path == "guarded"
            path = reference(single[-1], ".path", is_guarded=is_guarded) if single else PATHS[1]
        task["arguments"]["path"] = path
    if uses is not None:
        task[uses[0]] = [uses[1]]
    if "for_each" not in task:
        options = {**options, "on_item_failure": None}
    return task | _given(options)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def reference(need: str, path: str = "", *, is_guarded: bool = False) -> str:
    """A reference to the output of *need*, or to what is at *path* in it."""
    return f'${{OUTPUT[{need}]{path} ?? "e"}}' if is_guarded else f"$OUTPUT[{need}]{path}"


def limits() -> st.SearchStrategy[Limits]:
    """Limits of the gateway and, for some servers, limits and rates of their own."""
    return st.builds(
        _limits,
        st.sampled_from((1, 2, 2, 3, 6, 12)),
        a=st.sampled_from((None, 1, 2, 3)),
        b=st.sampled_from((None, 1, 2, "auto", "auto", "auto")),
        c=st.sampled_from((None, None, 1, "auto")),
        rate=st.sampled_from(
            (None, None, None, ("a", Rate(1, 1.0)), ("a", Rate(2, 3.0)), ("b", Rate(1, 3.0)))
        ),
    )


def _limits(
    gateway: int, *, rate: tuple[str, Rate] | None, **servers: int | Literal["auto"] | None
) -> Limits:
    slots = tuple((name, number) for name, number in servers.items() if number is not None)
    return Limits(gateway, slots, () if rate is None else (rate,))
