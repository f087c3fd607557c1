"""The options of `plait serve` that a door was started with."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import NoReturn, Self

from ..upstream.transports.served import SERVE_HTTP, Hello, Refused


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused("settings", f"plait serve: {message}.")


@dataclass(frozen=True, slots=True)
class Options:
    """The options that decide how a client is served."""

    config: str | None = None
    profile: str | None = None
    is_watching: bool = False
    is_http: bool = False
    """Whether its clients come over HTTP."""

    @classmethod
    def of(cls, hello: Hello) -> Self:
        """Parse the arguments of *hello*. Options of the log do not count: all clients share one
        log. Raises `Refused`."""
        parser = _Parser(prog="plait serve", add_help=False, allow_abbrev=False)
        parser.add_argument("--config")
        parser.add_argument("--profile")
        parser.add_argument("--watch", action="store_true")
        parser.add_argument("--log-level")
        parser.add_argument("--debug", action="store_true")
        found = parser.parse_args(hello.arguments)
        is_http = hello.client == SERVE_HTTP
        return cls(found.config, found.profile, found.watch, is_http)
