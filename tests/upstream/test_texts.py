"""The texts that models read fit where clients show them, and speak of what exists."""

from __future__ import annotations

import re

import pytest

from plait.core.language.dag import DAG_FIELDS
from plait.core.results.record import RunStatus
from plait.upstream import texts
from plait.upstream.schemas import TOOLS
from plait.upstream.texts import EXECUTE, INSTRUCTIONS, MAX_TEXT

ALL = {name: text for name, text in vars(texts).items() if isinstance(text, str) and name.isupper()}


@pytest.mark.parametrize("text", ALL.values(), ids=ALL.keys())
def test_a_text_is_as_long_as_clients_show(text: str):
    assert len(text) <= MAX_TEXT


def test_the_instructions_leave_room_for_the_names_of_servers():
    assert len(INSTRUCTIONS) <= MAX_TEXT / 2


@pytest.mark.parametrize("text", ALL.values(), ids=ALL.keys())
def test_the_tools_that_a_text_names_exist(text: str):
    named = re.findall(r"\b[a-z]+_(?:dag|run|tools)\b", text)
    assert set(named) <= {tool.name for tool in TOOLS}


def test_the_members_and_statuses_of_a_result_that_the_text_names_exist():
    members = re.search(r"Result: ([a-z_, ]+) of the ids", EXECUTE)
    assert members is not None
    properties = TOOLS[0].output_schema["properties"].keys()
    assert set(members[1].split(", ")) <= properties
    assert set(re.findall(r"`(\w+)`", EXECUTE)) <= properties | DAG_FIELDS
    assert f'"{RunStatus.RUNNING}"' in EXECUTE
