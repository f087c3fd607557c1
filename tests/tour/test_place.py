"""The folder of the tour."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from plait.config import load_config
from plait.tour.company import SERVICES
from plait.tour.place import JOBS, Place, plait_words


def test_its_settings_start_the_services_with_this_python(tmp_path: Path):
    place = Place(tmp_path)
    place.set_out(["[policy]", 'ask = ["write"]'])
    config = load_config(None, place.environment(os.environ), tmp_path)
    assert [*config.servers] == [*SERVICES]
    assert config.policy.ask == ("write",)
    assert config.state_folder == tmp_path / "state"
    server = config.servers["chat"]
    lines = b'{"id": 1, "method": "ping"}\n{"id": 2, "method": "tools/list"}\n'
    assert server.command is not None
    ran = subprocess.run(
        [server.command, *server.args], input=lines, capture_output=True, check=True
    )
    answers = {one["id"]: one["result"] for one in map(json.loads, ran.stdout.splitlines())}
    assert [tool["name"] for tool in answers[2]["tools"]] == ["who_is_on_call", "post_message"]


def test_the_jobs_are_there_under_their_names(tmp_path: Path):
    place = Place(tmp_path)
    place.set_out()
    names = {file.stem for file in JOBS.iterdir()}
    assert names == {"bugs", "release", "leak", "remind"}
    assert all("tasks" in json.loads(place.job(name)) for name in names)


def test_nothing_of_the_users_settings_is_used(tmp_path: Path):
    environ = {"PLAIT_TOKEN": "x", "PLAIT_PROFILE": "work", "PATH": "/bin", "XDG_CONFIG_HOME": "/c"}
    own = Place(tmp_path).environment(environ)
    assert own["PATH"] == "/bin"
    assert "PLAIT_TOKEN" not in own
    assert "PLAIT_PROFILE" not in own
    outside = [name for name, value in own.items() if name.startswith("XDG_") and value == "/c"]
    assert outside == []


def test_it_starts_this_very_plait(tmp_path: Path):
    ran = subprocess.run(plait_words("--version"), cwd=tmp_path, capture_output=True, check=True)
    assert ran.stdout.startswith(b"plait ")
