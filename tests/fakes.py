"""Servers and tools that exist in memory, for everything that needs some behind a gateway."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from plait.core.ports import NO_CLIENT, UNDECLARED, Ask, Caller, CallId, OnProgress, ToolCall
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.policy import ToolPolicy
from plait.core.values.principal import USER
from plait.core.values.strict import JsonObject, NotStrict, measure
from plait.errors import InvalidArguments, ProtocolError


def tool(
    full_name: str,
    properties: dict[str, Any] | None = None,
    required: Iterable[str] = (),
    *,
    output: dict[str, Any] | None = None,
    description: str = "",
    closed: bool = True,
    **hints: bool,
) -> Tool:
    """A tool definition as a server would list it."""
    server, _, name = full_name.partition(":")
    definition: JsonObject = {
        "name": name,
        "description": description,
        "inputSchema": {
            "type": "object",
            "properties": properties or {},
            "required": list(required),
            "additionalProperties": not closed or properties is None,
        },
        "annotations": dict(hints),
    }
    if output is not None:
        definition["outputSchema"] = output
    return Tool(server, name, definition)


def structured(value: Any) -> JsonObject:
    """A result with structured content."""
    return {"content": [{"type": "text", "text": str(value)}], "structuredContent": value}


def text(*texts: str, is_error: bool = False) -> JsonObject:
    """A result of text blocks."""
    return {"content": [{"type": "text", "text": part} for part in texts], "isError": is_error}


class FakeCaller(Caller):
    """A client in memory. It answers by *ask*, and cannot be asked without; it wants progress and
    log messages if it is given what takes them."""

    principal = USER

    def __init__(
        self,
        ask: Ask | None = None,
        *,
        takes_input_requests: bool = False,
        client: object = "the client",
        capabilities: JsonObject = UNDECLARED,
        on_progress: OnProgress | None = None,
        on_log: Callable[[JsonObject], None] | None = None,
    ) -> None:
        self._ask = ask
        self._takes_input_requests = takes_input_requests
        self._client = client
        self._capabilities = capabilities
        self._on_progress = on_progress
        self._on_log = on_log
        self.was_cached = False
        self.unsent_reason: str | None = None
        self.waits: list[str] = []
        """`begins` and `ends` of each time that a call of it waited for its server to be there."""

    @property
    def client(self) -> object:
        return self._client

    @property
    def capabilities(self) -> JsonObject:
        return self._capabilities

    @property
    def can_be_asked(self) -> bool:
        return self._ask is not None

    @property
    def takes_input_requests(self) -> bool:
        return self._takes_input_requests

    @property
    def wants_progress(self) -> bool:
        return self._on_progress is not None

    def progress(self, params: JsonObject, /) -> None:
        if self._on_progress is not None:
            self._on_progress(params)

    def log(self, params: JsonObject, /) -> bool:
        if self._on_log is not None:
            self._on_log(params)
        return self._on_log is not None

    def check_question(self, method: str, params: JsonObject, /) -> None:
        pass

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        assert self._ask is not None
        return await self._ask(method, params)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self.waits.append("begins")
        yield
        self.waits.append("ends")

    def not_sent(self, reason: str, /) -> None:
        self.unsent_reason = reason

    def answered_from_cache(self) -> None:
        self.was_cached = True


def a_call(
    definition: Tool | str,
    arguments: JsonObject | None = None,
    caller: Caller = NO_CLIENT,
    max_age_s: float = 0.0,
    policy: ToolPolicy = ToolPolicy(),  # noqa: B008 - frozen
) -> ToolCall:
    """A call of a task `t` in a run `r`."""
    called = tool(definition) if isinstance(definition, str) else definition
    return ToolCall(CallId("r", "t"), called, arguments or {}, policy, max_age_s, caller)


class FakeServers:
    """Tools as functions: `CallTool` and `Servers` in one. A function is given the arguments as
    keywords, and `on_progress`, `ask`, `capabilities`, `on_log` and `caller` of its call if it
    takes them; it may be async, and returns a `CallToolResult` or, for short, its structured
    content."""

    def __init__(self) -> None:
        self.tools: dict[str, tuple[Tool, Callable[..., Any]]] = {}
        self.calls: list[tuple[str, JsonObject]] = []
        self.aborted: list[str] = []
        self.infos: dict[str, ServerInfo] = {}
        self._catalog: Catalog | None = None

    def add(self, definition: Tool | str, function: Callable[..., Any]) -> None:
        definition = tool(definition) if isinstance(definition, str) else definition
        self.tools[definition.full_name] = (definition, function)
        self.infos.setdefault(definition.server, ServerInfo(definition.server, ServerState.READY))
        self._catalog = None

    def remove(self, full_name: str) -> None:
        del self.tools[full_name]
        self._catalog = None

    def add_server(self, info: ServerInfo) -> None:
        self.infos[info.name] = info
        self._catalog = None

    def catalog(self) -> Catalog:
        if self._catalog is None:
            self._catalog = Catalog(
                (definition for definition, _ in self.tools.values()), self.infos.values()
            )
        return self._catalog

    async def settled(self, names: Iterable[str] | None = None) -> None:
        pass

    async def __call__(self, call: ToolCall) -> JsonObject:
        """As connections do: raises `CallError` for what gets to no tool. A tool that raises
        `ValueError` has failed, and that is its result."""
        name = call.tool.full_name
        try:
            measure(call.arguments)
        except NotStrict as error:
            raise InvalidArguments(f"the arguments are not strict JSON: {error}") from None
        if name not in self.tools:
            raise ProtocolError(f"{call.tool.server}: Unknown tool: {call.tool.name}")
        await call.caller.leave()
        self.calls.append((name, call.arguments))
        answer = await self._answer(call, self.tools[name][1])
        if isinstance(answer, dict) and answer.keys() & {"isError", "structuredContent"}:
            return answer
        return structured(answer)

    async def _answer(self, call: ToolCall, function: Callable[..., Any]) -> Any:
        signature = inspect.signature(function)
        caller = call.caller
        offered: dict[str, Any] = {
            "caller": caller,
            "on_progress": caller.progress if caller.wants_progress else None,
            "ask": caller.ask if caller.can_be_asked else None,
            "on_log": caller.log if caller.client is not None else None,
            "waiting": caller.waiting,
        }
        if "capabilities" in signature.parameters:
            offered["capabilities"] = caller.capabilities
        taken = offered.keys() & signature.parameters.keys()
        try:
            given = signature.bind(**call.arguments, **{name: offered[name] for name in taken})
        except TypeError as error:
            return text(str(error), is_error=True)
        try:
            answer = function(*given.args, **given.kwargs)
            return await answer if inspect.isawaitable(answer) else answer
        except ValueError as error:
            return text(f"Error executing tool {call.tool.name}: {error}", is_error=True)
        except BaseException as error:
            if not isinstance(error, Exception):
                self.aborted.append(call.tool.full_name)
            raise
