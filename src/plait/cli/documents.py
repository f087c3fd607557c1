"""DAGs from a file or standard input, in JSON or TOML, with the changes that options make."""

from __future__ import annotations

import codecs
import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..config.named_files import Unreadable, read_named, read_within
from ..core.language.dag import DAG_FIELDS, TASK_FIELDS
from ..core.language.json_text import corrections
from ..core.language.variants import dag_spelling, task_spelling
from ..core.values import near_json
from ..core.values.problems import Problem, did_you_mean
from ..core.values.strict import Json, JsonObject, NotStrict, loads, short
from ..errors import InvalidDag
from .exits import Misused

STDIN = "-"
MAX_INPUT_BYTES = 64 * 2**20

_JSON_START = re.compile(rb"\s*(\{|\[\s*[{\]]|```|~~~|$)")
_REFERENCE = re.compile(r"\$(?=\{?OUTPUT\[)")


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a DAG, and its name."""

    __pydantic_config__: ClassVar = {"ser_json_bytes": "base64", "val_json_bytes": "base64"}

    name: str
    data: bytes

    @property
    def is_toml(self) -> bool:
        """Whether its name says so; else whether it does not begin like a JSON object or list of
        objects, or a code fence."""
        if self.name.endswith((".toml", ".json")):
            return self.name.endswith(".toml")
        return not _JSON_START.match(self.data)


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes to a DAG from the command line. `arguments` are `id.argument=value`."""

    fail_fast: bool = False
    max_concurrency: int | None = None
    timeout_s: float | None = None
    arguments: tuple[str, ...] = ()
    durable: str | None = None
    resume_from: str | None = None
    preview: bool = False
    again: bool = False

    @property
    def options(self) -> JsonObject:
        """The fields of the DAG that are set."""
        given: JsonObject = {
            "fail_fast": self.fail_fast or None,
            "max_concurrency": self.max_concurrency,
            "timeout_s": self.timeout_s,
            "durable": self.durable,
            "resume_from": self.resume_from,
            "preview": self.preview or None,
            "again": self.again or None,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Document:
    """A DAG to submit. `notes` say what was rewritten in it before the gateway sees it."""

    value: object
    is_dry_run: bool = False
    notes: tuple[str, ...] = ()


def read_source(path: str) -> Source:
    """Read *path*, or standard input for `-`. Raises `Misused`."""
    if path == STDIN and sys.stdin.isatty():
        print("Reading a DAG from the terminal; Ctrl-D ends it.", file=sys.stderr)
    data = read_input(path, "DAG")
    return Source("standard input" if path == STDIN else path, data)


def read_input(path: str, hint: str) -> bytes:
    """Read *path*, or standard input for `-`, without the mark that some editors put before UTF-8.
    Raises `Misused`, which calls the parameter *hint*."""
    if not path:
        raise Misused("it is empty text: name a file, or - for standard input.", hint=hint)
    try:
        if path == STDIN:
            data = read_within(sys.stdin.buffer, MAX_INPUT_BYTES)
        else:
            data, _ = read_named(Path(path), MAX_INPUT_BYTES)
    except Unreadable as error:
        name = "standard input" if path == STDIN else path
        raise Misused(f"{name} cannot be read: {error}.", hint=hint) from None
    return data.removeprefix(codecs.BOM_UTF8)


def read_document(source: Source, changes: Changes | None = None) -> Document:
    """Read the DAG in *source* and apply *changes*.

    Raises `InvalidDag` for what is not TOML, and `Misused` for changes that cannot be
    made.
    """
    changes = changes or Changes()
    value: Any
    slips: list[str] = []
    if source.data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        problem = "The file is text in UTF-16; a DAG is read as UTF-8."
        hint = "Save it as UTF-8; in PowerShell: … | Out-File -Encoding utf8 FILE"
        raise InvalidDag([Problem("$", "invalid_encoding", problem, hint)])
    try:
        if source.is_toml:
            value = _toml(source.data)
        else:
            value, slips = near_json.read(source.data)
    except NotStrict:
        return Document(source.data)  # the gateway reports what is wrong, and where
    if isinstance(value, list):
        value = {"tasks": value}
    if not isinstance(value, dict):
        return Document(value)
    spelling = dag_spelling(value, DAG_FIELDS)
    is_dry_run = spelling.members.get("dry_run") is True
    if spelling.problems or not (changes.options or changes.arguments):
        return Document(source.data if slips else value, is_dry_run)  # the gateway notes slips
    noted = corrections("the document", slips)
    members = {**spelling.members, **changes.options}
    members["tasks"], notes = _with_arguments(members.get("tasks"), changes.arguments)
    return Document(members, is_dry_run, (*noted, *spelling.notes, *notes))


def is_no_text(word: str) -> bool:
    """Whether *word*, which a person typed, holds bytes that are not of the terminal's encoding."""
    return any("\ud800" <= letter <= "\udfff" for letter in word)


def literal(value: Json) -> Json:
    """Escape every reference in *value*: a single call has no other task to refer to."""
    match value:
        case str():
            return _REFERENCE.sub("$$", value)
        case list():
            return [literal(item) for item in value]
        case dict():
            return {name: literal(item) for name, item in value.items()}
    return value


def _toml(data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        problem = f"not UTF-8: {error.reason} at byte {error.start}"
    except tomllib.TOMLDecodeError as error:
        problem = f"not TOML: {str(error)[0].lower()}{str(error)[1:]}"
    except RecursionError:
        problem = "nested too deeply"
    raise InvalidDag([Problem("$", "invalid_json", f"The DAG is {problem}.", "Fix the file.")])


def _with_arguments(tasks: Any, settings: Sequence[str]) -> tuple[Any, list[str]]:
    """Set the arguments of *tasks* that *settings* name; also return notes on their variants."""
    if not isinstance(tasks, list) or not settings:
        return tasks, []
    notes: list[str] = []
    spelled = [_spelled(task, f"tasks[{index}]", notes) for index, task in enumerate(tasks)]
    named = {
        task["id"]: task
        for task in spelled
        if isinstance(task, dict) and isinstance(task.get("id"), str)
    }
    for setting in settings:
        _set(named, setting)
    return spelled, notes


def _spelled(task: Any, path: str, notes: list[str]) -> Any:
    if not isinstance(task, dict):
        return task
    spelling = task_spelling(task, TASK_FIELDS, path, None)
    if spelling.problems:
        return task
    notes += spelling.notes
    return spelling.members


def _set(tasks: dict[str, dict[str, Any]], setting: str) -> None:
    place, equals, text = setting.partition("=")
    if is_no_text(setting):
        raise _bad_setting(f"{setting!a}: it is not UTF-8.")
    if not equals or "." not in place:
        raise _bad_setting(
            f"{setting}: write it as id.argument=value, such as read.path=README.md."
        )
    owners = [id for id in tasks if place.startswith(f"{id}.") and len(place) > len(id) + 1]
    if not owners:
        id = place.partition(".")[0]
        raise _bad_setting(
            f'{place}: unknown task "{id}". {did_you_mean(id, tasks) or ""}'.rstrip()
        )
    id = max(owners, key=len)
    *steps, last = place.removeprefix(f"{id}.").split(".")
    target = tasks[id]["arguments"] = dict(_object(tasks[id].get("arguments"), place))
    for step in steps:
        target[step] = dict(_object(target.get(step), place))
        target = target[step]
    target[last] = _value(text)


def _object(value: Any, place: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad_setting(f"{place}: it leads into {short(value)}, which is not an object.")
    return value


def _bad_setting(message: str) -> Misused:
    return Misused(message, hint="--set")


def _value(text: str) -> Json:
    """Decode *text* if it is JSON; else return it."""
    try:
        return loads(text)
    except NotStrict:
        return text
