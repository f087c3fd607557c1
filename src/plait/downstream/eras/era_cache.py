"""Which protocol era a server speaks: guessed, found out, and kept from one start to the next."""

from __future__ import annotations

from ...core.tools.cached_listing import CachedListing
from ...core.values.printable import printable
from .handshake import Era, Greeting


class EraCache:
    """What is known of the era of one server, and its title. *protocol* is its setting: `auto`
    where it is asked."""

    def __init__(self, protocol: str, remembered: CachedListing) -> None:
        self.title: str | None = None
        self.era: Era | None = None if protocol == "auto" else Era(protocol)
        self._is_asked = protocol == "auto"
        self._remembered = remembered
        self._is_recalled = False
        """Whether the era was kept from an earlier start, and has not proved right in this one."""
        self._has_died_on_probe = False
        self._may_restart_at_once = True

    def __repr__(self) -> str:
        return f"<Verdict: {self.era or 'open'}{', recalled' if self._is_recalled else ''}>"

    def recall(self) -> None:
        """Take what an earlier start found out."""
        if self._is_asked and self._remembered.get("era") in list(Era):
            self.era, self._is_recalled = Era(str(self._remembered.get("era"))), True
        self.title = self._recalled_title

    def guess(self) -> Era | None:
        """What to speak in the next attempt; None to ask. A server that may have died of that is
        spared it once."""
        guess = Era.LEGACY if self.era is None and self._has_died_on_probe else self.era
        self._has_died_on_probe = False
        return guess

    def died_on_probe(self) -> bool:
        """The server ended when it was asked: whether to start it again at once, and speak the
        older era."""
        self._has_died_on_probe = self.era is None
        if not self._has_died_on_probe or not self._may_restart_at_once:
            return False
        self._has_died_on_probe = self._may_restart_at_once = False
        return True

    def met(self, greeting: Greeting) -> None:
        """The server is there. Another version of it may speak the protocol of another era: then
        that is asked anew at the next start."""
        is_same = greeting.title == self._recalled_title or not self._is_recalled
        self.era, self.title, self._is_recalled = greeting.era, greeting.title, False
        self._may_restart_at_once = True
        if self._is_asked:
            self._remembered.put("era", greeting.era.value if is_same else None)
        self._remembered.put("title", greeting.title)

    def failed(self, known: Era | None) -> None:
        """An attempt failed at whose start *known* was known: the server may have been replaced by
        an older one."""
        if known is Era.MODERN and self._is_asked:
            self.era = None

    def drop_recalled(self) -> bool:
        """What an earlier start found out is not so, or no longer; whether there was any."""
        was_recalled = self._is_recalled
        if was_recalled:
            self.era, self._is_recalled = None, False
        return was_recalled

    @property
    def _recalled_title(self) -> str | None:
        title = self._remembered.get("title")
        return printable(title[:120]) if isinstance(title, str) else None
