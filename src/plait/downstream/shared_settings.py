"""The settings of a server that several configurations share.

What reaches the server is equal for all of them, or it would be another one (`identity.py`). Most
of the rest is applied to the calls of each by itself. What is left are settings for what the server
does as a whole: it does whatever one of them needs. The table in `docs/shared.md` says it for each
setting.
"""

from __future__ import annotations

from collections.abc import Collection

from ..config import ServerSettings


def joined(
    server: ServerSettings,
    everyone: Collection[ServerSettings],
    starters: Collection[ServerSettings],
) -> ServerSettings:
    """Return *server* with the settings under which it does what *everyone* needs. Of them,
    *starters* have let it start, and it runs on while one of these is not lazy; if none has, all
    of them count, for it is a call that starts it."""
    counting = starters or everyone
    return server.model_copy(
        update={
            "lazy": all(one.lazy for one in counting),
            "idle_timeout_s": max(
                (one.idle_timeout_s for one in everyone if one.lazy), default=server.idle_timeout_s
            ),
            "startup_timeout_s": max(one.startup_timeout_s for one in everyone),
            "probe_timeout_s": max(one.probe_timeout_s for one in everyone),
        }
    )
