"""The protocol era of one server: guessed, found out, and remembered from one start to the next.

Asking costs a round trip, and some servers exit when they are asked anything before `initialize`.
So the answer is remembered, and a guess is all that a start needs. A remembered era may be wrong,
because the server was updated; then the attempt fails, and the next one asks. A server that exits
when it is asked is started again at once, once, with the older era.
"""

from __future__ import annotations

from ...core.tools.cached_listing import CachedListing
from ...core.values.printable import printable
from .handshake import Era, Greeting


class EraCache:
    """The era of one server, None if unknown, and its title. With the setting `auto` as *protocol*
    the server is asked, else that is its era."""

    def __init__(self, protocol: str, remembered: CachedListing) -> None:
        self.title: str | None = None
        self.era: Era | None = None if protocol == "auto" else Era(protocol)
        self._is_asked = protocol == "auto"
        self._remembered = remembered
        self._is_recalled = False
        """Whether the era comes from an earlier start and is not confirmed yet."""
        self._has_died_on_probe = False
        self._may_restart_at_once = True

    def __repr__(self) -> str:
        return f"<EraCache: {self.era or 'unknown'}{', recalled' if self._is_recalled else ''}>"

    def recall(self) -> None:
        """Take the result of an earlier start."""
        if self._is_asked and self._remembered.get("era") in list(Era):
            self.era, self._is_recalled = Era(str(self._remembered.get("era"))), True
        self.title = self._recalled_title

    def guess(self) -> Era | None:
        """Return the era to speak in the next attempt; None to ask. A server that may have died
        because it was asked is not asked the next time."""
        guess = Era.LEGACY if self.era is None and self._has_died_on_probe else self.era
        self._has_died_on_probe = False
        return guess

    def died_on_probe(self) -> bool:
        """Note that the server ended when it was asked. Returns whether to start it again at once,
        with the older era."""
        self._has_died_on_probe = self.era is None
        if not self._has_died_on_probe or not self._may_restart_at_once:
            return False
        self._has_died_on_probe = self._may_restart_at_once = False
        return True

    def met(self, greeting: Greeting) -> None:
        """Note a successful handshake. If the title has changed, as with another version of the
        server, the next start asks again."""
        is_same = greeting.title == self._recalled_title or not self._is_recalled
        self.era, self.title, self._is_recalled = greeting.era, greeting.title, False
        self._may_restart_at_once = True
        if self._is_asked:
            self._remembered.put("era", greeting.era.value if is_same else None)
        self._remembered.put("title", greeting.title)

    def failed(self, known: Era | None) -> None:
        """Note a failed attempt, at whose start the era was *known*: an older server may have
        replaced this one."""
        if known is Era.MODERN and self._is_asked:
            self.era = None

    def drop_recalled(self) -> bool:
        """Forget an era from an earlier start. Returns whether there was one."""
        was_recalled = self._is_recalled
        if was_recalled:
            self.era, self._is_recalled = None, False
        return was_recalled

    @property
    def _recalled_title(self) -> str | None:
        title = self._remembered.get("title")
        return printable(title[:120]) if isinstance(title, str) else None
