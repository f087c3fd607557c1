"""The values in a server's settings that are secret because of their place.

Values from variables and files are secret anyway (`expand.py`). A value in the settings file itself
is secret if its name says so: that of a header, a variable or an option of the command line. In an
address, the password and the values of the query are secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from urllib.parse import unquote, unquote_plus

_NAME = re.compile(
    r"token|secret|passw|passphrase|pwd|credential|cookie|session|signature|jwt|bearer|private"
    r"|auth(?!or(?!i))|api[_-]?key|(?<![a-z])(key|pass|pat|sig)(?![a-z])",
    re.IGNORECASE,
)
_OPTION = re.compile(r"--?([A-Za-z][\w-]*)(?:=(.*))?", re.DOTALL)
_USER = re.compile(r"://([^/?#\s@:]*)(?::([^/?#\s@]*))?@")
_QUERY = re.compile(r"[?&]([^=&#\s]+)=([^&#\s]+)")


def is_secret(name: str) -> bool:
    """Return whether a value is secret by its *name*, such as `X-Api-Key`, `GITHUB_TOKEN` and
    `--password`."""
    return _NAME.search(name) is not None


def credentials_of(
    headers: Mapping[str, str], env: Mapping[str, str], args: Sequence[str], url: str | None
) -> Iterator[str]:
    """Yield the secret values in the settings of a server."""
    for name, value in (*headers.items(), *env.items()):
        if is_secret(name):
            yield value
            yield from (
                part.partition("=")[2].strip()
                for part in value.split(";")
                if name.lower() == "cookie"
            )
    yield from _options(args)
    for text in (*headers.values(), *env.values(), *args):
        yield from in_address(text)
    if url is not None:
        yield from in_address(url, is_whole_query=True)


def _options(words: Sequence[str]) -> Iterator[str]:
    """Yield the values of options with secret names: `--token=x` and `--token x`."""
    for word, after in zip_longest(words, words[1:], fillvalue=""):
        if (option := _OPTION.fullmatch(word)) is not None and is_secret(option[1]):
            yield after if option[2] is None else option[2]


def in_address(text: str, *, is_whole_query: bool = False) -> Iterator[str]:
    """Yield the passwords of the addresses in *text*, and the values in their queries: all of them
    if *is_whole_query*, else those with a secret name."""
    for user, password in _USER.findall(text):
        yield password or user
        yield unquote(password or user)
    for name, value in _QUERY.findall(text):
        if is_whole_query or is_secret(name):
            yield value
            yield unquote_plus(value)
