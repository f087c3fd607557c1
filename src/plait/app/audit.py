"""Rows of the audit about what a person decides in a command, without a gateway."""

from __future__ import annotations

from collections.abc import Callable

from anyio import to_thread

from ..config import Config
from ..engine.auditing import DeskAudit, Trail


async def write_down(config: Config, put: Callable[[Trail], None]) -> None:
    """Let *put* put rows where the audit of *config* is kept, and wait until they are there."""
    from ..stores.audit_file import AuditFile
    from ..stores.history.opening import open_history, runtime_folder

    path, folder = config.audit.file, config.state_folder
    file = None if path is None else AuditFile(path)
    trail = Trail()
    trail.adopt("", DeskAudit(config.history.enabled, file, config.secrets.redact))
    if config.history.enabled:
        trail.history = history = await open_history(folder, runtime_folder(folder))
    put(trail)
    if config.history.enabled:
        await history.close()
    if file is not None:
        await to_thread.run_sync(file.close)
