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
from .clients import Translation, translate
from .environment import config_folder_of, expand_user, inherited, state_folder_of
from .expand import Expander
from .lines import lines_of
from .mistakes import message_of, steps_of
from .models import (
    AuditSettings,
    Config,
    GatewaySettings,
    LimitSettings,
    ServerSettings,
    Settings,
)
from .named_files import Unreadable
from .parse import is_json
from .places import Steps, place
from .rule_notes import idle_patterns, overruled, unused_labels
from .trust import Decisions, SettingsFile, Untrusted, check_writers
from .variables import Recording

FILE_NAME = "servers.toml"
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
    file, is_found = _settings_file(path, environ, cwd)
    if file is None:
        reader = _Reader("built-in defaults", cwd, environ, secrets)
        config = reader.read({"servers": {"workspace": {"builtin": "workspace"}}})
    else:
        reader = _Reader(str(file.path), file.path.parent, environ, secrets)
        config = reader.read(file.values(), from_json=is_json(file.path))
        config = config.model_copy(update={"lines": _lines_of_rules(file), "is_found": is_found})
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
    values. Empty if the settings cannot be used: loading them says why.

    *environ* needs only what leads to the file: `PLAIT_CONFIG`, `PLAIT_STATE_DIR`, `HOME`, and the
    `XDG_*` folders of settings and state.
    """
    recording = Recording({})
    try:
        file, _ = _settings_file(path, environ, cwd.absolute())
        values = {} if file is None else file.values()
    except ConfigError:
        return frozenset()
    from_json = file is not None and is_json(file.path)
    expander = Expander(
        recording,
        cwd,
        lambda steps, message: None,
        Secrets(),
        in_client_file=from_json,
        read=_read_nothing,
    )
    expander.expand(translate(values, is_json=from_json).values)
    return frozenset(recording.used)


def without_servers(
    refused: Untrusted, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Config:
    """Return settings without servers, in the place of those that were *refused*. Their notice says
    why. Raises `ConfigError` for a wrong variable."""
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd.absolute()
    path = refused.file.path
    config = _Reader(str(path), path.parent, environ, Secrets()).read({})
    state_folder = state_folder_of(environ, cwd)
    update = {"state_folder": state_folder, "folder": cwd, "notice": str(refused)}
    return config.model_copy(update=update)


def _settings_file(
    path: Path | None, environ: Mapping[str, str], cwd: Path
) -> tuple[SettingsFile | None, bool]:
    """Read the file of the settings, which is *path* or has to be found; None without one. Returns
    with it whether it was found in *cwd* or its parents, rather than named or the user's own.
    Raises `ConfigError`, and `Untrusted`."""
    named = _named(environ, cwd) if path is None else cwd / path
    found = named or _find(cwd, environ)
    if found is None:
        return None, False
    file = SettingsFile.read(found)
    is_found = named is None and not _is_users_own(found, environ)
    if is_found:
        check_writers(file)
        if not (decisions := Decisions(state_folder_of(environ, cwd))).trusts(file):
            raise Untrusted(file, decisions)
    return file, is_found


def _lines_of_rules(file: SettingsFile) -> dict[Steps, int]:
    """Return the lines of the rules in *file*, by place."""
    if is_json(file.path):
        return {}  # a client's: it has none
    values = file.values()
    profiles = values.get("profiles", {})
    tables = {("policy",): values.get("policy", {})} | {
        ("profiles", name, "policy"): profile.get("policy", {})
        for name, profile in profiles.items()
    }
    texts: dict[Steps, str] = {}
    for steps, table in tables.items():
        for key, value in table.items():
            if isinstance(value, list):
                named = ((at, one) for at, one in enumerate(value) if isinstance(one, str) and one)
                texts |= {(*steps, key, at): one for at, one in named}
            elif isinstance(value, str):
                texts[*steps, key] = value
    return lines_of(file.data.decode("utf-8-sig"), texts) if texts else {}


def _read_nothing(file: Path, max_bytes: int) -> NoReturn:
    raise Unreadable("it is not read for the names of variables")


def _named(environ: Mapping[str, str], cwd: Path) -> Path | None:
    named = environ.get("PLAIT_CONFIG")
    return cwd / expand_user(named, environ) if named else None


def _find(cwd: Path, environ: Mapping[str, str]) -> Path | None:
    folders = [cwd, *cwd.parents, config_folder_of(environ)]
    files = (folder / FILE_NAME for folder in folders)
    return next(
        (file for file in files if os.path.isfile(file)), None
    )  # a folder that cannot be read has none


def _is_users_own(file: Path, environ: Mapping[str, str]) -> bool:
    """Return whether *file* is in the user's own configuration folder."""
    return file.parent.resolve() == config_folder_of(environ).resolve()


