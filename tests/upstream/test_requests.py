"""Arguments of the small tools, with every problem and its fix."""

from __future__ import annotations

import json
import warnings
from typing import Any

import mcp_types as types
import pytest

from plait.core.values.problems import REMOVE, Fix, Op
from plait.upstream.requests import (
    CancelRun,
    Describe,
    GetRun,
    Refused,
    Search,
    as_sent,
    read_request,
)

from ..core.patching import patched
from .conftest import Connect, structured, task

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize(
    ("model", "arguments", "problems"),
    [
        (Search, {"query": 5}, [("query", "wrong_type", None)]),
        (Search, {"qurey": "x"}, [("qurey", "unknown_field", 'Did you mean "query"')]),
        (Search, {"limit": 0, "servr": "a"}, [
            ("limit", "wrong_type", None), ("servr", "unknown_field", 'Did you mean "server"'),
        ]),
        (Search, [], [("$", "wrong_type", None)]),
        (Search, {"query": float("nan")}, [("$", "invalid_json", None)]),
        (Describe, {}, [("names", "missing_field", "names")]),
        (Describe, {"names": []}, [("names", "wrong_type", None)]),
        (Describe, {"names": ["a:b", 5]}, [("names[1]", "wrong_type", None)]),
        (Describe, {"names": ["a:b"] * 11}, [("names", "limit_exceeded", "again")]),
        (GetRun, {}, [("run_id", "missing_field", "offset")]),
        (GetRun, {"run_id": "r", "wait_s": "soon"}, [("wait_s", "wrong_type", None)]),
        (GetRun, {"run_id": "r", "wait_s": 86_401}, [("wait_s", "wrong_type", None)]),
        (GetRun, {"run_id": "r", "offset": -1}, [("offset", "wrong_type", None)]),
        (CancelRun, {"run_id": "r", "force": True}, [("force", "unknown_field", "run_id")]),
    ],
)  # fmt: skip
def test_every_problem_has_its_place_a_code_and_a_fix(
    model: type[Search], arguments: object, problems: list[tuple[str, str, str | None]]
):
    with pytest.raises(Refused) as refused:
        read_request(model, arguments)
    found = refused.value.problems
    assert [(problem.path, problem.code) for problem in found] == [
        (path, code) for path, code, _ in problems
    ]
    for problem, (_, _, fix) in zip(found, problems, strict=True):
        assert problem.message
        assert fix is None or fix in (problem.hint or "")


def test_an_unknown_argument_is_renamed_or_left_out():
    with pytest.raises(Refused) as refused:
        read_request(Search, {"qurey": "x", "zork": 1})
    assert [problem.fix for problem in refused.value.problems] == [Fix(Op.RENAME, "query"), REMOVE]


@pytest.mark.parametrize(
    ("model", "sent", "meant"),
    [
        *[(Search, {name: "find a file"}, {"query": "find a file"}) for name in (
            "q", "keywords", "text", "search", "search_query", "searchTerm", "need", "what", "task",
            "Query", "tool_name", "name", "description",
        )],
        (Search, {"keywords": ["read files", "list issues"]}, {"query": "read files; list issues"}),
        (Search, {"q": "x", "max_results": 3}, {"query": "x", "limit": 3}),
        (Search, {"query": "x", "topK": 3, "server-name": "s"},
         {"query": "x", "limit": 3, "server": "s"}),
        *[(Describe, {name: ["s:a"]}, {"names": ["s:a"]}) for name in (
            "tools", "tool", "name", "tool_names", "toolNames", "ids", "Names", "id", "query",
        )],
        (Describe, {"tool": "s:a"}, {"names": ["s:a"]}),
        *[(model, {name: "r_1"}, {"run_id": "r_1"}) for model in (GetRun, CancelRun) for name in (
            "id", "runId", "run", "run-id", "runid", "RUN_ID", "execution_id", "job_id",
        )],
        (GetRun, {"id": "r_1", "task_id": "a"}, {"run_id": "r_1", "task": "a"}),
        (GetRun, {"run_id": "r_1", "step": "a", "jmespath": "x"},
         {"run_id": "r_1", "task": "a", "select": "x"}),
        (GetRun, {"run_id": "r_1", "start": 5, "max_chars": 9},
         {"run_id": "r_1", "offset": 5, "limit": 9}),
        (GetRun, {"run_id": "r_1", "timeout_s": 5}, {"run_id": "r_1", "wait_s": 5}),
        (GetRun, {"run_id": "r_1", "waitSeconds": 5}, {"run_id": "r_1", "wait_s": 5}),
        (GetRun, {"run_id": "r_1", "id": "r_1", "verbose": True}, {"run_id": "r_1"}),
    ],
)  # fmt: skip
def test_other_names_of_arguments_have_a_fix_that_makes_the_call_right(
    model: type[Search], sent: dict[str, Any], meant: dict[str, Any]
):
    with pytest.raises(Refused) as refused:
        read_request(model, sent)
    fixes: list[Any] = [p.document()["fix"] for p in refused.value.problems if p.fix is not None]
    assert read_request(model, patched(sent, fixes)) == read_request(model, meant)


