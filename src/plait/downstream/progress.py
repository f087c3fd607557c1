"""Progress of requests that go through the SDK's dispatcher, as the server reported it.

The dispatcher has progress tokens too, but turns numbers into floats and drops unknown members. So
requests carry tokens of ours.
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
from .transports.direct import with_progress_token
from .transports.lines import is_number

log = logging.getLogger(__name__)

PROGRESS: Final = "notifications/progress"


class ProgressTokens:
    """The open requests of one connection whose progress a caller wants."""

    def __init__(self) -> None:
        self._tokens = count(1)
        self._open: dict[object, OnProgress] = {}

    def __repr__(self) -> str:
        return f"<ProgressTokens: {len(self._open)} requests>"

    @contextmanager
    def requested(self, params: JsonObject, on_progress: OnProgress | None) -> Iterator[JsonObject]:
        """Give *params* with a token, under which *on_progress* gets progress while the block
        runs."""
        if on_progress is None:
            yield params
            return
        token = next(self._tokens)
        self._open[token] = on_progress
        try:
            yield with_progress_token(params, token)
        finally:
            del self._open[token]

    def report(self, params: JsonObject) -> None:
        """Pass a progress notification on to its request. Anything else is dropped."""
        token = params.get("progressToken")
        if (
            not isinstance(token, int | str)
            or isinstance(token, bool)
            or not is_number(params.get("progress"))
        ):
            return
        if (on_progress := self._open.get(coerce_request_id(token))) is None:
            return
        try:
            measure(params)
        except NotStrict as error:
            log.debug("progress.dropped", extra={"error": str(error)})
        else:
            on_progress(params)
