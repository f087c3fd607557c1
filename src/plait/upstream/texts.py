"""The texts that models read, each within 2,048 characters, where clients cut it."""

from __future__ import annotations

MAX_TEXT = 2_048

INSTRUCTIONS = """\
Runs many tool calls of other MCP servers in ONE call, in parallel. Use it whenever a request \
needs two or more downstream calls, or one call whose result feeds another: plan the whole job as \
a DAG and send it once, instead of calling step by step. Intermediate results stay in the gateway; \
only what you ask for comes back.
Workflow: search_tools (find names and signatures) -> execute_dag (run). describe_tools only when \
a signature is not enough. query_dag runs a DAG that only reads. get_run when a run is still going \
or an output was cut. The resource plait://guide has worked examples.
Downstream tools are named server:tool, e.g. "github:list_issues". You cannot call them yourself: \
put them in the `tool` field of a task.
Connected servers: """

EXECUTE = """\
Run a whole job as one DAG of downstream tool calls. Independent tasks run in parallel; a task \
starts once those it refers to succeeded. All is checked first: mistakes come back as one list, \
with fixes.

A task has id, tool (as search_tools prints it), and:
- arguments: "$OUTPUT[id].path" becomes that value with its type; inside text it is put in as \
text. Paths: .items[0].title, .items[-1], .items[*].id. With a default or JMESPath: \
"${OUTPUT[id].x ?? 0}", "${OUTPUT[id] | length(items)}". A reference makes the task wait.
- select: JMESPath applied to the output before anything sees it (in a for_each to each): \
"items[?stars > 10].{n: number}". More functions: lines split trim lower upper replace matches \
find find_all from_json unique unique_by group_by count_by entries from_entries add subtract \
multiply divide round age_days.
- for_each: "$OUTPUT[id].items" runs it once per element, "$ITEM.number" is part of it. Output: \
the list.
- when: "open.total > 3" skips it unless true.
- repeat: {"set": {"page": "next_page"}} for all pages as one list; {"until": "state == 'done'"} \
polls.
- trigger_rule: "one_failed" or "all_done" runs it after failures too.
Instead of tool: value makes an object of outputs, without a call; tasks is a group, with \
for_each once per element.

Result: status, run_id, errors, outputs of the ids in `return` (default: tasks nothing refers \
to). A failure stops only what needs it. To repair, send the fixed tasks with resume_from = \
run_id. A long output comes as a preview; `truncated` has its shape and a get_run call. \
"running", "waiting" (for a person): wait with get_run.

Example: {"tasks": [{"id": "open", "tool": "github:list_issues", "arguments": {"repo": "api"}, \
"select": "items"}, {"id": "each", "for_each": "$OUTPUT[open]", "tasks": [{"id": "say", "tool": \
"github:comment", "arguments": {"n": "$ITEM.number", "text": "Stale"}}, {"id": "close", "tool": \
"github:close", "arguments": {"n": "$ITEM.number"}, "depends_on": ["say"]}]}, {"id": "sum", \
"value": {"closed": "${OUTPUT[open] | length(@)}"}}]}"""

QUERY = """\
execute_dag for reading alone: the same document and answers. Each tool must be known to change \
nothing, so it can run without asking, in plan mode and in parallel. No output may go into a tool \
of the open world."""

SEARCH = """\
Find downstream tools to use in execute_dag. Returns up to `limit` matches for each need, best \
first, one line each: server:tool(required: type, optional?: type) -> output - what it does. [w] \
marks a tool that may change something; (seen) an output that is not declared, but was like that \
before; without -> the output is unknown, often text. Search several needs at once, separated by \
";": "list open issues; post chat message". An empty query lists the servers."""

DESCRIBE = """\
Full definitions of downstream tools, with their schemas. Ask only for tools whose one-line \
signature from search_tools is not enough (nested objects, formats). Up to 10 names a call."""

GET_RUN = """\
Look at a run: wait for one that is still going, or read an output that was cut. Without task: \
status, the state of each task, and the outputs. With task: that task's output, whole, or a \
preview if it does not fit; narrow it with select (JMESPath), or page through its text with offset \
and limit (characters): next_offset is where the next page starts. `get_run` in an answer holds \
arguments that read on."""

CANCEL = """\
Stop a run that is still going. Calls in flight are cancelled; tasks that have finished keep \
their effects and outputs."""
