"""The answer of a person to the question of a run, as it is kept in the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

from .history import CallKey, digest_of_arguments
from .results.approval import Approval
from .scheduling.events import Decided, Key
from .values.strict import Json, JsonObject, present


class ApprovedCall(NamedTuple):
    """A call that a person said yes to."""

    key: CallKey
    arguments_digest: str


@dataclass(frozen=True, slots=True)
class KeptDecision:
    """One answer. Its calls are named without their run, so that it holds for a run that goes on
    from there."""

    approved: tuple[ApprovedCall, ...]
    code: str
    covered: tuple[str, ...] = ()
    is_preview: bool = False
    """Whether a preview was applied with it."""

    @classmethod
    def of(cls, answer: Decided, question: Approval) -> Self:
        """Return what is kept of *answer* to *question*."""
        approved = [
            ApprovedCall(
                CallKey(call.key.task, call.key.item, call.key.at, call.round),
                digest_of_arguments(call.arguments),
            )
            for call in question.calls
            if call.key in answer.approved
        ]
        covered = tuple(sorted(answer.covered))
        return cls(tuple(approved), answer.code, covered, question.is_preview)

    def document(self) -> JsonObject:
        approved: list[Json] = [
            [key.task, key.item, [*key.at], key.round, digest] for key, digest in self.approved
        ]
        return present(
            approved=approved,
            code=self.code,
            covered=[*self.covered] or None,
            preview=self.is_preview or None,
        )

    @classmethod
    def read(cls, document: Json) -> Self:
        """Read what `document` gave; what is not of that form is left out."""
        members = document if isinstance(document, dict) else {}
        rows, covered = members.get("approved"), members.get("covered")
        approved = [_call(row) for row in (rows if isinstance(rows, list) else [])]
        return cls(
            tuple([call for call in approved if call is not None]),
            str(members.get("code")),
            tuple(map(str, covered)) if isinstance(covered, list) else (),
            members.get("preview") is True,
        )

    def event(self, question: Key) -> Decided:
        """Return it as the answer to *question*."""
        keys = [Key(question.run, call.key.task, *call.key[1:3]) for call in self.approved]
        return Decided(question, frozenset(keys), self.code, frozenset(self.covered))


def _call(row: Json) -> ApprovedCall | None:
    match row:
        case [str(task), int() | None as item, [*at], int(round), str(digest)]:
            items = tuple([one for one in at if isinstance(one, int)])
            return ApprovedCall(CallKey(task, item, items, round), digest)
    return None
