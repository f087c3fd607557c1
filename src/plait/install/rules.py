"""The rules that clients have about the tools of single servers: what they deny, and what they ask
for.

A client names a tool in its own way, so once a server has moved, its rule names nothing: a denial
would be lost without a word. What can be said in `[policy]` is carried over. Where it cannot, the
server stays. What a client allows is left behind: then it asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .clients import ENTRY, Client, Format
from .entries import Unreadable, value_at
from .machine import Machine

Read: TypeAlias = Callable[[Path, Format], Mapping[str, Any]]
"""Reads the values of a file; empty if it is missing. Raises `Unreadable`."""
Answer: TypeAlias = Literal["deny", "ask"]
MAX_AGENTS = 500


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about tools of a server, by the name that the client has for it."""

    answer: Answer
    server: str
    tool: str
    """A glob over the names of its tools."""


@dataclass(slots=True)
class Rules:
    """The rules of a client, and why those of some servers cannot be carried over."""

    rules: list[Rule] = field(default_factory=list)
    obstacles: dict[str, str] = field(default_factory=dict)

    def add(self, answer: Any, server: str, tool: str) -> None:
        """Add a rule, in the words of any client; those that allow something are left behind."""
        match answer:
            case "deny" | "never" | "disabled" | False:
                self.rules.append(Rule("deny", server, tool))
            case "ask" | "confirm" | "prompt" | "writes":
                self.rules.append(Rule("ask", server, tool))

    def stop(self, server: str, reason: str) -> None:
        self.obstacles.setdefault(server, reason)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a client that holds servers, and how to read others."""

    machine: Machine
    path: Path
    values: Mapping[str, Any]
    servers: Mapping[str, Any]
    read: Read


def rules_of(
    client: Client,
    machine: Machine,
    path: Path,
    values: Mapping[str, Any],
    servers: Mapping[str, Any],
    read: Read,
) -> Rules:
    """Return the rules that *client* has about *servers*, which it holds in the file *path* with
    *values*."""
    found = Rules()
    reader = _READERS.get(client.name)
    try:
        if reader is not None:
            reader(found, _File(machine, path, values, servers, read))
    except Unreadable as error:
        for server in servers:
            found.stop(server, f"the rules of {client.title} cannot be read: {error}")
    return found


def _claude_code(found: Rules, file: _File) -> None:
    folder = file.machine.named("CLAUDE_CONFIG_DIR", ".claude")
    prefixes = {name: f"mcp__{re.sub('[^a-zA-Z0-9_-]', '_', name)}" for name in file.servers}
    for settings_file in (folder / "settings.json", folder / "settings.local.json"):
        settings = file.read(settings_file, Format.JSON)
        for answer in ("deny", "ask"):
            for text in _texts(value_at(settings, ("permissions", answer))):
                _claude_rule(found, answer, text, prefixes)
        for matcher in _matchers(settings.get("hooks")):
            for name, prefix in prefixes.items():
                if _watches(matcher, prefix):
                    found.stop(name, f'a hook of Claude Code watches its tools ("{matcher[:60]}")')
    for agent in sorted(folder.glob("agents/**/*.md"))[:MAX_AGENTS]:
        head = _head(agent)
        for name, prefix in prefixes.items():
            if re.search(rf"{re.escape(prefix)}(?:__|\b)", head):
                found.stop(name, f"the agent {agent.stem} of Claude Code names its tools")


def _head(agent: Path) -> str:
    """Return the settings of an agent, at the beginning of its file. Raises `Unreadable`."""
    try:
        with agent.open("rb") as file:
            text = file.read(10_000).decode("utf-8", "replace")
    except FileNotFoundError:  # a link to nothing
        return ""
    except OSError as error:
        raise Unreadable(f"{agent}: {error.strerror}") from None
    return text.split("\n---", 1)[0]


def _claude_rule(found: Rules, answer: str, text: str, prefixes: Mapping[str, str]) -> None:
    meant, has_arguments, _ = text.partition("(")
    fitting = [
        name
        for name, prefix in prefixes.items()
        if meant == prefix or meant.startswith(f"{prefix}__")
    ]
    if not fitting:
        return
    name = max(fitting, key=lambda one: len(prefixes[one]))
    if has_arguments:
        found.stop(name, f'Claude Code has a rule about arguments of its tools ("{text[:60]}")')
    else:
        found.add(answer, name, meant[len(prefixes[name]) + 2 :] or "*")


def _matchers(hooks: Any) -> Iterator[str]:
    if isinstance(hooks, Mapping):
        for groups in hooks.values():
            for group in groups if isinstance(groups, list) else ():
                if isinstance(group, Mapping) and isinstance(group.get("matcher"), str):
                    yield group["matcher"]


def _watches(matcher: str, prefix: str) -> bool:
    """Return whether a hook watches tools with *prefix*, and would not watch ours."""
    if f"{prefix}__" in matcher or matcher == prefix:
        return True
    try:
        pattern = re.compile(matcher)
    except re.error:
        return False
    return bool(pattern.fullmatch(f"{prefix}__x")) and not pattern.fullmatch(
        f"mcp__{ENTRY}__execute_dag"
    )


def _cursor(found: Rules, file: _File) -> None:
    settings = file.read(file.machine.home / ".cursor" / "cli-config.json", Format.JSON)
    for text in _texts(value_at(settings, ("permissions", "deny"))):
        if rule := re.fullmatch(r"Mcp\((.*):(.*)\)", text):
            for name in file.servers:
                if fnmatchcase(name, rule[1]) and rule[1] != "*":
                    found.add("deny", name, rule[2])


def _codex(found: Rules, file: _File) -> None:
    for name, settings in file.servers.items():
        if not isinstance(settings, Mapping):
            continue
        found.add(settings.get("default_tools_approval_mode"), name, "*")
        tools = settings.get("tools")
        for tool, rule in tools.items() if isinstance(tools, Mapping) else ():
            if isinstance(rule, Mapping):
                found.add(rule.get("approval_mode"), name, str(tool))
                if rule.get("enabled") is False:
                    found.add("deny", name, str(tool))


def _zed(found: Rules, file: _File) -> None:
    profiles = value_at(file.values, ("agent", "profiles"))
    for profile, settings in profiles.items() if isinstance(profiles, Mapping) else ():
        chosen = value_at(settings, ("context_servers",))
        for name in chosen if isinstance(chosen, Mapping) else ():
            found.stop(str(name), f"the profile {profile} of Zed chooses its tools")
    tools = value_at(file.values, ("agent", "tool_permissions", "tools"))
    for key, rule in tools.items() if isinstance(tools, Mapping) else ():
        kind, _, rest = str(key).partition(":")
        name, _, tool = rest.partition(":")
        if kind != "mcp" or name not in file.servers or not isinstance(rule, Mapping):
            continue
        found.add(rule.get("default"), name, tool)
        if rule.get("always_deny") or rule.get("always_confirm"):
            found.stop(name, f"Zed has a rule about arguments of {tool}")


def _goose(found: Rules, file: _File) -> None:
    permissions = file.read(file.path.with_name("permission.yaml"), Format.YAML)
    for answer, key in (("deny", "never_allow"), ("ask", "ask_before")):
        for text in _texts(value_at(permissions, ("user", key))):
            name, separator, tool = text.partition("__")
            if separator and name in file.servers:
                found.add(answer, name, tool)


def _opencode(found: Rules, file: _File) -> None:
    rules = {**_members(file.values.get("tools")), **_members(file.values.get("permission"))}
    for pattern, answer in rules.items():
        for name in file.servers:
            prefix = f"{re.sub('[^a-zA-Z0-9_-]', '_', name)}_"
            if pattern.startswith(prefix):
                if isinstance(answer, Mapping):
                    found.stop(name, f'OpenCode has a rule about arguments ("{pattern}")')
                else:
                    found.add(answer, name, pattern[len(prefix) :])
            elif fnmatchcase(prefix, pattern) and not fnmatchcase(f"{ENTRY}_", pattern):
                found.add(answer, name, "*")
    for agent, settings in _members(file.values.get("agent")).items():
        named = [*_members(value_at(settings, ("tools",)))]
        named += [*_members(value_at(settings, ("permission",)))]
        for name in file.servers:
            if any(text.startswith(f"{name}_") for text in named):
                found.stop(name, f"the agent {agent} of OpenCode chooses its tools")


def _gemini(found: Rules, file: _File) -> None:
    for text in (
        *_texts(value_at(file.values, ("tools", "exclude"))),
        *_texts(file.values.get("excludeTools")),
    ):
        for name in file.servers:
            if text.startswith((f"{name}__", f"mcp_{name}_")):
                tool = text.removeprefix(f"{name}__").removeprefix(f"mcp_{name}_")
                found.add("deny", name, tool)
    allowed = value_at(file.values, ("mcp", "allowed"))
    if isinstance(allowed, list) and ENTRY not in allowed:
        for name in file.servers:
            found.stop(name, "Gemini CLI allows named servers alone; add plait to mcp.allowed")
    for name in _texts(value_at(file.values, ("mcp", "excluded"))):
        found.stop(name, "Gemini CLI excludes it (mcp.excluded)")


_READERS: dict[str, Callable[[Rules, _File], None]] = {
    "claude-code": _claude_code,
    "cursor": _cursor,
    "codex": _codex,
    "gemini": _gemini,
    "zed": _zed,
    "goose": _goose,
    "opencode": _opencode,
}


def _texts(value: Any) -> Iterable[str]:
    return (one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _members(value: Any) -> Mapping[str, Any]:
    return {str(key): one for key, one in value.items()} if isinstance(value, Mapping) else {}
