"""Answers of the six tools: structured content, and the same as text, which every client shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import mcp_types as types
from pydantic import TypeAdapter

from ..core.results.record import RunStatus
from ..core.results.result import RunResult
from ..core.values.problems import Problem
from ..core.values.strict import Json, JsonObject, dumps
from .budget import fit
from .links import MOST_BLOCKS, AddressOf, as_it_is, outputs_with_addresses
from .outlines import outline
from .strictest import fit_media

MAX_ATTACHMENT_CHARS = 4 * 2**20
"""Most characters of base64 of all images and audio that follow an answer."""
MAX_BLOB_CHARS = 256
"""Most characters of base64 of an embedded resource that an answer shows."""

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
    """Make an answer of *document* as structured content, and of *text* or else compact JSON."""
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
    """Answer a call with all its problems, in sentences that a model can act on."""
    errors: list[Json] = [problem.document() for problem in problems]
    document: JsonObject = {"status": "invalid", "errors": errors}
    if notes:
        document["notes"] = list[Json](notes)
    text = _sentences(problems, notes, heading or count_of_problems(problems), advice, limit)
    return answer(fit(document, limit), is_error=True, text=text)


def run_answer(
    result: RunResult, limit: int, *, detail: str, address_of: AddressOf = as_it_is
) -> types.CallToolResult:
    """Answer with a run as it is now: errors, outputs, images and audio, within *limit*
    characters."""
    document = result.document(detail)
    outputs = outputs_with_addresses(result.outputs, result.record, address_of)
    blocks, places, left_out = _attached(result)
    document["outputs"] = {
        id: _described(value, places.get(id, {}), task_uri(result.run_id, id), MOST_BLOCKS)
        for id, value in outputs.items()
    }
    notes = [*result.notes, *left_out]
    if result.status is RunStatus.RUNNING:
        notes.insert(0, f'The run goes on: wait for it with get_run(run_id="{result.run_id}").')
    if result.status is RunStatus.WAITING and (approval := result.record.approval) is not None:
        notes.insert(0, f"The run waits for a person. {approval['how']}.")
    document["notes"] = list[Json](notes)
    shown = fit(
        document,
        limit,
        outline=partial(outline, result.run_id),
        sizes={id: result.record.tasks[id].output_bytes or 0 for id in result.outputs},
        hint=f'Read an output that is left out with get_run(run_id="{result.run_id}", task=…).',
    )
    return answer(shown, is_error=result.status.is_error, blocks=blocks)


def run_uri(run_id: str) -> str:
    return f"plait://runs/{run_id}"


def task_uri(run_id: str, task: str) -> str:
    return f"{run_uri(run_id)}/tasks/{task}"


def attachment(block: JsonObject) -> types.ImageContent | types.AudioContent | None:
    """Read an image or audio block of a downstream server; None if some client could not."""
    fitted = fit_media(block)
    return None if fitted is None else _BLOCK.validate_python(fitted, by_name=False)


def _attached(
    result: RunResult,
) -> tuple[list[types.ContentBlock], dict[str, dict[str, str]], list[str]]:
    """Return the images and audio of *result* that follow it as content blocks, where the data of
    each is to be found, by task, and a note for each that is left out."""
    blocks: list[types.ContentBlock] = []
    places: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    room = MAX_ATTACHMENT_CHARS
    for id, attached in result.attachments.items():
        uri, of_task = task_uri(result.run_id, id), places.setdefault(id, {})
        for raw in attached:
            data, block = str(raw.get("data")), attachment(raw)
            if block is None or len(block.data) > room:
                notes.append(f"{id}: {raw.get('type')} content is left out; read {uri}")
                of_task.setdefault(data, f"left out; read {uri}")
                continue
            room -= len(block.data)
            blocks.append(block)
            of_task[data] = "in a content block of its own"
    return blocks, places, notes


def _described(value: Json, places: Mapping[str, str], uri: str, most: int) -> Json:
    """Replace base64 in the first *most* content blocks of *value* by its size, and its place:
    images and audio are at *places*, other resources at *uri*."""
    if isinstance(value, list) and most:  # of blocks, or of the outputs of a for_each task
        return [
            *(_described(inner, places, uri, most // 20) for inner in value[:most]),
            *value[most:],
        ]
    if not isinstance(value, dict):
        return value
    match value:
        case {"content": list(blocks)}:
            return {**value, "content": _described(blocks, places, uri, most)}
        case {"type": "image" | "audio", "data": str(data)} if data in places:
            return {**value, "data": f"{len(data):,} characters of base64, {places[data]}"}
        case {"type": "resource", "resource": dict(resource)}:
            blob = resource.get("blob")
            if isinstance(blob, str) and len(blob) > MAX_BLOB_CHARS:
                blob = f"{len(blob):,} characters of base64; read {uri}"
                return {**value, "resource": {**resource, "blob": blob}}
    return value


def count_of_problems(problems: Sequence[Problem]) -> str:
    return f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"


def _sentences(
    problems: Sequence[Problem], notes: Sequence[str], heading: str, advice: str, limit: int
) -> str:
    last = f"\n{advice}" if advice else ""
    rest = "\n… and {:,} more."
    left_out = f"\n{len(notes):,} note{'' if len(notes) == 1 else 's'} left out." if notes else ""
    text = _cut(heading, 200) + "."
    room = limit - len(text) - len(last) - len(rest) - len(left_out) - 10
    for shown, problem in enumerate(problems):
        line = f"\n{shown + 1}. {problem}"
        if len(line) > room and shown:
            return text + rest.format(len(problems) - shown) + left_out + last
        text += _cut(line, room)
        room -= len(line)
    if notes:
        text += _cut("\nUnderstood as: " + "; ".join(notes), room) if room > 100 else left_out
    return text + last


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"
