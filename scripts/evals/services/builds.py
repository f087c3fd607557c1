"""Builds and deployments: a build has to be waited for, a log is long, production may refuse."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from typing_extensions import TypedDict

from .service import Refused, Tool

PROJECTS = ("api", "docs", "mobile", "web")
FAILING = ("api", "docs")
"""The projects whose new builds fail."""
POLLS = {"api": 4, "docs": 2, "mobile": 3, "web": 3}
"""The number of questions after which a new build has ended."""
LOG_CHARACTERS = 50_000
REFUSED_IN_PRODUCTION = 815

FAILED_TESTS = tuple(
    f"FAILED tests/checkout/test_{file}.py::test_{case} - assert {case} == 'paid'"
    for file, case in (("cart", "total"), ("cart", "tax"), ("refund", "partial"),
                       ("refund", "twice"), ("receipt", "mail"), ("receipt", "pdf"))
)  # fmt: skip

Status = Literal["queued", "running", "success", "failed"]
Environment = Literal["staging", "production"]


class Build(TypedDict):
    id: int
    project: str
    status: Status
    commit: str
    finished_at: str | None


class Started(TypedDict):
    id: int
    status: Status


class Builds(TypedDict):
    builds: list[Build]


class Deployment(TypedDict):
    environment: Environment
    build_id: int
    previous_build_id: int


class Maintenance(TypedDict):
    environment: Environment
    on: bool


def past_builds(now: datetime) -> list[Build]:
    """Return the builds that have ended, the latest first."""
    return [_build(number, now) for number in range(820, 780, -1)]


def error_lines(project: str) -> list[str]:
    """Return the lines with ERROR in the log of a new build of a *project*."""
    if project not in FAILING:
        return []
    return [
        f"ERROR {project}: cannot resolve package lib-{project}-core",
        f"ERROR {project}: step 'compile' ended with exit code 2",
        f"ERROR {project}: build stopped",
    ]


class Runner:
    """The tools, the builds that were started, and what is deployed where."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._builds = {build["id"]: build for build in past_builds(now)}
        self._polls: dict[int, int] = {}
        self._deployed = {"staging": 810, "production": 808}

    def start_build(self, project: str) -> Started:
        """Starts a build of a project. It ends by itself after a while: ask get_build."""
        if project not in PROJECTS:
            raise Refused(f"there is no project {project!r}; there are {', '.join(PROJECTS)}")
        number = max(self._builds) + 1
        self._builds[number] = {
            **_build(number, self._now),
            "project": project,
            "status": "queued",
            "finished_at": None,
        }
        self._polls[number] = 0
        return {"id": number, "status": "queued"}

    def get_build(self, id: int) -> Build:
        """Gets a build. Its status is queued, running, success or failed."""
        build = self._build(id)
        if id in self._polls and build["status"] in ("queued", "running"):
            self._polls[id] += 1
            build["status"] = "running" if self._polls[id] > 1 else "queued"
            if self._polls[id] >= POLLS[build["project"]]:
                build["status"] = "failed" if build["project"] in FAILING else "success"
                build["finished_at"] = self._now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return build

    def list_builds(self, project: str | None = None, limit: int = 20) -> Builds:
        """Lists builds, the latest first."""
        found = [
            self._builds[number]
            for number in sorted(self._builds, reverse=True)
            if project in (None, self._builds[number]["project"])
        ]
        return {"builds": found[:limit]}

    def get_log(self, id: int) -> str:
        """Shows the log of a build that has ended: some 50,000 characters."""
        build = self._build(id)
        if build["status"] in ("queued", "running"):
            raise Refused(f"build {id} is still {build['status']}")
        if id == 812:
            return _log(FAILED_TESTS)
        return _log(error_lines(build["project"]) if id in self._polls else [])

    def deploy(self, build_id: int, environment: Environment) -> Deployment:
        """Deploys a build to an environment, in place of the one that is there."""
        build = self._build(build_id)
        if build["status"] != "success":
            raise Refused(f"build {build_id} is {build['status']}")
        if environment == "production" and build_id == REFUSED_IN_PRODUCTION:
            raise Refused(f"the smoke test of build {build_id} failed, production is as it was")
        previous, self._deployed[environment] = self._deployed[environment], build_id
        return {"environment": environment, "build_id": build_id, "previous_build_id": previous}

    def rollback(self, environment: Environment, build_id: int) -> Deployment:
        """Puts an earlier build back into an environment."""
        self._build(build_id)
        previous, self._deployed[environment] = self._deployed[environment], build_id
        return {"environment": environment, "build_id": build_id, "previous_build_id": previous}

    def set_maintenance(self, environment: Environment, on: bool) -> Maintenance:
        """Switches the maintenance page of an environment on or off."""
        return {"environment": environment, "on": on}

    def _build(self, id: int) -> Build:
        if id not in self._builds:
            raise Refused(f"there is no build {id}")
        return self._builds[id]


def builds(now: datetime) -> list[Tool]:
    """Return the tools of a runner of its own."""
    runner = Runner(now)
    return [
        Tool(runner.list_builds),
        Tool(runner.get_build),
        Tool(runner.get_log, is_text=True),
        Tool(runner.start_build, changes=True),
        Tool(runner.deploy, changes=True),
        Tool(runner.rollback, changes=True),
        Tool(runner.set_maintenance, changes=True),
    ]


def _build(number: int, now: datetime) -> Build:
    ended = now - timedelta(hours=10 * (821 - number))
    failed = number in (812, 816, 819) or number % 7 == 2
    return {
        "id": number,
        "project": PROJECTS[number % 4],
        "status": "failed" if failed else "success",
        "commit": f"{number * 48_611 % 2**28:07x}",
        "finished_at": ended.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _log(special: tuple[str, ...] | list[str]) -> str:
    """Return a log with the *special* lines spread over its second half."""
    lines: list[str] = []
    size = 0
    while size < LOG_CHARACTERS:
        number = len(lines)
        lines.append(
            f"INFO  {number:04} compiled module_{number * 31 % 997:03}: no errors, 0 failed"
        )
        size += len(lines[-1]) + 1
    for place, line in enumerate(special):
        lines.insert(len(lines) // 2 + 37 * place, line)
    return "\n".join(lines)
