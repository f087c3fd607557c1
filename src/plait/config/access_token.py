"""The token that clients send over HTTP: the variable PLAIT_TOKEN, or one that was made and is kept
in the state folder."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError
from ..stores import files

VARIABLE = "PLAIT_TOKEN"
FILE_NAME = "http-token"
LEAST_CHARS = 16
_MOST_BYTES = 1_024
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""The characters of a bearer token (RFC 6750, 2.1)."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token, and the variable or the file that it came from."""

    value: str = field(repr=False)
    origin: str


def find_token(environ: Mapping[str, str], folder: Path) -> AccessToken | None:
    """Return the token in PLAIT_TOKEN, else the one that is kept in *folder*; None if there is
    neither. Raises `ConfigError` for one that cannot be used."""
    if given := environ.get(VARIABLE):
        return AccessToken(_checked(given, f"the variable {VARIABLE}"), VARIABLE)
    file = folder / FILE_NAME
    try:
        data, _ = files.read(file, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    return AccessToken(_checked(data.decode("latin-1").strip(), str(file)), str(file))


def make_token(folder: Path) -> AccessToken:
    """Make a token and keep it in *folder*, readable by its owner alone. Raises `ConfigError`."""
    file = folder / FILE_NAME
    token = secrets.token_urlsafe(32)
    try:
        files.write(file, f"{token}\n".encode(), _MOST_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{file}: a token for HTTP cannot be kept there: {error.strerror or error}. Set "
            f"{VARIABLE}, or another folder with PLAIT_STATE_DIR."
        ) from error
    return AccessToken(token, str(file))


def _checked(token: str, origin: str) -> str:
    if len(token) < LEAST_CHARS or not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"{origin}: a token is at least {LEAST_CHARS} of the characters A-Z a-z 0-9 - . _ ~ + /"
            ", such as `openssl rand -hex 32` prints"
        )
    return token
