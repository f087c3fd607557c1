"""Problems of an expression: where it is wrong, why, and the fix where only one thing can be
meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...errors import ExpressionFailed


class Edit(NamedTuple):
    """Replace the characters from `start` to `end` by `text`."""

    start: int
    end: int
    text: str


class Finding(NamedTuple):
    """A mistake between the characters `start` and `end` of an expression. A note is likely, not
    certain."""

    start: int
    end: int
    message: str
    """The message, without a full stop at its end."""
    edit: Edit | None = None
    is_note: bool = False
    hint: str = ""

    def moved(self, by: int) -> Finding:
        """Return the finding in a longer text, in which the expression starts at *by*."""
        edit = self.edit
        if edit is not None:
            edit = Edit(edit.start + by, edit.end + by, edit.text)
        return self._replace(start=self.start + by, end=self.end + by, edit=edit)

    @property
    def placed_message(self) -> str:
        return f"{self.message} (at character {self.start + 1})"


class InvalidExpression(ExpressionFailed):
    """The text is not an expression. `edit` is the fix, if only one thing can be meant."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.placed_message, hint=finding.hint or None)
        self.finding = finding


def invalid(
    start: int, end: int, message: str, edit: Edit | None = None, hint: str = ""
) -> InvalidExpression:
    return InvalidExpression(Finding(start, end, message, edit, hint=hint))


def fixed(text: str, findings: Iterable[Finding]) -> str:
    """Return *text* with the edits of all *findings* that do not overlap."""
    edits = sorted({finding.edit for finding in findings if finding.edit is not None})
    pieces, position = [], 0
    for edit in edits:
        if edit.start >= position:
            pieces += [text[position : edit.start], edit.text]
            position = edit.end
    return "".join(pieces) + text[position:]
