"""One server of a client, in our settings; or the reason why it stays where it is.

A server that is moved must work as before. So whatever is not known for certain is a reason to
stay: a value that the client alone has, a variable that is not set, a folder of a project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..config.clients import translate
from ..config.mistakes import message_of, steps_of
from ..config.models import ServerSettings
from ..config.places import place
from .clients import Client, Variables
from .entries import words_of
from .machine import Machine


class Stays(Exception):
    """A server is not moved; says why."""


PARTS_OF_CLIENTS = frozenset({"builtin", "platform", "frontend", "inline_python"})
"""Kinds of Goose's extensions that are not servers."""
_LOGIN = frozenset({"oauth", "auth", "authProviderType", "oauth_resource", "scopes"})
_OUT_OF_REACH = frozenset({"envFile", "headersHelper", "env_http_headers", "env_keys", "inputs"})
_LEFT_BEHIND = frozenset(
    {
        "name",
        "description",
        "display_name",
        "bundled",
        "source",
        "autoApprove",
        "alwaysAllow",
        "trust",
        "default_tools_approval_mode",
        "supports_parallel_tool_calls",
        "gallery",
        "version",
        "enabled",
        "disabled",
        "required",
        "iconPath",
        "icon",
        "remote",
        "networkTimeout",
        "faviconUrl",
        "schema",
        "extension",
        "dev",
        "instructions",
    }
)
"""Keys that mean something to the client alone, and are left behind: rules are read before."""
_ALL_TOOLS: tuple[Any, ...] = ("*", ["*"], [], None)
_CHOOSING = frozenset({"enabled_tools", "includeTools"})
"""Keys that choose tools, where an empty list means none."""
_RENAMED = {
    "disabledTools": "disabled_tools",
    "cmd": "command",
    "envs": "env",
    "uri": "url",
    "available_tools": "enabled_tools",
}
_IN_SECONDS = frozenset({"goose", "cline"})
"""Clients whose `timeout` is in seconds."""
_PASSED = (
    (re.compile(r"\baws\b|amazon|boto|s3\b", re.IGNORECASE), ("AWS_*",)),
    (re.compile(r"kube|k8s|helm", re.IGNORECASE), ("KUBECONFIG",)),
    (re.compile(r"docker|podman|container", re.IGNORECASE), ("DOCKER_*",)),
    (re.compile(r"\bgit\b|github|gitlab|ssh", re.IGNORECASE), ("SSH_AUTH_SOCK", "GIT_*")),
    (re.compile(r"gcloud|google|gcp|bigquery|firebase", re.IGNORECASE), ("GOOGLE_*", "CLOUDSDK_*")),
)
"""Servers of known kinds, by their commands, and the variables by which their programs find what
they need. Clients that are started from a shell hand these on by themselves."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE = re.compile(rf"\$\{{({_NAME})\}}")
_DEFAULT = re.compile(rf"\$\{{{_NAME}:-([^}}]*)\}}")
_PATTERNS = {
    Variables.NONE: re.compile(r"(?!)"),
    Variables.BRACED: re.compile(rf"\$\{{({_NAME})(?::-([^}}]*))?\}}"),
    Variables.SHELL: re.compile(rf"\$\{{({_NAME})(?::-([^}}]*))?\}}|\$({_NAME})"),
    Variables.EDITOR: re.compile(
        r"\$\{((?:env|input|command|config|file|secret):[^}]*|userHome|pathSeparator|/"
        r"|workspaceFolder[^}]*|workspaceRoot|cwd|extensionPath)\}"
    ),
    Variables.OPENCODE: re.compile(r"\{(env|file):([^}]*)\}"),
    Variables.CONTINUE: re.compile(r"\$\{\{\s*(?:secrets|env|inputs)\.([\w.-]+)\s*\}\}"),
}


def carried(
    client: Client, machine: Machine, name: str, settings: Any, *, in_project: bool = False
) -> dict[str, Any]:
    """Return the server *name* of *client* in our settings, with variables as we write them. If
    *in_project*, folders are those of the project, and variables need not be set here. Raises
    `Stays`."""
    if not isinstance(settings, Mapping):
        raise Stays("its settings are not an object")
    _check(client, settings)
    known = {
        _RENAMED.get(key, key): value
        for key, value in settings.items()
        if key not in _LEFT_BEHIND and key != "tools" and value not in (None, [], {})
    }
    if "timeout" in known and client.name in _IN_SECONDS:
        known["timeout_s"] = known.pop("timeout")
    if "timeout" in known and client.name == "opencode":  # of its start alone
        del known["timeout"]
    filled = _filled(known, _filler(client, machine, in_project=in_project))
    translation = translate({"mcpServers": {"x": filled}}, is_clients=True, cwd=machine.folder)
    ours = translation.values.get("servers", {}).get("x")
    if not isinstance(ours, dict):
        reason = next(iter((*translation.problems, *translation.notes)), "it cannot be read")
        raise Stays(reason.replace("mcpServers.x.", "").removesuffix("; this server is left out"))
    foreign = [note.partition(":")[0] for note in translation.notes if "means nothing here" in note]
    if foreign:
        key = foreign[0].removeprefix("mcpServers.x.")
        raise Stays(f"it has {key}, which Plait does not know")
    ours = {key: value for key, value in ours.items() if value is not None}
    if ours.get("transport") == ("http" if "url" in ours else "stdio"):
        del ours["transport"]  # as it is without
    if not ours.keys() & {"command", "url"}:
        raise Stays("it has neither a command nor a url")
    if not in_project:
        _check_folders(ours)
    _check_values(ours, machine)
    if passed := passed_to(ours):
        ours["env_pass"] = passed
    return ours


def _check(client: Client, settings: Mapping[str, Any]) -> None:
    if settings.get("disabled") is True or settings.get("enabled") is False:
        raise Stays("it is switched off")
    for key in settings:
        if key in _LOGIN and settings[key]:
            raise Stays("the client logs in to it")
        if key in _OUT_OF_REACH and settings[key]:
            raise Stays(f"not every value of it is in reach ({key})")
        if key in _CHOOSING and settings[key] == []:
            raise Stays("it has no tools for its client")
    if client.name != "codex" and settings.get("tools") not in _ALL_TOOLS:
        raise Stays("its client chooses its tools (tools)")  # Codex has rules there


def _check_values(ours: dict[str, Any], machine: Machine) -> None:
    """Raise `Stays` if our settings do not allow a value, once variables are filled in."""
    plain = _filled(ours, lambda text: _DEFAULT.sub(r"\1", text).replace("$${", "x"))
    given = _filled(
        plain, lambda text: _VARIABLE.sub(lambda v: machine.environ.get(v[1], "x"), text)
    )
    try:
        ServerSettings.model_validate(given)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        raise Stays(f"{place(steps_of(detail))}: {message_of(detail)}") from None


def _check_folders(ours: Mapping[str, Any]) -> None:
    command, cwd = ours.get("command"), ours.get("cwd")
    if isinstance(cwd, str) and not cwd.startswith(("/", "~", "${HOME}")) and not _is_drive(cwd):
        raise Stays(f"it runs in a folder of a project ({cwd})")
    if isinstance(command, str) and re.match(r"\.{1,2}[/\\]", command):
        raise Stays(f"its command is in a folder of a project ({command})")


def _is_drive(text: str) -> bool:
    return re.match(r"[A-Za-z]:[/\\]", text) is not None


def passed_to(ours: Mapping[str, Any]) -> list[str]:
    words = " ".join(words_of(ours))
    found = [name for pattern, names in _PASSED if pattern.search(words) for name in names]
    return [name for name in dict.fromkeys(found) if name not in ours.get("env", {})]


def _filled(value: Any, fill: Callable[[str], str]) -> Any:
    match value:
        case str():
            return fill(value)
        case list():
            return [_filled(one, fill) for one in value]
        case Mapping():
            return {key: _filled(one, fill) for key, one in value.items()}
    return value


def _filler(client: Client, machine: Machine, *, in_project: bool) -> Callable[[str], str]:
    """Return a function that writes the variables of a client's text as ours, and what would be a
    variable here alone as the text that it is."""
    pattern, kind = _PATTERNS[client.variables], client.variables

    def fill(text: str) -> str:
        pieces, end = [], 0
        for found in pattern.finditer(text):
            pieces += [text[end : found.start()].replace("${", "$${"), ours(found)]
            end = found.end()
        return "".join([*pieces, text[end:].replace("${", "$${")])

    def ours(found: re.Match[str]) -> str:
        match kind:
            case Variables.EDITOR:
                return _of_editor(found[1], variable)
            case Variables.OPENCODE if found[1] == "file":
                return f"${{file:{found[2]}}}"
            case Variables.OPENCODE:
                return f"${{{found[2]}:-}}"
            case Variables.SHELL if found[3]:
                return variable(found[3])
            case Variables.CONTINUE:
                return variable(found[1])
        return found[0] if found[2] is not None else variable(found[1])

    def variable(name: str) -> str:
        if not (in_project or machine.environ.get(name)):
            raise Stays(f"not every value of it is in reach ({name} is not set here)")
        return f"${{{name}}}"

    return fill


def _of_editor(inside: str, variable: Callable[[str], str]) -> str:
    kind, _, rest = inside.partition(":")
    match kind:
        case "env":
            return variable(rest)
        case "file":
            return f"${{file:{rest}}}"
        case "userHome":
            return "${HOME}"
        case "pathSeparator" | "/":
            return "/"
        case "input" | "secret":
            raise Stays(f"not every value of it is in reach (${{{inside}}})")
    raise Stays(f"it belongs to a project (${{{inside}}})")


def folder_of_command(command: str, path: str) -> Path | None:
    """Return the folder of *path* in which *command* is found, one of shims before others, which
    may hold a version; None if it names a folder itself or is not found."""
    if "/" in command or "\\" in command or not command:
        return None
    folders = [Path(part) for part in path.split(":") if part.startswith("/")]
    having = [folder for folder in folders if (folder / command).is_file()]
    shims = [folder for folder in having if "shims" in folder.parts]
    return next(iter((*shims, *having)), None)
