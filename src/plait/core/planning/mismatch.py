"""Reports on references that lead nowhere or bring values that do not fit: problems where that is
certain, notes where it is likely, and the fixed text where it is certain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..language.references import FROM_TEXT, Missing, Omitted, Reference, Step, own_text
from ..language.templates import Template
from ..values.problems import (
    MAX_FIX_CHARS,
    MAX_GUESSES,
    MAX_SHOWN,
    Fix,
    Op,
    Problem,
    nearest,
    slip_of,
    written,
)
from ..values.schema import Place
from ..values.strict import Json, dumps, short
from .flow import Flow, Judgement
from .keywords import Forms, Part, declared
from .places import (
    Location,
    fields_of,
    has_more,
    listed,
    location_of,
    part_at,
    place_of_item,
    quoted,
    spelled,
    step_text,
)
from .plan import PlannedTask
from .types import Fit, Types, Value

_SCALARS = frozenset({"string", "integer", "fraction", "boolean"})
_TEXTS = _SCALARS - {"string"}
"""The kinds of values that are rarely written otherwise as text than they are."""
_TEXT = Value(((Part({"type": "string"}, {}),),))
_ENDINGS = frozenset(
    [
        *("bak", "conf", "css", "csv", "diff", "docx", "gif", "go", "gz", "htm", "html", "ini"),
        *("ipynb", "java", "jpeg", "jpg", "js", "json", "jsonl", "lock", "log", "md", "patch"),
        *("pdf", "php", "png", "py", "rb", "rs", "rst", "sh", "sql", "svg", "tar", "tex", "tmp"),
        *("toml", "ts", "tsv", "txt", "webp", "xlsx", "xml", "yaml", "yml", "zip"),
    ]
)
"""The ends of names of files."""
_COUNTS = frozenset({"length", "size", "count", "len"})
"""Names under which other languages have the number of elements."""
_OMIT = re.compile(r"\s*\?\?\s*\$?OMIT(?=\s*\}$)")
MAX_NOTES = 20
"""Most notes on references per document."""


class Mismatches:
    """A check of the references of one DAG; it adds to *problems* and *notes*."""

    def __init__(self, flow: Flow, problems: list[Problem], notes: list[str]) -> None:
        self._flow = flow
        self._problems = problems
        self._notes = notes
        self._room_for_notes = MAX_NOTES
        self.may_have_more = False
        """Whether notes were left out, or not looked for, once there were `MAX_NOTES`."""

    def look_at(self, planned: PlannedTask, path: str) -> None:
        """Check the references of *planned*, which stands at *path* in the document."""
        if planned.items is not None and planned.items.fill is not None:
            self._items(planned, planned.items, f"{path}.for_each")
        for place, pieces in planned.arguments.fill or ():
            if not isinstance(pieces, Reference):
                self._text(planned, path, place, pieces)
            elif pieces.is_guarded:
                self._with_default(planned, path, place, pieces)
            elif pieces.pipe is None or self._is_there(planned, path, place, pieces):
                judged = self._flow.value(planned, place, pieces)
                if not judged.is_fine:
                    self._value(location_of(planned, path, place, pieces), judged, None)

    def _with_default(
        self, planned: PlannedTask, path: str, place: Place, reference: Reference
    ) -> None:
        """Check *reference*, which stands alone at *place* in the arguments of *planned*, and its
        defaults."""
        if reference.pipe is not None and not self._is_there(planned, path, place, reference):
            return
        if isinstance(reference.last, Omitted) and (
            not place or self._is_required(planned, path, place)
        ):
            return
        judged = self._flow.value(planned, place, reference)
        default = self._flow.default(planned, place, reference)
        if not judged.is_fine or default is Fit.WRONG:
            self._value(location_of(planned, path, place, reference), judged, default)
        if isinstance(reference.default, Reference):
            self._defaults(planned, path, place, reference.default)

    def _items(self, planned: PlannedTask, items: Template, path: str) -> None:
        for place, reference in [(place, link) for place, one in items.heads for link in one.chain]:
            where = path + written(place_of_item(planned.task, place))
            at = Location(planned, where, place, reference, reference.text)
            if reference.pipe is not None:
                self._path(at, self._flow.piece(planned, reference))
            judged = (
                self._flow.piece(planned, reference)
                if place
                else self._flow.list_(planned, reference)
            )
            is_fit = judged.verdict is not Fit.WRONG or self._flow.is_over_members(
                planned, judged.walk.value
            )
            if place or is_fit or judged.walk.stopped is not None:
                self._path(at, judged)
            elif reference.is_guarded:
                self._note(at, f"for_each takes a list; {at.shown} is {self._given(judged)}")
            else:
                self._no_list(at, judged)

    def _defaults(
        self, planned: PlannedTask, path: str, place: Place, reference: Reference
    ) -> None:
        """Check the paths of the references that are defaults; whether their values fit is said
        with the first."""
        for link in reference.chain:
            self._is_there(planned, path, place, link)

    def _is_required(self, planned: PlannedTask, path: str, place: Place) -> bool:
        """Check whether the argument at *place*, which may be left out as it is written, is one
        that the tool must get."""
        schema = planned.tool.input
        if not planned.makes_calls or self._flow.may_be_missing(schema, place):
            return False
        text = str(part_at(planned.arguments.value, place))
        fixed = _OMIT.sub("", text)
        fix = Fix(Op.REPLACE, fixed)
        name = written(place).lstrip(".")
        message = f"{name} is required, so it cannot be left out."
        hint = f"{fix.advice} Signature: {planned.tool.signature}"
        at = f"{path}.{planned.field}{written(place)}"
        self._problems.append(Problem(at, "invalid_arguments", message, hint, planned.id, fix))
        return True

    def _is_there(
        self, planned: PlannedTask, path: str, place: Place, reference: Reference
    ) -> bool:
        """Check whether the path of *reference* leads anywhere, whatever becomes of its value."""
        judged = self._flow.piece(planned, reference)
        if not judged.is_fine:
            self._path(location_of(planned, path, place, reference), judged)
        return judged.walk.stopped is None

    def _text(
        self, planned: PlannedTask, path: str, place: Place, pieces: tuple[str | Reference, ...]
    ) -> None:
        references = {link.text: link for link in _links(pieces)}
        for reference in references.values():
            judged = self._flow.piece(planned, reference)
            if not judged.is_fine:
                self._path(location_of(planned, path, place, reference), judged)
        if self._flow.text(planned, place).verdict is Fit.WRONG:
            self._no_text(location_of(planned, path, place, next(iter(references.values()))))

    def _path(self, at: Location, judged: Judgement) -> None:
        """Check whether the path of the reference at *at* leads anywhere."""
        if judged.walk.stopped is None:
            self._doubts(at, judged)
        elif at.reference.is_guarded:
            self._never_there(at, judged, judged.walk.stopped)
        else:
            self._nothing_there(at, judged, judged.walk.stopped)

    def _value(self, at: Location, judged: Judgement, default: Fit | None) -> None:
        """Check whether the reference at *at*, a value of its own, leads to something that fits.
        *default* says whether a default of it does."""
        otherwise = at.reference.default
        shown = otherwise.text if isinstance(otherwise, Reference) else short(otherwise)
        if judged.walk.stopped is not None and default is Fit.WRONG:
            self._mismatch(
                at,
                judged,
                f"{at.shown} is never there, and its default is {shown}",
            )
        elif judged.walk.stopped is not None:
            self._path(at, judged)
        elif judged.verdict is Fit.WRONG and default in {None, Fit.WRONG}:
            also = "" if default is None else f", and its default is {shown}"
            if isinstance(otherwise, Reference):
                also = f", and its default {shown} does not fit either"
            given = self._given(judged)
            alike = (
                " too, but of another kind"
                if self._wanted(at).endswith(f" must be {given}")
                else ""
            )
            self._mismatch(at, judged, f"{at.shown} is {given}{alike}{also}")
        else:
            self._doubts(at, judged)
            if judged.verdict is Fit.WRONG:
                self._note(
                    at,
                    f"{self._wanted(at)}; {at.shown} is {self._given(judged)}: only its "
                    "default fits",
                )
            if judged.verdict is Fit.EMPTY:
                self._note(
                    at,
                    f"{self._wanted(at)} of another kind; of {at.shown} only an empty list fits",
                )
            if default is Fit.WRONG:
                self._note(
                    at,
                    f"{self._wanted(at)}; the default of {at.shown} does not fit",
                )

    def _nothing_there(self, at: Location, judged: Judgement, stopped: int) -> None:
        fields = self._fields(judged.walk.before)
        path = at.reference.path
        near, meant = _near(path[stopped], fields)
        fix = (
            None if meant is None else at.rewritten((*path[:stopped], meant, *path[stopped + 1 :]))
        )
        hints = [_where_it_ends(judged.walk.before, path[stopped], at.container(stopped))]
        if fix is None and (fix := self._before_an_ending(at, judged, stopped)) is not None:
            hints = []
        if fix is None and (fix := self._of_list(at, judged, stopped)) is not None:
            hints = []
        if stopped == 0 and isinstance(path[0], str) and self._flow.is_paged(at.reference):
            name = quoted(path[0])
            where = f"{at.reference.task}, and leave {step_text(path[0])} out here"
            hints = [f"It is the list of what all pages gave: write select: {name} in {where}."]
        if fields:
            hints = [listed(fields)]
        if fix is not None:
            hints.insert(0, f"Write {short(fix, MAX_SHOWN)}.")
        elif near is not None:
            hints.insert(0, f"Did you mean {spelled(at.reference, (*path[:stopped], near))}?")
        message = f"{at.shown}: {self._why_nothing(at, judged, stopped, fields)}."
        self._say(at, "invalid_reference", message, " ".join(hints), fix)

    def _before_an_ending(self, at: Location, judged: Judgement, stopped: int) -> Json:
        """Return the text of the reference at *at* with braces where it goes on as the name of a
        file: `${INDEX}.txt`."""
        reference, text = at.reference, at.text
        ending = reference.path[stopped:]
        if ending[-1] not in _ENDINGS or reference.is_guarded:
            return None
        kinds = [kind for form in judged.walk.before for kind in self._flow.types().kinds(form)]
        written_ = spelled(reference, reference.path)
        if (
            not kinds
            or not _SCALARS.issuperset(kinds)
            or not all(isinstance(step, str) for step in ending)
            or reference.text != written_
            or not isinstance(text, str)
            or text.count(written_) != 1
            or len(text) > MAX_FIX_CHARS
        ):
            return None
        own = spelled(reference, reference.path[:stopped])
        return text.replace(written_, f"${{{own[1:]}}}{written_[len(own) :]}")

    def _of_list(self, at: Location, judged: Judgement, stopped: int) -> Json:
        """Return the text of the reference at *at* with what it means where it goes on in a list as
        in other languages: `.length`, or an index in quotes."""
        reference, text, step = at.reference, at.text, at.reference.path[stopped]
        kinds = {kind for form in judged.walk.before for kind in self._flow.types().kinds(form)}
        if kinds != {"array"} or not isinstance(step, str):
            return None
        before, after = reference.path[:stopped], reference.path[stopped + 1 :]
        if step.isdecimal() and step.isascii() and len(step) < 10:
            return at.rewritten((*before, int(step), *after))
        written_ = spelled(reference, reference.path)
        is_plain = reference.text in (written_, f"${{{written_[1:]}}}")
        if step not in _COUNTS or after or reference.is_guarded or not is_plain:
            return None
        if not isinstance(text, str) or text.count(reference.text) != 1:
            return None
        own = spelled(reference, before)
        return text.replace(reference.text, f"${{{own[1:]} | length(@)}}")

    def _never_there(self, at: Location, judged: Judgement, stopped: int) -> None:
        if not self._room_for_notes:
            self.may_have_more = True
            return
        fields = fields_of(self._flow.types(), judged.walk.before)
        near, _ = _near(at.reference.path[stopped], fields)
        asked = f'; did you mean "{near}"?' if near is not None else ""
        why = self._why_nothing(at, judged, stopped, fields)
        self._note(at, f"{at.shown}: {why}, so its default is always used{asked}")

    def _why_nothing(
        self, at: Location, judged: Judgement, stopped: int, fields: Mapping[str, str]
    ) -> str:
        step, where = at.reference.path[stopped], at.container(stopped)
        if isinstance(step, str) and fields:
            return f"{where} has no {quoted(step)}"
        there = self._flow.types().described(Value(judged.walk.before))
        return f"{where} is {there}, and there is no {step_text(step)} in it"

    def _mismatch(self, at: Location, judged: Judgement, why: str) -> None:
        as_text = self._as_text(at, judged) if len(self._problems) < MAX_GUESSES else None
        fix = as_text or self._fitting(at, judged)
        value = judged.walk.value
        hints = [] if fix is None else [f"Write {short(fix, MAX_SHOWN)}."]
        fields = self._fields(value.forms) if not value.lists else {}
        is_another_meant = fix is None or as_text is not None
        if not fields and is_another_meant and at.reference.path and at.reference.pipe is None:
            fields = self._fields(judged.walk.before)  # its siblings
        hints += [listed(fields)] if fields else []
        hints.append(f"Signature: {at.planned.tool.signature}")
        self._say(at, "type_mismatch", f"{self._wanted(at)}; {why}.", " ".join(hints), fix)

    def _fitting(self, at: Location, judged: Judgement) -> Json:
        """Return a rewritten reference that fits: into an SDK's wrapper, or a list around the
        value."""
        value, reference = judged.walk.value, at.reference
        if reference.is_guarded or reference.pipe is not None or not value.forms:
            return None
        wanted = self._flow.wanted(at.planned.tool.input, at.place)
        types = self._flow.types()
        if not reference.path and [*declared(value.forms)] == ["result"]:
            inside = self._flow.value(at.planned, at.place, reference._replace(path=("result",)))
            return at.rewritten(("result",)) if inside.verdict is not Fit.WRONG else None
        is_list = value.lists > 0 or any("array" in types.kinds(form) for form in value.forms)
        elements = () if is_list else types.step(wanted, 0)
        return [at.text] if elements and types.feeds(value, elements) is not Fit.WRONG else None

    def _as_text(self, at: Location, judged: Judgement) -> str | None:
        """Return the reference at *at*, to a number or a boolean, as the text that is wanted."""
        value, reference, types = judged.walk.value, at.reference, self._flow.types()
        kinds = [kind for form in value.forms for kind in types.kinds(form)]
        wanted = self._flow.wanted(at.planned.tool.input, at.place)
        is_text = types.feeds(_TEXT, wanted) is not Fit.WRONG
        if value.lists or not kinds or not _TEXTS.issuperset(kinds) or not is_text:
            return None
        match reference.default:
            case Missing.DEFAULT:
                default = ""
            case Omitted.ARGUMENT:
                default = " ?? OMIT"
            case bool() | int() | float() as number:
                default = f" ?? {dumps(dumps(number))}"
            case _:
                return None
        made = "@" if reference.pipe is None else reference.pipe.expression.text
        return f"${{{own_text(reference)} | to_string({made}){default}}}"

    def _no_text(self, at: Location) -> None:
        alone = at.reference.text
        fits = isinstance(at.text, str) and at.text.strip() == alone
        fix = (
            alone if fits and self._flow.value(at.planned, at.place, at.reference).is_fine else None
        )
        hint = (
            f"Write {short(alone, MAX_SHOWN)} and nothing else. Signature: "
            f"{at.planned.tool.signature}"
        )
        why = "a text with a reference in it is a string"
        self._say(at, "type_mismatch", f"{self._wanted(at)}; {why}.", hint, fix)

    def _no_list(self, at: Location, judged: Judgement) -> None:
        fields = self._fields(judged.walk.value.forms)
        lists = [name for name, kind in fields.items() if kind in {"array", "array|null"}]
        fix = at.rewritten((*at.reference.path, lists[0])) if len(lists) == 1 else None
        hint = listed(fields) if fields else FROM_TEXT
        if fix is not None:
            hint = f"Write {short(fix, MAX_SHOWN)}."
        message = f"for_each takes a list; {at.shown} is {self._given(judged)}."
        self._say(at, "type_mismatch", message, hint, fix)

    def _doubts(self, at: Location, judged: Judgement) -> None:
        """Note a path that may lead somewhere, though no schema declares it."""
        if judged.walk.doubtful is not None:
            number, before = judged.walk.doubtful
            self._undeclared(
                at, number, before, f"the schema of {at.container(number)} declares no"
            )
        if (learned := judged.learned) is not None:
            doubtful = (
                learned.doubtful if learned.stopped is None else (learned.stopped, learned.before)
            )
            if doubtful is not None and not has_more(doubtful[1]):
                tool = self._flow.tool_of(at.reference.task)
                self._undeclared(at, *doubtful, f"earlier outputs of {tool} had no")

    def _undeclared(self, at: Location, number: int, before: Forms, shown: str) -> None:
        step = at.reference.path[number]
        if not isinstance(step, str):
            return
        if not self._room_for_notes:
            self.may_have_more = True
        elif fields := fields_of(self._flow.types(), before):
            near, _ = _near(step, fields)
            self._note(
                at,
                f"{shown} {quoted(step)}"
                + (f'; did you mean "{near}"?' if near is not None else ""),
            )

    def _wanted(self, at: Location) -> str:
        wanted = self._flow.wanted(at.planned.tool.input, at.place)
        return f"{at.argument} must be {self._flow.types().described(Value(wanted))}"

    def _given(self, judged: Judgement) -> str:
        return self._flow.types().described(judged.walk.value)

    def _fields(self, forms: Forms) -> Mapping[str, str]:
        """List the fields for a message, for the first problems of a document only: it takes a
        while."""
        return fields_of(self._flow.types(), forms) if len(self._problems) < MAX_GUESSES else {}

    def _say(self, at: Location, code: str, message: str, hint: str, fix: Json) -> None:
        replaced = None if fix is None else Fix(Op.REPLACE, fix)
        self._problems.append(Problem(at.path, code, message, hint, at.planned.id, replaced))

    def _note(self, at: Location, text: str) -> None:
        if not self._room_for_notes:
            self.may_have_more = True
            return
        self._room_for_notes -= 1
        self._notes.append(f"{at.path}: {text}")


def _links(pieces: Reference | tuple[str | Reference, ...]) -> Iterator[Reference]:
    """Yield the references in *pieces*, each with those that are its defaults."""
    for piece in (pieces,) if isinstance(pieces, Reference) else pieces:
        if isinstance(piece, Reference):
            yield from piece.chain


def _near(step: Step, fields: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the nearest of *fields*, and the one that *step* was certainly meant to be, if any."""
    near = nearest(step, fields) if isinstance(step, str) else []
    return (near[0], slip_of(str(step), fields)) if near else (None, None)


def _where_it_ends(before: Forms, step: Step, where: str) -> str:
    if any("array" in Types().kinds(form) for form in before):
        return (
            "It is not that long."
            if isinstance(step, int)
            else "Take one with [0], or all with [*]."
        )
    return f"The path can end there: {where}."
