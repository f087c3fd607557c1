"""How an error of ours is worded for a client, and what a caller without a client does."""

from __future__ import annotations

import pytest

from plait.core.ports import NO_CLIENT, as_rpc_error
from plait.core.values.principal import USER
from plait.core.values.strict import Json
from plait.errors import (
    CallError,
    CallTimeout,
    ConnectionLost,
    InternalError,
    InvalidArguments,
    InvalidOutput,
    PolicyDenied,
    ProtocolError,
    RpcError,
    ServerUnavailable,
)

from .tables import table

DENIED: Json = {"code": "policy_denied", "denied_by": "s:*"}
WAIT: Json = {"code": "server_unavailable", "retry_after_s": 7.0}
ERRORS: list[tuple[CallError, int, Json]] = [
    (ServerUnavailable("x"), -32000, None),
    (ServerUnavailable("x", retry_after_s=7.0), -32000, WAIT),
    (ConnectionLost("x"), -32000, None),
    (CallTimeout("x"), -32001, None),
    (InvalidArguments("x"), -32602, None),
    (PolicyDenied("x", denied_by="s:*"), -32602, DENIED),
    (InvalidOutput("x"), -32603, None),
    (InternalError("x"), -32603, None),
    (ProtocolError("x"), -32603, None),
]


@table(("error", "code", "data"), ERRORS)
def test_an_error_of_ours_has_the_code_that_clients_know(
    error: CallError, code: int, data: Json
) -> None:
    told = as_rpc_error(error)
    assert (told.code, told.message, told.data) == (code, "x", data)


def test_an_error_of_the_server_is_told_as_the_server_worded_it() -> None:
    own = RpcError(-32042, "not today", {"why": 1})
    assert as_rpc_error(ProtocolError("s: not today", rpc_code=-32042, rpc_error=own)) is own


async def test_without_a_client_nobody_is_asked_and_nobody_hears() -> None:
    assert (NO_CLIENT.client, NO_CLIENT.principal, NO_CLIENT.capabilities) == (None, USER, {})
    assert (NO_CLIENT.can_be_asked, NO_CLIENT.wants_progress, NO_CLIENT.log({})) == (
        False,
        False,
        False,
    )
    with pytest.raises(RpcError, match="roots/list") as refused:
        await NO_CLIENT.ask("roots/list", {})
    assert refused.value.code == -32601
