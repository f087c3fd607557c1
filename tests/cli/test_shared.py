"""Commands that the gateway carries out which other programs share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..door.person import gateway
from .conftest import Plait


@pytest.fixture
def way() -> str:
    return "shared"


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["--isolated"], {}),
        ([], {"PLAIT_ISOLATED": "1"}),
        (["--log-level", "error"], {}),
        ([], {"PLAIT_LOG_LEVEL": "debug"}),
    ],
)
def test_a_command_does_all_by_itself_if_asked_or_to_show_its_log(
    plait: Plait, words: list[str], environ: dict[str, str]
):
    with gateway(("1", "of the gateway\n"), ("z", "0")) as serving:
        assert "of the gateway" not in plait("call", "s:say", "text=hi", *words, **environ).stdout
        assert serving.hello == []
        assert plait("call", "s:say", "text=hi").stdout == "of the gateway\n"


def test_the_gateway_gets_the_options_that_choose_the_settings(plait: Plait, tmp_path: Path):
    (tmp_path / "a.toml").write_text("[profiles.one]\nservers = []\n")
    with gateway(("z", "0")) as serving:
        plait("tools", "--config", "a.toml", "--profile", "one")
    words = [value for name, value in serving.hello if name == "arg"]
    assert words == ["--config=a.toml", "--profile=one"]
    assert dict(serving.hello)["client"] == "tools"


@pytest.mark.parametrize(("text", "said"), [("[servers.x]", "servers.x"), (None, "No such file")])
def test_wrong_settings_are_reported_before_a_gateway_is_asked(
    plait: Plait, tmp_path: Path, text: str | None, said: str
):
    if text is not None:
        (tmp_path / "a.toml").write_text(text)
    with gateway(("z", "0")) as serving:
        result = plait("tools", "--config", "a.toml")
        assert result.exit_code == 4
        assert said in result.stderr
        assert serving.hello == []
        plait("tools")


def test_a_command_that_the_gateway_refuses_is_carried_out_here(plait: Plait):
    with gateway(("x", "settings\0they have changed")):
        assert plait("call", "s:say", "text=hi").stdout == "hi\n"


@pytest.mark.parametrize(
    ("last", "sent", "said"),
    [("t", "unknown", "Whether its calls took effect is unknown"), ("1", "no", "Nothing was sent")],
)
def test_a_gateway_that_dies_during_a_command_is_an_error(
    plait: Plait, last: str, sent: str, said: str
):
    with gateway((last, "")):
        result = plait("call", "s:say", "text=hi", "--json")
    assert result.exit_code == 1
    assert said in " ".join(result.stderr.split())
    if last == "t":
        document = json.loads(result.stdout)
        assert (document["status"], document["sent"]) == ("interrupted", sent)


def test_what_is_no_text_is_called_from_here(plait: Plait):
    with gateway(("z", "0")) as serving:
        result = plait("call", "s:say", "text=\udc80")
        assert result.exit_code != 0
        assert serving.hello == []
        plait("servers")
        assert dict(serving.hello)["client"] == "servers"


def test_a_wrong_command_line_is_shown_with_its_usage(plait: Plait):
    result = plait("tools", "--server", "nope")
    assert result.exit_code == 2
    assert "Usage: plait tools" in result.stderr
    assert 'unknown server "nope"' in result.stderr
