"""A calendar of the coming two weeks, with ISO dates, rooms that are taken and events without
one."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from typing_extensions import TypedDict

from .service import Refused, Tool

ROOMS = {"Ada": 4, "Babbage": 8, "Curie": 8, "Darwin": 10, "Euler": 20}

_TITLES = ("Planning", "Review", "Interview", "Retro", "Budget", "Design", "Handover")
_PEOPLE = ("ada", "grace", "ken", "linus", "margaret")


class Event(TypedDict):
    id: int
    title: str
    start: str
    end: str
    organizer: str
    attendees: list[str]
    room: str | None


class Events(TypedDict):
    events: list[Event]


class Room(TypedDict):
    name: str
    seats: int


class Rooms(TypedDict):
    rooms: list[Room]


class Done(TypedDict):
    id: int
    done: bool


def all_events(now: datetime) -> list[Event]:
    """Return the events from today on, by their start."""
    return [_event(number, now.date()) for number in range(42)]


class Calendar:
    """The tools, and what was booked and cancelled."""

    def __init__(self, now: datetime) -> None:
        self._events = {event["id"]: event for event in all_events(now)}

    def list_events(self, start: str, end: str) -> Events:
        """Lists the events from one day to another (2026-01-31), both included."""
        first, last = _day(start), _day(end)
        found = [e for e in self._events.values() if first <= _day(e["start"][:10]) <= last]
        return {"events": sorted(found, key=lambda event: event["start"])}

    def list_free_rooms(self, start: str, end: str) -> Rooms:
        """Lists the rooms that are free from one time to another (2026-01-31T14:00)."""
        _time(start), _time(end)
        return {
            "rooms": [
                {"name": name, "seats": seats}
                for name, seats in ROOMS.items()
                if not self._is_taken(name, start, end)
            ]
        }

    def create_event(
        self, title: str, start: str, end: str, attendees: list[str], room: str | None = None
    ) -> Done:
        """Creates an event from one time to another (2026-01-31T14:00). Fails if the room is
        taken."""
        _time(start), _time(end)
        if room is not None and room not in ROOMS:
            raise Refused(f"there is no room {room!r}")
        if room is not None and self._is_taken(room, start, end):
            raise Refused(f"{room} is taken")
        number = max(self._events) + 1
        self._events[number] = {
            "id": number,
            "title": title,
            "start": start[:16],
            "end": end[:16],
            "organizer": "plait",
            "attendees": attendees,
            "room": room,
        }
        return {"id": number, "done": True}

    def cancel_event(self, id: int) -> Done:
        """Cancels an event."""
        if id not in self._events:
            raise Refused(f"there is no event {id}")
        del self._events[id]
        return {"id": id, "done": True}

    def _is_taken(self, room: str, start: str, end: str) -> bool:
        return any(
            event["room"] == room and event["start"] < end[:16] and start[:16] < event["end"]
            for event in self._events.values()
        )


def calendar(now: datetime) -> list[Tool]:
    """Return the tools of a calendar of its own."""
    own = Calendar(now)
    return [
        Tool(own.list_events),
        Tool(own.list_free_rooms),
        Tool(own.create_event, changes=True),
        Tool(own.cancel_event, changes=True),
    ]


def _event(number: int, today: date) -> Event:
    """Return one event: three a day, at 9, 11 and 14 o'clock."""
    day = (today + timedelta(days=number // 3)).isoformat()
    hour = (9, 11, 14)[number % 3]
    organizer = _PEOPLE[number * 3 % 5]
    rest = [person for person in _PEOPLE if person != organizer]
    room = None if number % 4 == 1 else tuple(ROOMS)[number % 5]
    return {
        "id": 301 + number,
        "title": f"{_TITLES[number % 7]} {number + 1}",
        "start": f"{day}T{hour:02}:00",
        "end": f"{day}T{hour + 1:02}:00",
        "organizer": organizer,
        "attendees": [organizer, *rest[: number * 2 % 5]],
        "room": "Babbage" if number == 5 else room,
    }


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text!r} is not a day such as 2026-01-31") from None


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text!r} is not a time such as 2026-01-31T14:00") from None
