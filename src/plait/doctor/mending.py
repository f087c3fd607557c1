"""Changes that are safe to make: of the mode of a file of the user, and of the folders in which
commands are found."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import TypeAlias

from ..errors import ConfigError


@dataclass(frozen=True, slots=True)
class TakeAway:
    """Take the *bits* of its mode away from *file*."""

    file: Path
    bits: int

    def difference(self) -> Iterator[str]:
        """Yield the change as lines. Raises `OSError`."""
        before = stat.S_IMODE(os.stat(self.file).st_mode)
        yield f"mode of {self.file}"
        yield f"-{before:04o}"
        yield f"+{before & ~self.bits:04o}"

    def make(self) -> None:
        """Make the change. Raises `OSError`."""
        os.chmod(self.file, stat.S_IMODE(os.stat(self.file).st_mode) & ~self.bits)


@dataclass(frozen=True, slots=True)
class AddFolder:
    """Add *folder* to `[gateway] path` in the settings *file*."""

    file: Path
    folder: str

    def difference(self) -> Iterator[str]:
        """Yield the change as lines. Raises `OSError` and `ConfigError`."""
        before, after = self._texts()
        yield str(self.file)
        yield from [*unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")][2:]

    def make(self) -> None:
        """Make the change. Raises `OSError` and `ConfigError`."""
        from ..install.replacing import Changed, LeftAlone, replace

        before, after = self._texts()
        try:
            replace(self.file, before.encode(), after.encode())
        except (LeftAlone, Changed) as error:
            raise ConfigError(f"{self.file} is left as it is: {error}; {self._by_hand}") from error

    @property
    def _by_hand(self) -> str:
        return f'write path = ["{self.folder}"] into [gateway] yourself'

    def _texts(self) -> tuple[str, str]:
        import tomllib

        from ..install.changes import Impossible, Put
        from ..install.clients import Format
        from ..install.entries import Unreadable
        from ..install.splice import spliced

        data = self.file.read_bytes()
        try:
            held = tomllib.loads(data.decode("utf-8-sig")).get("gateway", {}).get("path", [])
            if not isinstance(held, list):
                raise ValueError("path is not a list")
            change = Put(("gateway",), "path", _added(held, [self.folder]))
            return data.decode(), spliced(data, Format.TOML, [change]).decode()
        except (Unreadable, Impossible, ValueError, AttributeError) as error:
            raise ConfigError(f"{self.file} is left as it is: {error}; {self._by_hand}") from error


Mend: TypeAlias = TakeAway | AddFolder


def _added(held: Sequence[str], more: Iterable[str]) -> list[str]:
    return [*held, *(one for one in more if one not in held)]
