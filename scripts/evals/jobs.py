"""The twenty jobs: what a person would say, and the calls that must follow from it.

What must happen is worked out here, in Python, from the data of the services. So it owes nothing to
the language that is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .judging import Expected, Holding
from .services.builds import FAILED_TESTS, FAILING, error_lines, past_builds
from .services.calendar import ROOMS, all_events
from .services.chat import AWAY, ROTA, ops_messages
from .services.customers import UNDER_CONTRACT, all_customers, all_invoices
from .services.issues import LOCKED, all_issues, comments_on


@dataclass(frozen=True, slots=True)
class Job:
    """A job, with what decides whether it was done."""

    name: str
    sentence: str
    takes: str
    """The reason why people write a program for it."""
    must: list[list[Expected]]
    """The calls that must have happened: chains, each in its order."""
    must_not: list[Expected]
    """Calls that are wrong even if they failed. Every further call that changes something is
    wrong anyway."""


def jobs(now: datetime) -> dict[str, Job]:
    """Return the jobs as they are at *now*, by name."""
    every = [make(now) for make in _JOBS]
    return {job.name: job for job in every}


def days(now: datetime) -> Mapping[str, str]:
    """Return the days that the sentences and plans of jobs name."""
    return {
        "<today>": now.date().isoformat(),
        "<tomorrow>": (now + timedelta(days=1)).date().isoformat(),
        "<in six days>": (now + timedelta(days=6)).date().isoformat(),
    }


def _call(tool: str, *, fails: bool = False, **arguments: Any) -> Expected:
    return Expected(tool, arguments, fails)


def _post(channel: str, text: str) -> Expected:
    return _call("chat:post_message", channel=channel, text=text)


def unassigned_bugs(now: datetime) -> Job:
    count = sum(
        issue["state"] == "open" and "bug" in issue["labels"] and issue["assignee"] is None
        for issue in all_issues(now)
    )
    return Job(
        "unassigned-bugs",
        "How many open issues have the label bug and no assignee? Post it to #triage, exactly as "
        "'Unassigned bugs: N'.",
        "pages, a filter, a count",
        [[_post("triage", f"Unassigned bugs: {count}")]],
        [],
    )


def close_stale(now: datetime) -> Job:
    text = "Closed because nothing has happened for a long time."
    before = (now - timedelta(days=91)).isoformat()
    stale = [i["number"] for i in all_issues(now) if i["state"] == "open"
             and i["updated_at"] < before]  # fmt: skip
    chains = [
        [_call("issues:add_comment", number=number, text=text, fails=number in LOCKED)]
        + [_call("issues:close_issue", number=number)] * (number not in LOCKED)
        for number in stale
    ]
    return Job(
        "close-stale",
        "For every open issue that was last updated more than 90 days ago: comment "
        f"'{text}', then close it. Leave it open if the comment fails.",
        "pages, dates, two steps an item, failures",
        chains,
        [_call("issues:close_issue", number=number) for number in LOCKED],
    )


def overdue_totals(now: datetime) -> Job:
    names = {customer["id"]: customer["name"] for customer in all_customers()}
    owed = Counter[str]()
    for invoice in all_invoices(now):
        if invoice["status"] == "overdue":
            owed[invoice["customer_id"]] += invoice["amount"]
    lines = "\n".join(f"{names[id]} owes {amount}" for id, amount in owed.most_common())
    return Job(
        "overdue-totals",
        "Which customers have overdue invoices, and how much do they owe? Post one message to "
        "#billing with a line 'NAME owes TOTAL' for each, the largest total first.",
        "two services' pages joined by key, sums, an order",
        [[_post("billing", lines)]],
        [],
    )


def first_error(now: datetime) -> Job:
    return Job(
        "first-error",
        "Start a build of api and wait until it has ended. If it failed, post the first line of "
        "its log that has ERROR in it to #builds, just as it is.",
        "waiting, a long log",
        [[_call("builds:start_build", project="api"), _post("builds", error_lines("api")[0])]],
        [],
    )


def top_three(now: datetime) -> Job:
    known = [(c["revenue"], c["id"]) for c in all_customers() if c["revenue"] is not None]
    third = sorted(known, reverse=True)[2][0]
    return Job(
        "top-three",
        "Add the note 'Top three' to the three customers with the largest revenue. If others have "
        "the same revenue as the third, they get it too.",
        "pages, nulls, ties",
        [[_call("customers:add_note", id=id, text="Top three")] for r, id in known if r >= third],
        [],
    )


def fallback(now: datetime) -> Job:
    return Job(
        "fallback",
        "Send whoever is on call for payments the direct message 'Checkout is down'. If payments "
        "has no rota, send it to whoever is on call for platform.",
        "a fallback, a text to read",
        [
            [
                _call("chat:who_is_on_call", team="payments", fails=True),
                _call("chat:who_is_on_call", team="platform"),
                _call("chat:send_direct_message", person=ROTA["platform"], text="Checkout is down"),
            ]
        ],
        [],
    )


def either_or(now: datetime) -> Job:
    last = next(build for build in past_builds(now) if build["project"] == "web")
    title = f"Build {last['id']} of web failed"
    assert last["status"] == "failed"
    return Job(
        "either-or",
        "Look at the latest build of web. If it failed, open an issue with the label bug and the "
        "title 'Build ID of web failed'. If it did not, post 'web is fine' to #builds.",
        "one of two branches",
        [[_call("issues:create_issue", title=title, labels=["bug"])]],
        [_call("chat:post_message")],
    )


def revenue_by_country(now: datetime) -> Job:
    sums = Counter[str]()
    for customer in all_customers():
        sums[customer["country"]] += customer["revenue"] or 0
    lines = "\n".join(f"{country}: {sums[country]}" for country in sorted(sums))
    return Job(
        "revenue-by-country",
        "Post the total revenue of our customers in each country to #sales: one message, a line "
        "'COUNTRY: TOTAL' for each country, in alphabetical order. Unknown revenue counts as 0.",
        "pages, nulls, a sum for each group",
        [[_post("sales", lines)]],
        [],
    )


def failing_tests(now: datetime) -> Job:
    return Job(
        "failing-tests",
        "Open an issue 'Failing tests in build 812' whose body holds the lines of that build's log "
        "that begin with FAILED, and nothing else.",
        "a log of 50,000 characters cut to what matters",
        [
            [
                _call(
                    "issues:create_issue",
                    title="Failing tests in build 812",
                    body="\n".join(FAILED_TESTS),
                )
            ]
        ],
        [],
    )


def undo_deploy(now: datetime) -> Job:
    return Job(
        "undo-deploy",
        "Deploy build 815 to staging, then to production. If production fails, put the build that "
        "was in staging before back there and post 'Build 815 was taken back' to #ops.",
        "undo after a failure",
        [
            [
                _call("builds:deploy", build_id=815, environment="staging"),
                _call("builds:deploy", build_id=815, environment="production", fails=True),
                _call("builds:rollback", build_id=810, environment="staging"),
                _post("ops", "Build 815 was taken back"),
            ]
        ],
        [_call("builds:rollback", environment="production")],
    )


def weekly_report(now: datetime) -> Job:
    open_issues = sum(issue["state"] == "open" for issue in all_issues(now))
    failed = sum(build["status"] == "failed" for build in past_builds(now)[:20])
    overdue = sum(i["amount"] for i in all_invoices(now) if i["status"] == "overdue")
    tomorrow = days(now)["<tomorrow>"]
    events = sum(event["start"].startswith(tomorrow) for event in all_events(now))
    lines = (
        f"Open issues: {open_issues}\nFailed of the last 20 builds: {failed}\n"
        f"Overdue: {overdue} USD\nEvents tomorrow: {events}"
    )
    return Job(
        "weekly-report",
        f"Post one message of four lines to #weekly: 'Open issues: N', 'Failed of the last 20 "
        f"builds: N', 'Overdue: N USD' (the sum of overdue invoices) and 'Events tomorrow: N' "
        f"(tomorrow is {tomorrow}).",
        "a text made of four services",
        [[_post("weekly", lines)]],
        [],
    )


def missing_rooms(now: datetime) -> Job:
    first, last = days(now)["<today>"], days(now)["<in six days>"]
    chains = []
    for event in all_events(now):
        who, text = event["organizer"], f"{event['title']} needs a room"
        if event["room"] or len(event["attendees"]) < 3 or event["start"][:10] > last:
            continue
        away = who in AWAY
        chain = [_call("chat:send_direct_message", person=who, text=text, fails=away)]
        chains.append([*chain, *([_post("general", f"@{who} {text}")] if away else [])])
    return Job(
        "missing-rooms",
        f"Look at the events from {first} to {last}. For each that has no room and at least three "
        "attendees, send its organizer the direct message 'TITLE needs a room'. Where that fails, "
        "post '@ORGANIZER TITLE needs a room' to #general.",
        "dates, an alternative for each item",
        chains,
        [],
    )


def book_room(now: datetime) -> Job:
    day = days(now)["<tomorrow>"]
    start, end = f"{day}T14:00", f"{day}T15:00"
    taken = {event["room"] for event in all_events(now) if event["start"] == start}
    room = min((n for n, s in ROOMS.items() if s >= 8 and n not in taken), key=lambda n: ROOMS[n])
    return Job(
        "book-room",
        f"Create the event 'Postmortem' from {start} to {end} with ada and ken, in the smallest "
        "room that is free then and has at least 8 seats.",
        "the least of some",
        [
            [
                _call("calendar:list_free_rooms"),
                _call(
                    "calendar:create_event",
                    title="Postmortem",
                    start=start,
                    end=end,
                    attendees=["ada", "ken"],
                    room=room,
                ),
            ]
        ],
        [],
    )


def assign_security(now: datetime) -> Job:
    numbers = [
        issue["number"]
        for issue in all_issues(now)
        if issue["state"] == "open" and "security" in issue["labels"] and not issue["assignee"]
    ]
    grace = ROTA["security"]
    return Job(
        "assign-security",
        "Assign every open issue with the label security that has no assignee to whoever is on "
        "call for security.",
        "a name out of a text, used for each item",
        [[_call("issues:assign_issue", number=number, assignee=grace)] for number in numbers],
        [],
    )


def close_duplicates(now: datetime) -> Job:
    first: dict[str, int] = {}
    chains = []
    for issue in all_issues(now):
        if issue["state"] != "open":
            continue
        number, original = issue["number"], first.setdefault(issue["title"], issue["number"])
        if number != original:
            comment = _call("issues:add_comment", number=number, text=f"Duplicate of #{original}")
            chains.append([comment, _call("issues:close_issue", number=number)])
    return Job(
        "close-duplicates",
        "Open issues with the same title are duplicates. Of each such group keep the one with the "
        "lowest number; on each of the others comment 'Duplicate of #LOWEST', then close it.",
        "pages, groups of items, two steps each",
        chains,
        [],
    )


def upgrade_tiers(now: datetime) -> Job:
    rich = [
        c["id"] for c in all_customers() if c["tier"] == "pro" and (c["revenue"] or 0) > 100_000
    ]
    failing = ", ".join(id for id in rich if id in UNDER_CONTRACT)
    moved = len(rich) - len(UNDER_CONTRACT)
    report = _post("sales", f"{moved} moved to enterprise, not possible for {failing}")
    return Job(
        "upgrade-tiers",
        "Move every customer of tier pro with a revenue above 100000 to tier enterprise. Then post "
        "to #sales: 'N moved to enterprise, not possible for IDS', where IDS are the ids of those "
        "for which it failed, in their order, separated by ', '.",
        "pages, and what failed as a result",
        [
            *([_call("customers:set_tier", id=id, tier="enterprise", fails=id in UNDER_CONTRACT)]
              for id in rich[:-1]),
            [_call("customers:set_tier", id=rich[-1], tier="enterprise"), report],
        ],
        [],
    )  # fmt: skip


def three_builds(now: datetime) -> Job:
    chains = []
    for project in ("api", "docs", "web"):
        start = _call("builds:start_build", project=project)
        text = f"{project}: {error_lines(project)[0]}" if project in FAILING else f"{project}: ok"
        chains.append([start, _post("builds", text)])
    return Job(
        "three-builds",
        "Start builds of api, docs and web. As soon as each has ended, post to #builds: "
        "'PROJECT: ok' if it succeeded, else 'PROJECT: LINE' with the first line of its log that "
        "has ERROR in it.",
        "waiting and a choice for each item",
        chains,
        [],
    )


def busiest_author(now: datetime) -> Job:
    [(author, count)] = Counter(author for _, author, _ in ops_messages(now)).most_common(1)
    return Job(
        "busiest-author",
        "Who wrote the most messages in #ops? Post it there, exactly as 'Busiest: NAME (N)'.",
        "counting in a text",
        [[_call("chat:read_channel", channel="ops"), _post("ops", f"Busiest: {author} ({count})")]],
        [],
    )


def needs_reply(now: datetime) -> Job:
    chains = []
    for issue in all_issues(now):
        comments = comments_on(issue, now)
        if "waiting" not in issue["labels"] or issue["state"] != "open" or not comments:
            continue
        if comments[-1]["author"] == issue["author"]:
            label = _call("issues:add_label", number=issue["number"], label="needs-reply")
            chains.append([label])
    return Job(
        "needs-reply",
        "Give the label needs-reply to each open issue with the label waiting whose latest comment "
        "is by the author of the issue.",
        "a question for each item, and a choice",
        chains,
        [],
    )


def maintenance(now: datetime) -> Job:
    reason = Holding(("Not deployed: ", "the smoke test of build 815 failed"))
    return Job(
        "maintenance",
        "Switch the maintenance page of production on, deploy build 815 there, and switch the page "
        "off again in any case. At the end post to #ops: 'Deployed 815', or 'Not deployed: REASON' "
        "with the reason why the deployment failed.",
        "cleaning up, whatever happened",
        [
            [
                _call("builds:set_maintenance", environment="production", on=True),
                _call("builds:deploy", build_id=815, environment="production", fails=True),
                _call("builds:set_maintenance", environment="production", on=False),
                _call("chat:post_message", channel="ops", text=reason),
            ]
        ],
        [],
    )


_JOBS = (
    unassigned_bugs,
    close_stale,
    overdue_totals,
    first_error,
    top_three,
    fallback,
    either_or,
    revenue_by_country,
    failing_tests,
    undo_deploy,
    weekly_report,
    missing_rooms,
    book_room,
    assign_security,
    close_duplicates,
    upgrade_tiers,
    three_builds,
    busiest_author,
    needs_reply,
    maintenance,
)
