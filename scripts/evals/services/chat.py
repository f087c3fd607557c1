"""A chat: it answers with texts for people, has a rota that some teams are not on, people who are
away and a channel that is archived."""

from __future__ import annotations

from datetime import datetime, timedelta

from .service import Refused, Tool

CHANNELS = {
    "general": "everything else",
    "ops": "what runs and what does not",
    "builds": "builds and deployments",
    "triage": "new issues",
    "billing": "invoices",
    "sales": "customers",
    "weekly": "reports",
    "old-news": "archived",
}
ROTA = {"platform": "margaret", "security": "grace", "support": "linus"}
AWAY = ("linus",)
PEOPLE = ("ada", "grace", "ken", "linus", "margaret")

# Who wrote in #ops, in this order, again and again.
_WRITERS = ("ken", "ada", "margaret", "ada", "grace", "ada", "ken")
_SAID = (
    "disk of db-2 is at 81 %",
    "restarted the worker",
    "is anyone looking at the queue?",
    "yes: ken wrote a fix",
    "deploy of web went through",
    "alerts are quiet again",
    "margaret: can you look at the certificate?",
    "done",
)


def ops_messages(now: datetime) -> list[tuple[str, str, str]]:
    """Return the time, author and text of each message in #ops, oldest first."""
    return [
        (
            (now - timedelta(minutes=17 * (40 - place))).strftime("%Y-%m-%d %H:%M"),
            _WRITERS[place % len(_WRITERS)],
            _SAID[place % len(_SAID)],
        )
        for place in range(40)
    ]


class Chat:
    """The tools, and what was posted."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._posted: dict[int, str] = {}

    def list_channels(self) -> str:
        """Lists the channels with their topics."""
        return "\n".join(f"#{name}: {topic}" for name, topic in CHANNELS.items())

    def read_channel(self, channel: str, limit: int = 50) -> str:
        """Shows the latest messages of a channel, oldest first, one a line as
        `[2026-01-31 09:15] ada: text`."""
        name = self._channel(channel)
        messages = ops_messages(self._now) if name == "ops" else []
        if not messages:
            return f"No messages in #{name}."
        return "\n".join(f"[{at}] {author}: {text}" for at, author, text in messages[-limit:])

    def post_message(self, channel: str, text: str) -> str:
        """Posts a message to a channel."""
        name = self._channel(channel)
        if CHANNELS[name] == "archived":
            raise Refused(f"#{name} is archived")
        number = 501 + len(self._posted)
        self._posted[number] = text
        return f"Posted to #{name} as message {number}."

    def send_direct_message(self, person: str, text: str) -> str:
        """Sends a message to one person, by login. People who are away get none."""
        name = person.removeprefix("@")
        if name not in PEOPLE:
            raise Refused(f"no person has the login {name!r}")
        if name in AWAY:
            raise Refused(f"{name} is away until next month")
        number = 501 + len(self._posted)
        self._posted[number] = text
        return f"Sent to {name} as message {number}."

    def who_is_on_call(self, team: str) -> str:
        """Says who is on call for a team, by login."""
        if team not in ROTA:
            raise Refused(f"the team {team!r} has no rota")
        until = (self._now + timedelta(days=2)).date().isoformat()
        return f"On call for {team}: {ROTA[team]} (until {until})"

    def _channel(self, channel: str) -> str:
        name = channel.removeprefix("#")
        if name not in CHANNELS:
            raise Refused(f"there is no channel #{name}; there are {', '.join(CHANNELS)}")
        return name


def chat(now: datetime) -> list[Tool]:
    """Return the tools of a chat of its own."""
    room = Chat(now)
    return [
        Tool(room.list_channels, is_text=True),
        Tool(room.read_channel, is_text=True),
        Tool(room.post_message, changes=True, is_text=True),
        Tool(room.send_direct_message, changes=True, is_text=True),
        Tool(room.who_is_on_call, is_text=True),
    ]
