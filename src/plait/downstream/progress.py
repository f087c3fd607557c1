"""The progress of requests that the SDK's dispatcher sends, as the server tells it.

The dispatcher has tokens for progress too, but makes floats of what comes, and leaves out what it
does not know. So requests carry tokens of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

from ..core.ports import OnProgress
from ..core.values.strict import JsonObject, NotStrict, measure
from .mcp_sdk import coerce_request_id
from .transports.lines import is_number

log = logging.getLogger(__name__)

PROGRESS: Final = "notifications/progress"


class InProgress:
    """The requests of one connection that are open, and whose progress somebody wants."""

    def __init__(self) -> None:
        self._tokens = count(1)
        self._told: dict[object, OnProgress] = {}

    def __repr__(self) -> str:
        return f"<InProgress: {len(self._told)} requests>"

    @contextmanager
    def told(self, params: JsonObject, on_progress: OnProgress | None) -> Iterator[JsonObject]:
        """*params* with a token, under which *on_progress* is told as long as the block runs."""
        if on_progress is None:
            yield params
            return
        token = next(self._tokens)
        self._told[token] = on_progress
        meta = params.get("_meta")
        try:
            yield {
                **params,
                "_meta": {**(meta if isinstance(meta, dict) else {}), "progressToken": token},
            }
        finally:
            del self._told[token]

    def hear(self, params: JsonObject) -> None:
        """Tell whoever waits for the request that it is about, before its answer. What is no
        progress is dropped."""
        token = params.get("progressToken")
        if (
            not isinstance(token, int | str)
            or isinstance(token, bool)
            or not is_number(params.get("progress"))
        ):
            return
        if (on_progress := self._told.get(coerce_request_id(token))) is None:
            return
        try:
            measure(params)
        except NotStrict as error:
            log.debug("progress.dropped", extra={"error": str(error)})
        else:
            on_progress(params)
