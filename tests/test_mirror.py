"""Tests mirror the source, so "which test fails when I break this?" has an answer.

`tests/a/test_b.py` covers `src/plait/a/b.py`, alone. What is about no one module stands in the
tables here, with the reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SRC = TESTS.parent / "src" / "plait"

NEEDS_NO_TESTS = {
    "core/history_store.py": "Protocols; stores/history/test_contract.py has what they promise",
    "doctor/case.py": "one class of settings without behaviour",
    "workspace/errors.py": "one class without behaviour",
}

OTHER_FOLDERS = {
    "attacks": "hostile plans and scenarios, judged from the logs of services",
    "conformance": "the official suite of the protocol",
    "contract": "the promises of docs/contract.md, in its order",
    "docs": "the examples of the documentation",
    "interop": "servers and clients that others wrote",
    "scripts": "the project's own scripts",
}

OF_THE_WHOLE = {
    "app/test_crashing.py": "runs that go on after their gateways were killed, with real processes",
    "app/test_flapping.py": "a gateway over processes that die again and again",
    "app/test_large_answers.py": "the memory of a gateway whose servers send far too much",
    "app/test_sharing.py": "what clients have in common at the servers that they share",
    "cli/test_installing_walk.py": "plait install from a made-up home to a first DAG",
    "cli/test_processes.py": "the command as people start it: processes, pipes and signals",
    "core/flows/test_leaks.py": "drawn plans, against runs of them that follow where data goes",
    "core/planning/test_cases.py": "whole documents, each with every problem or its plan",
    "core/scheduling/test_changed_limits.py": "lanes and rates under limits that change",
    "core/scheduling/test_held_runs.py": "drawn runs that wait for a person, from plan to end",
    "core/test_odd_inputs.py": "hostile documents, from reading to the end of their runs",
    "core/test_purity.py": "no part of the core looks at the world",
    "core/test_tables.py": "the tables of these tests",
    "door/test_deaths.py": "clients, doors, the gateway and a server while they are killed",
    "door/test_shared_gateway.py": "plait serve as clients start it: doors and the real gateway",
    "downstream/test_instant.py": "a start from what the last one left, down to the server",
    "downstream/test_port_contract.py": "the promises of a port, over connections and the fake",
    "downstream/test_relay.py": "what is passed on unchanged, over each transport and era",
    "downstream/transports/test_stdio_faults.py": "the faults of a process, up to its calls",
    "downstream/transports/test_streams.py": "event streams of HTTP and of SSE, up to the calls",
    "test_warm.py": "the start of programs for these tests",
    "engine/test_noninterference.py": "what is sent by runs that differ in what may not flow",
    "engine/test_crashes.py": "runs of all kinds whose gateways die",
    "engine/test_locating.py": "a file system that hangs, from a document to its calls",
    "stores/history/test_crashes.py": "the history of processes that are killed",
    "stores/history/test_torn_log.py": "the log of the database without its end, or damaged there",
    "stores/history/test_contract.py": "the promises of the history, over its file and its twin",
    "upstream/relay/test_limits.py": "calls by name share limits and claims with runs, end to end",
    "test_architecture.py": "who may import whom",
    "test_clock.py": "the clock of these tests",
    "test_english.py": "the English of the project",
    "test_init.py": "the names that the package gives to programs",
    "test_locks.py": "the locked requirements",
    "test_mirror.py": "the order of these tests",
    "test_package.py": "what users install",
    "test_start.py": "a start from what the last one left, up to the client",
}

MODULES = {
    module.relative_to(SRC).as_posix()
    for module in SRC.rglob("*.py")
    if not module.name.startswith("__")
}
FILES = {file.relative_to(TESTS).as_posix() for file in TESTS.rglob("test_*.py")}


def mirror_of(module: str) -> str:
    return Path(module).with_name(f"test_{Path(module).name}").as_posix()


def module_of(file: str) -> str:
    return Path(file).with_name(Path(file).name.removeprefix("test_")).as_posix()


def is_in(path: str, *folders: str) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_has_its_tests(module: str):
    assert (mirror_of(module) in FILES) is (module not in NEEDS_NO_TESTS)


@pytest.mark.parametrize("file", sorted(path for path in FILES if not is_in(path, *OTHER_FOLDERS)))
def test_a_file_of_tests_is_about_one_module_or_says_why_not(file: str):
    assert (module_of(file) in MODULES) is (file not in OF_THE_WHOLE)


def test_the_tables_name_what_exists():
    assert NEEDS_NO_TESTS.keys() <= MODULES
    assert OF_THE_WHOLE.keys() <= FILES
    for folder in OTHER_FOLDERS:
        assert (TESTS / folder).is_dir()
        assert not (SRC / folder).exists()
