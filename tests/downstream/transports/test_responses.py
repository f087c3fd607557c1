"""What a response means that is not the answer that was asked for."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import mcp_types as types
import pytest

from plait.downstream.transports.faults import Fault
from plait.downstream.transports.responses import (
    read_answer,
    says_session_lost,
    session_fault,
    status_error,
)


def response(status: int, kind: str = "application/json") -> httpx2.Response:
    return httpx2.Response(status, headers={"content-type": kind})


def rpc_error(message: str, code: int = -32600) -> bytes:
    error = {"code": code, "message": message}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (410, rpc_error("Gone")),
        (410, b"<html>Gone</html>"),
        (400, rpc_error("Bad Request: No valid session ID provided", -32000)),
        (422, b"unknown session"),
        (200, rpc_error("Session not found")),
        (200, rpc_error("Session terminated", -32001)),
        (500, rpc_error("Session has expired", -32000)),
    ],
)
def test_a_session_is_lost_however_the_server_says_so(status: int, body: bytes):
    assert session_fault(response(status), body) is Fault.SESSION_LOST


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"Session not found"),
        (500, b'{"error":"Session has expired"}'),
        (500, rpc_error("Session terminated", types.INTERNAL_ERROR)),
        (502, b"<html>Unknown MCP session</html>"),
        (503, b"session closed"),
    ],
)
def test_a_server_that_failed_may_have_lost_the_session_while_it_ran_the_call(
    status: int, body: bytes
):
    assert session_fault(response(status), body) is Fault.SESSION_BROKEN


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b"no such tool"),
        (401, b"no session"),
        (403, rpc_error("Session not found")),
        (500, b"the session of the database broke"),
        (200, rpc_error("no luck")),
        (200, rpc_error("Session not found", types.INVALID_PARAMS)),
        (200, rpc_error("Session not found", 404)),
        (200, b'{"jsonrpc":"2.0","id":1,"result":{"text":"Session not found"}}'),
        (200, b"Session not found"),
    ],
)
def test_other_answers_are_not_taken_for_the_loss_of_a_session(status: int, body: bytes):
    assert session_fault(response(status), body) is None


@pytest.mark.parametrize(
    ("message", "is_lost"),
    [
        ("Session abc-123 does not exist", True),
        ("Session with the given ID doesn't exist", True),
        ("Invalid session ID", True),
        ("Unknown MCP session", True),
        ("The session is no longer valid", True),
        ("missing session id", True),
        ("Session expired. Please reinitialize.", True),
        ("a session of yours has 3 rows", False),
        ("obsession not found", False),
        ("not found", False),
    ],
)
def test_the_words_for_a_lost_session(message: str, is_lost: bool):
    assert says_session_lost(types.ErrorData(code=-32600, message=message)) is is_lost


@pytest.mark.parametrize(
    ("status", "kind", "body", "reason"),
    [
        (202, "application/json", b"", "it is empty (HTTP 202)"),
        (200, "", b" \n", "it is empty (HTTP 200)"),
        (
            200,
            "text/html; charset=utf-8",
            b"<html>Log in</html>",
            "it is text/html, a page for people, such as a login, not JSON (HTTP 200)",
        ),
        (200, "text/plain", b"hello", "it is text/plain, not JSON (HTTP 200)"),
        (200, "x/\x1b[2J", b"hello", "it is x/\\x1b[2j, not JSON (HTTP 200)"),
        (200, "application/json", b"hello", "not JSON: Expecting value at line 1, column 1"),
        (200, "application/json", b"[]", "it is not a JSON-RPC message"),
        (
            200,
            "application/json",
            b'{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"y"}}',
            "it is not a JSON-RPC message",
        ),
        (
            200,
            "application/json",
            b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
            "it is a message, but no JSON-RPC answer",
        ),
    ],
)
def test_an_answer_that_cannot_be_read_says_what_came(
    status: int, kind: str, body: bytes, reason: str
):
    answer = read_answer(response(status, kind), body)
    assert isinstance(answer, types.ErrorData)
    assert answer.message == f"the server's answer cannot be read: {reason}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"result":{"x":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":1,"result":' + b'{"a":' * 300 + b"1" + b"}" * 301,
    ],
)
def test_what_the_sdk_could_not_read_is_not_passed_to_it(body: bytes):
    assert isinstance(read_answer(response(200), body), types.ErrorData)


@pytest.mark.parametrize(
    ("status", "kind", "body", "said"),
    [
        (401, "application/json", b"", "HTTP 401: authorization required"),
        (
            401,
            "application/json",
            b'{"error":"invalid_token","error_description":"it has expired"}',
            "HTTP 401: authorization required: it has expired",
        ),
        (403, "text/plain", b"Ask your\n admin.", "HTTP 403: Ask your admin."),
        (400, "application/json", rpc_error("no luck"), "HTTP 400: no luck"),
        (400, "application/problem+json", b'{"title":"Bad","detail":"No key"}', "HTTP 400: No key"),
        (403, "text/html", b"<html>no</html>", "HTTP 403"),
        (500, "application/json", b"[1]", "HTTP 500"),
        (500, "text/plain", b"\x1b[2Jx", "HTTP 500: \\x1b[2Jx"),
        (404, "", b"tenant acme\nis unknown", "HTTP 404: tenant acme is unknown"),
        (404, "application/json", b"no such tenant", "HTTP 404: no such tenant"),
        (404, "application/json", b'"no such tenant"', "HTTP 404: no such tenant"),
        (404, "application/json", b'{"errors":["no tenant"]}', "HTTP 404: no tenant"),
        (404, "application/json", b'{"errors":[{"message":"no tenant"}]}', "HTTP 404: no tenant"),
        (404, "application/json", b'{"error":{"code":5}}', "HTTP 404"),
        (404, "", b"<html>no</html>", "HTTP 404"),
        (404, "application/octet-stream", b"\0\0", "HTTP 404"),
    ],
)
def test_a_status_is_explained_by_the_words_of_the_server(
    status: int, kind: str, body: bytes, said: str
):
    assert status_error(response(status, kind), body=body).message == said


def test_the_words_of_a_server_are_cut():
    long: Any = status_error(response(500, "text/plain"), body=b"x" * 10_000)
    assert len(long.message) < 350
