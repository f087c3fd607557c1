"""What a downstream server has and says is passed on as it is, over every transport and in both
protocol eras."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.inbound import decode_header_value

from plait.core.ports import Ask, RelayRequest, as_rpc_error
from plait.core.values.strict import JsonObject
from plait.downstream.server_requests.naming import named
from plait.errors import ProtocolError, RpcError, ToolError

from ..fakes import FakeCaller, a_call
from .ways import SOON, VERSIONS, WAYS, Way, served, until

FORM: Any = {
    "message": "Who?",
    "requestedSchema": {"type": "object", "properties": {}},
    "x-odd": [1],
}
URL: JsonObject = {
    "mode": "url",
    "message": "Sign in",
    "url": "https://example.org/",
    "elicitationId": "e1",
}
SAMPLING: Any = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "Hi"}}],
    "maxTokens": 10,
    "tools": [{"name": "look", "inputSchema": {"type": "object"}}],
}
ODD: Any = {"x-odd": {"deep": [1, None, {"a": 1.5}]}}


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, Path]]]:
    """A server for each transport over HTTP."""
    with ExitStack() as stack:
        found: dict[str, tuple[str, Path]] = {}
        for transport in ("http", "sse"):
            journal = tmp_path_factory.mktemp(transport) / "journal"
            found[transport] = (stack.enter_context(served(transport, journal)), journal)
        yield found


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest, tmp_path: Path, urls: dict[str, tuple[str, Path]]) -> Way:
    return way_of(request.param, tmp_path, urls)


@pytest.fixture(params=[way for way in WAYS if way[1] == "legacy"], ids="-".join)
def legacy_way(
    request: pytest.FixtureRequest, tmp_path: Path, urls: dict[str, tuple[str, Path]]
) -> Way:
    """The ways on which servers send requests themselves."""
    return way_of(request.param, tmp_path, urls)


@pytest.fixture
def http_modern(tmp_path: Path, urls: dict[str, tuple[str, Path]]) -> Way:
    return way_of(("http", "modern"), tmp_path, urls)


@pytest.fixture
def http_legacy(tmp_path: Path, urls: dict[str, tuple[str, Path]]) -> Way:
    return way_of(("http", "legacy"), tmp_path, urls)


@pytest.fixture
def stdio_legacy(tmp_path: Path) -> Way:
    return way_of(("stdio", "legacy"), tmp_path, {})


def way_of(chosen: tuple[str, str], tmp_path: Path, urls: dict[str, tuple[str, Path]]) -> Way:
    transport, protocol = chosen
    if transport == "stdio":
        return Way(transport, protocol, tmp_path / "journal")
    url, journal = urls[transport]
    return Way(transport, protocol, journal, url)


def without(params: JsonObject, member: str) -> JsonObject:
    return {name: value for name, value in params.items() if name != member}


class Person:
    """Answers everything, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[tuple[str, JsonObject]] = []
        self._answers: list[Any] = list(answers)

    async def __call__(self, method: str, params: JsonObject) -> JsonObject:
        self.asked.append((method, params))
        answer: JsonObject | RpcError = self._answers.pop(0)
        if isinstance(answer, RpcError):
            raise answer
        return answer


async def test_all_that_a_server_lists_is_offered_as_it_listed_it(way: Way):
    async with way.reached() as raw:
        (offers,) = raw.downstream.offers()
        assert raw.pool.catalog().servers["raw"].protocol == VERSIONS[way.protocol]
        assert [tool["name"] for tool in offers.tools] == [
            "ask", "change", "hang", "log", "params", "refuse", "steps", "touch"
        ]  # fmt: skip
        assert all(
            entry["x-odd"] == ODD["x-odd"]
            for entry in [*offers.tools, *offers.resources, *offers.templates]
        )
        assert [entry["uri"] for entry in offers.resources] == ["note://0", "note://1", "note://2"]
        assert [entry["uriTemplate"] for entry in offers.templates] == ["note://{number}"]
        assert offers.prompts[0] == {
            "name": "greet",
            "arguments": [{"name": "who", "x-odd": True}],
            **ODD,
        }
        assert offers.instructions == "Ask for what you want."
        assert offers.capabilities["resources"] == {"listChanged": True, "subscribe": True}
        assert raw.downstream.offers() is raw.downstream.offers()


async def test_servers_get_our_extensions_before_they_list_anything(
    way: Way,
):
    async with way.reached():
        await way.noted(
            [
                "listed for",
                {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}},
            ]
        )


