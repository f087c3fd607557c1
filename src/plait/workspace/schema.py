"""Arguments and outputs of tools: pydantic models at the border, and the JSON Schemas published
from them."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import WorkspaceError


class Arguments(BaseModel):
    """The base of the arguments of a tool. The docstring of a subclass is the description that
    models read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Output(BaseModel):
    """The base of the output of a tool: the structured content of its result. A field that is None
    is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ArgumentsT = TypeVar("ArgumentsT", bound=Arguments)


def parsed(model: type[ArgumentsT], arguments: dict[str, Any]) -> ArgumentsT:
    """Check the arguments of a call.

    Raises:
        WorkspaceError: an argument does not fit; it names all of those, and the known ones.
    """
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        problems = [
            f"{_place(problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        known = ", ".join(model.model_fields)
        raise WorkspaceError(
            f"invalid arguments: {'; '.join(problems)}. The arguments are: {known}."
        ) from error


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "arguments"


def published(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a model, plain enough for every client: no `$ref`, no `anyOf`, no
    titles."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    schema.pop("description", None)
    plain: dict[str, Any] = _plain(schema, definitions)
    return plain


def _plain(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _plain(
            {**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions
        )
    if "anyOf" in node:
        (choice,) = [option for option in node["anyOf"] if option != {"type": "null"}]
        return _plain(
            {**choice, **{key: value for key, value in node.items() if key != "anyOf"}}, definitions
        )
    return {
        key: _plain(value, definitions) for key, value in node.items() if not _is_noise(key, value)
    }


def _is_noise(key: str, value: object) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)
