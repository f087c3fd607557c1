"""Results as text that can be compared."""

from __future__ import annotations

import json
from typing import Any

from .raw_client import Message, RawClient
from .samples import Call, steady


def as_text(value: Any) -> str:
    """The JSON of *value*, its members in their order."""
    return steady(json.dumps(value, ensure_ascii=False, indent=1))


def as_object(value: Any) -> str:
    """The JSON of *value*, its members in alphabetical order: a server of both eras may list its
    tools in another order to each."""
    return steady(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True))


async def answers(peer: RawClient, calls: list[Call]) -> list[Message]:
    return [await peer.call(tool, arguments) for tool, arguments in calls]
