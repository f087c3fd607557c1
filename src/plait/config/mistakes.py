"""Messages about mistakes in a file: what is wrong and what would be right, never the value."""

from __future__ import annotations

import re

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ..core.values.problems import did_you_mean
from .models import (
    AuditSettings,
    GatewaySettings,
    HistorySettings,
    LimitSettings,
    ProfileSettings,
    ServerSettings,
    Settings,
    ToolSettings,
)
from .places import Steps
from .policy import FlowSettings, PolicySettings

_OF_A_KEY = "[key]"
_OF_A_UNION = re.compile(r"constrained-\w+|literal\[.*\]")
"""Steps that say which of several types a value was tried as."""
_OTHER_NAMES = {
    **dict.fromkeys(("cmd", "program", "executable", "exec", "run"), "command"),
    **dict.fromkeys(("arguments", "argv", "parameters"), "args"),
    **dict.fromkeys(("environment", "variables"), "env"),
    **dict.fromkeys(("address", "endpoint", "uri", "href"), "url"),
    **dict.fromkeys(("directory", "dir", "workdir", "working_directory"), "cwd"),
}
"""Names that other programs have for the keys of a server."""
_MESSAGES = {
    "dict_type": "must be a table of keys and values",
    "model_type": "must be a table of keys and values",
    "tuple_type": "must be a list, in [ ]",
    "string_type": "must be text, in quotes",
    "path_type": "must be a path, in quotes",
}


def steps_of(detail: ErrorDetails) -> Steps:
    """Return the place of the mistake."""
    return tuple(
        step for step in detail["loc"] if step != _OF_A_KEY and not _OF_A_UNION.fullmatch(str(step))
    )


def message_of(detail: ErrorDetails) -> str:
    """Describe the mistake, and what would be right."""
    steps = steps_of(detail)
    match detail["type"], detail["loc"]:
        case "extra_forbidden", _:
            name, known = str(steps[-1]), _keys_at(steps[:-1])
            hint = did_you_mean(name, known) or f"Known keys: {', '.join(known)}."
            if (ours := _OTHER_NAMES.get(name.casefold(), "")) in known:
                hint = f'Did you mean "{ours}"?'
            return f"unknown key. {hint}"
        case _, (*_, "max_concurrency", branch) if _OF_A_UNION.fullmatch(str(branch)):
            return 'must be a whole number, 1 or more, or "auto"'
        case "string_type", (*_, "command"):
            return "must be text, in quotes: the program alone; its arguments are in args = [ ]"
        case "string_pattern_mismatch", (*_, "url"):
            return "an address starts with http:// or https://"
        case "string_pattern_mismatch", (*_, key) if key == _OF_A_KEY:
            return (
                "a server's name is 1 to 32 lower-case letters, digits, - or _, and starts "
                "with a letter or digit"
            )
        case kind, _ if kind in _MESSAGES:
            return _MESSAGES[kind]
    message = re.sub(
        r"^(Input|String) (should|is)", "must", detail["msg"].removeprefix("Value error, ")
    )
    return message[0].lower() + message[1:]


def _keys_at(steps: Steps) -> list[str]:
    return [field.alias or name for name, field in _model_at(steps).model_fields.items()]


def _model_at(steps: Steps) -> type[BaseModel]:
    match steps:
        case ():
            return Settings
        case ("gateway",):
            return GatewaySettings
        case ("gateway", "limits"):
            return LimitSettings
        case ("policy",) | ("profiles", _, "policy"):
            return PolicySettings
        case ("policy", "flows", _) | ("profiles", _, "policy", "flows", _):
            return FlowSettings
        case ("profiles", _):
            return ProfileSettings
        case ("history",):
            return HistorySettings
        case ("audit",):
            return AuditSettings
        case ("tools", _):
            return ToolSettings
    return ServerSettings
