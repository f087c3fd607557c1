"""The findings in one expression, as a reading makes them."""

from __future__ import annotations

from .nodes import Node
from .problems import Edit, Finding
from .shapes import ANY, Shape


class Findings:
    """A collection of findings in *text*."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.covered: set[int] = set()
        """The names that a finding is about already, by identity."""
        self.known: set[int] = set()
        """The places of the names that are known to be there, or to be optional."""
        self._found: list[Finding] = []

    def __len__(self) -> int:
        return len(self._found)

    def in_order(self) -> tuple[Finding, ...]:
        return tuple(sorted(self._found, key=lambda finding: (finding.start, finding.is_note)))

    def are_notes(self, since: int) -> bool:
        """Return whether all findings after the first *since* are notes."""
        return all(finding.is_note for finding in self._found[since:])

    def say(
        self,
        start: int,
        end: int,
        message: str,
        edit: str | Edit | None = None,
        *,
        is_note: bool = False,
        hint: str = "",
    ) -> Shape:
        """Add a finding. Return the shape of a part that is wrong: any."""
        if isinstance(edit, str):
            edit = Edit(start, end, edit)
        self._found.append(Finding(start, end, message, edit, is_note, hint))
        return ANY

    def written(self, node: Node) -> str:
        return self.text[node.start : node.end]
