"""The texts that models read, each within 2,048 characters, where clients cut it."""

from __future__ import annotations

MAX_TEXT = 2_048

INSTRUCTIONS = """\
Runs many tool calls of other MCP servers in ONE call, in parallel. Use it whenever a request \
needs two or more downstream calls, or one call whose result feeds another: plan the whole job as \
a DAG and send it once, instead of calling step by step. Intermediate results stay in the gateway; \
only what you ask for comes back.
Workflow: search_tools (find names and signatures) -> execute_dag (run). describe_tools only when \
a signature is not enough. get_run when a run is still going or an output was cut. The resource \
plait://guide has worked examples.
Downstream tools are named server:tool, e.g. "github:list_issues". You cannot call them yourself: \
put them in the `tool` field of a task.
Connected servers: """

EXECUTE = """\
Run several downstream tool calls as one DAG. Independent tasks run in parallel; a task starts as \
soon as the tasks it refers to have succeeded. Everything is checked before anything runs: unknown \
tools, bad arguments, cycles and bad references come back as one list of fixes, and nothing is \
executed.

Task: {"id": "issues", "tool": "github:list_issues", "arguments": {"owner": "acme", "repo": "api"}}
- tool: server:tool exactly as search_tools prints it.
- References: a string in arguments that is "$OUTPUT[id].path" becomes that value with its type \
(list, object, number). Inside a longer string it is put in as text: "Top: \
$OUTPUT[issues].items[0].title". Path: .items[0].title, .items[-1], .items[*].id (of all). \
"$OUTPUT[id]" alone is the whole output. A reference already makes the task wait; depends_on is \
only for order without data.
- for_each: "$OUTPUT[issues].items" runs the task once per element, in parallel; write "$ITEM" or \
"$ITEM.number" in arguments. Its output is the list of results.
- select: JMESPath that shrinks this task's output, e.g. "items[].{n: number, t: title}". Use it \
on big results.

Result: {"status": "success|partial|failed|running", "run_id", "errors": [{id, code, message, \
hint}], "outputs": {id: value}, "metrics"}. outputs holds the ids in `return` (default: tasks \
nothing else refers to). A failed task does not stop the others; tasks that need it are skipped. \
To repair, send only the fixed tasks with resume_from = run_id: what succeeded is reused, not run \
again. An output that does not fit is a preview; `truncated` has its shape and a get_run call. \
status "running": wait with get_run.

Example: {"tasks": [{"id": "u", "tool": "github:get_user", "arguments": {"name": "ada"}}, {"id": \
"m", "tool": "slack:post_message", "arguments": {"channel": "dev", "text": "Hi \
$OUTPUT[u].name"}}]}"""

SEARCH = """\
Find downstream tools to use in execute_dag. Returns up to `limit` matches for each need, best \
first, one line each: server:tool(required: type, optional?: type) -> output - what it does. [w] \
marks a tool that may change something. Search several needs at once, separated by ";": "list open \
issues; post chat message". An empty query lists the servers, their state and how many tools each \
has. Matching is by words in names, descriptions and parameters."""

DESCRIBE = """\
Full definitions of downstream tools: description, input schema, output schema, annotations. Ask \
only for tools whose one-line signature from search_tools is not enough (nested objects, formats). \
Up to 10 names a call."""

GET_RUN = """\
Look at a run of execute_dag: wait for one that is still going, or read an output that was cut. \
Without task: status, the state of each task, and the outputs. With task: that task's output, \
whole, or a preview if it does not fit; narrow it with select (JMESPath), or page through its text \
with offset and limit (characters): next_offset is where the next page starts. `get_run` in an \
answer holds arguments that read on. The latest runs are kept."""

CANCEL = """\
Stop a run of execute_dag that is still going. Calls in flight are cancelled; tasks that have \
finished keep their effects and their outputs."""
