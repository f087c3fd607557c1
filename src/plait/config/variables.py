"""The variables that settings name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Recording(Mapping[str, str]):
    """The variables of *environ*. `used` has those that were asked for, None for one that is not
    set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.used: dict[str, str | None] = {}

    def __repr__(self) -> str:
        return f"<Recording of {len(self.used)} variables>"

    def __getitem__(self, name: str) -> str:
        self.used[name] = self._environ.get(name)
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)
