"""The part of a definition that describes its tool to models and people, and a hash of it.
Definitions with equal hashes mean the same, in whatever order their members stand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..values.strict import JsonObject

DESCRIBING = ("description", "title", "inputSchema", "outputSchema", "annotations")
"""The members of a definition that describe the tool."""


def described(definition: Mapping[str, Any]) -> JsonObject:
    """Return the members of *definition* that describe the tool."""
    return {member: definition[member] for member in DESCRIBING if member in definition}


def hash_of(definition: Mapping[str, Any]) -> str:
    """Hash what *definition* says. A missing member is like null."""
    compared = {member: definition.get(member) for member in DESCRIBING}
    try:
        text = json.dumps(compared, sort_keys=True)
    except RecursionError:
        return "nested too deeply"
    return hashlib.sha256(text.encode()).hexdigest()


def by_name(definitions: Iterable[Any]) -> dict[str, JsonObject]:
    """Return *definitions* by the names of their tools. Anything that is not a definition is
    skipped."""
    return {
        definition["name"]: definition
        for definition in definitions
        if isinstance(definition, dict) and isinstance(definition.get("name"), str)
    }
