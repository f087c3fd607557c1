"""The syntax of settings files: TOML, or JSON with comments and trailing commas, as clients
write."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from ..errors import ConfigError

_STRING = r'"(?:\\.|[^"\\])*"'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?\*/", re.DOTALL)
_LAST_COMMA = re.compile(rf"{_STRING}|,(?=\s*[\]}}])", re.DOTALL)


def is_json(file: Path) -> bool:
    return file.suffix in {".json", ".jsonc"}


def parse(file: Path, data: bytes) -> dict[str, Any]:
    """Return the values in *data*, the content of *file*. Raises `ConfigError`, with line and
    column of a syntax error."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 at byte {error.start}") from None
    try:
        return _json(text) if is_json(file) else tomllib.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{file}: is not JSON: {error.msg} (at line {error.lineno}, column {error.colno})"
        ) from None
    except ValueError as error:  # TOML's own error, or a number with too many digits
        raise ConfigError(
            f"{file}: is not {'JSON' if is_json(file) else 'TOML'}: {error}"
        ) from None
    except RecursionError:
        raise ConfigError(f"{file}: is nested too deeply") from None


def without_comments(text: str) -> str:
    """Return *text*, JSON, with blanks in place of comments and last commas."""
    return _LAST_COMMA.sub(_blank, _COMMENT.sub(_blank, text))


def _json(text: str) -> dict[str, Any]:
    values = json.loads(without_comments(text))
    if not isinstance(values, dict):
        raise ValueError("it is not an object")
    return values


def _blank(found: re.Match[str]) -> str:
    """Blank out a comment or comma, to keep lines and columns; strings stay as they are."""
    return found.group() if found.group().startswith('"') else re.sub(r"[^\n]", " ", found.group())
