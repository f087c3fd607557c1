"""The answer of a person to the question of a run, as it is kept in the history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from ..errors import ApprovalDenied
from .history import CallKey, digest_of_arguments
from .results.approval import Approval
from .scheduling.events import Decided, Key
from .tools.overwriting import Reading
from .values.strict import Json, JsonObject, present


class DecidedCall(NamedTuple):
    """A call that a person said yes or no to."""

    key: CallKey
    arguments_digest: str


@dataclass(frozen=True, slots=True)
class KeptDecision:
    """One answer. Its calls are named without their run, so that it holds for a run that goes on
    from there."""

    approved: tuple[DecidedCall, ...]
    code: str
    covered: tuple[str, ...] = ()
    denied: tuple[DecidedCall, ...] = ()
    """The calls that a person said no to: not those without an answer in time."""
    is_preview: bool = False
    """Whether a preview was applied with it."""
    answer_id: str | None = None
    """As in `Decided`."""
    about: tuple[CallKey, ...] | None = None
    """The calls that it answers for, if not for all."""
    readings: tuple[tuple[DecidedCall, Reading], ...] = ()
    """As in `Decided`."""

    @classmethod
    def of(cls, answer: Decided, question: Approval | None) -> Self:
        """Return what is kept of *answer* to *question*; None if it was not shown yet."""
        approved, denied = [], []
        about = None if answer.about is None else [CallKey(*key[1:]) for key in answer.about]
        given = dict(answer.readings)
        readings = []
        for call in () if question is None else question.calls:
            key = CallKey(*call.key[1:], call.round)
            decided = DecidedCall(key, digest_of_arguments(call.arguments))
            if call.key in answer.approved:
                approved.append(decided)
                if (reading := given.get(call.key)) is not None:
                    readings.append((decided, reading))
            elif answer.code == ApprovalDenied.code:
                denied.append(decided)
        covered = tuple(sorted(answer.covered))
        return cls(
            tuple(approved),
            answer.code,
            covered,
            tuple(denied),
            question is not None and question.is_preview,
            answer.answer_id,
            None if about is None else tuple(sorted(about, key=repr)),
            tuple(readings),
        )

    def document(self) -> JsonObject:
        return present(
            approved=_rows(self.approved),
            code=self.code,
            covered=[*self.covered] or None,
            denied=_rows(self.denied) or None,
            preview=self.is_preview or None,
            id=self.answer_id,
            about=None if self.about is None else [[*key[:2], [*key.at]] for key in self.about],
            readings=[[*_rows([call]), [*reading]] for call, reading in self.readings] or None,
        )

    @classmethod
    def read(cls, document: Json) -> Self:
        """Read what `document` gave; what is not of that form is left out."""
        members = document if isinstance(document, dict) else {}
        covered, answer_id = members.get("covered"), members.get("id")
        about = members.get("about")
        return cls(
            _calls(members.get("approved")),
            str(members.get("code")),
            tuple(map(str, covered)) if isinstance(covered, list) else (),
            _calls(members.get("denied")),
            members.get("preview") is True,
            answer_id if isinstance(answer_id, str) else None,
            tuple(filter(None, map(_key, about))) if isinstance(about, list) else None,
            _readings(members.get("readings")),
        )

    def event(self, question: Key) -> Decided:
        """Return it as the answer to *question*."""
        keys = [Key(question.run, call.key.task, *call.key[1:3]) for call in self.approved]
        return Decided(
            question,
            frozenset(keys),
            self.code,
            frozenset(self.covered),
            answer_id=self.answer_id,
            about=None
            if self.about is None
            else frozenset([Key(question.run, *key[:3]) for key in self.about]),
            readings=tuple(
                [(Key(question.run, *call.key[:3]), reading) for call, reading in self.readings]
            ),
        )


def _rows(calls: Iterable[DecidedCall]) -> list[Json]:
    return [[key.task, key.item, [*key.at], key.round, digest] for key, digest in calls]


def _calls(rows: Json) -> tuple[DecidedCall, ...]:
    read = [_call(row) for row in (rows if isinstance(rows, list) else [])]
    return tuple([call for call in read if call is not None])


def _readings(rows: Json) -> tuple[tuple[DecidedCall, Reading], ...]:
    found = []
    for row in rows if isinstance(rows, list) else []:
        match row:
            case [decided, [str(name), str(reader), dict(arguments), bool(is_file), str(digest)]]:
                if (call := _call(decided)) is not None:
                    found.append((call, Reading(name, reader, arguments, is_file, digest)))
    return tuple(found)


def _call(row: Json) -> DecidedCall | None:
    match row:
        case [task, item, at, int(round), str(digest)]:
            key = _key([task, item, at])
            return None if key is None else DecidedCall(key._replace(round=round), digest)
    return None


def _key(row: Json) -> CallKey | None:
    match row:
        case [str(task), int() | None as item, [*at]]:
            return CallKey(task, item, tuple([one for one in at if isinstance(one, int)]))
    return None
