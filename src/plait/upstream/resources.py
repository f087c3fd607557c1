"""Our own resources (the guide, the catalogue, runs and their outputs) and prompts (`plan`,
`explain_run`)."""

from __future__ import annotations

import re
from functools import partial
from importlib.resources import files

import anyio
import mcp_types as types
from mcp import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ..core.tools.addresses import OURS, unwrap
from ..core.tools.circuit import circuit_document
from ..core.values.principal import Principal
from ..core.values.strict import JsonObject, dumps
from ..engine.gateway import Gateway
from ..errors import CallError, UnknownRun
from .answers import attachment, run_uri, task_uri
from .budget import fit
from .links import AddressOf, as_it_is, output_with_addresses, outputs_with_addresses
from .mcp_sdk import RequestContext
from .outlines import outline
from .principals import PrincipalOf
from .reading import written

GUIDE = "plait://guide"
CATALOG = "plait://catalog"
NOT_FOUND_BEFORE_2026 = -32002
_RUN = re.compile(
    r"plait://runs/(?P<run>[\w-]{1,64})(?:/tasks/(?P<task>[\w.-]{1,64}))?\Z", re.ASCII
)

_PLAN = """\
Do this as one DAG of tool calls, with the gateway's tools:

{task}

1. List the needs, and find the tools for them with one search_tools call (needs separated by ";").
2. Write one execute_dag document: a task for each call, "$OUTPUT[id].path" where a call needs \
another's output, for_each where something is done for each element, select where an output is \
larger than needed, and `return` naming only what the answer needs.
3. Send it. If it is refused, apply each `fix`, solve the other problems, and send it again; if \
tasks failed, send the fixed ones with resume_from."""

_EXPLAIN = """\
Explain this run to the person who asked for it, in a few sentences: what was done, what failed \
and why, what was skipped because of it, and what to do next (the tasks to fix, for execute_dag \
with resume_from). Say which chain of calls the time went into, if that matters.

{run}"""


def is_ours(uri: object) -> bool:
    """Return whether *uri* is a resource of ours. URIs of downstream servers may be wrapped in one
    of our URIs; those are not."""
    return isinstance(uri, str) and uri.startswith(OURS) and unwrap(uri) is None


def guide() -> str:
    """Return the text of the guide: the DAG language, with worked examples."""
    return files(__package__).joinpath("guide.md").read_text(encoding="utf-8")


def own_resources() -> list[types.Resource]:
    """Return our entries of `resources/list`."""
    about = "The DAG language of execute_dag, with worked examples."
    tools = "Every connected server, and the signature of each of its tools."
    return [
        types.Resource(
            uri=GUIDE,
            name="guide",
            title="Guide to DAGs",
            description=about,
            mime_type="text/markdown",
        ),
        types.Resource(
            uri=CATALOG,
            name="catalog",
            title="Catalogue",
            description=tools,
            mime_type="application/json",
        ),
    ]


def own_templates() -> list[types.ResourceTemplate]:
    """Return our entries of `resources/templates/list`."""
    run = types.ResourceTemplate(
        uri_template=run_uri("{id}"),
        name="run",
        title="A run",
        description="Status, errors, outputs and times of a run, uncut.",
        mime_type="application/json",
    )
    task = types.ResourceTemplate(
        uri_template=task_uri("{id}", "{task}"),
        name="output",
        title="The output of a task",
        description="The whole output, as JSON or text, with its images and audio.",
    )
    return [run, task]


def own_prompts() -> list[types.Prompt]:
    """Return our entries of `prompts/list`."""
    task = types.PromptArgument(name="task", description="What to do, in words.", required=True)
    run = types.PromptArgument(name="run_id", description="From execute_dag.", required=True)
    about, explains = (
        "Turn a task into one execute_dag call.",
        "What a run did, and what to do next.",
    )
    return [
        types.Prompt(name="plan", title="Plan a DAG", description=about, arguments=[task]),
        types.Prompt(
            name="explain_run", title="Explain a run", description=explains, arguments=[run]
        ),
    ]


