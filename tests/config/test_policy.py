"""`[policy]` as it is written, and as rules that know their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.config.policy import PolicySettings
from plait.config.read import load_config
from plait.config.trust import Decisions, SettingsFile
from plait.core.flows.rules import TRIFECTA, FlowRule, Remember, Then
from plait.core.tools.approving import Approving
from plait.core.tools.rules import Answer, Rules
from plait.core.tools.traits import NO_WORD, Traits, Word
from plait.errors import ConfigError

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


FLOWS = """\
[servers.files]
command = "x"
[policy.labels]
private = ["files:*"]
outbound = ["chat:*"]
[[policy.flows]]
from = ["private"]
to = "outbound"
then = "ask"
except = ["files:read_public_*"]
[profiles.web]
policy = { flows = "trifecta", labels = { untrusted = ["web:*"], private = ["db:*"] } }
[profiles.strict]
policy = { remember_flows = "deny" }
[profiles.loose]
policy = { remember_flows = "off", default = "allow" }
"""
RULE = FlowRule(("private",), "outbound", Then.ASK, ("files:read_public_*",))


def test_the_rules_for_flows_are_read_with_their_labels(file: Path):
    file.write_text(FLOWS)
    flows = load_config(file, {}, file.parent).flows()
    assert flows.rules == (RULE,)
    assert flows.labels == {"private": ("files:*",), "outbound": ("chat:*",)}
    assert flows.remembers is Remember.ASK


def test_a_profile_adds_tools_to_labels_and_rules_for_flows(file: Path):
    file.write_text(FLOWS)
    flows = load_config(file, {}, file.parent, profile="web").flows()
    assert flows.rules == (RULE, TRIFECTA)
    assert flows.labels["private"] == ("files:*", "db:*")
    assert flows.labels["untrusted"] == ("web:*",)


def test_a_profile_can_only_make_what_is_remembered_count_for_more(file: Path):
    file.write_text(
        FLOWS.replace("[policy.labels]", '[policy]\nremember_flows = "ask"\n[policy.labels]')
    )
    for profile, remembers in (("strict", Remember.DENY), ("loose", Remember.ASK)):
        flows = load_config(file, {}, file.parent, profile=profile).flows()
        assert flows.remembers is remembers


def test_the_ready_rule_may_stand_among_others(file: Path):
    flows = ["trifecta", {"from": ["private"], "to": "outbound"}]
    settings = PolicySettings.model_validate({"flows": flows})
    assert [flow.rule() for flow in settings.flows] == [
        TRIFECTA,
        FlowRule(("private",), "outbound"),
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("[policy.labels]\nprivate", "[policy.labels]\nprivat"),
         'policy.flows[0].from[0]: unknown label "private". Did you mean "privat"?'),
        (('outbound = ["chat:*"]', ""),
         'policy.flows[0].to: unknown label "outbound". Say which tools have it: [policy.labels]'),
        (('untrusted = ["web:*"], ', ""),
         'profiles.web.policy.flows[0].from[1]: unknown label "untrusted", which trifecta needs.'),
        (('private = ["files:*"]', "private = []"),
         "policy.labels.private: a label needs tools"),
        (('private = ["files:*"]', '"a b" = ["files:*"]'),
         "policy.labels.\"a b\": a label is 1 to 32 letters, digits, - or _"),
        (('private = ["files:*"]', 'private = ["files"]'),
         'policy.labels.private[0]: a tool is named server:tool; write "*:tool" for any server'),
        (('"trifecta"', '"trifekta"'),
         'profiles.web.policy.flows[0]: the ready rule is "trifecta"; others are tables'),
        (('from = ["private"]', "from = []"), "policy.flows[0].from: "),
        (('from = ["private"]', ""), "policy.flows[0].from: "),
        (('then = "ask"', 'then = "maybe"'), "policy.flows[0].then: must be 'deny' or 'ask'"),
        (('then = "ask"', 'than = "ask"'),
         'policy.flows[0].than: unknown key. Did you mean "then"?'),
        (("except =", "excpt ="), 'policy.flows[0].excpt: unknown key. Did you mean "except"?'),
        (('{ remember_flows = "deny" }', '{ remember_flow = "deny" }'),
         'profiles.strict.policy.remember_flow: unknown key. Did you mean "remember_flows"?'),
    ],
)  # fmt: skip
def test_a_mistake_in_rules_for_flows_is_named_with_its_place(
    file: Path, wrong: tuple[str, str], said: str
):
    assert wrong[0] in FLOWS
    file.write_text(FLOWS.replace(*wrong))
    with pytest.raises(ConfigError) as refused:
        load_config(file, {}, file.parent)
    assert any(line.startswith(said) for line in str(refused.value).splitlines())


PINNED = '[policy]\npin = "{whole}"\n[profiles.home]\npolicy = {{ {home} }}\n'


@pytest.mark.parametrize(
    ("whole", "home", "pin"),
    [
        ("warn", "", "warn"),
        ("ignore", "", "ignore"),
        ("ignore", 'pin = "block"', "block"),
        ("ignore", 'pin = "warn"', "warn"),
        ("block", 'pin = "ignore"', "block"),
    ],
)
def test_a_profile_can_only_pin_more(tmp_path: Path, whole: str, home: str, pin: str):
    file = tmp_path / "servers.toml"
    file.write_text(PINNED.format(whole=whole, home=home))
    assert load_config(file, {}, tmp_path, profile="home").pin() == pin
    assert load_config(file, {}, tmp_path).pin() == whole


@pytest.mark.parametrize(
    ("whole", "home", "observes", "pin"),
    [
        ("enforce", "", False, "block"),
        ("observe", "", True, "warn"),
        ("observe", 'mode = "enforce"', False, "block"),
        ("enforce", 'mode = "observe"', False, "block"),
    ],
)
def test_a_profile_can_only_enforce_more(
    tmp_path: Path, whole: str, home: str, observes: bool, pin: str
):
    file = tmp_path / "servers.toml"
    text = f'[policy]\nmode = "{whole}"\npin = "block"\n[profiles.home]\npolicy = {{ {home} }}\n'
    file.write_text(text)
    config = load_config(file, {}, tmp_path, profile="home")
    assert (config.observes(), config.pin()) == (observes, pin)


def test_a_profile_cannot_make_the_settings_remember_less(tmp_path: Path):
    file = tmp_path / "servers.toml"
    file.write_text('[profiles.home]\npolicy = { remember_flows = "off" }\n')
    config = load_config(file, {}, tmp_path, profile="home")
    assert config.flows().remembers is Remember.ASK


def test_tools_are_pinned_with_a_warning_by_default():
    assert PolicySettings().pin == "warn"


@pytest.mark.parametrize(
    ("whole", "home", "approving"),
    [
        ("", "", Approving()),
        ('later = "cover"\napproval_s = 60', "", Approving(60, covers_later=True)),
        ('later = "cover"', 'later = "ask", approval_s = 900', Approving()),
        ("approval_s = 60", 'later = "cover", approval_s = 30', Approving(30)),
        (
            'approve = ["terminal", "dashboard"]',
            'approve = ["elicitation", "terminal"]',
            Approving(ways=frozenset({"terminal"})),
        ),
    ],
)
def test_a_profile_can_only_ask_more_strictly(
    tmp_path: Path, whole: str, home: str, approving: Approving
):
    file = tmp_path / "servers.toml"
    file.write_text(f"[policy]\n{whole}\n[profiles.home]\npolicy = {{ {home} }}\n")
    assert load_config(file, {}, tmp_path, profile="home").approving() == approving
