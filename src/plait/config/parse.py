"""The syntax of settings files: TOML, or as clients write: JSON with comments and trailing commas,
or YAML. A key that is there twice is an error in each."""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    import yaml

MAX_YAML_BYTES = 256 * 1024
"""The parser takes a second for a tenth of a megabyte."""
MAX_YAML_VALUES = 20_000
"""Aliases could stand for more values than fit into memory."""

_SCALARS = (
    ("null", "~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", "[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-+0123456789"),
    ("merge", "<<", "<"),
)
"""The plain texts of YAML 1.2 that stand for something else, and the characters that they begin
with."""
_STRING = r'"(?:\\.|[^"\\])*"'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?\*/", re.DOTALL)
_LAST_COMMA = re.compile(rf"{_STRING}|,(?=\s*[\]}}])", re.DOTALL)


def is_clients(file: Path) -> bool:
    """Return whether *file* is in a syntax that clients alone use."""
    return file.suffix in {".json", ".jsonc"} or _is_yaml(file)


def _is_yaml(file: Path) -> bool:
    return file.suffix in {".yaml", ".yml"}


def parse(file: Path, data: bytes) -> dict[str, Any]:
    """Return the values in *data*, the content of *file*. Raises `ConfigError`, with line and
    column of a syntax error."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 at byte {error.start}") from None
    syntax = "YAML" if _is_yaml(file) else "JSON" if is_clients(file) else "TOML"
    try:
        match syntax:
            case "YAML":
                return _yaml(text)
            case "JSON":
                return _json(text)
        return tomllib.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{file}: is not JSON: {error.msg} (at line {error.lineno}, column {error.colno})"
        ) from None
    except ValueError as error:  # TOML's own error, or a number with too many digits
        raise ConfigError(f"{file}: is not {syntax}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{file}: is nested too deeply") from None


def without_comments(text: str) -> str:
    """Return *text*, JSON, with blanks in place of comments and last commas."""
    return _LAST_COMMA.sub(_blank, _COMMENT.sub(_blank, text))


def _json(text: str) -> dict[str, Any]:
    plain = without_comments(text)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for index, key in enumerate(keys) if key in keys[:index])
            found = re.finditer(rf"{re.escape(json.dumps(twice, ensure_ascii=False))}\s*:", plain)
            lines = dict.fromkeys(plain.count("\n", 0, one.start()) + 1 for one in found)
            where = "line" if len(lines) == 1 else "lines"
            raise ValueError(_twice(twice, f"{where} {', '.join(map(str, lines))}"))
        return values

    values = json.loads(plain, object_pairs_hook=unique)
    if not isinstance(values, dict):
        raise ValueError("it is not an object")
    return values


def _twice(key: object, where: str) -> str:
    return f'the key "{key}" is twice in one object ({where}); keep one of them'


def _yaml(text: str) -> dict[str, Any]:
    import yaml

    if len(text) > MAX_YAML_BYTES:
        raise ValueError(f"it has more than {MAX_YAML_BYTES:,} characters")
    try:
        values = yaml.load(text, yaml_loader())  # noqa: S506  # a loader of plain values
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f" (at line {mark.line + 1}, column {mark.column + 1})"
        raise ValueError(f"{error.problem}{where}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    if not isinstance(values, dict):
        raise ValueError("it is not a mapping")
    return _plain(values)


@cache
def yaml_loader() -> type[yaml.SafeLoader]:
    """Return a loader of YAML 1.2, which clients read: `on` and `12:30` are texts."""
    import yaml

    class Strict(yaml.SafeLoader):
        yaml_implicit_resolvers = {}  # noqa: RUF012  # as in the class of the library

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[Any] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if (key.tag, key.value) in seen:
                        raise ValueError(_twice(key.value, f"line {key.start_mark.line + 1}"))
                    seen.add((key.tag, key.value))
            return super().construct_mapping(node, deep)

    for tag, pattern, first in _SCALARS:
        regex = re.compile(rf"(?:{pattern})\Z")
        Strict.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", regex, [*first])
    return Strict


def _plain(values: dict[Any, Any]) -> dict[str, Any]:
    """Return *values* as JSON could hold them. Raises `ValueError` if there are too many."""
    left = MAX_YAML_VALUES

    def plain(value: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"it holds more than {MAX_YAML_VALUES:,} values")
        match value:
            case dict():
                return {str(key): plain(child) for key, child in value.items()}
            case list():
                return [plain(child) for child in value]
            case None | bool() | int() | float() | str():
                return value
        return str(value)  # a date

    plained: dict[str, Any] = plain(values)
    return plained


def _blank(found: re.Match[str]) -> str:
    """Blank out a comment or comma, to keep lines and columns; strings stay as they are."""
    return found.group() if found.group().startswith('"') else re.sub(r"[^\n]", " ", found.group())
