"""The turns of relayed requests: a tool that is called by its name waits in line with the calls of runs, for its room
and for what it touches. Nothing else that is relayed waits for anything."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from ...core.downstream import Ask, RelayRequest, Turn, Visit
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


def asking_in(turn: Turn, request: RelayRequest, ask: Ask) -> RelayRequest:
    """*request* with a way to ask the client, in which the turn is paused for as long as that takes."""
    return replace(request, ask=_Paused(ask, turn))


def is_well(result: JsonObject) -> bool:
    """Whether *result* is the end of a call, and no error."""
    return result.get("isError") is not True and result.get("resultType") != "input_required"


@dataclass(frozen=True, slots=True)
class _Paused:
    """Asks by *ask* while *turn* is paused. All those that ask one client are equal: which of its calls asks makes no
    difference to it."""

    ask: Ask
    turn: Turn = field(compare=False)

    async def __call__(self, method: str, params: JsonObject) -> JsonObject:
        with self.turn.paused():
            return await self.ask(method, params)


class _Free:
    """The turn of what takes no room."""

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()

    def went_well(self) -> None:
        pass


_FREE = _Free()