class _Reader:
    """Reads one file; collects its problems on the way."""

    def __init__(
        self, source: str, folder: Path, environ: Mapping[str, str], secrets: Secrets
    ) -> None:
        self._source = source
        self._secrets = secrets
        self._folder = folder
        self._environ = environ
        self._recorded = Recording(environ)
        """Records the variables that the file names."""
        self._problems: list[str] = []
        self._unfilled: set[Steps] = set()
        self._origins: dict[Steps, str] = {}

    def read(self, values: dict[str, Any], *, from_json: bool = False) -> Config:
        translation = translate(values, is_json=from_json)
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
            in_client_file=from_json,
        )
        known = [name for name in translation.values.get("servers") or () if isinstance(name, str)]
        notes = [*translation.notes, *self._leave_out_those_that_are_off(translation, from_json)]
        filled = expander.expand(translation.values)
        self._set_from_environment(filled)
        settings = self._validated(filled)
        self._check_profiles(settings, known)
        self._check_labels(settings)
        if self._problems:
            raise ConfigError(self._secrets.redact("\n".join(dict.fromkeys(self._problems))))
        audit = self._audit(settings)
        files = () if audit.file is None else (audit.file,)
        servers = {name: self._rooted(server, files) for name, server in settings.servers.items()}
        of_rules = (*idle_patterns(settings), *overruled(settings), *unused_labels(settings))
        shown = tuple(map(self._secrets.redact, (*notes, *of_rules)))
        sections = {**dict(settings), "servers": servers, "audit": audit}
        return Config(
            **sections,
            source=self._source,
            notes=shown,
            secrets=self._secrets,
            environment=inherited(self._environ),
            variables=self._recorded.used | self._settings_variables(),
        )

    def _leave_out_those_that_are_off(
        self, translation: Translation, from_json: bool
    ) -> Iterator[str]:
        """Leave out the servers that are off and need a variable that is not set. Yields a note for
        each."""
        servers = translation.values.get("servers")
        if not isinstance(servers, dict):
            return
        for name, server in list(servers.items()):
            if not isinstance(server, dict) or server.get("enabled") is not False:
                continue
            missing: list[str] = []
            Expander(
                self._recorded,
                self._folder,
                lambda steps, message, missing=missing: missing.append(message),  # type: ignore[misc]  # as it is now
                self._secrets,
                in_client_file=from_json,
            ).expand(server)
            if missing:
                del servers[name]
                origin = self._origins.get(("servers", name)) or place(("servers", name))
                yield f"{origin}: is off, and left out: {missing[0]}"

    def _validated(self, values: dict[str, Any]) -> Settings:
        try:
            return Settings.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                if (steps := steps_of(detail)) not in self._unfilled:
                    self._report(steps, message_of(detail))
            return Settings()

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
        protect = (*read, *found, *audit, *named)
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
        for length in range(len(steps), 0, -1):
            if origin := self._origins.get(steps[:length]):
                break
        else:
            length, origin = 0, ""
        problem = f"{place(steps[length:], origin)}: {message}"
        self._problems.append(
            problem if origin.startswith("the variable ") else self._in_file(problem)
        )

    def _report_unfilled(self, steps: Steps, message: str) -> None:
        self._unfilled.add(steps)
        self._report(steps, message)

    def _in_file(self, problem: str) -> str:
        return f"{problem} ({self._source})"


def _put(values: Any, steps: tuple[str, ...], value: str) -> None:
    """Set the value at *steps*, through tables alone; validation reports anything else there."""
    for section in steps[:-1]:
        if isinstance(values, dict):
            values = values.setdefault(section, {})
    if isinstance(values, dict):
        values[steps[-1]] = value
