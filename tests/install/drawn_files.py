"""Drawn files of clients: servers in every form that a format has, with comments, line ends, marks
and values of others around them.

A file is a list of pieces, so that it is known which bytes belong to which server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from plait.install.clients import Format
from plait.install.entries import BOM

NAMES = ("a", "b-2", "c_3", "d.e", "ü f", "plaits")
ROOTS = {Format.JSON: "mcpServers", Format.TOML: "mcp_servers", Format.YAML: "extensions"}


@dataclass(frozen=True)
class Drawn:
    """A file as pieces: each is text and the server that it belongs to, empty for none."""

    kind: Format
    pieces: tuple[tuple[str, str], ...]
    servers: dict[str, Any]
    others: dict[str, Any]
    line_end: str = "\n"
    has_mark: bool = False

    @property
    def root(self) -> str:
        return ROOTS[self.kind]

    @property
    def data(self) -> bytes:
        return self.bytes_without(())

    def bytes_without(self, names: tuple[str, ...]) -> bytes:
        """Return the file without the pieces of the servers *names*."""
        text = "".join(piece for piece, owner in self.pieces if owner not in names or not owner)
        return BOM * self.has_mark + text.replace("\n", self.line_end).encode()


@st.composite
def drawn_files(draw: st.DrawFn) -> Drawn:
    kind = draw(st.sampled_from(Format))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    build = {Format.JSON: _json, Format.TOML: _toml, Format.YAML: _yaml}[kind]
    pieces, servers, others = build(draw, names)
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    return Drawn(kind, tuple(pieces), servers, others, line_end, draw(st.booleans()))


def _server(draw: st.DrawFn, index: int) -> dict[str, Any]:
    made: dict[str, Any] = {"command": f"run-{index}", "args": ["-y", f'"{index}", {{x}} # no']}
    if draw(st.booleans()):
        made["env"] = {"TOKEN": "ä // no comment", "N": "1"}
    return made


def _json(draw: st.DrawFn, names: list[str]) -> Any:
    unit = draw(st.sampled_from(["  ", "    ", "\t", ""]))
    is_flat = draw(st.booleans())
    new, blank = ("", " ") if is_flat else ("\n", "")
    has_last_comma = draw(st.booleans())
    pieces: list[tuple[str, str]] = [("{" + new, "")]
    servers: dict[str, Any] = {}
    if draw(st.booleans()) and not is_flat:
        pieces.append((f"{unit}// above\n", ""))
    pieces.append((f'{unit}"first": [1, 1.50, 1e3, null],{blank}{new}', ""))
    pieces.append((f'{unit}"mcpServers": {{{new}', ""))
    for index, name in enumerate(names):
        servers[name] = server = _server(draw, index)
        text = json.dumps(server, ensure_ascii=False)
        if not is_flat and draw(st.booleans()):
            pieces.append((f"{unit * 2}/* before {index}, */\n", ""))
            text = json.dumps(server, ensure_ascii=False, indent=2)
        is_last = index == len(names) - 1
        quoted = json.dumps(name, ensure_ascii=False)
        pieces.append((f"{unit * 2}", ""))
        pieces.append((f"{quoted}: {text}", name))
        pieces.append(("" if is_last and not has_last_comma else ",", ""))
        if not is_flat and draw(st.booleans()):
            pieces.append((f" // after {index}", ""))
        pieces.append((blank if is_flat else "\n", ""))
    pieces.append((f"{unit}}},{blank}{new}", ""))
    comma = "," if has_last_comma else ""
    pieces.append((f'{unit}"last": {{"x": "é"}}{comma}{new}}}', ""))
    pieces.append((draw(st.sampled_from(["", "\n", "\n\n"])), ""))
    return pieces, servers, {"first": [1, 1.5, 1e3, None], "last": {"x": "é"}}


def _toml(draw: st.DrawFn, names: list[str]) -> Any:
    servers = {name: _server(draw, index) for index, name in enumerate(names)}
    forms = {name: draw(st.sampled_from(["table", "dotted", "inline"])) for name in names}
    is_inline = draw(st.integers(0, 4)) == 0
    pieces: list[tuple[str, str]] = [('# top\nmodel = "x" # side\n', "")]
    others: dict[str, Any] = {"model": "x", "tui": {"theme": "ü"}}
    if is_inline:
        pieces.append(("mcp_servers = { ", ""))
        for index, name in enumerate(names):
            pieces.append((f"{_quoted(name)} = {_inline(servers[name])}", name))
            pieces.append(("" if index == len(names) - 1 else ", ", ""))
        pieces.append((" } # all\n", ""))
    else:
        for name in names:
            if forms[name] == "dotted":
                key = f"mcp_servers.{_quoted(name)}"
                for member, value in servers[name].items():
                    pieces.append((f"{key}.{member} = {_inline(value)}\n", name))
                pieces.append((f"# below {len(pieces)}\n", ""))
        pieces.append(("last_pair = 1\n\n", ""))
        others["last_pair"] = 1
        inlines = [name for name in names if forms[name] == "inline"]
        if inlines and "dotted" not in forms.values():
            pieces.append(("[mcp_servers] # header\n", ""))
            pieces += [(f"{_quoted(name)} = {_inline(servers[name])}\n", name) for name in inlines]
            pieces.append(("\n", ""))
        else:
            forms.update(dict.fromkeys(inlines, "table"))
        for name in names:
            if forms[name] == "table":
                _table(draw, pieces, name, servers[name])
    pieces.append(('# of tui\n[tui]\ntheme = "ü"\n[[many]]\nx = 1\n', ""))
    others["many"] = [{"x": 1}]
    if draw(st.booleans()):
        pieces[-1] = (pieces[-1][0].rstrip("\n"), "")
    return pieces, servers, others


def _table(draw: st.DrawFn, pieces: list[Any], name: str, server: dict[str, Any]) -> None:
    key = f"mcp_servers.{_quoted(name)}"
    pieces.append((f"# above {len(pieces)}\n", ""))
    pieces.append((f"[{key}] # header\n", name))
    for member, value in server.items():
        if member != "env":
            pieces.append((f"{member}  =  {_inline(value)}\n", name))
    pieces.append((f"# below {len(pieces)}\n\n", ""))
    if "env" in server:
        pieces.append((f"[ {key} . env ]\n", name))
        for member, value in server["env"].items():
            pieces.append((f"{member} = {_inline(value)}\n", name))
        pieces.append(("\n", ""))


def _quoted(name: str) -> str:
    is_bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if is_bare else json.dumps(name, ensure_ascii=False)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_quoted(k)} = {_inline(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _yaml(draw: st.DrawFn, names: list[str]) -> Any:
    unit = " " * draw(st.integers(1, 4))
    servers: dict[str, Any] = {}
    pieces: list[tuple[str, str]] = [("# top\nGOOSE_MODEL:   x   # side\n", "")]
    pieces.append(("extensions: # all\n", ""))
    for index, name in enumerate(names):
        servers[name] = server = _server(draw, index)
        if draw(st.booleans()):
            pieces.append((f"{unit}# above {index}\n", ""))
        form = draw(st.sampled_from(["block", "flow", "scalar"]))
        key = json.dumps(name, ensure_ascii=False) if draw(st.booleans()) else name
        if form == "flow":
            text = f"{unit}{key}: {json.dumps(server, ensure_ascii=False)}\n"
        else:
            lines = [f"{unit}{key}:"]
            for member, value in server.items():
                written = json.dumps(value, ensure_ascii=False)
                lines.append(f"{unit * 2}{member}: {written}")
            if form == "scalar":
                server["note"] = "one\n\ntwo\n"
                lines += [f"{unit * 2}note: |", f"{unit * 3}one", "", f"{unit * 3}two"]
            text = "".join(f"{line}\n" for line in lines)
        pieces.append((text, name))
        if draw(st.booleans()):
            pieces.append((f"\n{unit}# below {index}\n", ""))
    pieces.append(("last:\n-   1\n-   ~\n", ""))
    if draw(st.booleans()):
        pieces[-1] = (pieces[-1][0].rstrip("\n"), "")
    return pieces, servers, {"GOOSE_MODEL": "x", "last": [1, None]}
