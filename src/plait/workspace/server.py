"""The MCP server: the table of tools, and the border where arguments enter and errors leave."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server import Server, ServerRequestContext

from . import changes, checks, files, folders, git, porcelain, repository, search
from .errors import WorkspaceError
from .paths import Root
from .processes import Command, Outcome, run
from .schema import Arguments, Output, parsed, published

THREADS = 8
PROCESSES = 8
INSTRUCTIONS = """\
Tools for one folder of files, the workspace root. Paths are taken from the root, and nothing \
outside of it can be reached. Start with list_dir, find_files or grep; read with read_file; write \
with write_file. git_status, git_diff and git_log look at repositories. format_code, run_tests and \
run_command run programs of the project."""

log = logging.getLogger(__name__)
CallT = TypeVar("CallT", bound=Arguments)
T = TypeVar("T")


@dataclass(slots=True)
class Workspace:
    """The state that tools share. Blocking work has one bounded set of threads, commands one
    bounded set of slots."""

    root: Root
    commands: checks.Commands = field(default_factory=checks.Commands)
    read_only: bool = False
    threads: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(THREADS))
    processes: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(PROCESSES)
    )

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await anyio.to_thread.run_sync(
            functools.partial(work, *arguments), limiter=self.threads
        )

    async def run(self, command: Command, report: checks.Report) -> Outcome:
        async with self.processes:
            return await run(command, checks.Progress(report).receive)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its definition for models, and its function."""

    name: str
    title: str
    takes: type[Arguments]
    gives: type[Output]
    act: Callable[[Workspace, Any, checks.Report], Awaitable[Output]]
    reads_only: bool = False
    destroys: bool = False
    repeats: bool = False
    open_world: bool = False
    note: str = ""
    """A remark about this server alone, which follows the description."""

    def definition(self) -> types.Tool:
        return types.Tool(
            name=self.name,
            title=self.title,
            description=" ".join(f"{self.takes.__doc__} {self.note}".split()),
            input_schema=published(self.takes),
            output_schema=published(self.gives),
            annotations=types.ToolAnnotations(
                read_only_hint=self.reads_only,
                destructive_hint=self.destroys,
                idempotent_hint=self.repeats,
                open_world_hint=self.open_world,
            ),
        )


async def _read_file(workspace: Workspace, call: files.ReadFile, _: checks.Report) -> Output:
    return await workspace.in_thread(files.read_file, workspace.root, call)


async def _write_file(workspace: Workspace, call: files.WriteFile, _: checks.Report) -> Output:
    return await workspace.in_thread(files.write_file, workspace.root, call)


async def _list_dir(workspace: Workspace, call: folders.ListDir, _: checks.Report) -> Output:
    return await workspace.in_thread(folders.list_dir, workspace.root, call)


async def _find_files(workspace: Workspace, call: search.FindFiles, _: checks.Report) -> Output:
    place = await workspace.in_thread(search.searchable, workspace.root, call.path)
    async with workspace.processes:
        return await search.find_files(place, call)


async def _grep(workspace: Workspace, call: search.Grep, _: checks.Report) -> Output:
    place = await workspace.in_thread(search.searchable, workspace.root, call.path)
    async with workspace.processes:
        return await search.grep(place, call)


async def _git_status(workspace: Workspace, call: git.GitStatus, _: checks.Report) -> Output:
    found = await workspace.in_thread(repository.found, workspace.root, call.repository)
    async with workspace.processes:
        return await git.git_status(found, call)


async def _git_diff(workspace: Workspace, call: git.GitDiff, _: checks.Report) -> Output:
    found = await workspace.in_thread(repository.found, workspace.root, call.repository)
    paths = await workspace.in_thread(git.pathspecs, workspace.root, found, call.paths)
    async with workspace.processes:
        return await git.git_diff(found, call, paths)


async def _git_log(workspace: Workspace, call: git.GitLog, _: checks.Report) -> Output:
    found = await workspace.in_thread(repository.found, workspace.root, call.repository)
    paths = await workspace.in_thread(git.pathspecs, workspace.root, found, call.paths)
    async with workspace.processes:
        return await git.git_log(found, call, paths)


async def _format_code(
    workspace: Workspace, call: checks.FormatCode, report: checks.Report
) -> Output:
    root = workspace.root
    command = await workspace.in_thread(checks.formatting, root, workspace.commands, call)
    suffixes = changes.suffixes_of(command.argv)
    named: list[str] = []
    listed: list[str] = []
    for path in call.paths or ["."]:
        place = await workspace.in_thread(search.searchable, root, path)
        is_file = place.path.is_file()
        if not is_file and suffixes is None:
            raise WorkspaceError(
                f"it is not known which files {command.argv[0]} formats. Name files in paths."
            )
        async with workspace.processes:
            (named if is_file else listed).extend(await search.listed(place))
    chosen = await workspace.in_thread(changes.formattable, root, named, listed, suffixes or ())
    before = await workspace.in_thread(changes.snapshot, root, chosen.files)
    with_files = replace(command, argv=(*command.argv, *(f"./{name}" for name in chosen.files)))
    outcome = (
        await workspace.run(with_files, report)
        if chosen.files
        else Outcome(0, b"There are no files to format.", b"", False, False, 0.0)
    )
    after = await workspace.in_thread(changes.snapshot, root, chosen.files)
    fields = checks.result_fields(command, outcome)
    changed = changes.changed_between(before, after)
    if call.check_only:
        changed = changes.would_change(root, fields["output"]) if outcome.exit_code == 1 else []
    return checks.Formatted(
        **fields,
        changed=changed,
        clean=outcome.exit_code == 0 and not changed,
        files=len(chosen.files),
        left_out=list(chosen.left_out),
    )


