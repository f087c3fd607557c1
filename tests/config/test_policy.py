"""`[policy]` as it is written, and as rules that know their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.config.policy import PolicySettings
from plait.config.read import load_config
from plait.config.trust import Decisions, SettingsFile
from plait.core.tools.rules import Answer, Rules
from plait.core.tools.traits import NO_WORD, Traits, Word

FILE = """\
[servers.files]
command = "x"
[servers.bank]
command = "x"
annotations = "ignored"
[servers.mail]
command = "x"
annotations = "trusted"
[servers.here]
builtin = "workspace"
[tools."bank:get_*"]
read_only = true
[policy]
ask = ["write"]
[profiles.home]
policy = { deny = ["bank:*"], default = "ask" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "servers.toml"
    file.write_text(FILE)
    return file


def test_without_settings_all_is_allowed():
    assert PolicySettings().rules() == Rules(default=Answer.ALLOW)


def test_a_decision_names_the_line_of_its_rule_in_the_file(file: Path):
    [rules] = load_config(file, {}, file.parent).rules()
    why = rules.decide("files:write", Traits()).why
    assert why == 'asked because [policy] ask = ["write"], line 14'


def test_the_rules_of_a_profile_stand_beside_those_of_the_settings(file: Path):
    config = load_config(file, {}, file.parent, profile="home")
    whole, home = config.rules()
    assert (whole.ask, whole.deny) == (("write",), ())
    why = 'denied because [profiles.home.policy] deny = ["bank:*"], line 16'
    assert home.decide("bank:pay", Traits()).why == why
    why = 'asked because [profiles.home.policy] default = "ask", line 16'
    assert home.decide("files:read", Traits()).why == why


def test_hints_count_unless_they_are_ignored_and_a_tool_can_be_marked(file: Path):
    words = load_config(file, {}, file.parent).words()
    assert words.of("files", "look") == NO_WORD
    assert words.of("mail", "look") == NO_WORD
    assert words.of("bank", "look") == Word(trusts_hints=False)
    assert words.of("bank", "get_rates") == Word(trusts_hints=False, read_only=True)


def test_in_a_file_that_was_found_hints_count_only_where_it_says_so(file: Path, tmp_path: Path):
    file.chmod(0o600)
    environ = {"HOME": str(tmp_path), "PLAIT_STATE_DIR": str(tmp_path / "state")}
    Decisions(tmp_path / "state").trust(SettingsFile.read(file))
    config = load_config(None, environ, tmp_path)
    assert config.is_found
    words = config.words()
    assert words.of("files", "look") == words.of("bank", "look") == Word(trusts_hints=False)
    assert words.of("mail", "look") == words.of("here", "read_file") == NO_WORD


def test_in_the_users_own_file_hints_count(file: Path, tmp_path: Path):
    own = tmp_path / "config" / "plait"
    own.mkdir(parents=True)
    file.rename(own / "servers.toml")
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    config = load_config(None, environ, tmp_path)
    assert (config.is_found, config.words().of("files", "look")) == (False, NO_WORD)
