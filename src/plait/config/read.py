"""Reading of files and the environment: a `Config`, or every problem with its file, key and fix."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from ..core.values.problems import nearest
from ..errors import ConfigError
from ..redaction import Secrets
from .clients import translate
from .environment import config_folder_of, expand_user, inherited, passed_on, state_folder_of
from .expand import Expander, Unfilled, add_secret
from .mistakes import message_of, steps_of
from .models import (
    AuditSettings,
    Config,
    GatewaySettings,
    LimitSettings,
    Need,
    ServerSettings,
    Settings,
)
from .named_files import Unreadable
from .parse import is_clients
from .places import Steps, place
from .rule_notes import idle_patterns, overruled, unused_labels
from .secrets_file import FILE_NAME as SECRETS_NAME
from .secrets_file import Variables
from .settings_file import FILE_NAME, lines_of_rules, settings_file
from .trust import Untrusted
from .variables import Recording

PREFIX = "PLAIT_"
OTHER_VARIABLES = frozenset(
    {
        "PLAIT_CONFIG",
        "PLAIT_DEBUG",
        "PLAIT_ISOLATED",
        "PLAIT_LOG_LEVEL",
        "PLAIT_LOG_FORMAT",
        "PLAIT_PROFILE",
        "PLAIT_STATE_DIR",
        "PLAIT_TOKEN",
    }
)


def load_config(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    *,
    profile: str | None = None,
    secrets: Secrets | None = None,
) -> Config:
    """Load the settings from *path*; else from PLAIT_CONFIG, servers.toml in *cwd* and its parents,
    or the user's folder.

    Without a file, the only server is the bundled workspace server, rooted in *cwd*. The settings
    are narrowed to *profile*, else to that of PLAIT_PROFILE. Raises
    `ConfigError` with every problem, one a line, and `Untrusted` for a file that was found in *cwd*
    or its parents and that the user does not trust. Secret values are added to *secrets*, even if
    the settings are refused.
    """
    secrets = Secrets() if secrets is None else secrets
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd.absolute()
    file, is_found = settings_file(path, environ, cwd)
    if file is None:
        reader = _Reader("built-in defaults", cwd, environ, secrets, cwd)
        config = reader.read({"servers": {"workspace": {"builtin": "workspace"}}})
    else:
        reader = _Reader(str(file.path), file.path.parent, environ, secrets, cwd)
        config = reader.read(file.values(), from_client=is_clients(file.path))
        config = config.model_copy(update={"lines": lines_of_rules(file), "is_found": is_found})
    update = {
        "state_folder": state_folder_of(environ, cwd),
        "folder": cwd,
        "file": None if file is None else file.path,
    }
    config = config.model_copy(update=update)
    chosen = profile or environ.get("PLAIT_PROFILE")
    return config.in_profile(chosen) if chosen else config


def names_of_variables(path: Path | None, environ: Mapping[str, str], cwd: Path) -> frozenset[str]:
    """Return the names of all variables whose values `load_config` would ask for, without these
    values; `AWS_*` stands for all that begin so. Empty if the settings cannot be used: loading them
    says why.

    *environ* needs only what leads to the file: `PLAIT_CONFIG`, `PLAIT_STATE_DIR`, `HOME`, and the
    `XDG_*` folders of settings and state.
    """
    recording = Recording({})
    try:
        file, _ = settings_file(path, environ, cwd.absolute())
        values = {} if file is None else file.values()
    except ConfigError:
        return frozenset()
    from_client = file is not None and is_clients(file.path)
    expander = Expander(
        recording,
        cwd,
        lambda unfilled: None,
        Secrets(),
        in_client_file=from_client,
        read=_read_nothing,
    )
    translation = translate(values, is_clients=from_client, cwd=cwd.absolute())
    filled = expander.expand(translation.values)
    return frozenset((*recording.used, *_passed_on(filled)))


def _passed_on(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the variables in `env_pass` of all servers."""
    servers = values.get("servers")
    for server in servers.values() if isinstance(servers, dict) else ():
        names = server.get("env_pass") if isinstance(server, dict) else None
        yield from (n for n in names if isinstance(n, str)) if isinstance(names, list) else ()


