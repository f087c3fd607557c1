"""The addresses that resources of servers are served by."""

from __future__ import annotations

from itertools import zip_longest

from hypothesis import example, given
from hypothesis import strategies as st

from plait.core.tools.addresses import Addresses, is_address, unwrap, wrap
from plait.core.tools.naming import Entry

from ...profiles import CHARACTERS, share_of_examples
from ..tables import table

servers = st.sampled_from(["a", "b", "servers", "plait", "s" * 32]) | st.text(
    "ab01", min_size=1, max_size=3
)
uris = (
    st.sampled_from(
        [
            "mem://x",
            "mem://y",
            "ui://x/y",
            "ui://plait/a/x",
            "plait://guide",
            "plait://servers/a/mem://x",
            "",
        ]
    )
    | st.builds(
        "{}://{}".format, st.sampled_from(["mem", "ui", "plait"]), st.text("a/{}%?é ", max_size=20)
    )
    | st.text(CHARACTERS, max_size=30)
)
listed = st.lists(st.tuples(servers, uris), max_size=10)


@table(
    ("server", "uri", "wrapped"),
    [
        ("a", "file:///notes.txt", "plait://servers/a/file:///notes.txt"),
        ("a", "ui://chart/view", "ui://plait/a/chart/view"),
        ("a-b", "plait://guide", "plait://servers/a-b/plait://guide"),
        ("a", "x://{path}{?q}", "plait://servers/a/x://{path}{?q}"),
    ],
)
def test_a_wrapped_address_names_its_server(server: str, uri: str, wrapped: str):
    assert wrap(server, uri) == wrapped


@given(servers, uris)
@example("a", "ui://")
@example("a", "plait://servers/b/ui://plait/c/x")
@example("a", "x\ny")
def test_what_is_wrapped_is_unwrapped_to_the_same(server: str, uri: str):
    assert unwrap(wrap(server, uri)) == (server, uri)


@given(listed)
def test_every_listed_address_leads_back_to_who_lists_it(resources: list[Entry]):
    addresses = Addresses(resources)
    for server, uri in resources:
        assert addresses.down(addresses.up(server, uri)) == (server, uri)


@share_of_examples(0.4)
@given(listed)
def test_no_two_servers_have_one_address(resources: list[Entry]):
    addresses = Addresses(resources)
    assert len({addresses.up(*entry) for entry in resources}) == len(set(resources))


@given(listed, servers, uris)
def test_an_address_that_no_server_lists_is_not_changed(
    resources: list[Entry], server: str, uri: str
):
    is_ours = uri.startswith(("plait://", "ui://plait/"))
    if is_ours or uri in {listed for _, listed in resources} or not is_address(uri):
        uri = "other://x"
    assert Addresses(resources).up(server, uri) is uri


def test_addresses_of_two_servers_are_wrapped_for_both_and_those_of_one_for_none():
    addresses = Addresses([("a", "mem://x"), ("b", "mem://x"), ("a", "mem://y")])
    assert addresses.up("a", "mem://x") == "plait://servers/a/mem://x"
    assert addresses.up("b", "mem://x") == "plait://servers/b/mem://x"
    assert addresses.up("a", "mem://y") == "mem://y"
    assert addresses.down("mem://x") is None


@table(
    ("uri", "is_read"),
    [("under_score://x", True), ("//host/path", True), ("", True), ("not a uri", False)],
)
def test_an_address_that_is_not_a_url_is_wrapped_and_served_if_clients_send_it_back_as_it_is(
    uri: str, is_read: bool
):
    addresses = Addresses([("a", uri)])
    assert addresses.up("a", uri) == wrap("a", uri)
    assert addresses.down(wrap("a", uri)) == ("a", uri)
    assert is_address(wrap("a", uri)) is is_read


@table("template", ["{+path}", "mem://{x}", "{scheme}://x"])
def test_a_template_need_not_be_a_url(template: str):
    assert Addresses([], [("a", template)]).template_up("a", template) == template


def test_an_address_that_another_server_lists_is_wrapped_when_it_is_mentioned():
    assert Addresses([("a", "mem://x")]).up("b", "mem://x") == "plait://servers/b/mem://x"


@table("uri", ["plait://guide", "plait://runs/1", "ui://plait/x", "plait://servers/b/mem://x"])
def test_no_server_takes_an_address_of_ours(uri: str):
    addresses = Addresses([("a", uri)])
    assert addresses.up("a", uri) == wrap("a", uri)
    assert addresses.down(wrap("a", uri)) == ("a", uri)


@table(
    ("uri", "server"),
    [
        ("mem://n/7", "a"),
        ("mem://n/7/x", "b"),
        ("mem://n/", "a"),
        ("log://2026?x", "b"),
        ("log://", "b"),
        ("mem://m/7", None),
        ("xmem://n/7", None),
    ],
)
def test_an_unlisted_address_belongs_to_the_template_that_fits_it_best(
    uri: str, server: str | None
):
    templates = [("a", "mem://n/{n}"), ("b", "mem://n/{n}/x"), ("b", "log://{day}{?q*}")]
    assert Addresses(templates=templates).down(uri) == ((server, uri) if server else None)


def test_lists_go_before_templates_and_templates_before_who_named_an_address():
    addresses = Addresses([("a", "mem://x")], [("b", "mem://{n}")])
    assert addresses.down("mem://x", named_by="c") == ("a", "mem://x")
    assert addresses.down("mem://y", named_by="c") == ("b", "mem://y")
    assert addresses.down("mem://y", named_by="b") == ("b", "mem://y")
    assert addresses.down("mem://y") == ("b", "mem://y")
    assert addresses.down("other://y", named_by="c", only="d") == ("c", "other://y")
    assert addresses.down("other://y", only="c") == ("c", "other://y")
    assert addresses.down("other://y") is None


@table(
    ("server", "uri", "named_by", "address"),
    [
        ("evil", "mem://1", None, "plait://servers/evil/mem://1"),
        ("good", "mem://1", None, "mem://1"),
        ("good", "mem://1", "evil", "plait://servers/good/mem://1"),
        ("evil", "free://1", "good", "plait://servers/evil/free://1"),
        ("good", "free://1", "good", "free://1"),
        ("good", "mem://listed", "evil", "mem://listed"),
        ("good", "both://1", "good", "plait://servers/good/both://1"),
    ],
)
def test_no_address_is_taken_from_another_server_by_naming_it(
    server: str, uri: str, named_by: str | None, address: str
):
    templates = [("good", "mem://{id}"), ("good", "both://{id}"), ("evil", "both://{id}")]
    addresses = Addresses([("good", "mem://listed")], templates)
    assert addresses.up(server, uri, named_by) == address
    assert addresses.down(address, named_by=server) == (server, uri)


@given(
    st.lists(st.text("ab", max_size=3), min_size=1, max_size=4),
    st.lists(st.text("ab", max_size=3), max_size=3),
)
def test_a_template_fits_whatever_it_can_be_expanded_to(literals: list[str], values: list[str]):
    uri = "".join(
        text + value
        for text, value in zip_longest(literals, values[: len(literals) - 1], fillvalue="")
    )
    assert Addresses(templates=[("s", "{v}".join(literals))]).down(uri) == ("s", uri)


def test_a_template_made_to_be_slow_is_not():
    addresses = Addresses(templates=[("s", "{x}a" * 20_000 + "b")])
    assert addresses.down("a" * 60_000) is None
