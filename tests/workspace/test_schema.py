"""Arguments are checked with all their problems, and schemas are published plainly."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from plait.workspace.errors import WorkspaceError
from plait.workspace.schema import Arguments, Output, parsed, published


class Inner(Output):
    """One of the items."""

    title: str
    size: int | None = None


class Call(Arguments):
    """Call something."""

    name: Annotated[str, Field(min_length=1, description="Its name.")]
    most: Annotated[int, Field(ge=1)] = 5
    mode: Literal["a", "b"] | None = None
    items: list[Inner] = Field(default_factory=list)


def test_arguments_that_fit_become_a_call():
    call = parsed(Call, {"name": "x", "items": [{"title": "y"}]})
    assert call == Call(name="x", most=5, items=[Inner(title="y")])


def test_every_argument_that_does_not_fit_is_named_and_so_are_the_known_ones():
    with pytest.raises(WorkspaceError) as refused:
        parsed(Call, {"most": 0, "items": [{"title": 1}], "nmae": "x"})
    said = str(refused.value)
    assert said.startswith("invalid arguments: name: Field required; most: Input should be")
    assert "; items.0.title: " in said
    assert "; nmae: " in said
    assert said.endswith(". The arguments are: name, most, mode, items.")


def test_a_published_schema_is_plain():
    inner = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"title": {"type": "string"}, "size": {"type": "integer"}},
        "required": ["title"],
        "description": "One of the items.",
    }
    assert published(Call) == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "Its name."},
            "most": {"type": "integer", "minimum": 1, "default": 5},
            "mode": {"type": "string", "enum": ["a", "b"]},
            "items": {"type": "array", "items": inner},
        },
        "required": ["name"],
    }


def test_a_field_called_title_is_kept():
    assert list(published(Inner)["properties"]) == ["title", "size"]
