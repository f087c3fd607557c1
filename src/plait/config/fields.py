"""The types of single settings, each checked as it is read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from ..core.scheduling.rates import Rate
from ..core.tools.claims import KeyTemplate
from ..core.tools.rules import CLASSES, ToolClass
from ..core.values.problems import did_you_mean
from ..workspace.allowed import AllowedCommand


class Section(BaseModel):
    """One table of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _can_match(pattern: str) -> str:
    """Refuse a bare name: tools are matched by full name, so it would never match or deny."""
    if ":" not in pattern and not pattern.startswith("*"):
        raise ValueError('a tool is named server:tool; write "*:tool" for any server')
    return pattern


def _is_rule(rule: str) -> str:
    """Refuse a rule of the policy that is neither a class of tools nor a glob that can match."""
    if rule in CLASSES:
        return rule
    if ":" not in rule and not rule.startswith("*"):
        known = ", ".join(ToolClass)
        near = did_you_mean(rule, [*ToolClass])
        hint = near or 'Write "*:tool" for a tool of any server.'
        raise ValueError(f"a rule is a glob over server:tool, or one of {known}. {hint}")
    return rule


def _is_rate(text: str) -> str:
    Rate.parse(text)
    return text


def _is_resource(text: str) -> str:
    KeyTemplate.parse(text)
    return text


def has_no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError(
            "must not contain the character NUL, which programs cannot be given; remove it at "
            "its source"
        )
    return text


def _is_command(text: str) -> str:
    AllowedCommand.parse(text)
    return text


def _is_variable(name: str) -> str:
    if not name or "=" in name:
        raise ValueError("the name of a variable must not be empty or contain =")
    return has_no_nul(name)


def _is_passed(pattern: str) -> str:
    """Check the name of a variable that goes on to a server; a `*` may stand at its end."""
    if "*" in pattern[:-1] or pattern == "*":
        raise ValueError(
            "a * stands at the end alone, after the beginning of the names that it stands for: "
            '"AWS_*"'
        )
    return _is_variable(pattern)


def _is_server(name: str) -> str:
    """Refuse the names that stand for something else before the colon of a tool."""
    if name in TAKEN:
        raise ValueError(f"{' and '.join(sorted(TAKEN))} cannot name a server; choose another name")
    return name


def _split(value: Any) -> Any:
    """Return the folders in a text, as a variable has them; anything else as it is."""
    return value.split(os.pathsep) if isinstance(value, str) else value


def _is_header(name: str) -> str:
    """Check the name of a header (RFC 9110, 5.1)."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(
            "the name of a header is letters, digits and marks such as -, without blanks and colons"
        )
    return name


def _is_header_value(value: str) -> str:
    """Check a header's value (RFC 9110, 5.5; httpx does not send its obsolete characters)."""
    if not value.isascii():
        raise ValueError(
            "a header's value must be ASCII; encode it as its server expects, such as %C3%AB for "
            "\u00eb"
        )
    if value != value.strip(" \t\r\n"):
        raise ValueError(
            "a header's value must not begin or end with a blank or a line break; remove it from "
            "the variable or the "
            "text that it comes from, or write ${file:...}, which drops line breaks at the end"
        )
    if not all(char.isprintable() or char == "\t" for char in value):
        raise ValueError(
            "a header's value must not contain a line break or another control character; remove "
            "it from the variable, "
            "the file or the text that it comes from"
        )
    return value


def is_address(url: str) -> str:
    """Check an address. A library's message would quote the wrong part, maybe of a password."""
    try:
        parts = urlsplit(url)
        is_good = parts.port != 0 and bool(parts.hostname) and url.isprintable()
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError(
            "it cannot be read as an address; in a name or a password before the host, write "
            "/ as %2F, ? as %3F, # as %23, : as %3A and @ as %40"
        )
    return url


TAKEN = frozenset({"dag", "plait"})
"""Saved DAGs are called `dag:name`, and Plait's own resources `plait://…`."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Bytes = Annotated[int, Field(ge=1_024, le=2**40)]
ServerName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
NewServerName = Annotated[ServerName, AfterValidator(_is_server)]
ResourceTemplate = Annotated[str, AfterValidator(_is_resource)]
RateText = Annotated[str, AfterValidator(_is_rate)]
ToolPattern = Annotated[str, AfterValidator(_can_match)]
PolicyRule = Annotated[str, AfterValidator(_is_rule)]
Word = Annotated[str, AfterValidator(has_no_nul)]
CommandText = Annotated[str, AfterValidator(_is_command)]
Variable = Annotated[str, AfterValidator(_is_variable)]
Folders = Annotated[tuple[Path, ...], BeforeValidator(_split)]
PassedVariable = Annotated[str, AfterValidator(_is_passed)]
HeaderName = Annotated[str, AfterValidator(_is_header)]
HeaderValue = Annotated[str, AfterValidator(_is_header_value)]
