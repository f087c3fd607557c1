"""The addresses under which resources of downstream servers are served, and the owner of an
address.

An address stays as it is while only one server lists it, and if it is a URL, as some clients need.
Otherwise it is wrapped, for every server that lists it, so that it can be unwrapped without any
table:

    file:///notes.txt of the server a      plait://servers/a/file:///notes.txt
    ui://chart/view of the server a        ui://plait/a/chart/view

The second form is for the user interfaces of tools, which clients know by their scheme. Addresses
of a downstream server that look like our own are always wrapped. Templates are wrapped in the same
way, before they are expanded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeAlias

from pydantic import AnyUrl, TypeAdapter, ValidationError

from .naming import Entry

OURS = "plait://"
_UI = "ui://"
_OUR_UI = "ui://plait/"
_WRAPPED = re.compile(
    r"(?:plait://servers/|(ui://)plait/)([a-z0-9][a-z0-9_-]{0,31})/(.*)\Z", re.DOTALL
)
_EXPRESSION = re.compile(r"\{[^{}]*\}")
_SHARED = ""
_URL: TypeAdapter[AnyUrl] = TypeAdapter(AnyUrl)

_Literals: TypeAlias = "list[str]"


def wrap(server: str, uri: str) -> str:
    """Return the address that means *uri* of *server*, and nothing else."""
    if uri.startswith(_UI):
        return f"{_OUR_UI}{server}/{uri.removeprefix(_UI)}"
    return f"{OURS}servers/{server}/{uri}"


def unwrap(uri: str) -> Entry | None:
    """Return the server and its own address, from a wrapped address; None from any other."""
    if (found := _WRAPPED.match(uri)) is None:
        return None
    return found[2], (found[1] or "") + found[3]


def is_address(uri: str) -> bool:
    """Return whether every client can read *uri*, and sends it back so that its resource is
    found."""
    url = _as_url(uri)
    return url is not None and (url == uri or unwrap(uri) is None)


def _as_url(uri: str) -> str | None:
    """Return *uri* as clients write it that parse URLs; None if it is not a URL."""
    try:
        return str(_URL.validate_python(uri))
    except ValidationError:
        return None


class Addresses:
    """All addresses and templates that servers list at one moment."""

    def __init__(self, resources: Iterable[Entry] = (), templates: Iterable[Entry] = ()) -> None:
        patterns = list(templates)
        self._owners: dict[str, str] = {}
        for server, uri in (*resources, *patterns):
            if self._owners.setdefault(uri, server) != server:
                self._owners[uri] = _SHARED
        parts = [(server, _EXPRESSION.split(template)) for server, template in patterns]
        self._templates = sorted(parts, key=lambda part: -sum(map(len, part[1])))

    def up(self, server: str, uri: str, named_by: str | None = None) -> str:
        """Return the address of *uri* of *server* upstream; *uri* itself if it stays as it is.

        A server takes no address from another one by naming it: what no list has stays as it is
        only if no template of another server fits it, and if no other server was the first that it
        was *named_by*.
        """
        is_unlisted = uri not in self._owners
        if _as_url(uri) is None or (
            is_unlisted and (self._fits_others(server, uri) or named_by not in {None, server})
        ):
            return wrap(server, uri)
        return self.template_up(server, uri)

    def template_up(self, server: str, template: str) -> str:
        """Return the *template* of addresses of *server* upstream."""
        is_own = self._owners.get(template, server) == server
        if is_own and not template.startswith((OURS, _OUR_UI)):
            return template
        return wrap(server, template)

    def down(self, uri: str, named_by: str | None = None, only: str | None = None) -> Entry | None:
        """Find the server that *uri* belongs to, and its address there: as wrapped, else as listed,
        else of the server that it was *named_by* unless it fits a template of another, else by the
        template that it fits best, else of the *only* server that has any."""
        if (entry := unwrap(uri)) is not None:
            return entry
        owner = self._owners.get(uri)
        if owner is None:
            if named_by is not None and self._fits_others(named_by, uri):
                named_by = None
            owner = named_by or self._by_template(uri) or only
        return (owner, uri) if owner else None

    def _fits_others(self, server: str, uri: str) -> bool:
        """Return whether *uri* fits a template of another server than *server*."""
        return any(other != server and _fits(literals, uri) for other, literals in self._templates)

    def _by_template(self, uri: str) -> str | None:
        return next((server for server, literals in self._templates if _fits(literals, uri)), None)


def _fits(literals: _Literals, uri: str) -> bool:
    """Return whether *uri* is the *literals* with any text between them. Takes linear time:
    templates come from servers, and regular expressions could be made slow on purpose."""
    if len(literals) == 1:
        return uri == literals[0]
    start, end = len(literals[0]), len(uri) - len(literals[-1])
    if start > end or not uri.startswith(literals[0]) or not uri.endswith(literals[-1]):
        return False
    for literal, _ in pairwise(literals[1:]):
        at = uri.find(literal, start, end)
        if at < 0:
            return False
        start = at + len(literal)
    return True
