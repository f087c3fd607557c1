"""The identity of a server's process or connection: two servers are one only if all that reaches
them is equal.

That of its remembered lists (`listings/identity.py`) is another: it is kept on the disk and
outlives a changed token, so it holds no values, and it does not change with the environment.
"""

from __future__ import annotations

import os

from ..config import Config, ServerSettings
from ..config.desk import digest
from ..config.environment import expand_user
from .transports.network import CERTIFICATES, proxy_for

OF_EVERY_SERVER = ("kind", "protocol", "kept_for")
OF_A_BUNDLED_SERVER = ("builtin", "root", "allow_commands", "read_only", "tools", "protect")


def process_identity(name: str, settings: ServerSettings, config: Config) -> str:
    """Return a digest of all that reaches the server *name* of *config*, once expanded: where it
    differs, the server is another one. It can be compared within one process only."""
    reaching: dict[str, object] = {key: getattr(settings, key) for key in OF_EVERY_SERVER}
    reaching["name"] = name
    if (need := config.needs.get(name)) is not None:
        reaching["needs"] = (*need.names, need.reason)
    if settings.kept_for == "client":
        reaching["client"] = config.client
    if settings.url is not None:
        reaching |= {
            "url": settings.url,
            "transport": settings.transport,  # else it is found out
            "headers": settings.headers,
            "proxy": proxy_for(settings.url, config.environment),
            "certificates": [config.environment.get(variable) for variable in CERTIFICATES],
        }
        return digest(reaching)
    environment = {**config.environment, **settings.env}
    folder = settings.runs_in(config.folder)
    reaching |= {"env": environment, "args": settings.args, "cwd": str(folder)}
    if settings.command is None:
        reaching |= {key: getattr(settings, key) for key in OF_A_BUNDLED_SERVER}
    else:
        command = expand_user(settings.command, config.environment)
        path = environment.get("PATH", os.defpath)
        reaching["command"] = find_program(command, path, str(folder))
    return digest(reaching)


def find_program(command: str, path: str, folder: str) -> str:
    """Return the file that *command* is in *folder* with that PATH; *command* if there is none."""
    if os.sep in command:
        return os.path.join(folder, command)
    for entry in path.split(os.pathsep):
        file = os.path.join(folder, entry, command)
        if os.path.isfile(file) and os.access(file, os.X_OK):
            return file
    return command
