"""Changes that are safe to make: of the mode of a file of the user, of the folders in which
commands are found, and of a client's file from which Plait was taken away."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..install.changes import Put
    from ..install.clients import Format


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


@dataclass(frozen=True, slots=True)
class PutBack:
    """Put the entry of Plait back into the *file* of a client. The entry is JSON, so that equal
    changes are one."""

    file: Path
    format: Format
    at: tuple[str, ...]
    is_list: bool
    entry: str

    def difference(self) -> Iterator[str]:
        """Yield the change as lines: ours alone, because those around them may hold secrets."""
        from ..install.plan import by_hand

        yield str(self.file)
        for line in by_hand(self._change):
            yield from (f"+{part}" for part in line.splitlines())

    def make(self) -> None:
        """Make the change. Raises `ConfigError`."""
        from ..install.changes import Impossible
        from ..install.entries import Unreadable
        from ..install.replacing import Changed, LeftAlone, read, replace
        from ..install.splice import spliced

        try:
            before = read(self.file)
            after = spliced(before or b"", self.format, [self._change])
            replace(self.file, before, after)
        except (LeftAlone, Changed, Unreadable, Impossible) as error:
            raise ConfigError(f"{self.file} is left as it is: {error}; plait install") from error

    @property
    def _change(self) -> Put:
        from ..install.changes import Put
        from ..install.clients import ENTRY

        return Put(self.at, ENTRY, json.loads(self.entry), self.is_list)


Mend: TypeAlias = TakeAway | AddFolder | PutBack


def _added(held: Sequence[str], more: Iterable[str]) -> list[str]:
    return [*held, *(one for one in more if one not in held)]
