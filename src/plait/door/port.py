"""The order of `plait serve --http` to the shared gateway: the port that it opens."""

from __future__ import annotations

from dataclasses import dataclass

from .frames import read_record, record

COMMAND = "serve --http"
"""The command's name in its hello."""


@dataclass(frozen=True, slots=True)
class PortOrder:
    """The address, and who may come in."""

    host: str
    port: int
    token: str | None
    """The token that clients send, unless they are of the same user; None: everybody may come
    in."""
    hosts: tuple[str, ...] = ()
    """More host names that clients may use."""
    origins: tuple[str, ...] = ()
    """The origins whose pages may call."""

    def written(self) -> bytes:
        fields = [("host", self.host), ("port", str(self.port))]
        if self.token is not None:
            fields.append(("token", self.token))
        fields += [("allow_host", host) for host in self.hosts]
        fields += [("allow_origin", origin) for origin in self.origins]
        return record(fields)


def read_port_order(data: bytes) -> PortOrder:
    """Read an order. Raises `LookupError` and `ValueError` for one of another version."""
    fields = read_record(data)
    single = dict(fields)
    return PortOrder(
        single["host"],
        int(single["port"]),
        single.get("token"),
        tuple(value for name, value in fields if name == "allow_host"),
        tuple(value for name, value in fields if name == "allow_origin"),
    )
