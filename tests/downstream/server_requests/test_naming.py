"""Each question that a person or a model is asked names its server; nothing else of it changes."""

from __future__ import annotations

from typing import Any

import pytest

from plait.downstream.server_requests.naming import named, with_named_questions

ELICIT, SAMPLE, ROOTS = "elicitation/create", "sampling/createMessage", "roots/list"
MARK = {"plait/server": "evil"}


@pytest.mark.parametrize(
    ("method", "params", "sent"),
    [
        (ELICIT, {"message": "Who?"}, {"message": "[evil] Who?", "_meta": MARK}),
        (
            ELICIT,
            {"mode": "url", "url": "https://x", "message": "[github] Sign in"},
            {
                "mode": "url",
                "url": "https://x",
                "message": "[evil] [github] Sign in",
                "_meta": MARK,
            },
        ),
        (
            ELICIT,
            {"message": "", "_meta": {"plait/server": "github", "a": 1}},
            {"message": "[evil] ", "_meta": {"a": 1, **MARK}},
        ),
        (SAMPLE, {"messages": [], "_meta": "odd"}, {"messages": [], "_meta": MARK}),
        (SAMPLE, {"message": "not of its form"}, {"message": "not of its form", "_meta": MARK}),
        (ELICIT, {"message": 5}, {"message": 5}),
        (ROOTS, {}, {}),
        ("x/unknown", {"message": "x"}, {"message": "x"}),
    ],
)
def test_a_question_names_its_server(method: str, params: Any, sent: Any) -> None:
    before = dict(params)
    assert named("evil", method, params) == sent
    assert params == before


@pytest.mark.parametrize("odd", [None, 5, [], {}])
def test_a_result_with_odd_requests_for_input_stays_as_it_is(odd: Any) -> None:
    result = {"resultType": "input_required", "inputRequests": odd}
    assert with_named_questions("evil", result) == result


def test_each_question_in_a_result_names_its_server() -> None:
    result: Any = {
        "inputRequests": {
            "a": {"method": ELICIT, "params": {"message": "Who?"}, "x": 1},
            "b": {"method": ROOTS},
            "c": 5,
        },
        "requestState": "s",
    }
    assert with_named_questions("evil", result) == {
        "inputRequests": {
            "a": {"method": ELICIT, "params": {"message": "[evil] Who?", "_meta": MARK}, "x": 1},
            "b": {"method": ROOTS},
            "c": 5,
        },
        "requestState": "s",
    }
