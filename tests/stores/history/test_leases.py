"""Who is alive is known by locks, which no crash leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plait.stores.history.leases import Lease, Others, Presence, boot_id


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "leases", tmp_path / "runtime"


def die(lease: Lease) -> None:
    """What the system does when the process of *lease* dies."""
    os.close(lease.descriptor)
    os.close(lease.own_descriptor)


def test_a_lease_lives_until_its_process_dies_or_releases_it(folders: tuple[Path, Path]):
    others = Others(*folders)
    first, second = Lease(*folders), Lease(*folders)
    assert others.is_alive(first.name)
    assert others.is_alive(second.name)
    die(first)
    second.release()
    assert not others.is_alive(first.name)
    assert not others.is_alive(second.name)
    assert others.dead() == [first.name]


def test_a_process_that_was_given_the_descriptor_keeps_the_lease_alive(
    folders: tuple[Path, Path],
):
    others, lease = Others(*folders), Lease(*folders)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lease.descriptor]) as guard:
        assert others.is_running(lease.name)
        die(lease)
        assert others.is_alive(lease.name)
        assert not others.is_running(lease.name)
        guard.communicate()
    assert not others.is_alive(lease.name)


def test_a_process_that_is_stopped_is_alive(folders: tuple[Path, Path]):
    others = Others(*folders)
    code = (
        "import sys; from pathlib import Path\n"
        "from plait.stores.history.leases import Lease\n"
        "print(Lease(*map(Path, sys.argv[1:])).name, flush=True); sys.stdin.read()"
    )
    program = [sys.executable, "-c", code, *map(str, folders)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        name = process.stdout.readline().decode().strip()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert others.is_alive(name)
        assert others.is_running(name)
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
    assert not others.is_running(name)


def test_other_programs_do_not_inherit_a_lease(folders: tuple[Path, Path]):
    others, lease = Others(*folders), Lease(*folders)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as program:
        die(lease)
        assert not others.is_alive(lease.name)
        program.communicate()


def test_losses_outlive_their_process_until_they_are_forgotten(folders: tuple[Path, Path]):
    others, lease = Others(*folders), Lease(*folders)
    assert others.losses_of(lease.name) == set()
    lease.note_loss("r_1")
    lease.note_loss("r_2")
    lease.release()
    assert others.losses_of(lease.name) == {"r_1", "r_2"}
    assert others.dead() == [lease.name]
    others.forget(lease.name)
    assert others.dead() == []
    assert others.losses_of(lease.name) == set()


def test_notes_and_leases_are_for_their_owner_alone(folders: tuple[Path, Path]):
    lease = Lease(*folders)
    lease.note_loss("r_1")
    for path in [*folders, *folders[0].iterdir(), *folders[1].iterdir()]:
        assert path.stat().st_mode & 0o077 == 0
    lease.release()


def test_a_process_is_alone_only_without_others(tmp_path: Path):
    first, second = Presence(tmp_path / "lock"), Presence(tmp_path / "lock")
    assert not first.try_alone()
    second.release()
    assert first.try_alone()
    first.share()
    third = Presence(tmp_path / "lock")
    assert not third.try_alone()
    first.release()
    third.release()


def test_the_start_of_the_machine_has_an_id_that_stays():
    assert boot_id() == boot_id() != ""
