"""The names under which the tools and prompts of downstream servers are served: all are distinct.

A tool is served as `server__tool`. Clients put a prefix such as `mcp__plait__` in front of it, and
models' interfaces take at most 64 characters out of `[A-Za-z0-9_-]`. A name that would be longer,
that contains other characters or that is ambiguous is cut, and ends in a hash of the whole:
`server__start_of_the_tool_3f2a91c07b5d`. It depends only on the names of the server and the tool,
so it is the same after every start, whatever other servers do.

A tool of a server without a prefix, and a prompt, keep their own name as long as it is unique. If
two share a name, both are served as above, so that none takes the name of another. `server__name`
always means the same.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Entry: TypeAlias = tuple[str, str]
"""A server, and the name or address by which it knows something."""

BUDGET = 64
CLIENT_PREFIX = "mcp__plait__"
LONGEST = BUDGET - len(CLIENT_PREFIX)
MARK = "__"
_HASH_CHARS = 12
_FIT = re.compile(r"[A-Za-z0-9_-]+\Z")
_HASHED = re.compile(r".*_[0-9a-f]{12}\Z", re.DOTALL)
_ODD = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Names:
    """The names that things are served under, and the reverse."""

    served: Mapping[Entry, str]
    means: Mapping[str, Entry]
    """Also has `server__name` of everything, even if it is served under another name."""


def tool_names(
    tools: Iterable[Entry], *, bare: Container[str] = (), taken: Container[str] = ()
) -> Names:
    """Name *tools*. Those of the servers in *bare* get no prefix where that cannot be mistaken for
    another tool; *taken* are our own names."""
    prefixed = _prefixed(tools)
    wanted = Counter(name for server, name in prefixed if server in bare)

    def stays(server: str, name: str) -> bool:
        is_free = wanted[name] == 1 and name not in taken
        return server in bare and is_free and MARK not in name and _is_plain(name)

    return _names(prefixed, stays)


def prompt_names(prompts: Iterable[Entry], *, taken: Container[str] = ()) -> Names:
    """Name *prompts*; *taken* are our own names."""
    prefixed = _prefixed(prompts)
    wanted = Counter(name for _, name in prefixed)
    others = frozenset(prefixed.values())

    def stays(server: str, name: str) -> bool:
        return wanted[name] == 1 and name not in taken and name not in others

    return _names(prefixed, stays)


def prefixed_name(server: str, name: str) -> str:
    """Return `server__name`, or a substitute: at most 52 characters of `[A-Za-z0-9_-]`."""
    joined = f"{server}{MARK}{name}"
    reads_one_way = joined.partition(MARK) == (server, MARK, name)
    return joined if reads_one_way and _is_plain(joined) else _hashed(server, name)


def _prefixed(entries: Iterable[Entry]) -> dict[Entry, str]:
    """Give each of *entries* a unique name, in their order; equal entries count once."""
    names: dict[Entry, str] = {}
    owners: dict[str, Entry] = {}
    for entry in entries:
        served, tries = prefixed_name(*entry), 0
        while (
            owners.setdefault(served, entry) != entry
        ):  # equal hashes: never by chance, perhaps on purpose
            tries += 1
            served = _hashed(*entry, tries)
        names[entry] = served
    return names


def _names(prefixed: Mapping[Entry, str], stays: Callable[[str, str], bool]) -> Names:
    served = {entry: entry[1] if stays(*entry) else name for entry, name in prefixed.items()}
    means = {name: entry for entry, name in prefixed.items()}
    means.update((name, entry) for entry, name in served.items())
    return Names(served, means)


def _is_plain(name: str) -> bool:
    """Return whether *name* may be served as it is: within the budget, and unlike a hashed name."""
    return len(name) <= LONGEST and _FIT.match(name) is not None and _HASHED.match(name) is None


def _hashed(server: str, name: str, tries: int = 0) -> str:
    whole = f"{server}:{name}" + (f"\n{tries}" if tries else "")
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARS]
    start = _ODD.sub("_", f"{server}{MARK}{name[:BUDGET]}")[: LONGEST - _HASH_CHARS - 1]
    return f"{start}_{digest}"
