"""Values in a server's settings that may be secret: they become variables, and their values go to
`secrets.env`.

All values of `env` and `headers` may be, but for what is plainly none: numbers, words such as
`true`, and paths. In an address the user's part and the query may be; of the arguments, those that
follow an option with such a name, and those that look like keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..config.credentials import is_secret

_PLAIN = re.compile(
    r"|true|false|yes|no|on|off|null|\d{1,5}|debug|info|warn(ing)?|error|production"
    r"|development|test|(~|\.{1,2}|[A-Za-z]:)?[/\\][^:@?=]*|[a-z]{2}_[A-Z]{2}(\.\S+)?",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"(sk|pk|rk|ghp|gho|ghu|ghs|ghr|glpat|xox[abprs]|npm|hf|lin_api|secret|pat|AKIA|ASIA|AIza)"
    r"[-_A-Za-z0-9]{12,}|github_pat_\w{20,}|eyJ[\w-]{10,}\.[\w-]+\.[\w-]*|[0-9a-f]{32,}"
    r"|(?=\S*[0-9])(?=\S*[a-z])(?=\S*[A-Z])[A-Za-z0-9+_-]{32,}={0,2}"
)
_OPTION = re.compile(r"(--?[A-Za-z][\w-]*)=(.+)", re.DOTALL)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]*@|[a-z][a-z0-9+.-]*://\S*\?\S*=", re.IGNORECASE)
_SCHEME = re.compile(r"((?:Bearer|Basic|Token)\s+)(\S.*)", re.IGNORECASE | re.DOTALL)


class Literals:
    """The variables that are made for values. *kept* are those that `secrets.env` has already."""

    def __init__(self, kept: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self.kept = dict(kept)
        self.made: dict[str, str] = {}
        """The new ones."""
        self._environ = environ

    def replaced(self, server: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the *settings* of *server* with variables for what may be secret."""
        ours = dict(settings)
        if env := settings.get("env"):
            ours["env"] = {name: self._in_env(server, name, text) for name, text in env.items()}
        if headers := settings.get("headers"):
            ours["headers"] = {
                name: self._in_header(server, name, text) for name, text in headers.items()
            }
        if (url := settings.get("url")) and _ADDRESS.match(url):
            ours["url"] = self._variable(server, "URL", url, is_own=False)
        if args := settings.get("args"):
            ours["args"] = self._in_arguments(server, args)
        return ours

    def _in_env(self, server: str, name: str, text: str) -> str:
        return (
            text if _is_plain(text) and not is_secret(name) else self._variable(server, name, text)
        )

    def _in_header(self, server: str, name: str, text: str) -> str:
        if found := _SCHEME.fullmatch(text):
            return found[1] + self._variable(server, "TOKEN", found[2], is_own=False)
        return self._variable(server, name, text, is_own=False)

    def _in_arguments(self, server: str, args: list[Any]) -> list[Any]:
        made: list[Any] = []
        option = ""
        for word in args:
            if not isinstance(word, str):
                made.append(word)
                continue
            given = _OPTION.fullmatch(word)
            if given and (is_secret(given[1]) or _may_be_secret(given[2])):
                name = given[1].lstrip("-")
                word = f"{given[1]}={self._variable(server, name, given[2], is_own=False)}"
            elif (option and is_secret(option) and not word.startswith("-")) or _may_be_secret(
                word
            ):
                word = self._variable(server, option.lstrip("-") or "KEY", word, is_own=False)
            option = word if word.startswith("-") and not given else ""
            made.append(word)
        return made

    def _variable(self, server: str, name: str, text: str, *, is_own: bool = True) -> str:
        """Return a variable for *text*, named *name* if it *is_own*, else after the server, too. A
        text that has a variable already stays as it is."""
        if re.search(r"(?<!\$)\$\{", text) or not text:
            return text
        value = text.replace("$${", "${")
        plain = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
        full = re.sub(r"[^A-Z0-9]+", "_", f"{server}_{plain}".upper()).strip("_")
        full = full if not full[:1].isdigit() else f"_{full}"
        names = [name] if is_own and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) else []
        for candidate in (*names, full, *(f"{full}_{number}" for number in range(2, 1_000))):
            if self._may_be(candidate, value):
                if candidate not in self.kept:
                    self.made[candidate] = value
                return f"${{{candidate}}}"
        raise AssertionError("a thousand values of one name")

    def _may_be(self, name: str, value: str) -> bool:
        """Return whether the variable *name* is free for *value*, or has it: one of the environment
        would count more than ours."""
        known = {**self.made, **self.kept}
        return known.get(name, value) == value and self._environ.get(name, value) == value


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None


def _may_be_secret(word: str) -> bool:
    return _KEY.fullmatch(word) is not None or _ADDRESS.match(word) is not None


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """Return *value* with *variables* filled in, to compare what settings mean."""
    match value:
        case str():
            return re.sub(
                r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}",
                lambda found: (
                    variables.get(found[1], found[0]).replace("${", "$${")
                    if found[1] in variables
                    else found[0]
                ),
                value,
            )
        case list():
            return [filled(one, variables) for one in value]
        case Mapping():
            return {key: filled(one, variables) for key, one in value.items()}
    return value
