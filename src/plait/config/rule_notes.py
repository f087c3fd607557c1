"""Notes on rules and patterns for tools that have no effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from ..core.tools.catalog import Catalog
from ..core.tools.rules import CLASSES, ToolClass, matches
from ..core.values.problems import nearest
from .models import Settings
from .places import place
from .policy import PolicySettings

KEYS_OF_RULES = ("deny", "ask_each", "ask", "allow")
"""The lists of rules of a policy, the strictest first."""
_GLOB = re.compile(r"[*?[]")
_ONE_CHARACTER = re.compile(r"[?[]")


def idle_patterns(settings: Settings) -> Iterator[str]:
    """Yield a note for each pattern that matches no server: what it should deny is not denied."""
    for origin, pattern in _rules(settings):
        if pattern in CLASSES:
            continue
        server, _, of_server = pattern.partition(":")
        if not any(fnmatchcase(name, server) for name in settings.servers):
            near = nearest(server, settings.servers)
            hint = f'. Did you mean "{near[0]}:{of_server}"?' if near else ""
            yield f'{origin}: "{pattern}" matches no server{hint}'


def unmatched(settings: Settings, catalog: Catalog) -> Iterator[str]:
    """Yield a note for each rule and pattern that matches no tool of *catalog*, as far as its
    servers are known: those that match no server have a note already."""
    tools = [(tool.full_name, tool.traits) for tool in catalog.tools.values()]
    for origin, rule in _rules(settings):
        server = "*" if rule in CLASSES else rule.partition(":")[0]
        named = [info for info in catalog.servers.values() if fnmatchcase(info.name, server)]
        are_known = bool(named) and all(info.is_known for info in named)
        if are_known and not any(matches(rule, name, traits) for name, traits in tools):
            yield f'{origin}: "{rule}" matches no tool'


def _rules(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each rule of the policies, and each pattern of tools, with its place."""
    for origin, policy in _policies(settings):
        lists = [(key, getattr(policy, key)) for key in KEYS_OF_RULES]
        for key, rules in (*lists, *_globs_of_flows(policy)):
            yield from ((f"{origin}.{key}[{index}]", rule) for index, rule in enumerate(rules))
    yield from (("tools", pattern) for pattern in settings.tools)


def _policies(settings: Settings) -> Iterator[tuple[str, PolicySettings]]:
    """Yield each policy of *settings* with its place."""
    yield "policy", settings.policy
    for name, profile in settings.profiles.items():
        yield place(("profiles", name, "policy")), profile.policy


def _globs_of_flows(policy: PolicySettings) -> Iterator[tuple[str, tuple[str, ...]]]:
    for label, globs in policy.labels.items():
        yield f"labels.{label}", globs
    for number, flow in enumerate(policy.flows):
        yield f"flows[{number}].except", flow.except_


def overruled(settings: Settings) -> Iterator[str]:
    """Yield a note for each rule that never decides, because a stricter one always does or because
    it names no tool in full."""
    for origin, policy in _policies(settings):
        for number, key in enumerate(KEYS_OF_RULES):
            for index, rule in enumerate(getattr(policy, key)):
                stricter = (
                    (f"{other}[{at}]", one)
                    for other in KEYS_OF_RULES[:number]
                    for at, one in enumerate(getattr(policy, other))
                )
                found = next((each for each in stricter if _covers(each[1], rule)), None)
                is_lifting = key == "allow" and found is not None and found[0].startswith("ask[")
                is_whole = not _GLOB.search(rule) and rule not in CLASSES
                place_of = f'{origin}.{key}[{index}]: "{rule}"'
                if found is not None and not (is_lifting and is_whole):
                    yield f'{place_of} has no effect: {found[0]} ("{found[1]}") is stricter'
                elif key == "allow" and not is_whole and policy.ask and policy.default == "allow":
                    yield f"{place_of} has no effect: only the full name of a tool lifts an ask"


def unused_labels(settings: Settings) -> Iterator[str]:
    """Yield a note for each label that is in no rule for flows."""
    policies = list(_policies(settings))
    named = {
        name for _, policy in policies for flow in policy.flows for name in (*flow.from_, flow.to)
    }
    for origin, policy in policies:
        for label in policy.labels:
            if label not in named:
                yield f"{origin}.labels.{label} has no effect: no rule for flows names it"


def _covers(rule: str, other: str) -> bool:
    """Return whether *rule* certainly matches all that *other* does."""
    if rule == other:
        return True
    if rule in CLASSES or other in CLASSES:
        return rule == ToolClass.WRITE and other == ToolClass.DESTRUCTIVE
    is_plain = not _GLOB.search(other) or not _ONE_CHARACTER.search(rule)
    return is_plain and fnmatchcase(other, rule)