async def _run_tests(workspace: Workspace, call: checks.RunTests, report: checks.Report) -> Output:
    command = await workspace.in_thread(checks.testing, workspace.root, workspace.commands, call)
    outcome = await workspace.run(command, report)
    passed = outcome.exit_code == 0 and not outcome.timed_out
    return checks.Verdict(**checks.result_fields(command, outcome), passed=passed)


async def _run_command(
    workspace: Workspace, call: checks.RunCommand, report: checks.Report
) -> Output:
    command = await workspace.in_thread(checks.running, workspace.root, workspace.commands, call)
    return checks.CommandResult(
        **checks.result_fields(command, await workspace.run(command, report))
    )


def tools(workspace: Workspace) -> list[Tool]:
    """Return the tools of a server, those that change nothing first; a read-only server has no
    others."""
    reading = functools.partial(Tool, reads_only=True, repeats=True)
    harmless = [
        reading("read_file", "Read a file", files.ReadFile, files.FileText, _read_file),
        reading("list_dir", "List a folder", folders.ListDir, folders.Listing, _list_dir),
        reading("find_files", "Find files by name", search.FindFiles, search.Found, _find_files),
        reading("grep", "Search in files", search.Grep, search.Matches, _grep),
        reading(
            "git_status", "Show what has changed", git.GitStatus, porcelain.Status, _git_status
        ),
        reading("git_diff", "Show a diff", git.GitDiff, porcelain.Diff, _git_diff),
        reading("git_log", "List commits", git.GitLog, porcelain.Log, _git_log),
    ]
    if workspace.read_only:
        return harmless
    running = functools.partial(Tool, destroys=True, open_world=True)
    allowed = checks.what_is_allowed(workspace.commands)
    return [
        *harmless,
        Tool(
            "write_file", "Write a file", files.WriteFile, files.Written, _write_file, destroys=True
        ),
        Tool(
            "format_code",
            "Format code",
            checks.FormatCode,
            checks.Formatted,
            _format_code,
            destroys=True,
            repeats=True,
        ),
        running("run_tests", "Run tests", checks.RunTests, checks.Verdict, _run_tests),
        running(
            "run_command",
            "Run an allowed command",
            checks.RunCommand,
            checks.CommandResult,
            _run_command,
            note=allowed,
        ),
    ]


def build_server(
    root: str | os.PathLike[str],
    *,
    commands: checks.Commands | None = None,
    read_only: bool = False,
    only: Collection[str] = (),
    protected: Collection[str] = (),
) -> Server[Any]:
    """Build a server for one folder, to be run over any transport: with the tools named in `only`,
    or all; `protected` files are never written.

    Raises:
        WorkspaceError: the root is not a folder, or a tool is unknown.
    """
    workspace = Workspace(Root(root, protected=protected), commands or checks.Commands(), read_only)
    all_tools = {tool.name: tool for tool in tools(workspace)}
    if unknown := sorted(set(only) - set(all_tools)):
        raise WorkspaceError(f"unknown tool {unknown[0]}. The tools are: {', '.join(all_tools)}.")
    table = {name: tool for name, tool in all_tools.items() if not only or name in only}
    listed = types.ListToolsResult(tools=[tool.definition() for tool in table.values()])
    schemas: Mapping[str, Mapping[str, Any]] = {
        tool.name: tool.input_schema for tool in listed.tools
    }

    async def list_tools(
        context: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return listed

    async def call_tool(
        context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        async def report(elapsed_s: float, message: str) -> None:
            await context.session.report_progress(elapsed_s, message=message)

        return await _called(workspace, table, params, report)

    return Server(
        "plait-workspace",
        title="Workspace",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=schemas.get,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _called(
    workspace: Workspace,
    table: Mapping[str, Tool],
    params: types.CallToolRequestParams,
    report: checks.Report,
) -> types.CallToolResult:
    """Call a tool. Every failure is an error of the tool, with a text that a model can act on."""
    tool = table.get(params.name)
    if tool is None:
        return _failed(f"unknown tool {params.name}. The tools are: {', '.join(table)}.")
    try:
        output = await tool.act(workspace, parsed(tool.takes, params.arguments or {}), report)
    except WorkspaceError as error:
        return _failed(str(error))
    except Exception:
        log.exception("%s failed", tool.name)
        return _failed(
            f"{tool.name} failed because of a fault of the server, which its log describes."
        )
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=output.model_dump_json(exclude_none=True))],
        structured_content=output.model_dump(mode="json", exclude_none=True),
    )


def _failed(message: str) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=message)], is_error=True
    )