async def test_a_request_and_its_result_are_passed_on_as_they_are(way: Way):
    async with way.reached() as raw:
        declared: JsonObject = {"elicitation": {"form": {}}, "x-odd": 1}
        result: Any = await raw.request(
            "prompts/get",
            {"name": "greet", "x-odd": [1]},
            meta={"mine": [1, None]},
            caller=FakeCaller(capabilities=declared),
        )
    sent = result["params"]
    meta = sent.pop("_meta")
    assert sent == {"name": "greet", "x-odd": [1]}
    assert result["x-odd"] == ODD["x-odd"]
    assert meta["mine"] == [1, None]
    assert meta.get("io.modelcontextprotocol/clientCapabilities") == (
        declared if way.is_modern else None
    )


async def test_no_capability_is_declared_for_a_client_that_declared_none(http_modern: Way):
    async with http_modern.reached() as raw:
        result: Any = await raw.request("prompts/get", {"name": "greet"})
    assert result["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {}


async def test_over_http_of_2026_method_name_and_mapped_arguments_are_sent_as_headers_too(
    http_modern: Way,
):
    async with http_modern.reached() as raw:
        result: Any = await raw.call("params", region="Zürich", other=1)
    headers = result["structuredContent"]["headers"]
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert (headers["mcp-method"], headers["mcp-name"]) == ("tools/call", "params")
    assert decode_header_value(headers["mcp-param-region"]) == "Zürich"


async def test_a_servers_error_is_passed_on_with_code_message_and_data(way: Way):
    async with way.reached() as raw:
        with pytest.raises(RpcError) as failure:
            await raw.call("refuse")
    assert (failure.value.code, failure.value.message, failure.value.data) == (
        -32042,
        "not today",
        {"why": [1, None]},
    )


async def test_progress_is_passed_on_as_it_came_and_before_the_result(way: Way):
    heard: list[JsonObject] = []
    async with way.reached() as raw:
        await raw.request(
            "tools/call", {"name": "steps"}, caller=FakeCaller(on_progress=heard.append)
        )
        assert len(heard) == 5
    assert [without(told, "progressToken") for told in heard] == [
        {"progress": step, "total": 5.0, "message": f"step {step}", **ODD} for step in range(1, 6)
    ]
    assert all(type(told["progress"]) is int and type(told["total"]) is float for told in heard)


async def test_a_cancelled_caller_cancels_its_request_at_the_server(way: Way):
    tag = f"{way.transport}-{way.protocol}"
    async with way.reached() as raw:
        async with anyio.create_task_group() as tasks:
            request = RelayRequest("raw", "tools/call", {"name": "hang", "arguments": {"tag": tag}})
            tasks.start_soon(raw.downstream.request, request)
            await way.noted(f"{tag} started")
            tasks.cancel_scope.cancel()
        await way.noted(f"{tag} cancelled")
        assert (await raw.request("completion/complete", {"ref": {}}))["x-odd"] == ODD["x-odd"]


async def test_notifications_reach_every_listener_until_it_leaves(way: Way):
    heard: list[Any] = []
    async with way.reached() as raw:
        leave = raw.downstream.listen(lambda *notice: heard.append(notice))
        raw.downstream.set_level("client", "info")
        await raw.call("log")
        message = {"level": "warning", "logger": "raw", "data": {"n": 1}}
        await until(lambda: ("raw", "notifications/message", message) in heard)
        leave()
        heard.clear()
        raw.downstream.listen(lambda *notice: heard.append("second"))
        await raw.call("log")
        await until(lambda: heard)
    assert heard == ["second"]


async def test_log_messages_go_to_other_clients_only_if_they_may_belong_to_their_requests(
    way: Way,
):
    heard: list[tuple[str, JsonObject]] = []
    tag = f"beside {way.transport} {way.protocol}"

    def client(name: str) -> Any:
        return FakeCaller(client=name, on_log=lambda params: heard.append((name, params)))

    async with way.reached() as raw, anyio.create_task_group() as tasks:
        raw.downstream.listen(lambda *notice: heard.append(("everybody", notice[2])))
        raw.downstream.set_level("client", "info")
        params: JsonObject = {"name": "hang", "arguments": {"tag": tag}}
        hang = RelayRequest("raw", "tools/call", params, caller=client("beside"))
        tasks.start_soon(raw.downstream.request, hang)
        await way.noted(f"{tag} started")
        await raw.request("tools/call", {"name": "log"}, caller=client("mine"))
        await until(
            lambda: ("mine", {"level": "warning", "logger": "raw", "data": {"n": 1}}) in heard
        )
        tasks.cancel_scope.cancel()
    assert {name for name, _ in heard} == (
        {"mine"} if way.transport == "http" else {"mine", "beside"}
    )


async def test_log_messages_of_a_call_of_a_run_go_to_its_client(way: Way):
    heard: list[JsonObject] = []
    async with way.reached() as raw:
        raw.downstream.listen(lambda *notice: heard.append({"everybody": True}))
        raw.downstream.set_level("client", "info")
        call = a_call(raw.pool.catalog().tools["raw:log"], {}, FakeCaller(on_log=heard.append))
        with anyio.fail_after(SOON):
            await raw.pool(call)
        await until(lambda: heard)
        await raw.call("log")
        await until(lambda: len(heard) > 1)
    assert heard == [{"level": "warning", "logger": "raw", "data": {"n": 1}}, {"everybody": True}]


async def test_a_changed_list_is_announced_once_it_is_read(way: Way):
    lists: list[int] = []
    async with way.reached() as raw:
        before = raw.downstream.offers()

        def hear(server: str, method: str, params: JsonObject) -> None:
            assert (server, method, params) == ("raw", "notifications/prompts/list_changed", {})
            lists.append(len(raw.downstream.offers()[0].prompts))

        raw.downstream.listen(hear)
        await raw.call("change")
        await until(lambda: lists)
        assert lists == [len(before[0].prompts) + 1]
        assert raw.downstream.offers()[0].tools is before[0].tools


async def test_an_announced_change_is_passed_on_though_the_list_is_the_same(way: Way):
    heard: list[str] = []
    async with way.reached() as raw:
        before = raw.downstream.offers()
        raw.downstream.listen(lambda server, method, params: heard.append(method))
        await raw.call("change", only_say_so=True)
        await until(lambda: heard)
        assert raw.downstream.offers() is before
    assert heard == ["notifications/prompts/list_changed"]


async def test_notifications_before_an_answer_arrive_before_it(stdio_legacy: Way):
    heard: list[str] = []
    async with stdio_legacy.reached() as raw:
        raw.downstream.listen(lambda server, method, params: heard.append(method))
        for number in range(1, 20):
            await raw.call("log")
            assert len(heard) == number


async def test_a_server_of_2026_gets_the_capabilities_of_the_client_of_a_run(http_modern: Way):
    declared: JsonObject = {"sampling": {"x-odd": 1}}
    async with http_modern.reached() as raw:
        tool = raw.pool.catalog().tools["raw:params"]
        with anyio.fail_after(SOON):
            result: Any = await raw.pool(a_call(tool, {}, FakeCaller(capabilities=declared)))
    meta = result["structuredContent"]["params"]["_meta"]
    assert meta["io.modelcontextprotocol/clientCapabilities"] == declared


async def test_updates_of_a_watched_resource_arrive_until_it_is_unsubscribed(way: Way):
    heard: list[Any] = []
    async with way.reached() as raw:
        raw.downstream.listen(lambda *notice: heard.append(notice))
        end = await raw.downstream.watch("raw", "note://1")
        await raw.downstream.watch("raw", "note://2")
        await raw.call("touch", uri="note://1")
        await raw.call("touch", uri="note://2")
        await until(lambda: len(heard) == 2)
        assert heard == [
            ("raw", "notifications/resources/updated", {"uri": f"note://{number}"})
            for number in (1, 2)
        ]
        first, second = heard
        end()
        if way.is_modern:
            with anyio.fail_after(SOON):
                while first in heard:
                    heard.clear()
                    await raw.call("touch", uri="note://1")
                    await raw.call("touch", uri="note://2")
                    await until(lambda: second in heard)
        else:
            await way.noted(["resources/unsubscribe", {"uri": "note://1"}])


async def test_notifications_of_a_client_reach_the_server(legacy_way: Way):
    async with legacy_way.reached() as raw:
        await raw.downstream.notify("raw", "notifications/roots/list_changed", {})
        await legacy_way.noted("roots changed")


@pytest.mark.parametrize("transport", ["stdio", "http", "sse"])
async def test_a_server_that_asks_for_roots_by_itself_gets_those_of_the_only_client(
    tmp_path: Path, transport: str
):
    journal, roots = tmp_path / "journal", {"roots": [{"uri": "file:///a", "x-odd": 1}]}
    with (
        served(transport, journal, "--roots") if transport != "stdio" else nullcontext(None) as url
    ):
        way = Way(transport, "legacy", journal, url, flags=("--roots",))
        async with way.reached() as raw:
            await way.noted(["roots", types.METHOD_NOT_FOUND])
            leave = raw.downstream.join(Person(roots))
            assert raw.downstream.askers() == ["raw"]
            await raw.downstream.notify("raw", "notifications/roots/list_changed", {})
            await way.noted(["roots", roots])
            leave()
            assert raw.downstream.askers() == []


ANSWERS: list[tuple[str, Any, Any]] = [
    ("elicitation/create", FORM, {"action": "accept", "content": {"name": "A"}, "x-odd": [None]}),
    ("elicitation/create", URL, {"action": "decline"}),
    (
        "sampling/createMessage",
        SAMPLING,
        {"role": "assistant", "model": "m", "content": [{"type": "text", "text": "?"}]},
    ),
    ("roots/list", {}, {"roots": [{"uri": "file:///tmp", "x-odd": 1}]}),
]


async def test_a_question_and_its_answer_are_passed_on_as_they_are(way: Way):
    person = Person(*(answer for _, _, answer in ANSWERS))
    async with way.reached() as raw:
        questions: list[Any] = [[method, params] for method, params, _ in ANSWERS]
        (tool,) = (tool for tool in raw.pool.catalog().tools.values() if tool.name == "ask")
        with anyio.fail_after(SOON):
            result: Any = await raw.pool(
                a_call(
                    tool, {"questions": questions}, FakeCaller(person, capabilities={"roots": {}})
                )
            )
    assert person.asked == [(method, named("raw", method, params)) for method, params, _ in ANSWERS]
    given = result["structuredContent"]["answers"]
    assert given == (
        {"q": ANSWERS[-1][2]} if way.is_modern else [answer for _, _, answer in ANSWERS]
    )


async def test_a_caller_that_takes_input_requests_gets_the_result_that_asks(way: Way):
    person = Person(ANSWERS[0][2])
    params: JsonObject = {"name": "ask", "arguments": {"questions": [["elicitation/create", FORM]]}}
    async with way.reached() as raw:
        result: Any = await raw.request(
            "tools/call", params, caller=FakeCaller(person, takes_input_requests=True)
        )
    if way.is_modern:
        asked = {
            "q": {
                "method": "elicitation/create",
                "params": named("raw", "elicitation/create", FORM),
            }
        }
        assert result == {
            "resultType": "input_required",
            "inputRequests": asked,
            "requestState": "1",
        }
        assert person.asked == []
    else:
        assert result["structuredContent"]["answers"] == [ANSWERS[0][2]]


async def test_a_call_by_name_is_sent_with_all_params_of_its_client(way: Way):
    params: JsonObject = {"name": "params", "x-odd": [1], "_meta": {"mine": [1, None]}}
    async with way.reached() as raw:
        tool = raw.pool.catalog().tools["raw:params"]
        with anyio.fail_after(SOON):
            result: Any = await raw.pool(a_call(tool)._replace(params=params))
    sent = result["structuredContent"]["params"]
    assert sent.pop("_meta")["mine"] == [1, None]
    assert sent == {"name": "params", "x-odd": [1]}


async def test_the_failure_of_a_call_keeps_the_servers_own_error(way: Way):
    async with way.reached() as raw:
        with anyio.fail_after(SOON), pytest.raises(ProtocolError) as failure:
            await raw.pool(a_call(raw.pool.catalog().tools["raw:refuse"]))
    error = as_rpc_error(failure.value)
    assert (error.code, error.message, error.data) == (-32042, "not today", {"why": [1, None]})


async def test_only_calls_prompts_and_resources_may_ask(http_legacy: Way):
    person = Person({"roots": []})
    params: JsonObject = {"ref": {}, "questions": [["roots/list", {}]]}
    async with http_legacy.reached() as raw:
        result: Any = await raw.request("completion/complete", params, caller=FakeCaller(person))
    assert [answer["code"] for answer in result["answers"]] == [types.METHOD_NOT_FOUND]
    assert person.asked == []


async def test_a_caller_that_cannot_be_asked_is_not_asked(way: Way):
    async with way.reached() as raw:
        (tool,) = (tool for tool in raw.pool.catalog().tools.values() if tool.name == "ask")
        call = a_call(tool, {"questions": [["elicitation/create", FORM]]})
        if way.is_modern:
            with pytest.raises(ToolError, match="the command line has no client to ask"):
                await raw.pool(call)
            with pytest.raises(ToolError, match="the client did not declare that it can be asked"):
                await raw.pool(call._replace(caller=FakeCaller()))
        else:
            result: Any = await raw.pool(call)
            assert result["structuredContent"]["answers"][0]["code"] == -32601
            assert "command line" in result["structuredContent"]["answers"][0]["message"]


async def test_a_clients_error_is_the_servers_answer(way: Way):
    person = Person(RpcError(-1, "User rejected", {"by": "hand"}))
    async with way.reached() as raw:
        (tool,) = (tool for tool in raw.pool.catalog().tools.values() if tool.name == "ask")
        call = a_call(
            tool, {"questions": [["sampling/createMessage", SAMPLING]]}, FakeCaller(person)
        )
        if way.is_modern:
            with pytest.raises(ToolError, match="got none: User rejected"):
                await raw.pool(call)
        else:
            result: Any = await raw.pool(call)
            answer = {"code": -1, "message": "User rejected", "data": {"by": "hand"}}
            assert result["structuredContent"]["answers"] == [answer]


async def test_two_callers_at_once_are_each_asked_their_own_question(legacy_way: Way):
    async with legacy_way.reached() as raw:
        people = {
            name: Person(*[{"action": "accept", "content": {"name": name}}] * 2) for name in "ab"
        }
        await raw.call(
            "ask", people["a"], questions=[["elicitation/create", FORM]]
        )  # it is known to ask now
        answers: dict[str, Any] = {}

        async def ask(name: str) -> None:
            result: Any = await raw.call(
                "ask", people[name], questions=[["elicitation/create", {**FORM, "of": name}]]
            )
            answers[name] = result["structuredContent"]["answers"][0]["content"]["name"]

        async with anyio.create_task_group() as tasks:
            for name in people:
                tasks.start_soon(ask, name)
    assert answers == {"a": "a", "b": "b"}
    asked = named("raw", "elicitation/create", {**FORM, "of": "b"})
    assert people["b"].asked == [("elicitation/create", asked)]


async def test_a_question_during_a_request_of_an_unaskable_caller_is_put_to_no_other(
    legacy_way: Way,
):
    person = Person({"roots": []})
    tag = f"silent {legacy_way.transport}"
    async with legacy_way.reached() as raw, anyio.create_task_group() as tasks:
        hang = RelayRequest("raw", "tools/call", {"name": "hang", "arguments": {"tag": tag}})
        tasks.start_soon(raw.downstream.request, hang)
        await legacy_way.noted(f"{tag} started")
        result: Any = await raw.call("ask", person, questions=[["roots/list", {}]], loose=True)
        tasks.cancel_scope.cancel()
    assert [answer["code"] for answer in result["structuredContent"]["answers"]] == [
        types.INVALID_REQUEST
    ]
    assert person.asked == []


async def test_over_http_callers_are_asked_at_the_same_time(http_legacy: Way):
    people = {name: Person({"action": "accept", "content": {"name": name}}) for name in "ab"}
    answers: dict[str, Any] = {}
    all_asked = anyio.Event()

    def answering(person: Person) -> Ask:
        async def ask(method: str, params: JsonObject) -> JsonObject:
            answer = await person(method, params)
            if all(other.asked for other in people.values()):
                all_asked.set()
            await all_asked.wait()
            return answer

        return ask

    async with http_legacy.reached() as raw:

        async def call(name: str, person: Person) -> None:
            question = ["elicitation/create", {**FORM, "of": name}]
            result: Any = await raw.call("ask", answering(person), questions=[question])
            answers[name] = result["structuredContent"]["answers"][0]["content"]["name"]

        async with anyio.create_task_group() as tasks:
            for name, person in people.items():
                tasks.start_soon(call, name, person)
    assert answers == {"a": "a", "b": "b"}
    assert [person.asked[0][1]["of"] for person in people.values()] == ["a", "b"]


async def test_a_question_outside_of_any_stream_goes_to_the_only_caller(legacy_way: Way):
    person = Person({"roots": []})
    async with legacy_way.reached() as raw:
        result: Any = await raw.call("ask", person, questions=[["roots/list", {}]], loose=True)
    assert result["structuredContent"]["answers"] == [{"roots": []}]