def without_servers(
    refused: Untrusted, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Config:
    """Return settings without servers, in the place of those that were *refused*. Their notice says
    why. Raises `ConfigError` for a wrong variable."""
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd.absolute()
    path = refused.file.path
    config = _Reader(str(path), path.parent, environ, Secrets(), cwd).read({})
    state_folder = state_folder_of(environ, cwd)
    update = {"state_folder": state_folder, "folder": cwd, "notice": str(refused)}
    return config.model_copy(update=update)


def _read_nothing(file: Path, max_bytes: int) -> NoReturn:
    raise Unreadable("it is not read for the names of variables")


class _Reader:
    """Reads one file; collects its problems on the way."""

    def __init__(
        self,
        source: str,
        folder: Path,
        environ: Mapping[str, str],
        secrets: Secrets,
        cwd: Path,
    ) -> None:
        self._source = source
        self._secrets = secrets
        self._folder = folder
        self._environ = environ
        self._cwd = cwd
        self._variables = Variables(environ, config_folder_of(environ) / SECRETS_NAME)
        self._recorded = Recording(self._variables)
        """Records the variables that the file names."""
        self._problems: list[str] = []
        self._notes: list[str] = []
        self._unfilled: dict[Steps, Unfilled] = {}
        """The places of variables that servers lack."""
        self._reported: set[Steps] = set()
        """The places of all else that could not be filled in."""
        self._malformed: list[Unfilled] = []
        """Variables that are written wrongly in servers of a client's file."""
        self._origins: dict[Steps, str] = {}

    def read(self, values: dict[str, Any], *, from_client: bool = False) -> Config:
        translation = translate(values, is_clients=from_client, cwd=self._cwd)
        self._origins |= translation.origins
        self._problems += [self._in_file(problem) for problem in translation.problems]
        if translation.is_clients and self._folder.name.startswith("."):
            self._folder = (
                self._folder.parent
            )  # in .vscode/mcp.json, paths start from the folder that .vscode is in
        expander = Expander(
            self._recorded,
            self._folder,
            self._report_unfilled,
            self._secrets,
            where=f"the environment or in {self._variables.file}",
            in_client_file=from_client,
        )
        known = [name for name in translation.values.get("servers") or () if isinstance(name, str)]
        self._notes += translation.notes
        filled = expander.expand(translation.values)
        for unfilled in self._malformed:
            self._leave_out(filled, unfilled.steps, unfilled.message)
        self._set_from_environment(filled)
        settings = self._validated(filled)
        self._check_profiles(settings, known)
        self._check_labels(settings)
        if self._problems:
            raise ConfigError(self._secrets.redact("\n".join(dict.fromkeys(self._problems))))
        audit = self._audit(settings)
        files = () if audit.file is None else (audit.file,)
        servers = {
            name: self._rooted(self._with_passed(server), files)
            for name, server in settings.servers.items()
        }
        self._secrets.add(self._variables.kept.values())
        needs = self._needs(settings)
        self._notes += [
            f"{self._placed(('servers', name))[0]}: is off: {need.reason}"
            for name, need in needs.items()
            if settings.servers[name].enabled
        ]
        gateway = self._gateway(settings)
        of_rules = (*idle_patterns(settings), *overruled(settings), *unused_labels(settings))
        shown = tuple(map(self._secrets.redact, (*self._notes, *of_rules)))
        sections = {**dict(settings), "gateway": gateway, "servers": servers, "audit": audit}
        return Config(
            **sections,
            source=self._source,
            notes=shown,
            secrets=self._secrets,
            environment=inherited(self._environ, [*map(str, gateway.path)]),
            needs=needs,
            secrets_file=self._variables.file,
            varies_by_folder=translation.varies_by_folder,
            variables=self._recorded.used | self._settings_variables(),
        )

    def _validated(self, values: dict[str, Any]) -> Settings:
        """Check *values*. What a server that is off lacks gets a stand-in; a server of a client's
        file that is wrong is left out, with a note."""
        try:
            return Settings.model_validate(values)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        for detail in details:
            steps = steps_of(detail)
            if steps in self._reported:
                continue
            if steps in self._unfilled:
                _stand_in(values, steps)
            elif self._is_clients(steps):
                self._leave_out(values, steps, message_of(detail))
            else:
                self._report(steps, message_of(detail))
        return Settings() if self._problems else self._validated(values)

    def _is_clients(self, steps: Steps) -> bool:
        """Return whether *steps* lead to a server that is written as a client writes it."""
        return steps[:1] == ("servers",) and steps[:2] in self._origins

    def _leave_out(self, values: dict[str, Any], steps: Steps, message: str) -> None:
        if values["servers"].pop(steps[1], None) is not None:
            self._notes.append(f"{self._placed(steps)[0]}: {message}; this server is left out")

    def _needs(self, settings: Settings) -> dict[str, Need]:
        """Return what the servers lack that are off, by name."""
        lacking: dict[str, list[Unfilled]] = {}
        for steps, unfilled in self._unfilled.items():
            lacking.setdefault(str(steps[1]), []).append(unfilled)
        return {name: self._need(lacking[name]) for name in settings.servers if name in lacking}

    def _need(self, lacking: Sequence[Unfilled]) -> Need:
        faults = dict.fromkeys(one.fault for one in lacking)
        fix = self._variables.refusal or f"set it in the environment or in {self._variables.file}"
        is_variable = any(one.fix for one in lacking)
        reason = "; ".join([*faults, fix] if is_variable else faults)
        names = dict.fromkeys(one.needs for one in lacking)
        return Need(tuple(names), self._secrets.redact(reason))

    def _with_passed(self, server: ServerSettings) -> ServerSettings:
        """Return *server* with the variables in `env` that the client passes on to it."""
        passed = passed_on(self._environ, server.env_pass)
        for name, value in passed.items():
            self._recorded.used[name] = value
            add_secret(self._secrets, value)
        return server.model_copy(update={"env": {**passed, **server.env}}) if passed else server

    def _gateway(self, settings: Settings) -> GatewaySettings:
        """Resolve the folders of commands that are relative to the settings."""
        folders = (self._folder / expand_user(one, self._environ) for one in settings.gateway.path)
        return settings.gateway.model_copy(update={"path": tuple(folders)})

    def _check_profiles(self, settings: Settings, known: Sequence[str]) -> None:
        """Report the servers of profiles that are not *known*."""
        for name, profile in settings.profiles.items():
            for index, server in enumerate(profile.servers or ()):
                if server not in known:
                    near = nearest(server, known)
                    hint = f'. Did you mean "{near[0]}"?' if near else ""
                    message = f'unknown server "{server}"{hint}'
                    self._report(("profiles", name, "servers", index), message)

    def _check_labels(self, settings: Settings) -> None:
        """Report the labels of rules for flows that no tool has. A profile may use those of
        `[policy]`."""
        known = settings.policy.labels
        for steps, message in settings.policy.unknown_labels(()):
            self._report(("policy", *steps), message)
        for name, profile in settings.profiles.items():
            for steps, message in profile.policy.unknown_labels(known):
                self._report(("profiles", name, "policy", *steps), message)

    def _audit(self, settings: Settings) -> AuditSettings:
        """Resolve the file of the audit, if it is relative to the settings."""
        if (file := settings.audit.file) is None:
            return settings.audit
        return AuditSettings(file=self._folder / expand_user(file, self._environ))

    def _rooted(self, server: ServerSettings, audit: Sequence[Path]) -> ServerSettings:
        """Resolve folders that are relative to the file's, and protect the settings: those that
        were read, and those that would be found from there; and the file of the *audit*."""
        folders = {
            name: (self._folder / expand_user(folder, self._environ)).resolve()
            for name, folder in (("root", server.root), ("cwd", server.cwd))
            if folder is not None
        }
        if server.builtin is None:
            return server.model_copy(update=folders)
        named = (self._folder / expand_user(file, self._environ) for file in server.protect)
        own = config_folder_of(self._environ)
        folders_of_settings = (self._folder, *self._folder.parents, own)
        found = (folder / FILE_NAME for folder in folders_of_settings)
        read = (file for file in [Path(self._source).absolute()] if file.is_file())
        protect = (*read, *found, self._variables.file, *audit, *named)
        return server.model_copy(update={**folders, "protect": tuple(dict.fromkeys(protect))})

    def _set_from_environment(self, values: dict[str, Any]) -> None:
        """Apply the variables for keys of `[gateway]` and its limits: PLAIT_MAX_CONCURRENCY=8."""
        sections: dict[tuple[str, ...], type[BaseModel]] = {
            ("gateway",): GatewaySettings,
            ("gateway", "limits"): LimitSettings,
        }
        places = {
            key: steps
            for steps, model in sections.items()
            for key in model.model_fields
            if key != "limits"
        }
        for variable, value in self._settings_variables().items():
            key = variable.removeprefix(PREFIX).lower()
            if key in places:
                _put(values, (*places[key], key), value)
                self._origins[*places[key], key] = f"the variable {variable}"
            elif near := nearest(key, places):
                meant = f"{PREFIX}{near[0].upper()}"
                self._problems.append(
                    f'the variable {variable}: unknown setting. Did you mean "{meant}"?'
                )

    def _settings_variables(self) -> dict[str, str]:
        """Return the variables that stand for a setting."""
        return {
            variable: value
            for variable, value in self._environ.items()
            if variable.startswith(PREFIX) and variable not in OTHER_VARIABLES and value
        }

    def _report(self, steps: Steps, message: str) -> None:
        """Add a problem, with the place where a reader of the file or the environment finds it."""
        placed, is_in_file = self._placed(steps)
        problem = f"{placed}: {message}"
        self._problems.append(self._in_file(problem) if is_in_file else problem)

    def _placed(self, steps: Steps) -> tuple[str, bool]:
        """Return the place of *steps* for a reader, and whether that is in the file."""
        for length in range(len(steps), 0, -1):
            if origin := self._origins.get(steps[:length]):
                break
        else:
            length, origin = 0, ""
        return place(steps[length:], origin), not origin.startswith("the variable ")

    def _report_unfilled(self, unfilled: Unfilled) -> None:
        """Note what is missing: its server is off, or what is wrong if it has none."""
        steps = unfilled.steps
        if unfilled.needs and len(steps) > 2 and steps[0] == "servers":
            self._unfilled[steps] = unfilled
        elif self._is_clients(steps):
            self._malformed.append(unfilled)
        else:
            self._reported.add(steps)
            self._report(steps, unfilled.message)
            if unfilled.needs and (refusal := self._variables.refusal):
                self._problems.append(refusal)

    def _in_file(self, problem: str) -> str:
        return f"{problem} ({self._source})"


def _put(values: Any, steps: tuple[str, ...], value: str) -> None:
    """Set the value at *steps*, through tables alone; validation reports anything else there."""
    for section in steps[:-1]:
        if isinstance(values, dict):
            values = values.setdefault(section, {})
    if isinstance(values, dict):
        values[steps[-1]] = value


def _stand_in(values: dict[str, Any], steps: Steps) -> None:
    """Put something valid in the place of a setting of a server that is off anyway."""
    _, name, key, *_ = steps
    server = values["servers"][name]
    match key:
        case "url":
            server[key] = "http://missing.invalid"
        case "builtin":
            server[key] = "workspace"
        case _:
            server.pop(key, None)
