"""The steps of the tour: what they say of what they saw."""

from __future__ import annotations

import tomllib

import pytest

from plait.cli.style import Look
from plait.cli.tour_processes import TourFailed
from plait.cli.tour_steps import HEADING, STEPS, WIDEST_BAR, Step, first_of, once, row
from plait.config.models import Config
from plait.tour.service import Logged
from plait.tour.ways import Cost

from .records import shown


def comment(number: int, gateway: int) -> Logged:
    return Logged("issues:add_comment", {"number": number, "text": ""}, True, gateway)


def test_comments_that_were_sent_once_are_counted():
    said = once([comment(7, 1), comment(9, 1), comment(12, 2)])
    assert said == "3 comments by 2 gateways, none sent twice."


def test_a_comment_that_was_sent_twice_is_a_failure():
    with pytest.raises(TourFailed, match="Sent more than once: the comment at 9"):
        once([comment(7, 1), comment(9, 1), comment(9, 2)])


def test_the_figures_stand_below_their_names_and_fit_into_40_columns():
    cost = Cost(12.5, 12, 123_456, "")
    [line] = shown([row("call by call", cost, Look.YELLOW, 12.5, 40)])
    assert len(line) == len(HEADING) <= 40
    assert line == "call by call 12.50 s       12    123,456"


def test_a_bar_is_as_long_as_its_share_and_never_longer_than_a_whole_one():
    def bar(seconds: float) -> int:
        [line] = shown([row("one DAG", Cost(seconds, 2, 1, ""), Look.GREEN, 4.0, 80)])
        return line.count("━")

    assert [bar(4.0), bar(2.0), bar(0.001), bar(9.0)] == [
        WIDEST_BAR,
        WIDEST_BAR // 2,
        1,
        WIDEST_BAR,
    ]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_the_settings_of_a_step_are_settings(step: Step):
    servers = '[servers.x]\ncommand = "x"'
    Config.model_validate(tomllib.loads("\n".join([servers, *step.policy])))


def test_the_first_error_of_a_group_is_the_first_of_its_groups():
    inner = ExceptionGroup("", [KeyError("a"), KeyError("b")])
    assert str(first_of(ExceptionGroup("", [inner, KeyError("c")]))) == "'a'"
