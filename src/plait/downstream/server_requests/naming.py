"""The name of the server in each question that it puts to a client.

The only server that a client knows is Plait. A person who is asked for a password, or a model whose
answer is wanted, must be able to see which of the servers behind it asks, whatever that server
claims to be. So its name stands before the text that a person reads, and in the `_meta` of the
question.
"""

from __future__ import annotations

from typing import Final

from ...core.values.strict import Json, JsonObject

SERVER_META: Final = "plait/server"


def named(server: str, method: str, params: JsonObject) -> JsonObject:
    """Return the *params* of a question of *server*, with its name. Other requests, as for roots,
    show nothing to anybody and stay as they are."""
    message = params.get("message")
    if method == "elicitation/create" and isinstance(message, str):
        params = {**params, "message": f"[{server}] {message}"}
    elif method != "sampling/createMessage":
        return params
    meta: Json = params.get("_meta")
    return {**params, "_meta": {**(meta if isinstance(meta, dict) else {}), SERVER_META: server}}


def with_named_questions(server: str, result: JsonObject) -> JsonObject:
    """Return *result*, which asks for input in the form of the protocol, with the name of *server*
    in each question."""
    requests = result.get("inputRequests")
    if not isinstance(requests, dict):
        return result
    return {**result, "inputRequests": {key: _named(server, one) for key, one in requests.items()}}


def _named(server: str, request: Json) -> Json:
    if not isinstance(request, dict):
        return request
    method, params = request.get("method"), request.get("params")
    if not (isinstance(method, str) and isinstance(params, dict)):
        return request
    return {**request, "params": named(server, method, params)}
