"""The tool of a task: found, given arguments that it takes, and allowed by the policy."""

from __future__ import annotations

from typing import Any

from plait.core.language.dag import Task
from plait.core.language.templates import compile_value
from plait.core.planning.tool_use import ToolUse
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy, Rule
from plait.core.values.problems import MAX_GUESSES, REMOVE, Problem, Problems
from tests.fakes import tool

from ..tables import table

STRING: dict[str, Any] = {"type": "string"}
ANY = tool("s:any")
READ = tool("s:read", {"path": STRING, "head": {"type": "integer"}}, ["path"], readOnlyHint=True)
WRITE = tool("s:write", {"path": STRING, "content": STRING}, ["path", "content"])
OFF = ServerInfo("off", ServerState.NEEDY, error="TOKEN is not set", needs=("TOKEN",))
CATALOG = Catalog([ANY, READ, WRITE], [ServerInfo("s", ServerState.READY), OFF])
PATH = "tasks[0]"


class Used:
    """Tasks that use tools, and what was found."""

    def __init__(self, policy: Policy | None = None, unread: Any = None) -> None:
        self.problems = Problems()
        self.notes: list[str] = []
        self.tools = ToolUse(CATALOG, policy or Policy(), unread or {}, self.problems, self.notes)

    def give(self, used: Any, arguments: Any) -> Any:
        """Give *arguments* to a tool; returns those that it gets."""
        task = Task(id="a", tool=used.full_name, arguments=arguments)
        template, _ = compile_value(arguments)
        return self.tools.arguments(task, used, template, PATH).value

    def allow(self, used: Any, **fields: Any) -> list[tuple[str, str]]:
        """Ask the policy about a task; returns the new problems."""
        task = Task(id="a", tool=used.full_name, **fields)
        self.tools.check_repeats(task, used, self.tools.policy_of(used), PATH)
        return [(problem.path, problem.code) for problem in self.problems]

    def cache_s(self, used: Any, **fields: Any) -> float:
        task = Task(id="a", tool=used.full_name, **fields)
        return self.tools.cache_s(task, used, self.tools.policy_of(used), PATH)


def test_a_tool_found_by_another_name_gives_a_note() -> None:
    used, task = Used(), Task(id="a", tool="mcp__s__any")
    assert used.tools.find(task, "mcp__s__any", PATH) is ANY
    assert used.notes == ['tasks[0]: the tool "mcp__s__any" was read as s:any']
    assert used.tools.find(task, "s:any", PATH) is ANY
    assert len(used.notes) == 1


def test_a_server_that_is_off_is_noted_once() -> None:
    used = Used()
    names = [
        used.tools.find(Task(id="a", tool=f"off:{name}"), f"off:{name}", PATH) for name in "ab"
    ]
    assert [found.full_name for found in names if found] == ["off:a", "off:b"]
    assert used.notes == ["off is off, so its tasks fail: TOKEN is not set"]
    assert list(used.problems) == []


def test_an_unknown_tool_is_reported_with_the_nearest_name_for_some_tasks() -> None:
    used, task = Used(), Task(id="a", tool="s:raed")
    assert used.tools.find(task, "s:raed", PATH) is None
    [problem] = used.problems
    assert (problem.path, problem.code, problem.id) == ("tasks[0].tool", "unknown_tool", "a")
    assert "s:read" in str(problem.hint)
    used.problems += [Problem("x", "wrong_type", "It is wrong.")] * MAX_GUESSES
    used.tools.find(task, "s:raed", PATH)
    assert used.problems[-1].fix is None


def test_arguments_that_are_only_escaped_are_checked() -> None:
    used = Used()
    used.give(READ, {"path": "x", "head": "$$OUTPUT[t0]"})
    [problem] = used.problems
    assert (problem.path, problem.code) == ("tasks[0].arguments.head", "invalid_arguments")


def test_arguments_that_are_not_known_are_not_refused() -> None:
    used = Used()
    used.give(READ, {"path": "$OUTPUT[t0].p", "head": "$OUTPUT[t0].n"})
    assert used.problems == []


@table("arguments", [{"head": 1}, "$OUTPUT[t0]"])
def test_arguments_that_were_not_read_are_not_checked(arguments: Any) -> None:
    used = Used(unread={"a": {"arguments"}})
    assert used.give(READ, arguments) == arguments
    assert used.problems == []


def test_the_signature_is_shown_once_a_task() -> None:
    used = Used()
    used.give(WRITE, {"path": 1, "text": "x"})
    assert sorted(problem.message for problem in used.problems) == [
        "content is missing.",
        "path must be a string; it is 1.",
        "text is not a parameter.",
    ]
    assert [problem.hint is None for problem in used.problems] == [False, True, False]


def test_an_unknown_argument_is_left_out_only_of_a_call_that_changes_nothing() -> None:
    read, written = {"path": "x"}, {"path": "x", "content": "y"}
    for one, arguments, fix in ((READ, read, REMOVE), (WRITE, written, None)):
        used = Used()
        used.give(one, {**arguments, "dry_run": True})
        assert [problem.fix for problem in used.problems] == [fix]


def test_an_argument_that_is_null_is_left_out_with_a_note() -> None:
    used = Used()
    assert used.give(READ, {"path": "x", "head": None}) == {"path": "x"}
    assert used.problems == []
    assert used.notes == ["tasks[0].arguments.head: null was left out; the tool does not take it"]


@table(
    ("used", "fields", "policy", "is_refused"),
    [
        (ANY, {}, Policy(), True),
        (ANY, {"allow_repeat": True}, Policy(), False),
        (READ, {}, Policy(), False),
        (ANY, {}, Policy((Rule("s:any", idempotent=True),)), False),
        (READ, {}, Policy((Rule("s:*", idempotent=False),)), True),
    ],
)
def test_further_calls_are_refused_where_they_may_do_harm(
    used: Any, fields: dict[str, Any], policy: Policy, is_refused: bool
) -> None:
    for field, value in (("retries", 1), ("repeat", {"until": "done"})):
        found = Used(policy).allow(used, **fields, **{field: value})
        assert found == ([(f"tasks[0].{field}", "not_repeatable")] if is_refused else [])
    assert Used(policy).allow(used, retries=0) == []


def test_an_argument_that_a_loop_sets_and_the_tool_does_not_declare_is_noted() -> None:
    used = Used()
    used.allow(tool("s:open", {"page": STRING}, closed=False), repeat={"set": {"pag": "next"}})
    [note] = used.notes
    assert "tasks[0].repeat.set.pag" in note


@table(
    ("used", "fields", "cache_s", "is_noted"),
    [
        (READ, {}, 60.0, False),
        (READ, {"cache": True}, 60.0, False),
        (READ, {"cache": 5}, 5.0, False),
        (READ, {"cache": False}, 0.0, False),
        (READ, {"repeat": {"until": "done"}}, 0.0, False),
        (READ, {"repeat": {"set": {"page": "next"}}}, 60.0, False),
        (ANY, {"cache": 5}, 0.0, True),
        (ANY, {}, 0.0, False),
    ],
)
def test_an_answer_is_cached_as_the_task_or_the_policy_says(
    used: Any, fields: dict[str, Any], cache_s: float, is_noted: bool
) -> None:
    asked = Used(Policy((Rule("s:read", cache_ttl_s=60.0),)))
    assert asked.cache_s(used, **fields) == cache_s
    assert bool(asked.notes) is is_noted
