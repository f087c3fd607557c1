"""The core decides without looking at the world: no file, no clock and no module is opened, read or
imported in it."""

from __future__ import annotations

import gc
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.calls import calls_of
from plait.core.scheduling.conflicts import find_conflicts, planned_accesses
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.policy import Policy

from ..profiles import share_of_examples
from .scheduling import world
from .scheduling.documents import CATALOG
from .scheduling.machine import SchedulerMachine

FORBIDDEN = ("open", "os.", "import", "socket.", "subprocess.", "shutil.", "glob.", "tempfile.")
"""Beginnings of the names of audit events."""
SILENT = {
    os: ("stat", "lstat", "fstat", "readlink", "access", "getcwd", "urandom"),
    time: ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "sleep"),
    random: ("random",),
}
"""Functions that raise no audit event."""


class Impure(BaseException):
    """Something of the world was looked at. No `except Exception` catches it."""


class Guard:
    """Forbids the thread that is `inside` to look at the world."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.entered = 0
        sys.addaudithook(self.hear)

    @contextmanager
    def inside(self) -> Iterator[None]:
        self.entered += 1
        gc.disable()  # what is collected may belong to others, and close files
        self.thread = threading.get_ident()
        try:
            yield
        finally:
            self.thread = None
            gc.enable()

    def hear(self, event: str, details: Any) -> None:
        if self.thread is None:  # the hook stays: all later tests pay for it
            return
        if self.thread == threading.get_ident() and event.startswith(FORBIDDEN):
            raise Impure(event, details)

    def pure(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def guarded(*args: Any, **named: Any) -> Any:
            with self.inside():
                return function(*args, **named)

        return guarded

    def impure(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def guarded(*args: Any, **named: Any) -> Any:
            if self.thread == threading.get_ident():
                raise Impure(function.__name__, args)
            return function(*args, **named)

        return guarded


@pytest.fixture(scope="module")
def hook() -> Guard:
    """One for all: an audit hook stays for as long as the process lives."""
    return Guard()


@pytest.fixture
def guard(hook: Guard, monkeypatch: pytest.MonkeyPatch) -> Guard:
    for module, names in SILENT.items():
        for name in names:
            monkeypatch.setattr(module, name, hook.impure(getattr(module, name)))
    for name in ("submit", "handle", "change_limits"):
        monkeypatch.setattr(Scheduler, name, hook.pure(getattr(Scheduler, name)))
    for function in (check, planned_accesses, find_conflicts):
        monkeypatch.setattr(world, function.__name__, hook.pure(function))
    return hook


def test_nothing_is_looked_at_while_a_dag_is_checked_and_scheduled(guard: Guard) -> None:
    before = guard.entered
    run_state_machine_as_test(SchedulerMachine, settings=share_of_examples(0.1))
    assert guard.entered > before


LOOKS: list[Callable[[], object]] = [
    lambda: os.lstat("/"),
    lambda: os.stat("/"),
    lambda: os.readlink("/link"),
    lambda: os.path.realpath("/tmp"),
    lambda: os.path.exists("/"),
    lambda: os.listdir("/"),
    lambda: os.scandir("/"),
    lambda: Path("/").exists(),
    lambda: Path("/no/such").mkdir(),
    lambda: open(os.devnull),  # noqa: SIM115  # it is never opened
    lambda: __import__("no_such_module"),
    lambda: socket.socket(),
    lambda: socket.getaddrinfo("localhost", 80),
    lambda: subprocess.run(["true"], check=False),
    lambda: os.system("true"),
    lambda: time.sleep(0),
    lambda: time.monotonic(),
    lambda: random.random(),
]


@pytest.mark.parametrize("number", range(len(LOOKS)))
def test_a_look_at_the_world_from_inside_is_noticed(guard: Guard, number: int) -> None:
    """Through a callable that was handed in, where no rule about imports sees it."""

    def impure_calls(*args: Any) -> Any:
        LOOKS[number]()
        return calls_of(*args)

    plan = check(read_dag({"tasks": [{"id": "t", "tool": "a:do"}]}), CATALOG, Policy())
    with pytest.raises(Impure):
        Scheduler(Limits()).submit(Run("r", plan, calls=impure_calls), 0.0)
