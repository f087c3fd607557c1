"""The names that tools and prompts of servers are served by."""

from __future__ import annotations

import re
import string

from hypothesis import given
from hypothesis import strategies as st

from plait.core.tools.naming import (
    BUDGET,
    CLIENT_PREFIX,
    LONGEST,
    Entry,
    prefixed_name,
    prompt_names,
    tool_names,
)

from ...profiles import CHARACTERS, share_of_examples
from ..tables import table

FITS = re.compile(r"[A-Za-z0-9_-]{1,52}\Z")
OURS = ("execute_dag", "get_run", "plan")
LONG = "x" * 80

servers = st.sampled_from(["a", "b", "a_", "a__b", "0", "s" * 32]) | st.text(
    "ab_-", min_size=1, max_size=4
)
names = (
    st.text(alphabet=string.ascii_letters + "_", max_size=60)
    | st.text(CHARACTERS, max_size=80)
    | st.sampled_from(
        [
            "x",
            "b__x",
            "__x",
            "_x",
            "x_0123456789ab",
            "get_run",
            "execute_dag",
            "a__x",
            LONG,
            LONG + "y",
            "",
        ]
    )
)
entries = st.lists(st.tuples(servers, names), max_size=12)


@table(
    ("server", "name", "served"),
    [
        ("git", "status", "git__status"),
        ("git-hub", "list_Issues-2", "git-hub__list_Issues-2"),
        ("a", "b__c", "a__b__c"),
        ("a", "_b", "a___b"),
        ("a", "", "a__"),
        ("a", "x" * 49, "a__" + "x" * 49),
    ],
)
def test_a_plain_name_is_put_behind_that_of_its_server(server: str, name: str, served: str):
    assert prefixed_name(server, name) == served


@table(
    ("server", "name", "start"),
    [
        ("a", "x" * 50, "a__" + "x" * 36 + "_"),
        ("a", "büro plan", "a__b_ro_plan_"),
        ("a_", "b", "a___b_"),
        ("a__b", "c", "a__b__c_"),
        ("a", "x_0123456789ab", "a__x_0123456789ab_"),
    ],
)
def test_any_other_name_ends_in_a_hash_of_the_whole(server: str, name: str, start: str):
    served = prefixed_name(server, name)
    assert re.fullmatch(re.escape(start) + "[0-9a-f]{12}", served)


def test_the_budget_leaves_room_for_a_clients_prefix():
    assert len(CLIENT_PREFIX) + LONGEST == BUDGET == 64


@given(entries)
def test_no_two_tools_have_one_name_and_each_fits_and_leads_back(tools: list[Entry]):
    served = tool_names(tools, bare={"a", "b"}, taken=OURS)
    assert served.served.keys() == set(tools)
    assert len(set(served.served.values())) == len(served.served)
    for entry, name in served.served.items():
        assert FITS.match(name)
        assert name not in OURS
        assert served.means[name] == entry


@given(entries)
def test_no_two_prompts_have_one_name_and_each_leads_back(prompts: list[Entry]):
    served = prompt_names(prompts, taken=OURS)
    assert served.served.keys() == set(prompts)
    assert len(set(served.served.values())) == len(served.served)
    for entry, name in served.served.items():
        assert name not in OURS
        assert served.means[name] == entry


@given(entries, servers)
def test_the_name_of_a_tool_stays_whatever_other_servers_come_and_go(tools: list[Entry], gone: str):
    before, after = tool_names(tools), tool_names([tool for tool in tools if tool[0] != gone])
    assert all(before.served[entry] == name for entry, name in after.served.items())


@share_of_examples(0.4)
@given(entries)
def test_the_names_of_tools_do_not_hang_on_the_order_of_lists(tools: list[Entry]):
    assert tool_names(tools).served == tool_names(tools[::-1]).served


@share_of_examples(0.4)
@given(entries, servers)
def test_a_name_of_its_own_means_the_same_when_another_server_is_there(
    prompts: list[Entry], other: str
):
    alone = prompt_names([prompt for prompt in prompts if prompt[0] != other])
    for entry in alone.served:
        assert prompt_names(prompts).means[prefixed_name(*entry)] == entry


@share_of_examples(0.4)
@given(entries)
def test_what_is_served_bare_is_what_the_server_calls_it(tools: list[Entry]):
    for (server, name), served in tool_names(tools, bare={"a"}, taken=OURS).served.items():
        assert served in (
            {name, prefixed_name(server, name)} if server == "a" else {prefixed_name(server, name)}
        )


def test_a_bare_name_is_served_where_it_is_free():
    served = tool_names(
        [("a", "x"), ("a", "get_run"), ("b", "x"), ("c", "y")], bare={"a", "c"}, taken=OURS
    ).served
    assert served == {
        ("a", "x"): "x",
        ("a", "get_run"): "a__get_run",
        ("b", "x"): "b__x",
        ("c", "y"): "y",
    }


@table("name", ["b__x", "x y", "x_0123456789ab", "x" * 53, ""])
def test_a_name_that_could_be_mistaken_is_never_served_bare(name: str):
    assert tool_names([("a", name)], bare={"a"}).served == {("a", name): prefixed_name("a", name)}


def test_two_servers_that_have_one_bare_name_both_go_without_it():
    served = tool_names([("a", "x"), ("b", "x")], bare={"a", "b"}).served
    assert served == {("a", "x"): "a__x", ("b", "x"): "b__x"}


def test_prompts_keep_their_names_until_two_servers_have_one():
    assert prompt_names([("a", "part one"), ("b", "x")]).served == {
        ("a", "part one"): "part one",
        ("b", "x"): "x",
    }
    shared = prompt_names([("a", "x"), ("b", "x"), ("a", "plan")], taken=OURS).served
    assert shared == {("a", "x"): "a__x", ("b", "x"): "b__x", ("a", "plan"): "a__plan"}


def test_a_prompt_that_is_named_like_anothers_prefixed_name_does_not_take_it():
    served = prompt_names([("a", "x"), ("b", "x"), ("c", "a__x")])
    assert served.means["a__x"] == ("a", "x")
    assert served.served["c", "a__x"] == prefixed_name("c", "a__x")


def test_the_same_entry_twice_is_one():
    assert tool_names([("a", "x"), ("a", "x")], bare={"a"}).served == {("a", "x"): "x"}


def test_two_names_with_the_same_hash_are_kept_apart():
    tools = [("a", f"{'x' * 50}{end}") for end in ("a170888ec00c", "bfc59bde4737")]
    assert prefixed_name(*tools[0]) == prefixed_name(*tools[1])
    served = tool_names(tools)
    assert len(set(served.served.values())) == 2
    assert {served.means[name] for name in served.served.values()} == set(tools)
