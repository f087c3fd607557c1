"""Writes the drawings of all graphs again."""

from __future__ import annotations

from plait.core.results.dot import dot
from plait.core.results.mermaid import mermaid

from . import FOLDER, GRAPHS

for name, make in GRAPHS.items():
    for end, draw in (("mmd", mermaid), ("dot", dot)):
        (FOLDER / f"{name}.{end}").write_text(draw(make()) + "\n", encoding="utf-8")
