"""The findings of an examination."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..core.values.strict import Json, JsonObject, present
from .mending import Mend


class Mark(StrEnum):
    WELL = "well"
    LOOK = "look"
    """It may be wrong, or will be."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what it is *about*, what was found, and how to fix it."""

    mark: Mark
    about: str
    says: str
    fix: str = ""
    mend: Mend | None = None
    """A change that fixes it and is safe to make."""

    def document(self) -> JsonObject:
        return present(
            mark=str(self.mark),
            about=self.about,
            says=self.says,
            fix=self.fix or None,
            can_be_fixed=True if self.mend is not None else None,
        )


def well(about: str, says: str) -> Finding:
    return Finding(Mark.WELL, about, says)


def look(about: str, says: str, fix: str = "", mend: Mend | None = None) -> Finding:
    return Finding(Mark.LOOK, about, says, fix, mend)


def wrong(about: str, says: str, fix: str = "", mend: Mend | None = None) -> Finding:
    return Finding(Mark.WRONG, about, says, fix, mend)


def mends_of(findings: Iterable[Finding]) -> list[Mend]:
    """Return the changes of *findings*, each once."""
    return list(dict.fromkeys(one.mend for one in findings if one.mend is not None))


def summary(findings: Sequence[Finding]) -> JsonObject:
    """Count *findings*."""
    marks = [finding.mark for finding in findings]
    return {
        "to_do": marks.count(Mark.WRONG),
        "to_look_at": marks.count(Mark.LOOK),
        "can_be_fixed": len(mends_of(findings)),
    }


def documents(findings: Iterable[Finding]) -> Iterator[Json]:
    for finding in findings:
        yield finding.document()
