"""What the five tools answer: structured content, and the same as the text that every client
shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import mcp_types as types
from pydantic import TypeAdapter, ValidationError

from ..core.results.record import RunStatus
from ..core.results.result import RunResult
from ..core.values.problems import Problem
from ..core.values.strict import Json, JsonObject, dumps
from .budget import fit

MAX_ATTACHMENT_CHARS = 4 * 2**20
"""Images and audio that follow an answer, as base64, all together."""
MAX_BLOB_CHARS = 256
"""Of what an embedded resource holds, as base64, in an answer."""
MOST_BLOCKS = 500
"""Of one output that are looked at for such; no more would fit into an answer."""

_BLOCK: TypeAdapter[types.ImageContent | types.AudioContent] = TypeAdapter(
    types.ImageContent | types.AudioContent
)


def answer(
    document: JsonObject,
    *,
    is_error: bool = False,
    text: str | None = None,
    blocks: Iterable[types.ContentBlock] = (),
) -> types.CallToolResult:
    """*document* as structured content and, unless there is a better *text*, as compact JSON."""
    first = types.TextContent(type="text", text=dumps(document) if text is None else text)
    return types.CallToolResult(
        content=[first, *blocks], structured_content=document, is_error=is_error
    )


def refusal(
    problems: Sequence[Problem],
    limit: int,
    *,
    notes: Sequence[str] = (),
    heading: str | None = None,
    advice: str = "",
) -> types.CallToolResult:
    """Everything that is wrong with a call, in sentences that a model can act on."""
    errors: list[Json] = [problem.document() for problem in problems]
    document: JsonObject = {"status": "invalid", "errors": errors}
    if notes:
        document["notes"] = list[Json](notes)
    text = _sentences(problems, notes, heading or _count(problems), advice, limit)
    return answer(fit(document, limit), is_error=True, text=text)


def run_answer(result: RunResult, limit: int, *, detail: str) -> types.CallToolResult:
    """A run as it stands: errors, outputs within *limit*, and the images and audio among them."""
    document = result.document(detail)
    document["outputs"] = {
        id: _without_data(result, id, value) for id, value in result.outputs.items()
    }
    blocks, left_out = _attached(result)
    notes = [*result.notes, *left_out]
    if result.status is RunStatus.RUNNING:
        notes.insert(0, f'The run goes on: wait for it with get_run(run_id="{result.run_id}").')
        if detail == "concise":
            for name in ("tasks", "layers", "metrics"):
                document.pop(name, None)
            document["metrics"] = {"counts": dict(result.metrics.counts)}
    document["notes"] = list[Json](notes)
    shown = fit(
        document,
        limit,
        uri=lambda id: task_uri(result.run_id, id),
        sizes={id: result.record.tasks[id].output_bytes or 0 for id in result.outputs},
        hint=f'Read what was cut with get_run(run_id="{result.run_id}", task=…), by select or '
        "offset.",
    )
    return answer(shown, is_error=result.status.is_error, blocks=blocks)


def run_uri(run_id: str) -> str:
    return f"plait://runs/{run_id}"


def task_uri(run_id: str, task: str) -> str:
    return f"{run_uri(run_id)}/tasks/{task}"


def attachment(block: JsonObject) -> types.ImageContent | types.AudioContent | None:
    """A downstream server's image or audio block, if it is a well-formed one."""
    try:
        return _BLOCK.validate_python(block, by_name=False)
    except ValidationError:
        return None


def _attached(result: RunResult) -> tuple[list[types.ContentBlock], list[str]]:
    blocks: list[types.ContentBlock] = []
    notes: list[str] = []
    room = MAX_ATTACHMENT_CHARS
    for id, attached in result.attachments.items():
        for raw in attached:
            block = attachment(raw)
            if block is None or len(block.data) > room:
                notes.append(
                    f"{id}: {raw.get('type')} content is left out; read "
                    f"{task_uri(result.run_id, id)}"
                )
                continue
            room -= len(block.data)
            blocks.append(block)
    return blocks, notes


def _without_data(result: RunResult, id: str, value: Json) -> Json:
    """The output of task *id* without base64 that no model reads: images and audio follow as
    content blocks of their own, and what other resources hold can be read."""
    shown_apart = frozenset(str(block.get("data")) for block in result.attachments.get(id, ()))
    return _described(value, shown_apart, task_uri(result.run_id, id), MOST_BLOCKS)


def _described(value: Json, shown_apart: frozenset[str], uri: str, most: int) -> Json:
    """*value* and what it holds of content blocks, of which *most* are looked at."""
    if isinstance(value, list) and most:  # blocks; or of each item of a for_each task
        return [
            *(_described(inner, shown_apart, uri, most // 20) for inner in value[:most]),
            *value[most:],
        ]
    if not isinstance(value, dict):
        return value
    match value:
        case {"content": list(blocks)}:
            return {**value, "content": _described(blocks, shown_apart, uri, most)}
        case {"type": "image" | "audio", "data": str(data)} if data in shown_apart:
            return {
                **value,
                "data": f"{len(data):,} characters of base64, in a content block of its own",
            }
        case {"type": "resource", "resource": dict(resource)}:
            return {**value, "resource": _without_blob(resource, uri)}
    return value


def _without_blob(resource: JsonObject, uri: str) -> JsonObject:
    blob = resource.get("blob")
    if not isinstance(blob, str) or len(blob) <= MAX_BLOB_CHARS:
        return resource
    return {**resource, "blob": f"{len(blob):,} characters of base64; read {uri}"}


def _count(problems: Sequence[Problem]) -> str:
    return f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"


def _sentences(
    problems: Sequence[Problem], notes: Sequence[str], heading: str, advice: str, limit: int
) -> str:
    last = f"\n{advice}" if advice else ""
    rest = "\n… and {:,} more."
    unsaid = f"\n{len(notes):,} note{'' if len(notes) == 1 else 's'} left out." if notes else ""
    text = _cut(heading, 200) + "."
    room = limit - len(text) - len(last) - len(rest) - len(unsaid) - 10
    for shown, line in enumerate(_numbered(problems)):
        if len(line) > room and shown:
            return text + rest.format(len(problems) - shown) + unsaid + last
        text += _cut(line, room)
        room -= len(line)
    if notes:
        text += _cut("\nUnderstood as: " + "; ".join(notes), room) if room > 100 else unsaid
    return text + last


def _numbered(problems: Sequence[Problem]) -> Iterator[str]:
    for number, problem in enumerate(problems, 1):
        yield f"\n{number}. {problem}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"
