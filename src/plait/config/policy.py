"""`[policy]` as a model. Each field is explained in `docs/configuration.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from ..core.flows.rules import STRICTNESS, TRIFECTA, FlowPolicy, FlowRule, Remember, Then
from ..core.tools.approving import Approving
from ..core.tools.rules import Answer, Rules
from ..core.values.problems import did_you_mean
from .fields import PolicyRule, Section, ToolPattern
from .places import Steps, place


def _is_label(name: str) -> str:
    if not 0 < len(name) <= 32 or not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError("a label is 1 to 32 letters, digits, - or _")
    return name


def _has_tools(globs: tuple[str, ...]) -> tuple[str, ...]:
    if not globs:
        raise ValueError('a label needs tools, such as ["files:*"]; without any, leave it out')
    return globs


def _as_list(flows: object) -> object:
    return [flows] if isinstance(flows, str) else flows


Label = Annotated[str, AfterValidator(_is_label)]


class FlowSettings(Section):
    """One `[[policy.flows]]`."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[tuple[Label, ...], Field(alias="from", min_length=1)]
    """Labels; data of tools with all of them may not come together in one call."""
    to: Label
    then: Literal["deny", "ask"] = "deny"
    except_: Annotated[tuple[ToolPattern, ...], Field(alias="except")] = ()
    """Tools that do not count as sources."""

    @model_validator(mode="before")
    @classmethod
    def _read_name(cls, value: object) -> object:
        """Read the name of a ready rule."""
        if not isinstance(value, str):
            return value
        if value != "trifecta":
            raise ValueError('the ready rule is "trifecta"; others are tables with from and to')
        return {"from": TRIFECTA.sources, "to": TRIFECTA.to}

    def rule(self) -> FlowRule:
        return FlowRule(self.from_, self.to, Then(self.then), self.except_)


class PolicySettings(Section):
    """`[policy]`"""

    default: Literal["allow", "ask", "deny"] = "allow"
    """For tools that no rule matches."""
    deny: tuple[PolicyRule, ...] = ()
    ask: tuple[PolicyRule, ...] = ()
    ask_each: tuple[PolicyRule, ...] = ()
    allow: tuple[PolicyRule, ...] = ()
    mode: Literal["enforce", "observe"] = "enforce"
    """Whether the rules hold, or only what they would deny and ask for is logged."""
    pin: Literal["ignore", "warn", "block"] = "warn"
    """Whether calls of a tool that is described otherwise than when it was first used are sent."""
    labels: dict[Label, Annotated[tuple[ToolPattern, ...], AfterValidator(_has_tools)]] = Field(
        default_factory=dict
    )
    """The tools that give what is so labelled, or that send it."""
    flows: Annotated[tuple[FlowSettings, ...], BeforeValidator(_as_list)] = ()
    remember_flows: Literal["ask", "deny", "off"] = "ask"
    """The outcome of a rule that only what a client has seen before breaks."""

    later: Literal["ask", "cover"] = "ask"
    """Whether calls that need a result of an approved one are asked for again, or covered."""
    approve: tuple[Literal["elicitation", "terminal", "dashboard", "flag"], ...] = (
        "elicitation",
        "terminal",
        "dashboard",
    )
    """The ways in which a person may answer."""
    approval_s: Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False)] = 600.0

    def unknown_labels(self, known: Iterable[str]) -> Iterator[tuple[Steps, str]]:
        """Yield a message for each label of the rules for flows that is neither here nor *known*,
        with its place."""
        labels = {**self.labels, **dict.fromkeys(known)}
        for index, flow in enumerate(self.flows):
            named: list[tuple[Steps, str]] = [(("to",), flow.to)]
            named += [(("from", number), name) for number, name in enumerate(flow.from_)]
            for steps, name in named:
                if name in labels:
                    continue
                needed = ", which trifecta needs" if flow.rule() == TRIFECTA else ""
                example = f'Say which tools have it: [policy.labels] {name} = ["server:tool"].'
                hint = did_you_mean(name, labels) or example
                yield ("flows", index, *steps), f'unknown label "{name}"{needed}. {hint}'

    def rules(self, section: str = "policy", lines: Mapping[Steps, int] | None = None) -> Rules:
        """Return these rules, which stand in *section*. *lines* are those of the file, by place."""
        found: dict[tuple[str, int], int] = {}
        for steps, line in (lines or {}).items():
            match steps:
                case (*table, str(key), int(index)) if place(tuple(table)) == section:
                    found[key, index] = line
                case (*table, "default") if place(tuple(table)) == section:
                    found["default", 0] = line
        return Rules(
            self.deny, self.ask_each, self.ask, self.allow, Answer(self.default), section, found
        )


def flows_of(policies: Sequence[PolicySettings]) -> FlowPolicy:
    """Return the rules for flows of *policies* together: labels have the tools that any gives them,
    and the strictest `remember_flows` counts."""
    labels: dict[str, tuple[str, ...]] = {}
    for policy in policies:
        for name, globs in policy.labels.items():
            labels[name] = tuple(dict.fromkeys((*labels.get(name, ()), *globs)))
    rules = dict.fromkeys(flow.rule() for policy in policies for flow in policy.flows)
    remembers = strictest(policies, "remember_flows", STRICTNESS)
    return FlowPolicy(labels, tuple(rules), Remember(remembers))


def approving_of(policies: Sequence[PolicySettings]) -> Approving:
    """Return how a person is asked under *policies* together: in the ways that count in all of
    them, for the shortest time."""
    whole, *others = policies
    ways, seconds = frozenset(whole.approve), whole.approval_s
    for one in others:
        if "approve" in one.model_fields_set:
            ways &= frozenset(one.approve)
        if "approval_s" in one.model_fields_set:
            seconds = min(seconds, one.approval_s)
    return Approving(seconds, ways, strictest(policies, "later", ("cover", "ask")) == "cover")


def strictest(policies: Sequence[PolicySettings], key: str, order: Sequence[str]) -> str:
    """Return the strictest value of *key* in *policies*, by *order*. That of the first, which is
    `[policy]`, always counts; those of profiles where they are set."""
    whole, *others = policies
    set_there = [getattr(one, key) for one in others if key in one.model_fields_set]
    found: str = max([getattr(whole, key), *set_there], key=order.index)
    return found
