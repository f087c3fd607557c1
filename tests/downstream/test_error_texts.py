"""Error texts of servers are clean, results are data."""

from __future__ import annotations

from typing import Any

import pytest

from plait.downstream.error_texts import MOST_DETAILS_BYTES, ErrorTexts
from plait.errors import RpcError, ToolError
from plait.redaction import Secrets

DIRTY = "\x1b[31mno s3cr3t-key\u202e, no Bearer ghp_0123456789\x1b[0m"
CLEAN = "no ***, no Bearer ***"


@pytest.fixture
def texts() -> ErrorTexts:
    return ErrorTexts(Secrets(["s3cr3t-key"]))


def test_an_error_is_cleaned_with_its_hint_and_with_the_error_of_the_server(texts: ErrorTexts):
    error = ToolError(DIRTY, hint=DIRTY, rpc_error=RpcError(-1, DIRTY, {"at": "s3cr3t-key"}))
    texts.clean_error(error)
    assert (str(error), error.hint) == (CLEAN, CLEAN)
    assert error.rpc_error is not None
    assert (error.rpc_error.message, error.rpc_error.data) == (CLEAN, {"at": "***"})


def test_details_that_are_too_long_to_search_are_left_out(texts: ErrorTexts):
    assert texts.cleaned_rpc(RpcError(-1, "no", "x" * MOST_DETAILS_BYTES)).data is None


def test_the_result_of_a_tool_that_failed_is_cleaned(texts: ErrorTexts):
    image = {"type": "image", "data": "AAAA", "mimeType": "image/png"}
    result: dict[str, Any] = {
        "isError": True,
        "content": [{"type": "text", "text": DIRTY, "annotations": {}}, image, "odd"],
        "structuredContent": {"why": "s3cr3t-key"},
        "_meta": {"kept": 1},
    }
    before = repr(result)
    assert texts.cleaned_result(result) == {
        "isError": True,
        "content": [{"type": "text", "text": CLEAN, "annotations": {}}, image, "odd"],
        "structuredContent": {"why": "***"},
        "_meta": {"kept": 1},
    }
    assert repr(result) == before


@pytest.mark.parametrize("is_error", [False, None, "true", 1])
def test_any_other_result_is_data_and_stays_as_it_is(texts: ErrorTexts, is_error: Any):
    result: dict[str, Any] = {"isError": is_error, "content": [{"type": "text", "text": DIRTY}]}
    assert texts.cleaned_result(result) is result


def test_odd_content_of_a_failed_tool_breaks_nothing(texts: ErrorTexts):
    for content in (None, "text", {"type": "text"}, [{"text": 3}]):
        result: Any = {"isError": True, "content": content}
        assert texts.cleaned_result(result) == result
