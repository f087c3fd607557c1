"""The turns of relayed requests: a tool that is called by its name waits in line with the calls of runs, for its room
and for what it touches. Nothing else that is relayed waits for anything."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import replace

from ...core.ports import Caller, RelayRequest, Turn, Visit
from ...core.values.principal import Principal
from ...core.values.strict import Json, JsonObject


def turn_of(request: RelayRequest, visit: Visit) -> AbstractAsyncContextManager[Turn]:
    """The turn of *request*; `async with` waits for it."""
    name = request.params.get("name")
    if request.method != "tools/call" or not isinstance(name, str):
        return no_turn(request.server, "", None)
    return visit(request.server, name, request.params.get("arguments"))


def no_turn(server: str, tool: str, arguments: Json) -> AbstractAsyncContextManager[Turn]:
    """A `Visit` that never waits."""
    return nullcontext(_FREE)


def asking_in(turn: Turn, request: RelayRequest) -> RelayRequest:
    """*request*, its turn paused while its client is asked something."""
    return replace(request, caller=_Pausing(request.caller, turn))


def is_well(result: JsonObject) -> bool:
    """Whether *result* is the end of a call, and no error."""
    return result.get("isError") is not True and result.get("resultType") != "input_required"


class _Pausing(Caller):
    """*caller*, who is asked while *turn* is paused."""

    def __init__(self, caller: Caller, turn: Turn) -> None:
        self._caller = caller
        self._turn = turn

    @property
    def principal(self) -> Principal:
        return self._caller.principal

    @property
    def client(self) -> object:
        return self._caller.client

    @property
    def capabilities(self) -> JsonObject:
        return self._caller.capabilities

    @property
    def can_be_asked(self) -> bool:
        return self._caller.can_be_asked

    @property
    def takes_input_requests(self) -> bool:
        return self._caller.takes_input_requests

    @property
    def wants_progress(self) -> bool:
        return self._caller.wants_progress

    def progress(self, params: JsonObject, /) -> None:
        self._caller.progress(params)

    def log(self, params: JsonObject, /) -> bool:
        return self._caller.log(params)

    def check_question(self, method: str, params: JsonObject, /) -> None:
        self._caller.check_question(method, params)

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        with self._turn.paused():
            return await self._caller.ask(method, params)


class _Free:
    """The turn of what takes no room."""

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()

    def went_well(self) -> None:
        pass


_FREE = _Free()