class Resources:
    """Answers requests for our resources and prompts."""

    def __init__(
        self,
        gateway: Gateway,
        principal_of: PrincipalOf,
        *,
        max_chars: int = 24_000,
        address_of: AddressOf = as_it_is,
    ) -> None:
        self._gateway = gateway
        self._principal_of = principal_of
        self._max_chars = max_chars
        self._address_of = address_of

    async def list(
        self, ctx: RequestContext, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=own_resources())

    async def templates(
        self, ctx: RequestContext, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=own_templates())

    async def read(
        self, ctx: RequestContext, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Answer `resources/read`. Raises `MCPError` for an unknown resource."""
        uri, modern = str(params.uri), ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        if uri == GUIDE:
            return _text(uri, guide(), "text/markdown")
        if uri == CATALOG:
            return _text(uri, dumps(self._catalog()), "application/json")
        found = _RUN.match(uri)
        try:
            if found:
                principal = self._principal_of(ctx)
                await self._gateway.recall(found["run"], principal)
                if found["task"]:
                    return self._output(uri, found["run"], found["task"], principal)
                document = self._document(found["run"], principal)
                return _text(uri, dumps(document), "application/json")
        except (UnknownRun, CallError) as error:
            raise not_found(uri, str(error), modern=modern) from None
        raise not_found(uri, f"Unknown resource: {uri[:200]}", modern=modern)

    async def prompts(
        self, ctx: RequestContext, params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=own_prompts())

    async def prompt(
        self, ctx: RequestContext, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """Answer `prompts/get`. Raises `MCPError` for an unknown prompt or run, and for a missing
        argument."""
        given = params.arguments or {}
        match params.name:
            case "plan":
                return _prompt("Plan a DAG", _PLAN.format(task=_argument(given, "task")))
            case "explain_run":
                run = await self._run_text(_argument(given, "run_id"), self._principal_of(ctx))
                return _prompt("Explain a run", _EXPLAIN.format(run=run))
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name[:128]}")

    def _catalog(self) -> JsonObject:
        catalog = self._gateway.catalog()
        return {
            "servers": [
                {
                    "name": info.name,
                    "state": str(info.state),
                    **circuit_document(info.open_until, anyio.current_time()),
                    "tools": [
                        tool.signature
                        for tool in catalog.offered(info.name)
                        if self._gateway.denied_by(tool.server, tool.name) is None
                    ],
                }
                for info in catalog.servers.values()
            ]
        }

    def _output(
        self, uri: str, run_id: str, task: str, principal: Principal
    ) -> types.ReadResourceResult:
        output = self._gateway.output(run_id, task, principal)
        tool = self._gateway.record(run_id, principal).tasks[task].tool
        value = output_with_addresses(output.value, tool, self._address_of)
        mime_type = "text/plain" if isinstance(value, str) else "application/json"
        result = _text(uri, written(value), mime_type)
        for raw in output.attachments:
            if (block := attachment(raw)) is not None:
                result.contents.append(
                    types.BlobResourceContents(uri=uri, mime_type=block.mime_type, blob=block.data)
                )
        return result

    def _document(self, run_id: str, principal: Principal) -> JsonObject:
        """The whole result of a run. Raises `UnknownRun`."""
        result = self._gateway.result(run_id, principal)
        outputs = outputs_with_addresses(result.outputs, result.record, self._address_of)
        return {**result.document("full"), "outputs": outputs}

    async def _run_text(self, run_id: str, principal: Principal) -> str:
        try:
            await self._gateway.recall(run_id, principal)
            document = self._document(run_id, principal)
        except UnknownRun as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from None
        return dumps(fit(document, self._max_chars, outline=partial(outline, run_id)))


def _text(uri: str, text: str, mime_type: str) -> types.ReadResourceResult:
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)]
    )


def _prompt(description: str, text: str) -> types.GetPromptResult:
    message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
    return types.GetPromptResult(description=description, messages=[message])


def _argument(given: dict[str, str], name: str) -> str:
    if not given.get(name, "").strip():
        raise MCPError(types.INVALID_PARAMS, f"The argument {name} is missing.")
    return given[name]


def not_found(uri: str, message: str, *, modern: bool) -> MCPError:
    """Return the error for an unknown resource, with the code of the client's era."""
    code = types.INVALID_PARAMS if modern else NOT_FOUND_BEFORE_2026
    return MCPError(code, message, {"uri": uri[:500]})
