"""Each server that is to be moved is started once, as it will be: with the environment that its
clients hand on, which for programs with a desktop is not that of this shell."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ..config import Config, load_config
from ..config.secrets_file import SecretsRefused, read_secrets
from ..core.tools.catalog import ServerInfo, ServerState
from ..errors import ConfigError

if TYPE_CHECKING:
    from ..install.plan import Key, Plan, Server

LONGEST_S = 10
DESKTOP_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""The PATH of programs that are started without a shell."""
_NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


@dataclass(slots=True)
class Findings:
    """The servers that do not start."""

    failing: dict[Key, str] = field(default_factory=dict)
    """The reason for each."""
    missing: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    """For some, the variables of this shell that they name in their complaint."""


def probe(plan: Plan, environ: Mapping[str, str], home: Path) -> Findings:
    """Start the new servers of *plan* at once, for at most ten seconds, and end them again."""
    new = [server for server in plan.servers if server.is_new]
    findings = Findings()
    if not new:
        return findings
    with tempfile.TemporaryDirectory(prefix="plait-install-") as name:
        folder = Path(name)
        (folder / "servers.toml").write_bytes(plan.settings)
        shells = [one for one in new if all(held.client.has_shell for held in one.held)]
        desktops = [one for one in new if one not in shells]
        groups = [(shells, environ.get("PATH", DESKTOP_PATH)), (desktops, DESKTOP_PATH)]
        configs = [
            _config(folder, servers, {**environ, **plan.secrets, "PATH": path}, home)
            for servers, path in groups
            if servers
        ]
        for infos, servers in zip(
            anyio.run(_states, configs), (s for s, _ in groups if s), strict=True
        ):
            for server in servers:
                _judge(findings, server, infos.get(server.name), configs, environ)
    return findings


def _config(
    folder: Path, servers: Sequence[Server], environ: Mapping[str, str], home: Path
) -> Config:
    """Return the settings of *servers* alone, which keep nothing."""
    own = {name: text for name, text in environ.items() if not name.startswith("PLAIT_")}
    own["PLAIT_STATE_DIR"] = str(folder / "state")
    config = load_config(folder / "servers.toml", own, home)
    names = {server.name for server in servers}
    chosen = {name: one for name, one in config.servers.items() if name in names}
    return config.model_copy(update={"servers": chosen, "state_folder": None})


async def _states(configs: Sequence[Config]) -> list[dict[str, ServerInfo]]:
    found: list[dict[str, ServerInfo]] = [{} for _ in configs]

    async def start(index: int, config: Config) -> None:
        from ..app.gateway import Gateway

        async with Gateway.from_config(config, on_demand=True) as gateway:
            await gateway.settled(seconds=LONGEST_S)
            found[index] = dict(gateway.catalog().servers)

    async with anyio.create_task_group() as tasks:
        for index, config in enumerate(configs):
            tasks.start_soon(start, index, config)
    return found


def _judge(
    findings: Findings,
    server: Server,
    info: ServerInfo | None,
    configs: Sequence[Config],
    environ: Mapping[str, str],
) -> None:
    if info is not None and info.state in {ServerState.READY, ServerState.IDLE}:
        return
    error = "" if info is None else info.error or ""
    needs = () if info is None else info.needs
    for config in configs:
        error = config.secrets.redact(error)
    if needs:
        reason = f"needs {', '.join(needs)}"
    elif "authorization required" in error:
        reason = "the client logs in to it"
    else:
        slow = f"it did not answer within {LONGEST_S} s (if it was being fetched, try again)"
        said = " ".join(error.split())[:160] or slow
        reason = f"does not start for Plait: {said}"
    known = {*server.meaning.get("env", {}), *server.meaning.get("env_pass", ())}
    named = dict.fromkeys(_NAME.findall(error))
    missing = tuple(name for name in named if environ.get(name) and name not in known)
    for held in server.held:
        findings.failing[held.key] = reason
        if missing:
            findings.missing[held.key] = missing


def check_settings(plan: Plan) -> None:
    """Raise `ConfigError` if our settings would not be understood as they will be, or if secrets
    that are there would not be used."""
    try:
        read_secrets(plan.targets.secrets)
    except SecretsRefused as error:
        raise ConfigError(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="plait-install-") as name:
        file = Path(name) / "servers.toml"
        file.write_bytes(plan.settings)
        try:
            load_config(file, dict(plan.secrets), Path(name))
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(file), str(plan.targets.settings))) from None
