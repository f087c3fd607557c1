"""What all tests share: the virtual clock, and the rule that CI runs every test."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from . import profiles  # noqa: F401  # registers them
from .clock import VirtualLoop

settings.load_profile("plait")
sys.dont_write_bytecode = False
"""Whatever the machine says: pytest rewrites every test file, which takes seconds."""


@pytest.fixture(autouse=True, scope="session")
def state_folder() -> Iterator[Path]:
    """Nothing is kept in the folders of whoever runs the tests, by no process that they start
    either; and no such process uses a gateway that others share, unless it is what is tested."""
    with (
        TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_STATE_HOME", folder)
        patch.setenv("PLAIT_STATE_DIR", f"{folder}/plait")
        patch.setenv("PLAIT_ISOLATED", "1")
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield Path(folder, "plait")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual_time: run on a clock that jumps to the next timer")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop of a test: virtual time where it is marked so, else the system's."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualLoop}
    return {"system": asyncio.new_event_loop}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are collected, and leave them out of it later: they live to
    the end. What tests leave behind is looked at less often than usual: it is little."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: what a test needs is installed by scripts/test."""
    if _skipped_in_ci(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for report in _skipped_in_ci(config):
        terminalreporter.write_line(f"SKIPPED, and CI runs every test: {report.nodeid}", red=True)


def _skipped_in_ci(config: pytest.Config) -> list[pytest.TestReport | pytest.CollectReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return []
    skipped: list[pytest.TestReport | pytest.CollectReport] = reporter.stats.get("skipped", [])
    return skipped