@pytest.mark.parametrize(
    ("model", "sent", "fixes"),
    [
        (GetRun, {"run_id": "r_1", "id": "r_2"}, [None]),
        (Search, {"q": "a", "text": "b"}, [Fix(Op.RENAME, "query"), None]),
        (Search, {"query": "a", "qurey": "b"}, [None]),
    ],
)
def test_of_two_names_for_one_argument_none_is_chosen(
    model: type[Search], sent: dict[str, Any], fixes: list[Fix | None]
):
    with pytest.raises(Refused) as refused:
        read_request(model, sent)
    assert [problem.fix for problem in refused.value.problems] == fixes


def test_one_name_need_not_be_a_list():
    assert read_request(Describe, {"names": "a:b"}).names == ["a:b"]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (None, {}),
        ({"query": "x"}, {"query": "x"}),
        ({"arguments": {"query": "x"}}, {"query": "x"}),
        ({"arguments": '{"query": "x"}'}, {"query": "x"}),
        ({"arguments": [1]}, [1]),
        ({"arguments": 1, "query": "x"}, {"arguments": 1, "query": "x"}),
    ],
)
def test_arguments_in_a_wrapping_are_taken_out_of_it(
    arguments: dict[str, Any] | None, sent: object
):
    assert as_sent(arguments) == sent


def test_arguments_that_are_text_but_not_json_are_refused():
    with pytest.raises(Refused, match="The arguments are text that is ") as refused:
        as_sent({"arguments": "{"})
    assert [problem.code for problem in refused.value.problems] == ["invalid_json"]


async def test_arguments_that_are_text_or_a_list_are_understood_if_they_can_be(connect: Connect):
    tasks = [task("a", arguments={"n": 1})]
    async with connect() as client:
        for arguments in (
            tasks,
            json.dumps(tasks),
            json.dumps({"tasks": tasks}),
            {"arguments": {"tasks": tasks}},
        ):
            result = await _call_raw(client, "execute_dag", arguments)
            assert structured(result)["outputs"] == {"a": {"n": 1}}
        for wrong, code in (('{"tasks": [', "invalid_json"), (5, "wrong_type")):
            result = await _call_raw(client, "execute_dag", wrong)
            assert result.is_error
            assert structured(result)["errors"][0]["code"] == code


async def test_what_was_corrected_in_a_document_that_came_as_text_is_noted(connect: Connect):
    text = "```json\n" + json.dumps({"tasks": [task("a", arguments={"n": 1})]}) + "\n```"
    async with connect() as client:
        result = await _call_raw(client, "execute_dag", text)
    assert structured(result)["notes"] == ["the document: a code fence was corrected"]


async def test_a_document_that_is_text_but_not_json_has_its_fix(connect: Connect):
    text = "Here it is: " + json.dumps({"tasks": [task("a")]})
    async with connect() as client:
        result = await _call_raw(client, "execute_dag", text)
    [problem] = structured(result)["errors"]
    assert (problem["path"], problem["code"]) == ("$", "invalid_json")
    assert problem["fix"] == {"op": "replace", "path": "$", "value": {"tasks": [task("a")]}}


async def _call_raw(client: Any, name: str, arguments: Any) -> types.CallToolResult:
    """A call whose arguments need not be an object."""
    params = types.CallToolRequestParams.model_construct(name=name, arguments=arguments)
    request = types.CallToolRequest.model_construct(method="tools/call", params=params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: types.CallToolResult = await client.session.send_request(
            request, types.CallToolResult
        )
    return result
