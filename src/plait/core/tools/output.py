"""The output of a task, as references see it, read from the result of its call."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...errors import InvalidOutput, OutputTooLarge, ToolError
from ..values.strict import Json, JsonObject, NotStrict, TooManyValues, loads, short, weigh
from .catalog import Tool

MAX_ERROR_CHARS = 2_000
_ASK_FOR_LESS = "Ask the tool for less: a range, a filter, a page."


@dataclass(frozen=True, slots=True)
class Output:
    """`value` is what references see; `attachments` are the content blocks that are not text
    (images, audio)."""

    value: Json
    attachments: tuple[JsonObject, ...] = ()
    size_bytes: int = 0
    """The size of `value` as compact JSON."""
    is_wrapped: bool = False
    """Whether `value` is only the wrapper `{"result": x}` that SDKs put around a value."""
    overhead_bytes: int = 0
    """About the memory that it takes beyond `size_bytes`: many small values, attachments."""
    attachments_by_item: tuple[int, ...] = ()
    """The number of `attachments` of each item of a `for_each` task, if there are any."""

    @property
    def memory_bytes(self) -> int:
        """About the memory that it takes."""
        return self.size_bytes + self.overhead_bytes

    @classmethod
    def of(cls, value: Json, attachments: tuple[JsonObject, ...] = ()) -> Output:
        """Make the output *value*, measured. Raises `NotStrict`."""
        size, memory = weigh(value)
        if attachments:
            memory += weigh(list(attachments)).memory
        return cls(value, attachments, size, overhead_bytes=memory - size)


def read_output(result: JsonObject, tool: Tool, max_bytes: int) -> Output:
    """Read the output in *result*, a `CallToolResult` as its server sent it.

    It is the `structuredContent`; else, for a single text block, its JSON value when that is an
    object or a list, otherwise the text; else the list of content blocks; `None` without any.
    Raises `ToolError`, `InvalidOutput` or `OutputTooLarge`.
    """
    blocks = _blocks(result)
    if result.get("isError") is True:
        raise tool_error(result)
    structured = result.get("structuredContent")
    if structured is None and _has_lost(result.get("content"), blocks):
        raise InvalidOutput(f"{tool.full_name} returned content that is not a list of objects")
    try:
        value = _of_blocks(blocks) if structured is None else structured
    except TooManyValues as error:
        raise OutputTooLarge(
            f"{tool.full_name} returned JSON as text, and {error}", hint=_ASK_FOR_LESS
        ) from None
    attachments = tuple(block for block in blocks if block.get("type") in {"image", "audio"})
    try:
        output = Output.of(value, attachments)
    except NotStrict as error:
        raise InvalidOutput(
            f"{tool.full_name} returned an answer that is not strict JSON: {error}"
        ) from None
    if output.size_bytes > max_bytes:
        raise OutputTooLarge(
            f"{tool.full_name} returned {output.size_bytes:,} bytes; at most {max_bytes:,} "
            "are kept",
            hint=_ASK_FOR_LESS,
        )
    _check_schema(tool, structured, value)
    return replace(output, is_wrapped=True) if _is_wrapper(structured) else output


def tool_error(result: JsonObject) -> ToolError:
    """Return the error that *result*, which has `isError`, reports."""
    return ToolError(_error_text(_blocks(result), result))


def _blocks(result: JsonObject) -> list[JsonObject]:
    content = result.get("content")
    return (
        [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    )


def _has_lost(content: Json, blocks: list[JsonObject]) -> bool:
    """Return whether *content* holds something that is not among its *blocks*."""
    return content is not None and content != blocks


def _of_blocks(blocks: list[JsonObject]) -> Json:
    match blocks:
        case []:
            return None
        case [{"type": "text", "text": str(text)}]:
            return _of_text(text)
    return list(blocks)


def _of_text(text: str) -> Json:
    json = text.removeprefix("\ufeff")
    if json.lstrip()[:1] in {"{", "["}:
        try:
            return loads(json)
        except TooManyValues:
            raise
        except NotStrict:
            pass  # text that only looks like JSON stays text
    return text


def _check_schema(tool: Tool, structured: Json, value: Json) -> None:
    if tool.output is None or structured is None:
        return
    for complaint in tool.output.complaints(structured):
        place = ".".join(map(str, complaint.place)) or "the output"
        raise InvalidOutput(
            f"{tool.full_name} broke its own output schema: {place} {complaint.message}",
            hint="The call was made; its answer can be read with get_run, or plait history.",
            output=value,
        )


def _is_wrapper(structured: Json) -> bool:
    return isinstance(structured, dict) and structured.keys() == {"result"}


def _error_text(blocks: list[JsonObject], result: JsonObject) -> str:
    texts = [str(block["text"]) for block in blocks if isinstance(block.get("text"), str)]
    if isinstance(content := result.get("content"), str):
        texts = [content]
    text = "\n".join(texts).strip()
    if not text:
        structured = result.get("structuredContent")
        text = (
            short(structured, MAX_ERROR_CHARS)
            if structured
            else "the tool failed without saying why"
        )
    text = text.encode("utf-8", "replace").decode()  # what goes into a result is strict JSON
    return text if len(text) <= MAX_ERROR_CHARS else text[: MAX_ERROR_CHARS - 1] + "…"
