"""An issue tracker: 130 issues in pages behind a cursor, of which some are locked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from typing_extensions import TypedDict

from .service import Refused, Tool

PEOPLE = ("ada", "grace", "ken", "linus", "margaret")
LOCKED = (44, 109)
MOST_A_PAGE = 50

_PARTS = (
    "Export", "Search", "Login", "Billing page", "Import", "Dashboard", "Mobile app", "Webhook",
    "Report", "Settings page", "Invite mail", "Audit log", "Calendar sync",
)  # fmt: skip
_TROUBLES = (
    "is slow", "crashes on empty input", "shows the wrong total", "ignores accents", "times out",
    "loses the last row", "rounds twice", "needs a dark mode", "has a typo", "fails after midnight",
)  # fmt: skip
_SAME = {14: "Export drops rows", 50: "Export drops rows", 101: "Export drops rows",
         22: "Login loops", 95: "Login loops",
         8: "Totals are off", 9: "Totals are off"}  # fmt: skip
_SECURITY = (7, 16, 25, 40, 62, 75, 92, 100)


class Issue(TypedDict):
    number: int
    title: str
    state: Literal["open", "closed"]
    labels: list[str]
    author: str
    assignee: str | None
    priority: int | None
    created_at: str
    updated_at: str


class IssuePage(TypedDict):
    issues: list[Issue]
    next_cursor: str | None


class Comment(TypedDict):
    author: str
    text: str
    created_at: str


class Comments(TypedDict):
    comments: list[Comment]


class Created(TypedDict):
    number: int
    url: str


class Done(TypedDict):
    number: int
    done: bool


def all_issues(now: datetime) -> list[Issue]:
    """Return the issues as they are at *now*."""
    return [_issue(number, now) for number in range(1, 131)]


def comments_on(issue: Issue, now: datetime) -> list[Comment]:
    """Return the comments on an *issue*, oldest first."""
    number = issue["number"]
    if number % 11 or number == 110:
        return []
    answer = "I will look at it." if number // 11 % 2 == 0 else "Could you send the log?"
    said = [(_other(issue["author"]), answer)]
    if number // 11 % 2:
        said.append((issue["author"], "Here it is, see the attachment."))
    return [
        {"author": author, "text": text, "created_at": _before(now, 20 - place)}
        for place, (author, text) in enumerate(said)
    ]


class Tracker:
    """The tools, and what they changed."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._issues = {issue["number"]: issue for issue in all_issues(now)}
        self._comments = {n: comments_on(issue, now) for n, issue in self._issues.items()}

    def list_issues(
        self,
        state: Literal["open", "closed", "all"] = "open",
        label: str | None = None,
        limit: int = 30,
        cursor: str | None = None,
    ) -> IssuePage:
        """Lists issues by number, at most 50 a page; next_cursor is null on the last page."""
        if not 1 <= limit <= MOST_A_PAGE:
            raise Refused(f"limit must be 1 to {MOST_A_PAGE}")
        if cursor is not None and not cursor.removeprefix("after-").isdigit():
            raise Refused(f"unknown cursor {cursor!r}")
        after = int(cursor.removeprefix("after-")) if cursor else 0
        found = [
            issue
            for number, issue in self._issues.items()
            if number > after
            and state in ("all", issue["state"])
            and (label is None or label in issue["labels"])
        ]
        page = found[:limit]
        more = len(found) > limit
        return {"issues": page, "next_cursor": f"after-{page[-1]['number']}" if more else None}

    def get_issue(self, number: int) -> Issue:
        """Gets one issue."""
        return self._issue(number)

    def list_comments(self, number: int) -> Comments:
        """Lists the comments on an issue, oldest first."""
        self._issue(number)
        return {"comments": self._comments[number]}

    def add_comment(self, number: int, text: str) -> Done:
        """Adds a comment to an issue. Locked issues take none."""
        self._issue(number)
        if number in LOCKED:
            raise Refused(f"issue {number} is locked")
        said: Comment = {"author": "plait", "text": text, "created_at": self._now.isoformat()}
        self._comments[number].append(said)
        return {"number": number, "done": True}

    def close_issue(self, number: int) -> Done:
        """Closes an issue."""
        self._issue(number)["state"] = "closed"
        return {"number": number, "done": True}

    def add_label(self, number: int, label: str) -> Done:
        """Adds a label to an issue."""
        issue = self._issue(number)
        if label not in issue["labels"]:
            issue["labels"].append(label)
        return {"number": number, "done": True}

    def assign_issue(self, number: int, assignee: str) -> Done:
        """Assigns an issue to a person, by login."""
        if assignee not in PEOPLE:
            raise Refused(f"no person has the login {assignee!r}")
        self._issue(number)["assignee"] = assignee
        return {"number": number, "done": True}

    def create_issue(self, title: str, body: str = "", labels: list[str] | None = None) -> Created:
        """Opens a new issue."""
        number = max(self._issues) + 1
        issue = _issue(number, self._now)
        issue |= {"title": title, "state": "open", "labels": labels or [], "assignee": None}
        self._issues[number] = issue
        self._comments[number] = []
        return {"number": number, "url": f"https://issues.example/{number}"}

    def _issue(self, number: int) -> Issue:
        if number not in self._issues:
            raise Refused(f"there is no issue {number}")
        return self._issues[number]


def issues(now: datetime) -> list[Tool]:
    """Return the tools of a tracker of its own."""
    tracker = Tracker(now)
    return [
        Tool(tracker.list_issues),
        Tool(tracker.get_issue),
        Tool(tracker.list_comments),
        Tool(tracker.add_comment, changes=True),
        Tool(tracker.close_issue, changes=True),
        Tool(tracker.add_label, changes=True),
        Tool(tracker.assign_issue, changes=True),
        Tool(tracker.create_issue, changes=True),
    ]


def _issue(number: int, now: datetime) -> Issue:
    updated = 95 + number % 50 if number % 13 == 5 else number * 7 % 85
    labels = {
        "bug": number % 2 == 0,
        "docs": number % 7 == 0,
        "security": number in _SECURITY,
        "waiting": number % 11 == 0,
    }
    title = f"{_PARTS[number % 13]} {_TROUBLES[number // 13 % 10]}"
    return {
        "number": number,
        "title": _SAME.get(number, title),
        "state": "open" if number % 3 else "closed",
        "labels": [label for label, has in labels.items() if has],
        "author": PEOPLE[number % 4],
        "assignee": None if number % 4 == 0 else PEOPLE[number % 5],
        "priority": None if number % 6 == 1 else number % 4 + 1,
        "created_at": _before(now, 400 - number),
        "updated_at": _before(now, updated),
    }


def _before(now: datetime, days: int) -> str:
    """Return a time some hours more than *days* before *now*, so that it stays that many days
    while a job runs."""
    return (now - timedelta(days=days, hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _other(person: str) -> str:
    return PEOPLE[(PEOPLE.index(person) + 1) % len(PEOPLE)]
