"""The listing of one server as it is kept from one start to the next."""

from __future__ import annotations

from collections.abc import Callable

from ..values.strict import Json, JsonObject


class CachedListing:
    """A JSON object, to be read and replaced member by member. *on_change* is called after each
    change."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.document: JsonObject = {}
        self.changes = 0
        """Number of changes so far."""
        self._on_change = on_change

    def __repr__(self) -> str:
        return f"<CachedListing: {', '.join(self.document) or 'nothing'}>"

    def get(self, member: str) -> Json:
        """The value kept under that name, any strict JSON; None if absent."""
        return self.document.get(member)

    def put(self, member: str, value: Json) -> None:
        """Keep *value* from now on, nothing for None. Whoever puts it does not change it any
        more."""
        document = {name: kept for name, kept in self.document.items() if name != member}
        if value is not None:
            document[member] = value
        self.document = document
        self.changes += 1
        self._on_change()

    def load(self, document: JsonObject) -> None:
        """Take what a file holds; what is known already stays."""
        self.document = {**document, **self.document}
