"""Reads a document as a client sends it, and finds every problem of form in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ...errors import InvalidDag
from ..values import near_json
from ..values.problems import (
    MAX_GUESSES,
    Fix,
    Op,
    Problem,
    Problems,
    TooManyProblems,
    first_of,
)
from ..values.strict import DOCUMENT_DEPTH, NotStrict, measure, short
from .dag import DAG_FIELDS, TASK_FIELDS, Dag, Task
from .definitions import without_those_used
from .forms import (
    EXAMPLE,
    MAX_NESTING,
    OF_CALLS,
    OF_GROUPS,
    count,
    duplicates,
    nested,
    one_of_its_kind,
    too_deep,
)
from .ids import give_id, keep_apart
from .json_text import corrections, fix_of, flaw_of, read_text
from .repeats import endless, read_repeat
from .retries import gathered, read_retries
from .spelling import Spelling, Stray
from .validation import UNIONS, fixed_field, problem_of, without_invalid
from .variants import dag_spelling, task_spelling

MAX_BYTES = 4 * 2**20
MAX_TASKS = 10_000

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reading:
    """The readable part of a document: `dag` has its well-formed tasks and options."""

    dag: Dag
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Problems of form in the rest: types, unknown and missing fields, ids, limits."""
    malformed: frozenset[str] = frozenset()
    """The ids of tasks that could not be read: they exist, so references to them are not wrong."""
    unread: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The invalid fields that were left out of tasks in `dag`, by task."""
    places: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The indices of the tasks in `dag` in the document, by id: others may not have been read.
    Empty if all were read and no run is resumed."""
    inner: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The same of the tasks in groups of which not all could be read, by the path of the group."""
    strays: Mapping[str, tuple[dict[str, Any], dict[str, Stray]]] = field(default_factory=dict)
    """The members of tasks with unknown ones, as they were understood, and the unknown, by path."""
    size_bytes: int = 0
    """The size of the document as JSON."""


def read_dag(
    document: object, *, max_tasks: int = MAX_TASKS, max_bytes: int = MAX_BYTES
) -> Reading:
    """Read *document*: a parsed JSON value, JSON text, or a `Dag`. Raises `InvalidDag` if nothing
    of it can be read."""
    if isinstance(document, Dag):
        return _read_model(document, max_tasks)
    reader = _Reader(max_tasks)
    members = reader.members(document, max_bytes)
    if (dag := _read_at_once(members, max_tasks)) is not None:
        problems = tuple(duplicates(dag.tasks))
        places = {} if dag.resume_from is None else _places(enumerate(dag.tasks))
        size = reader.size_bytes
        return Reading(dag, tuple(reader.notes), problems, places=places, size_bytes=size)
    try:
        return _read_slowly(reader, members)
    except TooManyProblems as error:
        known = [*reader.problems, *(() if error.problems is reader.problems else error.problems)]
        raise InvalidDag(first_of(known), reader.notes) from None


def _read_slowly(reader: _Reader, members: dict[str, Any]) -> Reading:
    """Read a document that has variants or problems of form. Raises `TooManyProblems`."""
    spelling = dag_spelling(members, DAG_FIELDS)
    reader.notes += spelling.notes
    given = spelling.members.pop("tasks", None)
    of_tasks = [problem for problem in spelling.problems if _is_of_tasks(problem)]
    reader.problems += of_tasks
    has_tasks_elsewhere = not spelling.members.keys().isdisjoint(("resume_from", "apply"))
    tasks = reader.tasks(given, may_be_empty=bool(of_tasks) or has_tasks_elsewhere)
    give_id(reader.problems, given, members, spelling.members)
    reader.problems += duplicates(
        [task for _, task in tasks], "tasks", [index for index, _ in tasks], reader.inner
    )
    keep_apart(reader.problems, reader.meant)
    reader.problems += [problem for problem in spelling.problems if problem not in of_tasks]
    unknown = [("", spelling.strays), *((path, one) for path, (_, one) in reader.strays.items())]
    reader.problems[:] = without_those_used(reader.problems, unknown, members, reader.ids)
    places = _places(tasks)
    options = reader.validated(Dag, {**spelling.members, "tasks": ()}, "", None) or Dag(tasks=())
    return Reading(
        dag=options.model_copy(update={"tasks": tuple(task for _, task in tasks)}),
        notes=tuple(reader.notes),
        problems=tuple(reader.problems),
        malformed=frozenset(reader.ids) - reader.read,
        unread=reader.unread,
        places=places,
        inner=reader.inner,
        strays=reader.strays,
        size_bytes=reader.size_bytes,
    )


def _read_at_once(members: dict[str, Any], max_tasks: int) -> Dag | None:
    """Return the DAG if it needs no rewriting and has no problems of form, as most; else None."""
    tasks = members.get("tasks")
    if not isinstance(tasks, list) or not isinstance(members.get("return", []), list):
        return None
    if (
        not 0 < len(tasks) <= max_tasks
        or not members.keys() <= DAG_FIELDS
        or None in members.values()
    ):
        return None
    if not all(isinstance(task, dict) and _is_usual(task) for task in tasks):
        return None
    try:
        return Dag.model_validate(members, by_alias=True, by_name=False)
    except ValidationError:
        return None


def _read_model(dag: Dag, max_tasks: int) -> Reading:
    """Read a `Dag` made in Python: check only what its models cannot express."""
    may_be_empty = dag.resume_from is not None or dag.apply is not None
    problems = list(count(_number_of(dag.tasks), max_tasks, may_be_empty=may_be_empty))
    size = 0
    for path, task in _walked(dag.tasks, "tasks"):
        problems += one_of_its_kind(task.model_fields_set, path, task.id)
        if task.tasks is not None:
            problems += nested(path, task)
        if task.repeat is not None:
            problems += endless(task.repeat, f"{path}.repeat", task.id)
        value = {"arguments": task.arguments, "value": task.value, "for_each": task.for_each}
        try:
            size += measure(value, DOCUMENT_DEPTH)
        except NotStrict as error:
            message = f"This is not strict JSON: {error}."
            problems.append(Problem(path, "invalid_json", message, None, task.id))
    if problems:
        raise InvalidDag(problems)
    return Reading(dag, problems=tuple(duplicates(dag.tasks)), size_bytes=size)


def _walked(tasks: Iterable[Task], path: str) -> Iterator[tuple[str, Task]]:
    """Yield each task, inner ones too, with its path."""
    for index, task in enumerate(tasks):
        yield f"{path}[{index}]", task
        yield from _walked(task.tasks or (), f"{path}[{index}].tasks")


def _number_of(tasks: Iterable[Task]) -> int:
    return sum(1 + _number_of(task.tasks or ()) for task in tasks)


class _Reader:
    """One pass over one document; collects problems and notes on the way."""

    def __init__(self, max_tasks: int) -> None:
        self.max_tasks = max_tasks
        self.notes: list[str] = []
        self.problems: list[Problem] = Problems()
        self.unread: dict[str, frozenset[str]] = {}
        self.strays: dict[str, tuple[dict[str, Any], dict[str, Stray]]] = {}
        self.ids: list[str] = []
        """The ids of all tasks, also of those that could not be read; of tasks in groups with the
        ids of those before them (`group.task`)."""
        self.inner: dict[str, tuple[int, ...]] = {}
        self.read: set[str] = set()
        """The ids of those that could be read, likewise."""
        self.meant: dict[str, str] = {}
        """The ids of all tasks, by place and without spaces around them."""
        self._before: tuple[str, ...] = ()
        """The ids of the groups around what is read."""
        self._count = 0
        self.size_bytes = 0

    def members(self, document: object, max_bytes: int) -> dict[str, Any]:
        """Return the members of the document. Raises `InvalidDag` if it has none."""
        document, slips, self.size_bytes = _strict(document, max_bytes)
        self.notes += corrections("the document", slips)
        if isinstance(document, list):
            self.notes.append("a list was sent; it was taken as tasks")
            return {"tasks": document}
        if not isinstance(document, dict):
            message = f"A DAG is a JSON object with tasks; this is {short(document)}."
            raise InvalidDag([Problem("$", "wrong_type", message, EXAMPLE)])
        return document

    def tasks(self, tasks: object, *, may_be_empty: bool) -> list[tuple[int, Task]]:
        """Return the tasks that could be read, each with its index in the document."""
        if tasks is None and may_be_empty:
            return []
        if not isinstance(tasks, list):
            code, what = (
                ("missing_field", "is missing")
                if tasks is None
                else ("wrong_type", "must be a list")
            )
            self.problems.append(Problem("tasks", code, f"tasks {what}.", EXAMPLE))
            return []
        if problems := list(count(len(tasks), self.max_tasks, may_be_empty=may_be_empty)):
            self.problems += problems
            return []
        return self._listed(tasks, "tasks")

    def _listed(self, tasks: list[object], path: str) -> list[tuple[int, Task]]:
        self._count += len(tasks)
        if self._count > self.max_tasks:
            self.problems += count(self._count, self.max_tasks, may_be_empty=True)
            return []
        read = ((index, self.task(one, f"{path}[{index}]")) for index, one in enumerate(tasks))
        return [(index, task) for index, task in read if task is not None]

    def _group(self, tasks: object, path: str, id: str | None) -> tuple[Task, ...]:
        """Read the tasks of a group. They may come as JSON text, as a map, or as one task."""
        place = f"{path}.tasks"
        spelling = dag_spelling({"tasks": tasks}, frozenset({"tasks"}))
        self.notes += [f"{path}: {note}" for note in spelling.notes]
        tasks = spelling.members.get("tasks")
        if not isinstance(tasks, list):
            message = f"tasks must be a list; it is {short(tasks)}."
            self.problems.append(Problem(place, "wrong_type", message, EXAMPLE, id))
            return ()
        if len(self._before) >= MAX_NESTING:
            self.problems.append(too_deep(path, id))
            return ()
        if not tasks:
            message = "A group has at least one task."
            self.problems.append(Problem(place, "limit_exceeded", message, "Send one.", id))
        self._before += (id or "",)
        read = self._listed(tasks, place)
        self._before = self._before[:-1]
        if len(read) < len(tasks):
            self.inner[place] = tuple([index for index, _ in read])
        return tuple([task for _, task in read])

    def task(self, members: object, path: str) -> Task | None:
        members = self._parsed(members, path)
        if not isinstance(members, dict):
            message = f"A task must be an object; this is {short(members)}."
            self.problems.append(Problem(path, "wrong_type", message, EXAMPLE))
            return None
        id = members.get("id") if isinstance(members.get("id"), str) else None
        members, of_retries = gathered(members, path, id)
        self.problems += of_retries
        guesses = MAX_GUESSES - len(self.problems)
        spelling = (
            Spelling(members)
            if _is_usual(members)
            else task_spelling(members, TASK_FIELDS, path, id, guesses=guesses)
        )
        self.notes += spelling.notes
        self.problems += spelling.problems
        if spelling.strays:
            self.strays[path] = dict(spelling.members), spelling.strays
        whole_id = ".".join([*self._before, str(spelling.members.get("id"))])
        if isinstance(spelling.members.get("id"), str):
            self.ids.append(whole_id)
            self.meant[f"{path}.id"] = ".".join([*self._before, spelling.members["id"].strip()])
        before = len(self.problems) - len(spelling.problems)
        own = [problem.path for problem in spelling.problems]
        if "tasks" in spelling.members:
            known = len(self.problems)
            spelling.members["tasks"] = self._group(spelling.members["tasks"], path, id)
            before += len(self.problems) - known
        if "repeat" in spelling.members:
            guesses = MAX_GUESSES - len(self.problems)
            repeat = read_repeat(spelling.members["repeat"], f"{path}.repeat", id, guesses=guesses)
            spelling.members["repeat"] = repeat.members
            self.notes += repeat.notes
            self.problems += repeat.problems
            if not repeat.members:
                del spelling.members["repeat"]
        if "retries" in spelling.members:
            given, guesses = spelling.members["retries"], MAX_GUESSES - len(self.problems)
            retries = read_retries(given, f"{path}.retries", id, guesses=guesses)
            if retries is not None:
                self.notes += retries.notes
                self.problems += retries.problems
                spelling.members = {**spelling.members, "retries": retries.members}
                if "max" not in retries.members:
                    del spelling.members["retries"]
        task = self.validated(Task, spelling.members, path, id)
        self.problems += one_of_its_kind(spelling.members.keys(), path, id)
        if spelling.members.keys().isdisjoint({"tool", "value", "tasks"}):
            return None
        if task is not None:
            self.read.add(whole_id)
        own += [problem.path for problem in self.problems[before + len(own) :]]
        if task is not None and own:
            wrong = [place.removeprefix(f"{path}.") for place in own]
            self.unread[whole_id] = frozenset(re.split(r"[.[]", name)[0] for name in wrong)
        return task

    def _parsed(self, task: object, path: str) -> object:
        """Decode a task that came as JSON text."""
        if not isinstance(task, str):
            return task
        try:
            value, notes = read_text(task, path)
        except NotStrict:
            return task
        self.notes += notes
        return value

    def validated(
        self, model: type[Model], members: dict[str, Any], path: str, id: str | None
    ) -> Model | None:
        """Validate *members* without its invalid fields; None if the model needs those."""

        def problem(detail: ErrorDetails) -> Problem:
            name, *inner = detail["loc"]
            fix = None
            if not inner or name in UNIONS:
                fix = fixed_field(model, str(name), members.get(str(name)), detail)
            return problem_of(detail, path, id, fix)

        try:
            return model.model_validate(members, by_alias=True, by_name=False)
        except ValidationError as error:
            valid, problems = without_invalid(members, error, problem)
        self.problems += problems
        try:
            return model.model_validate(valid)
        except ValidationError:
            return None


_STR = frozenset({str})
_PLAIN = frozenset({"id", "tool", "arguments"})
"""The fields of most tasks."""
_OF_OTHERS = OF_GROUPS | {"value", "tasks"}
"""The fields that a call has not."""


def _is_usual(members: Mapping[str, Any]) -> bool:
    """Return whether a task has no variant spellings. Most have none and need no second look."""
    if members.keys() == _PLAIN and isinstance(members["arguments"], dict):
        id, tool = members["id"], members["tool"]
        return isinstance(id, str) and isinstance(tool, str) and ":" in tool
    items = members.get("for_each")
    return (
        members.keys() <= TASK_FIELDS
        and isinstance(members.get("id"), str)
        and isinstance(members.get("arguments", {}), dict)
        and isinstance(needs := members.get("depends_on", []), list)
        and _STR.issuperset(map(type, needs))
        and not (isinstance(items, str) and items.lstrip().startswith(("[", "{")))
        and "repeat" not in members
        and None not in members.values()
        and not ("on_item_failure" in members and items is None)
        and _is_usual_kind(members)
    )


def _is_usual_kind(members: Mapping[str, Any]) -> bool:
    if "tool" in members:
        tool = members["tool"]
        return members.keys().isdisjoint(_OF_OTHERS) and isinstance(tool, str) and ":" in tool
    if "tasks" not in members:
        return "value" in members and OF_CALLS.isdisjoint(members) and OF_GROUPS.isdisjoint(members)
    return False  # groups are read with a second look


def _is_of_tasks(problem: Problem) -> bool:
    """Return whether *problem* is that of the tasks as a whole, whose fix comes before theirs."""
    return problem.path == "tasks" or problem.fix == Fix(Op.RENAME, "tasks")


def _places(tasks: Iterable[tuple[int, Task]]) -> dict[str, tuple[int, ...]]:
    places: dict[str, tuple[int, ...]] = {}
    for index, task in tasks:
        places[task.id] = (*places.get(task.id, ()), index)
    return places


def _strict(document: object, max_bytes: int) -> tuple[object, list[str], int]:
    """Decode *document* if it is text; also return what was corrected in it, and its size. Raises
    `InvalidDag` unless it is strict JSON and not too large."""
    slips: list[str] = []
    try:
        if isinstance(document, str | bytes):
            size = len(document)
            if size <= max_bytes:
                document, slips = near_json.read(document)
        else:
            size = measure(document, DOCUMENT_DEPTH)
    except NotStrict as error:
        fix = fix_of(error)
        if isinstance(document, str | bytes) and not document.strip():
            raise InvalidDag([Problem("$", "invalid_json", "The DAG is empty.", EXAMPLE)]) from None
        raise InvalidDag(
            [
                Problem(
                    "$",
                    "invalid_json",
                    f"The DAG is {flaw_of(error)}.",
                    "Send the whole DAG again." + (f" {fix.advice}" if fix is not None else ""),
                    fix=fix,
                )
            ]
        ) from None
    if size > max_bytes:
        message = f"The DAG has {size:,} bytes; at most {max_bytes:,} are read."
        raise InvalidDag(
            [
                Problem(
                    "$", "limit_exceeded", message, "Split it, or leave large values to references."
                )
            ]
        )
    return document, slips, size
