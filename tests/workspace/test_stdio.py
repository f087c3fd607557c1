"""The one inner name of the SDK that the workspace's pipe uses."""

from __future__ import annotations

import inspect

import mcp_types as types
from mcp.server import Server
from mcp.shared.message import SessionMessage


def test_a_server_reads_and_writes_messages_in_envelopes():
    message = types.JSONRPCRequest(jsonrpc="2.0", id=1, method="ping")
    assert SessionMessage(message).message is message
    streams = list(inspect.signature(Server.run).parameters.values())[1:3]
    assert [stream.name for stream in streams] == ["read_stream", "write_stream"]
    assert all("SessionMessage" in str(stream.annotation) for stream in streams)
